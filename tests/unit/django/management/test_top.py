"""``manage.py routechan top``: its options, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from routechan.layers import DEFAULT_CHANNEL_LAYER, RedisChannelLayer, channel_layers
from routechan.monitor import top
from tests.processes import free_port


@pytest.fixture(autouse=True)
def layers() -> Iterator[None]:
    """A layer of several processes, whose Redis is not there, and one of this process."""
    redis: dict[str, Any] = {
        "BACKEND": "routechan.layers.RedisChannelLayer",
        "CONFIG": {"hosts": [f"redis://127.0.0.1:{free_port()}"], "send_timeout": 0.2},
        "ROUTING": [],
    }
    memory = {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": []}
    layer = RedisChannelLayer(**redis["CONFIG"])
    with (
        override_settings(CHANNEL_LAYERS={"default": redis, "memory": memory}),
        channel_layers.override(DEFAULT_CHANNEL_LAYER, layer.sync),
    ):
        yield
    layer.close()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["top", "--layer", "memory"], "lives in one process"),
        (["top", "--layer", "nonesuch"], "no alias 'nonesuch' for --layer; it has default, memory"),
        (["top", "--interval", "0"], "an interval is a number of seconds from 0.1 to 3600, not '0'"),
        (["top", "--interval", "often"], "an interval is a number of seconds from 0.1 to 3600, not 'often'"),
        (["bottom"], "invalid choice: 'bottom'"),
    ],
)
def test_mistakes_on_the_command_line(arguments: list[str], expected: str) -> None:
    """They are named, with what would be right."""
    with pytest.raises(CommandError, match=expected):
        call_command("routechan", *arguments)


def test_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(top, "Console", None)
    with pytest.raises(CommandError, match=r"rich; install it with: pip install 'routechan\[top\]'"):
        call_command("routechan", "top", "--once")


def test_a_layer_that_does_not_answer() -> None:
    """Is said, and the command fails."""
    with pytest.raises(CommandError, match="Redis"):
        call_command("routechan", "top", "--once")
