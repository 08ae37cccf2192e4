"""Each test runs on each ASGI server, as a real process with real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import ServerProcess

from .starting import COMMANDS, serving


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on the kinds that its module names as ``KINDS``, or on all."""
    if "server" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "KINDS", list(COMMANDS))
        metafunc.parametrize("server", kinds, indirect=True, scope="module")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A server of each kind with the application of ``app.py``."""
    with serving(request.param, "app") as process:
        yield process
