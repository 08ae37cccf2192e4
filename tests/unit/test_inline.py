"""Consumers in the server process: what it takes of its connections, and of the layer."""

from __future__ import annotations

import pytest

from routechan import Channel, Message, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from .consumers.helpers import ECHOES, RECEIVE, Outlet, echo, feed, reply, started
from .helpers import drain


async def test_custom_channels_are_consumed(default_layer: SyncChannelLayer) -> None:
    """``Channel("thumbnail").send`` from a consumer reaches the consumer of that channel, with nothing else started."""
    made = []

    def sender(message: Message) -> None:
        for number in range(3):
            Channel("thumbnail").send({"n": number, "reply_channel": "done"})

    async def thumbnail(message: Message) -> None:
        made.append((message.channel_name, message["n"]))
        reply(message, n=message["n"])

    async with started(default_layer, route(RECEIVE, sender), route("thumbnail", thumbnail)) as consumers:
        await feed(consumers.connection(Outlet()), {})
        await until(lambda: len(made) == 3)
        await until(lambda: default_layer.channel_statistics("done")["messages_pending"] == 3)
    assert made == [("thumbnail", 0), ("thumbnail", 1), ("thumbnail", 2)]
    assert [content["n"] for content in drain(default_layer, "done")] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["plain", "async", "decorated async", "stream", "async stream", "decorated stream"])
async def test_every_kind_on_a_custom_channel(default_layer: SyncChannelLayer, kind: str) -> None:
    """Replies of a message that came over the layer go over the layer."""
    async with started(default_layer, route("custom", ECHOES[kind])):
        Channel("custom").send({"n": 1, "reply_channel": "done"})
        await until(lambda: drain(default_layer, "done") == [{"n": 1}])


async def test_serves_and_takes(default_layer: SyncChannelLayer) -> None:
    """OB-16: whether a consumer could take a connection's events, by its path, and whether one takes a message."""
    async with started(default_layer, route(RECEIVE, echo, path="^/x$")) as consumers:
        assert consumers.serves([RECEIVE], {"path": "/x"})
        assert not consumers.serves([RECEIVE], {"path": "/y"})
        assert consumers.takes(RECEIVE, {"path": "/x"})
        assert not consumers.takes(RECEIVE, {"path": "/y"})
