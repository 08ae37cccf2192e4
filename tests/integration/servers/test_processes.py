"""Servers with several processes of their own, on a layer that lives in one."""

from __future__ import annotations

import pytest

from .starting import serving

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "options"), [("uvicorn", ("--workers", "2")), ("hypercorn", ("-w", "2"))])
def test_a_layer_in_memory(kind: str, options: tuple[str, ...]) -> None:
    """The second process says, soon after the start, that sockets of one do not hear of the other."""
    with serving(kind, "app", *options) as server:
        server.wait_until(lambda: "Another process (pid " in server.output, "it is said")
    assert server.output.count("the channel layer InMemoryChannelLayer") == 1, server.output
