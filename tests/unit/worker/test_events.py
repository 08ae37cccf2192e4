"""The events of relaying servers in a worker: which are run, what their acks leave with, what ends their streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routechan import ConsumeLater, Message, route
from routechan.exceptions import ChannelFull, ChannelLayerUnavailable
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..asgi.clients import Client, Open
from ..helpers import DEADLINE, of_kind
from ..relay.helpers import RECEIVE, REPLY_TO, SOCKET, aecho, echo, nothing, send_event, serving, working


async def test_an_event_that_was_given_up_is_not_run(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that comes too late leaves it: its connection has gone on, and would be answered out of order."""
    ran: list[str] = []
    routing = [*SOCKET[:1], route("websocket.disconnect", lambda message: ran.append(message["path"]))]
    async with serving(default_layer, event_timeout=0.1) as application, Client(application, "/given-up/") as client:
        client.leave()
        await client.over()
    async with serving(default_layer) as application, working(default_layer, *routing):
        async with Open(application, "/later/"):
            pass
        await until(lambda: ran)
    assert ran == ["/later/"]
    assert caplog.text.count("of '/given-up/' is not run: its server has given it up") == 2


async def test_streams_end_with_their_server(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that died tells nobody: the worker looks whether it is still there."""
    monkeypatch.setattr("routechan.worker.events.SERVER_CHECK_INTERVAL", 0.05)
    ended = asyncio.Event()

    async def stream(message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            while True:
                yield {"text": "tick"}
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    async with working(default_layer, route(RECEIVE, stream)):
        await send_event(default_layer)
        await asyncio.wait_for(ended.wait(), DEADLINE)


def trying_once_more() -> Any:
    """A consumer that replies on each try, and asks for a second one."""
    tries: list[int] = []

    def later(message: Message) -> None:
        message.reply_channel.send({"text": "trying"})
        tries.append(1)
        if len(tries) == 1:
            raise ConsumeLater

    return later


@pytest.mark.parametrize(
    ("consumer", "replies"),
    [(echo, 1), (aecho, 1), (of_kind("decorated async", echo), 1), (trying_once_more(), 2), (nothing, 0)],
    ids=["plain", "async", "decorated", "later", "silent"],
)
async def test_the_ack_leaves_with_the_replies(
    default_layer: SyncChannelLayer, consumer: Any, replies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design section 3: replies first, then the ack, in one tick of the loop; one ack for each event."""
    layer = default_layer.layer
    posted: list[tuple[str, Any]] = []
    in_tick: list[int] = []
    most: list[int] = []
    post = layer.post

    def recorded(channel: str, content: Any, delay: float = 0.0, headers: Any = None) -> Any:
        if "!" in channel:
            posted.append((channel.partition(".")[0], sorted(content)))
            in_tick.append(0)
            asyncio.get_running_loop().call_soon(in_tick.clear)
            most.append(len(in_tick))
        return post(channel, content, delay, headers=headers)

    monkeypatch.setattr(layer, "post", recorded)
    async with working(default_layer, route(RECEIVE, consumer)):
        await send_event(default_layer, 7, text="hello")
        await until(lambda: posted and posted[-1][0] == "specific", "it is acked")
    assert posted == [("websocket", ["text"])] * replies + [("specific", ["ack"])]
    assert max(most) >= min(replies, 1) + 1


@pytest.mark.parametrize("error", [ChannelFull("x"), ChannelLayerUnavailable("no Redis")], ids=["full", "away"])
async def test_an_ack_that_cannot_be_sent(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """The server finds out by itself, a little later; the worker goes on."""
    layer, ran = default_layer.layer, []
    post = layer.post

    async def consumer(message: Message) -> Any:
        ran.append(message["text"])
        if message["text"] == "stream":
            yield {"text": "tick"}
            await asyncio.Event().wait()

    def refuse(channel: str, content: Any, delay: float = 0.0, headers: Any = None) -> Any:
        if channel == REPLY_TO:
            raise error
        return post(channel, content, delay, headers=headers)

    monkeypatch.setattr(layer, "post", refuse)
    async with working(default_layer, route(RECEIVE, consumer)):
        await send_event(default_layer, 1, text="stream")
        await until(lambda: "A server could not be told of an event's end" in caplog.text)
        await send_event(default_layer, 2, text="next")
        await until(lambda: ran == ["stream", "next"])


async def test_a_server_of_which_the_layer_cannot_tell(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams go on until the layer says that it is gone."""
    monkeypatch.setattr("routechan.worker.events.SERVER_CHECK_INTERVAL", 0.001)
    asked, gone, ended = [], False, asyncio.Event()

    async def stream(message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            while True:
                yield {"text": "tick"}
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    async def is_served(channel: str) -> bool:
        asked.append(channel)
        if not gone:
            raise ChannelLayerUnavailable("no Redis")
        return False

    monkeypatch.setattr(default_layer.layer, "is_served", is_served)
    async with working(default_layer, route(RECEIVE, stream)):
        await send_event(default_layer)
        await until(lambda: len(asked) > 3)
        assert not ended.is_set()
        gone = True
        await asyncio.wait_for(ended.wait(), DEADLINE)
