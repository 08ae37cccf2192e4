"""What a client may send: messages of a size, so many in a time; and how many streams it may start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routechan import Message, route
from routechan.asgi import ServerOptions
from routechan.layers import InMemoryChannelLayer
from routechan.telemetry.counters import counters
from tests.waiting import until

from ..asgi.clients import Client, Open, close, logged
from ..asgi.conftest import Serve
from ..asgi.conftest import serve as serve
from ..asgi.consumers import Log, accept, echo
from ..monitor.helpers import inline, relaying, working

ECHO = [route("websocket.connect", accept), route("websocket.receive", echo)]


@pytest.mark.parametrize("message", [{"text": "x" * 101}, {"bytes": b"x" * 101}])
async def test_a_message_that_is_too_large(
    serve: Serve, caplog: pytest.LogCaptureFixture, message: dict[str, Any]
) -> None:
    """It reaches no consumer; the socket is closed with 1009, which is counted and logged."""
    limited = counters.limited["frame_bytes"]
    log = Log({"accept": True})
    async with Open(await serve(log.routing(), frame_bytes=100)) as client:
        client.send("x" * 100)
        client.push({"type": "websocket.receive", **message})
        assert await client.event() == close(1009)
        client.leave(1009)
    assert log.orders() == [("connect", 0), ("receive", 1), ("disconnect", 2)]
    assert counters.limited["frame_bytes"] == limited + 1
    [line] = logged(caplog)
    assert line.endswith(" is closed with 1009: it sent a message of more than 100 bytes (FRAME_BYTES)")


async def test_a_client_that_sends_too_fast(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond its rate it is read no further; nothing is lost, and it can still leave."""
    limited = counters.limited["frame_rate"]
    async with Open(await serve(ECHO, frame_rate="3/h")) as client:
        for number in range(6):
            client.send(str(number))
        assert [await client.text() for _ in range(3)] == ["0", "1", "2"]
        await until(lambda: counters.limited["frame_rate"] == limited + 1)
        assert client.to_application.qsize() == 2  # the fourth is in hand
        client.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await client.task
    [line] = logged(caplog)
    assert line.endswith(" is read more slowly: its client sends more than 3/h, its FRAME_RATE")


async def test_a_client_within_its_rate(serve: Serve) -> None:
    """It is paced, and gets every answer."""
    async with Open(await serve(ECHO, frame_rate="20/s")) as client:
        for number in range(30):
            client.send(str(number))
        assert [await client.text() for _ in range(30)] == [str(number) for number in range(30)]
        client.leave()


def test_a_rate_that_is_none() -> None:
    """The option is named."""
    with pytest.raises(ValueError, match=r"frame_rate: a rate is a text such as '5/s', .*not 5"):
        ServerOptions(frame_rate=5)  # type: ignore[arg-type]


async def aticker(message: Message) -> AsyncIterator[Any]:
    yield {"text": "tick"}
    await asyncio.sleep(60)


def ticker(message: Message) -> Iterator[Any]:
    yield {"text": "tick"}
    while True:
        yield {}


@pytest.mark.parametrize("consumer", [aticker, ticker, lambda message: aticker(message)])
@pytest.mark.parametrize("where", ["inline", "workers"])
async def test_streams_of_one_socket(caplog: pytest.LogCaptureFixture, where: str, consumer: Any) -> None:
    """Beyond ten, an event that would stream is an error of its consumer; other sockets have their own ten."""
    limited = counters.limited["socket_streams"]
    layer, routing = (
        InMemoryChannelLayer(),
        [
            route("websocket.connect", accept),
            route("websocket.receive", consumer, path="^/stream/$"),
            route("websocket.receive", echo),
        ],
    )
    async with contextlib.AsyncExitStack() as stack:
        if where == "inline":
            application = await stack.enter_async_context(inline(layer, *routing))
        else:
            await stack.enter_async_context(working(layer, *routing))
            application = await stack.enter_async_context(relaying(layer))
        client, other = Open(application, "/stream/"), Client(application, "/stream/")
        await stack.enter_async_context(client)
        for _ in range(14):
            client.send("start")
        assert [await client.text() for _ in range(10)] == ["tick"] * 10
        await until(lambda: counters.limited["socket_streams"] == limited + 4)
        await stack.enter_async_context(other)
        await other.accepted()
        other.send("start")
        assert await other.text() == "tick"
        for each in (client, other):
            each.leave()
            await each.over()
    errors = [line for line in logged(caplog) if line.startswith("Error in consumer")]
    assert len(errors) == 1
    assert "10 generators are streaming to this socket already" in caplog.text


async def test_a_stream_that_ended_leaves_its_place() -> None:
    """So a socket may have any number of streams, one after another."""

    async def once(message: Message) -> AsyncIterator[Any]:
        yield {"text": message["text"]}

    routing = [route("websocket.connect", accept), route("websocket.receive", once)]
    async with inline(InMemoryChannelLayer(), *routing) as application, Open(application) as client:
        for number in range(30):
            client.send(str(number))
            assert await client.text() == str(number)
        client.leave()
