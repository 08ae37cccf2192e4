"""The events of relaying servers in a worker: which are run, what their acks leave with, what ends their streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routechan import ConsumeLater, Message, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..asgi.clients import Client, Open
from ..helpers import DEADLINE, of_kind
from ..relay.helpers import RECEIVE, SOCKET, aecho, echo, nothing, send_event, serving, working


async def test_an_event_that_was_given_up_is_not_run(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that comes too late leaves it: its connection has gone on, and would be answered out of order."""
    ran: list[str] = []
    routing = [*SOCKET[:1], route("websocket.disconnect", lambda message: ran.append(message["path"]))]
    async with serving(default_layer, event_timeout=0.1) as application:
        async with Client(application, "/given-up/") as client:
            client.leave()
            await client.over()
        async with working(default_layer, *routing):
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
