"""How many groups one socket may be a member of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from routechan import Group, Message, route
from routechan.layers import InMemoryChannelLayer
from routechan.layers.registry import channel_layers
from routechan.telemetry.counters import counters

from ..asgi.clients import Open, logged
from ..asgi.consumers import accept
from ..monitor.helpers import inline, relaying, working


def join(message: Message) -> None:
    """Joins the group that the client names, and says so."""
    Group(message["text"], channel_layer=message.channel_layer).add(message.reply_channel)
    message.reply_channel.send({"text": f"in {message['text']}"})


async def ajoin(message: Message) -> None:
    await Group(message["text"], channel_layer=message.channel_layer).aadd(message.reply_channel)
    message.reply_channel.send({"text": f"in {message['text']}"})


@pytest.fixture(params=["inline", "workers"])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """``await serve(consumer)``: an application on a layer whose channels may be in two groups."""
    async with AsyncExitStack() as stack:

        async def start(consumer: Any) -> Any:
            layer = InMemoryChannelLayer(max_groups=2)
            stack.enter_context(channel_layers.override("default", layer.sync))
            routing = [route("websocket.connect", accept), route("websocket.receive", consumer)]
            if request.param == "inline":
                return await stack.enter_async_context(inline(layer, *routing))
            await stack.enter_async_context(working(layer, *routing))
            return await stack.enter_async_context(relaying(layer))

        yield start


@pytest.mark.parametrize("consumer", [join, ajoin])
async def test_a_client_that_joins_without_end(serve: Any, caplog: pytest.LogCaptureFixture, consumer: Any) -> None:
    """One group too many is an error of the consumer, with a line in the log for all; other sockets join as before."""
    limited = counters.limited["max_groups"]
    application = await serve(consumer)
    async with Open(application) as client, Open(application) as other:
        for text in ("a", "b", "c", "d", "a"):
            client.send(text)
        assert [await client.text() for _ in range(3)] == ["in a", "in b", "in a"]
        other.send("c")
        assert await other.text() == "in c"
        client.leave()
        other.leave()
    assert counters.limited["max_groups"] == limited + 2
    assert len(logged(caplog)) == 1
    assert "is a member of 2 groups, as many as one channel may be, and was to join 'c' too" in caplog.text
