"""Streams: generator consumers, which run beside the later events of their connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from routechan import Group, Message, route
from routechan.concurrency import maybe_await
from routechan.consumers.connection import Connection
from routechan.encoding import Content
from routechan.layers import SyncChannelLayer
from tests.waiting import until, wait_until

from ..helpers import DEADLINE, drain, of_kind
from .helpers import ECHOES, RECEIVE, Outlet, echo, feed, reply, started

every_stream = pytest.mark.parametrize("kind", ["stream", "async stream", "decorated stream", "decorated async stream"])


class Ticker:
    """A generator consumer: one dict for each step that the test allows, until it is closed. Lifetime: test."""

    def __init__(self, kind: str) -> None:
        self.allowed = threading.Semaphore(0)
        self.steps = 0
        self.closed = threading.Event()
        ticks = self.aticks if "async" in kind else self.ticks
        self.consumer: Any = (lambda message: ticks(message)) if kind.startswith("decorated") else ticks

    def ticks(self, message: Message) -> Iterator[Content]:
        try:
            while True:
                while not self.allowed.acquire(timeout=0.01):
                    if self.closed.is_set():
                        return
                self.steps += 1
                yield {"n": self.steps}
        finally:
            self.closed.set()

    async def aticks(self, message: Message) -> AsyncIterator[Content]:
        try:
            while True:
                await until(lambda: self.allowed.acquire(blocking=False))
                self.steps += 1
                yield {"n": self.steps}
        finally:
            self.closed.set()

    async def end(self) -> None:
        """Wait for its end; a plain generator is closed at its next step."""
        self.allowed.release()
        await until(self.closed.is_set, "the end of the stream")


def close(connection: Connection, outlet: Outlet) -> None:
    """As a server does whose client is gone."""
    outlet.closed = True
    connection.end_streams()


@asynccontextmanager
async def streaming(layer: SyncChannelLayer, kind: str) -> AsyncIterator[tuple[Ticker, Outlet, Connection]]:
    """A connection whose first event has started a stream; ``echo`` takes what comes on ``echo``."""
    ticker, outlet = Ticker(kind), Outlet()
    async with started(layer, route(RECEIVE, ticker.consumer), route("echo", ECHOES["async"])) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {})
        yield ticker, outlet, connection


@every_stream
async def test_a_stream_is_delivered_step_by_step(default_layer: SyncChannelLayer, kind: str) -> None:
    """Each dict is delivered while the function still runs; closing the connection closes it."""
    async with streaming(default_layer, kind) as (ticker, outlet, connection):
        for number in range(1, 6):
            ticker.allowed.release()
            await until(lambda: outlet.numbers == list(range(1, number + 1)))  # noqa: B023
        assert not ticker.closed.is_set()
        close(connection, outlet)
        await ticker.end()
    assert outlet.numbers == [1, 2, 3, 4, 5]


@every_stream
async def test_a_stream_runs_beside_later_events(default_layer: SyncChannelLayer, kind: str) -> None:
    """Events that come while it runs are answered; two streams of one connection run beside each other."""
    first, second, outlet = Ticker(kind), Ticker(kind), Outlet()
    routing = [route("a", first.consumer), route("b", second.consumer), route("c", echo)]
    async with started(default_layer, *routing) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {}, channel="a")
        await feed(connection, {}, channel="b")
        await feed(connection, {"n": 100}, {"n": 101}, channel="c")
        second.allowed.release()
        await until(lambda: outlet.numbers == [100, 101, 1])
        first.allowed.release()
        await until(lambda: outlet.numbers == [100, 101, 1, 1])
        close(connection, outlet)
        await first.end()
        await second.end()


@every_stream
async def test_a_stream_ends_at_its_next_step_once_the_outlet_is_closed(
    default_layer: SyncChannelLayer, kind: str
) -> None:
    """A closed outlet wants nothing more, even before anybody ends the streams."""
    async with streaming(default_layer, kind) as (ticker, outlet, _):
        outlet.closed = True
        await ticker.end()
        assert ticker.steps == 1


@pytest.mark.parametrize("kind", ["async", "decorated async"])
async def test_a_waiting_stream_is_closed_with_its_connection(default_layer: SyncChannelLayer, kind: str) -> None:
    """An async generator that waits for something is closed at once, not at a step that may never come."""
    closed, outlet = asyncio.Event(), Outlet()

    async def stream(message: Message) -> AsyncIterator[Content]:
        try:
            yield {"n": 1}
            await asyncio.Event().wait()
        finally:
            closed.set()

    consumer: Any = stream if kind == "async" else lambda message: stream(message)
    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {})
        await until(lambda: outlet.numbers == [1])
        close(connection, outlet)
        await asyncio.wait_for(closed.wait(), DEADLINE)


@every_stream
async def test_a_stream_to_a_slow_client_is_closed_with_its_connection(
    default_layer: SyncChannelLayer, kind: str
) -> None:
    """A generator that is not asked for its next step, because the client is slow, is closed with the connection."""
    async with streaming(default_layer, kind) as (ticker, outlet, connection):
        outlet.may_write.clear()
        ticker.allowed.release()
        await until(lambda: outlet.numbers == [1])
        connection.end_streams()
        await until(ticker.closed.is_set)
        assert ticker.steps == 1


@every_stream
async def test_a_stream_waits_for_a_slow_client(default_layer: SyncChannelLayer, kind: str) -> None:
    """It is not asked for its next step before the connection has taken the one before."""
    async with streaming(default_layer, kind) as (ticker, outlet, connection):
        outlet.may_write.clear()
        for _ in range(5):
            ticker.allowed.release()
        await until(lambda: outlet.numbers == [1])
        for number in range(20):  # rounds in which a stream that does not wait would go on
            await feed(connection, {"n": number}, channel="echo")
        assert ticker.steps == 1
        outlet.may_write.set()
        await until(lambda: outlet.numbers[-4:] == [2, 3, 4, 5])
        close(connection, outlet)
        await ticker.end()


@every_stream
async def test_a_stream_that_ends_by_itself(default_layer: SyncChannelLayer, kind: str) -> None:
    """What it sends after its last step is delivered, and ``finished`` is told once."""
    outlet, told = Outlet(), []

    def consumer(message: Message) -> Iterator[Content]:
        yield {"n": 1}
        reply(message, n=2)

    hooks: Any = {name: lambda name=name: told.append(name) for name in ("started", "finished")}
    async with started(default_layer, route(RECEIVE, of_kind(kind, consumer)), **hooks) as consumers:
        await feed(consumers.connection(outlet), {})
        await until(lambda: outlet.numbers == [1, 2])
    assert told == ["started", "finished"]


@every_stream
async def test_a_stream_sends_at_its_end(default_layer: SyncChannelLayer, kind: str) -> None:
    """What a generator sends in its ``finally`` is delivered when its connection ends, and ``finished`` is told."""
    default_layer.group_add("room", "others")
    outlet, told = Outlet(), []

    def consumer(message: Message) -> Iterator[Content]:
        try:
            while True:
                yield {"n": 1}
        finally:
            Group("room").send({"text": "left"})

    async with started(
        default_layer, route(RECEIVE, of_kind(kind, consumer)), finished=lambda: told.append("finished")
    ) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {})
        await until(lambda: outlet.delivered)
        close(connection, outlet)
        await until(lambda: told, "finished")
        await until(lambda: drain(default_layer, "others") == [{"text": "left"}], "the message at the end")


@every_stream
async def test_stop_ends_streams(default_layer: SyncChannelLayer, kind: str) -> None:
    """A server that stops closes the streams of connections that are still open."""
    async with streaming(default_layer, kind) as (ticker, _, _):
        ticker.allowed.release()
        await until(lambda: ticker.steps)
    await ticker.end()


async def test_too_many_plain_streams(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the limit a plain generator is refused as an error of its consumer, which says what to do."""
    tickers = [Ticker("stream") for _ in range(2)]
    routing = [route(f"s{number}", ticker.consumer) for number, ticker in enumerate(tickers)]
    outlet = Outlet()
    async with started(default_layer, *routing, route("c", echo), threads=1, stream_threads=1) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {}, channel="s0")
        tickers[0].allowed.release()
        await until(lambda: outlet.numbers == [1])
        await feed(connection, {}, channel="s1")
        await until(lambda: caplog.records)
        await feed(connection, {"n": 7}, channel="c")
        assert outlet.numbers == [1, 7]
        connection.end_streams()
        tickers[0].closed.set()
    (record,) = caplog.records
    assert record.getMessage().endswith("Ticker.ticks on s1")
    assert "1 plain generators are streaming in this process already" in str(record.exc_info and record.exc_info[1])


def test_a_stream_that_outlives_its_loop(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain generator that is busy while the server ends comes to its end later, without an error."""
    errors: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)
    release, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def consumer(message: Message) -> Iterator[Content]:
        begun.set()
        release.wait(DEADLINE)
        yield {"n": 1}

    async def serve() -> None:
        async with started(default_layer, route(RECEIVE, consumer), finished=ended.set) as consumers:
            await feed(consumers.connection(Outlet()), {})
            await until(begun.is_set)

    asyncio.run(serve())
    release.set()
    assert ended.wait(DEADLINE)
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("routechan-stream")])
    assert errors == []


@pytest.mark.parametrize("kind", ["stream", "async stream"])
async def test_a_stream_of_the_last_event_begins(default_layer: SyncChannelLayer, kind: str) -> None:
    """A generator on ``websocket.disconnect`` runs up to its first yield: its connection is closed already."""
    seen: list[str] = []

    def plain(message: Message) -> Any:
        seen.append("began")
        try:
            yield {"text": "nobody reads this"}
            seen.append("went on")
        finally:
            seen.append("ended")

    async def an_async(message: Message) -> Any:
        for item in plain(message):
            yield item

    outlet = Outlet()
    last = route("websocket.disconnect", plain if kind == "stream" else an_async)
    async with started(default_layer, last) as consumers:
        connection = consumers.connection(outlet)
        outlet.closed = True
        pending = connection.handle("websocket.disconnect", {"reply_channel": outlet.name, "path": "/"})
        connection.end_streams()
        await maybe_await(pending)
        assert seen[0] == "began"
        assert "went on" not in seen
