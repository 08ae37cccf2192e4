"""Functions for pytest."""

from __future__ import annotations

import asyncio

import django
import pytest

django.setup()

from routechan import Group  # noqa: E402
from routechan.layers import InMemoryChannelLayer, channel_layers  # noqa: E402

from .early import EarlyConfig  # noqa: E402

#: Made when this module is imported, as much code does.
LOBBY = Group("lobby")


@pytest.fixture(params=[1, 2])
def joined(request: pytest.FixtureRequest) -> None:
    """What a fixture sends, its test sees; the next one does not."""
    LOBBY.add("tests")


def test_plain(joined: None) -> None:
    assert isinstance(channel_layers["default"].layer, InMemoryChannelLayer)
    assert LOBBY.channels() == ["tests"]
    LOBBY.send({"text": "hello"})
    EarlyConfig.group.send({"text": "hello"})
    assert channel_layers["default"].receive(["tests"]) == ("tests", {"text": "hello"})
    LOBBY.send({"text": "left over"})


def test_async() -> None:
    async def run() -> None:
        assert await LOBBY.achannels() == []
        await LOBBY.aadd("tests")
        await Group("lobby").asend({"text": "hello"})
        assert channel_layers["default"].receive(["tests"]) == ("tests", {"text": "hello"})

    asyncio.run(run())


def test_sent(routechan_sent) -> None:
    assert routechan_sent.all() == []
    LOBBY.send({"text": "hello"})
    assert routechan_sent.group("lobby") == [{"text": "hello"}]
    assert routechan_sent.channel("lobby") == []


@pytest.mark.parametrize("number", [1, 2])
def test_client(routechan_client, routechan_sent, number: int) -> None:
    routechan_client.send_and_consume("websocket.connect", path="/")
    routechan_client.send_and_consume("websocket.receive", text="hello", path="/")
    assert routechan_client.receive(json=False) == "hello"
    assert routechan_sent.channel("thumbnail") == [{"of": "hello"}]


async def aclient(client) -> None:
    await client.asend_and_consume("websocket.connect", path="/")
    await client.asend_and_consume("websocket.receive", text="hello", path="/")
    assert await client.areceive(json=False) == "hello"


def test_client_in_async_code(routechan_client) -> None:
    asyncio.run(aclient(routechan_client))
