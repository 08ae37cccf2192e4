"""``manage.py routechan send`` and ``listen``: what is wrong with their arguments, and what a layer refuses."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from routechan.layers import DEFAULT_CHANNEL_LAYER, RedisChannelLayer, channel_layers
from routechan.monitor.messages import as_json
from tests.processes import free_port
from tests.redis_servers import SingleServer, shared

SAID = '{"text": "x"}'


@pytest.fixture(scope="module")
def redis(pytestconfig: pytest.Config) -> SingleServer:
    return shared(pytestconfig, SingleServer)


def use(hosts: list[Any]) -> Iterator[None]:
    config: dict[str, Any] = {"hosts": hosts, "send_timeout": 0.2, "capacity": 1, "prefix": "by-hand"}
    described = {"BACKEND": "routechan.layers.RedisChannelLayer", "CONFIG": config, "ROUTING": []}
    memory = {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": []}
    layer = RedisChannelLayer(**config)
    with (
        override_settings(CHANNEL_LAYERS={"default": described, "memory": memory}),
        channel_layers.override(DEFAULT_CHANNEL_LAYER, layer.sync),
    ):
        yield
    layer.close()


@pytest.fixture
def no_redis() -> Iterator[None]:
    """A layer whose Redis is not there."""
    yield from use([f"redis://127.0.0.1:{free_port()}"])


@pytest.fixture
def with_redis(redis: SingleServer) -> Iterator[None]:
    """A layer on which no process runs."""
    yield from use(redis.hosts)


@pytest.mark.usefixtures("no_redis")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["send", "work", "text"], "'text' is no JSON: .* expected an object, such as"),
        (["send", "work", "[1]"], "expected a JSON object, such as .*, not a list"),
        (["send", "bad name", SAID], "Nothing was sent: a channel name holds"),
        (["send", "--group", "bad name", SAID], "Nothing was sent: a group name holds"),
        (["send", "work", SAID, "--delay", "soon"], "a delay is a number of seconds such as 2.5, not 'soon'"),
        (["send", "work", SAID, "--layer", "memory"], "lives in one process, so nobody but this command would hear"),
        (["send", "work", SAID], "Nothing was sent: .*Redis"),
        (["listen", "bad name"], "a group name holds"),
        (["listen", "chat", "--layer", "memory"], "lives in one process, so nobody else can be heard through it"),
        (["listen", "chat"], "Redis"),
    ],
)
def test_mistakes_and_refusals(arguments: list[str], expected: str) -> None:
    """They are named, with what would be right; nothing is sent."""
    with pytest.raises(CommandError, match=expected):
        call_command("routechan", *arguments)


@pytest.mark.usefixtures("with_redis")
def test_a_full_channel() -> None:
    """It is said that the message was not sent."""
    output = io.StringIO()
    call_command("routechan", "send", "full", SAID, stderr=output)
    assert "no process says that it reads this channel, 1 message waits there now" in output.getvalue()
    with pytest.raises(CommandError, match="Nothing was sent: channel 'full' is full: it holds its 1 messages"):
        call_command("routechan", "send", "full", SAID)


@pytest.mark.usefixtures("with_redis")
def test_a_channel_of_a_process_that_is_gone() -> None:
    """Nothing is sent where it would wait for nobody."""
    with pytest.raises(CommandError, match="a channel of one process, and that process is gone"):
        call_command("routechan", "send", "websocket.send.abcdef.gone!abcdefghij", SAID)


def test_what_json_does_not_know() -> None:
    """Content carries more than JSON does; a message is one line all the same."""
    content = {"bytes": b"\x00\xff", "at": datetime.date(2026, 1, 2), "price": Decimal("1.50"), "text": "a\nb"}
    assert as_json(content) == '{"bytes": "AP8=", "at": "2026-01-02", "price": "1.50", "text": "a\\nb"}'
