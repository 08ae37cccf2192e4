"""Consumers in the server process: one connection's events in order, custom channels beside them."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from routechan import Channel, ChannelFull, ConsumeLater, Group, Message, WebsocketCloseException, channel_reader, route
from routechan import line as line_module
from routechan.asgi.sockets import ReplyChannels
from routechan.asgi.translation import socket_reply
from routechan.dispatch import Dispatcher
from routechan.encoding import Content
from routechan.inline import InlineConsumers
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.line import Line
from routechan.routing import Router
from tests.waiting import until, wait_until

from .helpers import DEADLINE, drain

RECEIVE = "websocket.receive"


class Outlet:
    """The connection's side: keeps what is delivered; a slow one is writable when told."""

    def __init__(self, name: str = "websocket.send.here!1") -> None:
        self.name = name
        self.closed = False
        self.paced = False
        self.taken: list[Content] = []
        self.may_write = asyncio.Event()
        self.may_write.set()

    def deliver(self, content: Content) -> None:
        if not self.closed:
            self.taken.append(content)

    async def writable(self) -> None:
        while not self.may_write.is_set() and not self.closed:
            await self.may_write.wait()

    @property
    def numbers(self) -> list[int]:
        return [content["n"] for content in self.taken]


@asynccontextmanager
async def started(
    layer: SyncChannelLayer, *routing: Any, threads: int = 8, **hooks: Any
) -> AsyncIterator[InlineConsumers]:
    consumers = InlineConsumers(Dispatcher(Router(list(routing)), **hooks), layer, threads=threads)
    await consumers.start(ReplyChannels("websocket.send", socket_reply, layer.layer))
    try:
        yield consumers
    finally:
        await asyncio.wait_for(consumers.stop(), DEADLINE)


async def feed(line: Line, *contents: Content, channel: str = RECEIVE) -> None:
    """Hand over events as a server does, and wait for the last one."""
    for content in contents:
        pending = line.handle(channel, content)
        if pending is not None:
            await asyncio.wait_for(pending, DEADLINE)
    await asyncio.wait_for(line.idle(), DEADLINE)


def reply(message: Message, **content: Any) -> None:
    assert message.reply_channel is not None
    message.reply_channel.send(content)


def sync_echo(message: Message) -> None:
    reply(message, n=message["n"])


async def async_echo(message: Message) -> None:
    await asyncio.sleep(0)
    reply(message, n=message["n"])


def stream_echo(message: Message) -> Iterator[Content]:
    yield {"n": message["n"]}


async def async_stream_echo(message: Message) -> AsyncIterator[Content]:
    yield {"n": message["n"]}


def decorated(consumer: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator written for plain functions: it returns what the consumer gave it."""

    @functools.wraps(consumer)
    def inner(message: Message, **kwargs: Any) -> Any:
        message.decorated = True  # type: ignore[attr-defined]
        return consumer(message, **kwargs)

    del inner.__wrapped__
    return inner


# One connection


@pytest.mark.parametrize(
    "consumer",
    [sync_echo, async_echo, decorated(async_echo), decorated(sync_echo)],
    ids=["sync", "async", "decorated async", "decorated sync"],
)
async def test_order_of_one_connection(default_layer: SyncChannelLayer, consumer: Any) -> None:
    """Replies come in the order of the events, for plain and async functions, decorated or not."""
    outlet = Outlet()
    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await feed(consumers.line(outlet), *({"n": number} for number in range(200)))
    assert outlet.numbers == list(range(200))


async def test_events_of_one_connection_never_overlap(default_layer: SyncChannelLayer) -> None:
    """Whatever kinds follow each other, the next starts when the one before has ended and its sends are delivered."""
    outlet = Outlet()
    running: list[int] = []
    trouble: list[str] = []

    def begin(message: Message) -> None:
        if running:
            trouble.append(f"{message['n']} began in {running}")
        running.append(message["n"])
        if outlet.numbers != list(range(message["n"])):
            trouble.append(f"{message['n']} began after {outlet.numbers}")

    def end(message: Message) -> None:
        running.remove(message["n"])
        reply(message, n=message["n"])

    def plain(message: Message) -> None:
        begin(message)
        end(message)

    async def an_async(message: Message) -> None:
        begin(message)
        for _ in range(3):
            await asyncio.sleep(0)
        end(message)

    routing = [
        route(RECEIVE, plain, kind="^plain"),
        route(RECEIVE, an_async, kind="^async"),
        route(RECEIVE, decorated(an_async), kind="^decorated"),
    ]
    async with started(default_layer, *routing) as consumers:
        kinds = ["plain", "async", "decorated", "async", "plain", "plain", "decorated", "decorated"]
        await feed(consumers.line(outlet), *({"n": n, "kind": kinds[n % len(kinds)]} for n in range(80)))
    assert trouble == []
    assert outlet.numbers == list(range(80))


async def test_the_next_event_is_read_while_a_plain_consumer_runs(default_layer: SyncChannelLayer) -> None:
    """``handle`` returns nothing to wait for at first; the next event waits until the consumer has ended."""
    outlet, release = Outlet(), threading.Event()

    def consumer(message: Message) -> None:
        if message["n"] == 0:
            release.wait(DEADLINE)
        reply(message, n=message["n"])

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        line = consumers.line(outlet)
        assert line.handle(RECEIVE, {"n": 0}) is None
        pending = line.handle(RECEIVE, {"n": 1})
        assert pending is not None
        task = asyncio.ensure_future(pending)
        await asyncio.sleep(0)
        assert not task.done()
        release.set()
        await asyncio.wait_for(task, DEADLINE)
        await line.idle()
    assert outlet.numbers == [0, 1]


@pytest.mark.parametrize("kind", ["plain", "async", "decorated"])
async def test_a_blocked_connection_holds_up_no_other(default_layer: SyncChannelLayer, kind: str) -> None:
    """One connection's consumer waits; another connection is answered meanwhile, by every kind of consumer."""
    release, loop_release = threading.Event(), asyncio.Event()

    def block(message: Message) -> None:
        release.wait(DEADLINE)
        reply(message, n=1)

    async def async_block(message: Message) -> None:
        await loop_release.wait()
        reply(message, n=1)

    blocking = {"plain": block, "async": async_block, "decorated": decorated(async_block)}[kind]
    routing = [route("a", blocking), route("b", sync_echo), route("c", async_echo)]
    async with started(default_layer, *routing) as consumers:
        blocked, free = Outlet(), Outlet("websocket.send.here!2")
        task = asyncio.create_task(feed(consumers.line(blocked), {}, channel="a"))
        line = consumers.line(free)
        for number in range(10):
            await feed(line, {"n": number}, channel="bc"[number % 2])
        assert (blocked.numbers, free.numbers) == ([], list(range(10)))
        release.set()
        loop_release.set()
        await asyncio.wait_for(task, DEADLINE)
        assert blocked.numbers == [1]


async def test_many_connections(default_layer: SyncChannelLayer) -> None:
    """Fifty connections at once, all kinds of consumers: each has its own replies, in order."""
    routing = [route("a", sync_echo), route("b", async_echo), route("c", decorated(async_echo))]
    async with started(default_layer, *routing) as consumers:
        outlets = [Outlet(f"websocket.send.here!{number}") for number in range(50)]

        async def connection(outlet: Outlet) -> None:
            line = consumers.line(outlet)
            for number in range(40):
                await feed(line, {"n": number}, channel="abc"[number % 3])

        await asyncio.gather(*map(connection, outlets))
    assert [outlet.numbers for outlet in outlets] == [list(range(40))] * 50


async def test_replies_go_straight_to_the_connection(default_layer: SyncChannelLayer) -> None:
    """The reply channel of the message delivers to its own connection; nothing of it is left in the layer."""
    outlet = Outlet()
    names: list[str] = []

    async def consumer(message: Message) -> None:
        assert message.reply_channel is not None
        names.append(message.reply_channel.name)
        reply(message, n=1)
        await message.reply_channel.asend({"n": 2})
        Channel("elsewhere").send({"n": 3})

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await feed(consumers.line(outlet), {"reply_channel": outlet.name})
    assert names == [outlet.name]
    assert outlet.numbers == [1, 2]
    assert drain(default_layer, "elsewhere") == [{"n": 3}]
    assert drain(default_layer, "websocket.send.here!") == []


async def test_a_message_without_a_route(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """RT-36: logged; the connection goes on."""
    outlet = Outlet()
    async with started(default_layer, route("a", sync_echo)) as consumers:
        line = consumers.line(outlet)
        await feed(line, {}, channel="b")
        await feed(line, {"n": 1}, channel="a")
    assert "No route takes a message on b" in caplog.text
    assert outlet.numbers == [1]


@pytest.mark.parametrize("kind", ["plain", "async", "decorated", "stream", "async stream"])
async def test_an_error_costs_one_message(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-20: it is logged with the consumer's name; what was sent before is delivered, and the connection goes on."""
    outlet = Outlet()

    def plain(message: Message) -> None:
        reply(message, n=1)
        raise RuntimeError("oh")

    async def an_async(message: Message) -> None:
        reply(message, n=1)
        raise RuntimeError("oh")

    def stream(message: Message) -> Iterator[Content]:
        yield {"n": 1}
        raise RuntimeError("oh")

    async def async_stream(message: Message) -> AsyncIterator[Content]:
        yield {"n": 1}
        raise RuntimeError("oh")

    bad = {
        "plain": plain,
        "async": an_async,
        "decorated": decorated(an_async),
        "stream": stream,
        "async stream": async_stream,
    }[kind]
    async with started(default_layer, route("bad", bad), route("good", sync_echo)) as consumers:
        line = consumers.line(outlet)
        await feed(line, {}, channel="bad")
        await until(lambda: "Error in consumer" in caplog.text)
        await feed(line, {"n": 2}, channel="good")
    assert outlet.numbers == [1, 2]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"Error in consumer {__name__}.")
    assert record.getMessage().endswith(" on bad")


async def test_closing_from_a_consumer(default_layer: SyncChannelLayer) -> None:
    """EX-07: the close takes the same way as any reply."""
    outlet = Outlet()

    def consumer(message: Message) -> None:
        reply(message, n=1)
        raise WebsocketCloseException(4000)

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await feed(consumers.line(outlet), {})
    assert outlet.taken == [{"n": 1}, {"close": 4000}]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it is being cancelled")
async def test_a_cancelled_task_is_the_consumers_trouble(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-20: awaiting a task that was cancelled does not cancel the connection."""
    outlet = Outlet()

    async def consumer(message: Message) -> None:
        task = asyncio.create_task(asyncio.sleep(DEADLINE))
        task.cancel()
        await task

    async with started(default_layer, route("a", consumer), route("b", sync_echo)) as consumers:
        line = consumers.line(outlet)
        await feed(line, {}, channel="a")
        await feed(line, {"n": 1}, channel="b")
    assert outlet.numbers == [1]
    assert "Error in consumer" in caplog.text


async def test_a_cancelled_connection_cancels_its_consumer(default_layer: SyncChannelLayer) -> None:
    """A server that cancels a connection's task ends the async consumer it waits for; ``finished`` is told."""
    told: list[str] = []
    waiting = asyncio.Event()

    async def consumer(message: Message) -> None:
        try:
            waiting.set()
            await asyncio.sleep(DEADLINE)
        finally:
            told.append("consumer")

    async with started(default_layer, route(RECEIVE, consumer), finished=lambda: told.append("finished")) as consumers:
        task = asyncio.create_task(feed(consumers.line(Outlet()), {}))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert told == ["consumer", "finished"]


async def test_an_unhashable_consumer(default_layer: SyncChannelLayer) -> None:
    """A callable object that cannot be hashed is a consumer as any other."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, message: Message) -> None:
            sync_echo(message)

    outlet = Outlet()
    async with started(default_layer, route(RECEIVE, Unhashable())) as consumers:
        await feed(consumers.line(outlet), {"n": 1})
    assert outlet.numbers == [1]


async def test_hooks_run_in_the_thread_of_the_consumer(default_layer: SyncChannelLayer) -> None:
    """WK-13, design 4: ``started`` and ``finished`` fire where the consumer runs."""
    places: list[int] = []

    def note(*args: Any) -> None:
        places.append(threading.get_ident())

    async with started(default_layer, route(RECEIVE, note), started=note, finished=note) as consumers:
        await feed(consumers.line(Outlet()), {})
    assert len(places) == 3
    assert len(set(places)) == 1
    assert places[0] != threading.get_ident()


# Another try


@pytest.mark.parametrize("kind", ["plain", "async", "decorated"])
async def test_consume_later_repeats_in_place(
    default_layer: SyncChannelLayer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WK-22, WK-24, WK-25: later events wait, so that order is kept; the mutated content travels along."""
    monkeypatch.setattr(line_module, "LATER_DELAY", 0.0001)
    outlet = Outlet()

    def plain(message: Message) -> None:
        reply(message, n=message["n"])
        message["tries"] = message.get("tries", 0) + 1
        if message["n"] == 0 and message["tries"] < 3:
            raise ConsumeLater

    async def an_async(message: Message) -> None:
        plain(message)

    consumer = {"plain": plain, "async": an_async, "decorated": decorated(an_async)}[kind]
    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await feed(consumers.line(outlet), {"n": 0}, {"n": 1}, {"n": 2})
    assert outlet.numbers == [0, 0, 0, 1, 2]


async def test_the_delay_grows(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """WK-24: each repetition waits twice as long as the one before, up to a bound."""
    monkeypatch.setattr(line_module, "LATER_DELAY_MAX", 0.05)
    waited: list[float] = []
    sleep = asyncio.sleep

    async def consumer(message: Message) -> None:
        raise ConsumeLater

    async def note(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    async with started(default_layer, route(RECEIVE, consumer), retries=5) as consumers:
        monkeypatch.setattr(asyncio, "sleep", note)
        await feed(consumers.line(Outlet()), {})
        monkeypatch.setattr(asyncio, "sleep", sleep)
    assert waited == [0.01, 0.02, 0.04, 0.05, 0.05]


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_consume_later_is_limited(
    default_layer: SyncChannelLayer, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-10, WK-21: the last try is marked; then the event is dropped with a warning, and the next one is run."""
    monkeypatch.setattr(line_module, "LATER_DELAY", 0.0001)
    doomed: list[bool] = []
    outlet = Outlet()

    def plain(message: Message) -> None:
        if message["n"] == 1:
            doomed.append(getattr(message, "__doomed__", False))
            raise ConsumeLater
        reply(message, n=message["n"])

    async def an_async(message: Message) -> None:
        plain(message)

    consumer = plain if kind == "plain" else an_async
    async with started(default_layer, route(RECEIVE, consumer), retries=3) as consumers:
        await feed(consumers.line(outlet), {"n": 1}, {"n": 2})
    assert doomed == [False, False, False, True]
    assert outlet.numbers == [2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("kind", ["stream", "async stream"])
async def test_a_stream_may_ask_for_another_try(
    default_layer: SyncChannelLayer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WK-19: ``ConsumeLater`` in a generator is not lost: it is run again."""
    monkeypatch.setattr(line_module, "LATER_DELAY", 0.0001)
    outlet, tries = Outlet(), []

    def again() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ConsumeLater

    def stream(message: Message) -> Iterator[Content]:
        again()
        yield {"n": 1}

    async def async_stream(message: Message) -> AsyncIterator[Content]:
        again()
        yield {"n": 1}

    async with started(default_layer, route(RECEIVE, stream if kind == "stream" else async_stream)) as consumers:
        await feed(consumers.line(outlet), {})
        await until(lambda: outlet.numbers == [1], "the second try")


# Streams

both_streams = pytest.mark.parametrize("kind", ["plain", "async", "decorated plain", "decorated async"])


class Stream:
    """A generator consumer of either kind: one dict for each step allowed, until it is closed."""

    def __init__(self, kind: str) -> None:
        self.allowed = threading.Semaphore(0)
        self.steps = 0
        self.closed = threading.Event()
        consumer = self.plain if kind.endswith("plain") else self.an_async
        self.consumer = decorated(consumer) if kind.startswith("decorated") else consumer

    def plain(self, message: Message) -> Iterator[Content]:
        try:
            while True:
                while not self.allowed.acquire(timeout=0.01):
                    if self.closed.is_set():
                        return
                self.steps += 1
                yield {"n": self.steps}
        finally:
            self.closed.set()

    async def an_async(self, message: Message) -> AsyncIterator[Content]:
        try:
            while True:
                await until(lambda: self.allowed.acquire(blocking=False))
                self.steps += 1
                yield {"n": self.steps}
        finally:
            self.closed.set()


@both_streams
async def test_a_stream_is_delivered_step_by_step(default_layer: SyncChannelLayer, kind: str) -> None:
    """Each dict is delivered while the function still runs; closing the outlet and ending the streams closes it."""
    stream, outlet = Stream(kind), Outlet()
    async with started(default_layer, route(RECEIVE, stream.consumer)) as consumers:
        line = consumers.line(outlet)
        await feed(line, {})
        for number in range(1, 6):
            stream.allowed.release()
            await until(lambda: outlet.numbers == list(range(1, number + 1)))  # noqa: B023
        assert not stream.closed.is_set()
        outlet.closed = True
        line.end_streams()
        stream.allowed.release()  # a plain generator is closed at its next step
        await until(stream.closed.is_set, "the end of the stream")
    assert outlet.numbers == [1, 2, 3, 4, 5]


@both_streams
async def test_a_stream_runs_beside_later_events(default_layer: SyncChannelLayer, kind: str) -> None:
    """Events that come while it runs are answered; two streams of one connection run beside each other."""
    first, second, outlet = Stream(kind), Stream(kind), Outlet()
    routing = [route("a", first.consumer), route("b", second.consumer), route("c", sync_echo)]
    async with started(default_layer, *routing) as consumers:
        line = consumers.line(outlet)
        await feed(line, {}, channel="a")
        await feed(line, {}, channel="b")
        await feed(line, {"n": 100}, {"n": 101}, channel="c")
        second.allowed.release()
        await until(lambda: outlet.numbers == [100, 101, 1])
        first.allowed.release()
        await until(lambda: outlet.numbers == [100, 101, 1, 1])
        outlet.closed = True
        line.end_streams()
        for stream in (first, second):
            stream.allowed.release()
            await until(stream.closed.is_set)


@both_streams
async def test_a_stream_ends_at_its_next_step_once_the_outlet_is_closed(
    default_layer: SyncChannelLayer, kind: str
) -> None:
    """A closed outlet wants nothing more, even before anybody ends the streams."""
    stream, outlet = Stream(kind), Outlet()
    async with started(default_layer, route(RECEIVE, stream.consumer)) as consumers:
        await feed(consumers.line(outlet), {})
        outlet.closed = True
        stream.allowed.release()
        await until(stream.closed.is_set)
        assert stream.steps == 1


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

    consumer: Any = decorated(stream) if kind.startswith("decorated") else stream
    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        line = consumers.line(outlet)
        await feed(line, {})
        await until(lambda: outlet.numbers == [1])
        outlet.closed = True
        line.end_streams()
        await asyncio.wait_for(closed.wait(), DEADLINE)


@both_streams
async def test_a_stream_of_a_slow_reader_is_closed_with_its_connection(
    default_layer: SyncChannelLayer, kind: str
) -> None:
    """A generator that is not asked for its next step, because nobody reads, is closed when its connection ends."""
    stream, outlet = Stream(kind), Outlet()
    outlet.may_write.clear()
    async with started(default_layer, route(RECEIVE, stream.consumer)) as consumers:
        line = consumers.line(outlet)
        await feed(line, {})
        stream.allowed.release()
        await until(lambda: outlet.numbers == [1])
        line.end_streams()
        await until(stream.closed.is_set)
        assert stream.steps == 1


@both_streams
async def test_a_stream_waits_for_a_slow_reader(default_layer: SyncChannelLayer, kind: str) -> None:
    """It is not asked for its next step before the connection has taken the one before."""
    stream, outlet = Stream(kind), Outlet()
    outlet.may_write.clear()
    async with started(default_layer, route("a", stream.consumer), route("b", async_echo)) as consumers:
        line = consumers.line(outlet)
        await feed(line, {}, channel="a")
        for _ in range(5):
            stream.allowed.release()
        await until(lambda: outlet.numbers == [1])
        for number in range(20):  # rounds in which a stream that does not wait would go on
            await feed(line, {"n": number}, channel="b")
        assert stream.steps == 1
        outlet.may_write.set()
        await until(lambda: outlet.numbers[-4:] == [2, 3, 4, 5])
        outlet.closed = True
        line.end_streams()
        stream.allowed.release()
        await until(stream.closed.is_set)


@both_streams
async def test_a_stream_that_ends_by_itself(default_layer: SyncChannelLayer, kind: str) -> None:
    """What it sends after its last step is delivered, and ``finished`` is told once."""
    outlet, told = Outlet(), []

    def plain(message: Message) -> Iterator[Content]:
        yield {"n": 1}
        reply(message, n=2)

    async def an_async(message: Message) -> AsyncIterator[Content]:
        yield {"n": 1}
        reply(message, n=2)

    consumer: Any = plain if kind.endswith("plain") else an_async
    consumer = decorated(consumer) if kind.startswith("decorated") else consumer
    async with started(
        default_layer,
        route(RECEIVE, consumer),
        started=lambda: told.append("started"),
        finished=lambda: told.append("finished"),
    ) as consumers:
        await feed(consumers.line(outlet), {})
        await until(lambda: outlet.numbers == [1, 2])
    assert told == ["started", "finished"]


@both_streams
async def test_a_stream_says_goodbye(default_layer: SyncChannelLayer, kind: str) -> None:
    """What a generator sends in its ``finally`` is delivered when its connection ends, and ``finished`` is told."""
    default_layer.group_add("room", "others")
    outlet, told = Outlet(), []

    def plain(message: Message) -> Iterator[Content]:
        try:
            while True:
                yield {"n": 1}
        finally:
            Group("room").send({"text": "left"})

    async def an_async(message: Message) -> AsyncIterator[Content]:
        try:
            while True:
                yield {"n": 1}
                await asyncio.sleep(0.001)
        finally:
            Group("room").send({"text": "left"})

    consumer: Any = plain if kind.endswith("plain") else an_async
    consumer = decorated(consumer) if kind.startswith("decorated") else consumer
    async with started(default_layer, route(RECEIVE, consumer), finished=lambda: told.append("finished")) as consumers:
        line = consumers.line(outlet)
        await feed(line, {})
        await until(lambda: outlet.taken)
        outlet.closed = True
        line.end_streams()
        await until(lambda: told, "finished")
        await until(lambda: drain(default_layer, "others") == [{"text": "left"}], "the goodbye")


@both_streams
async def test_stop_ends_streams(default_layer: SyncChannelLayer, kind: str) -> None:
    """A server that stops closes the streams of connections that are still open."""
    stream = Stream(kind)
    async with started(default_layer, route(RECEIVE, stream.consumer)) as consumers:
        await feed(consumers.line(Outlet()), {})
        stream.allowed.release()
        await until(lambda: stream.steps)
    stream.allowed.release()
    await until(stream.closed.is_set)


async def test_too_many_plain_streams(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the limit a plain generator is refused as an error of its consumer, which says what to do."""
    streams = [Stream("plain") for _ in range(2)]
    routing = [route(f"s{number}", stream.consumer) for number, stream in enumerate(streams)]
    outlet = Outlet()
    async with started(default_layer, *routing, route("c", sync_echo), threads=1) as consumers:
        line = consumers.line(outlet)
        await feed(line, {}, channel="s0")
        streams[0].allowed.release()
        await until(lambda: outlet.numbers == [1])
        await feed(line, {}, channel="s1")
        await until(lambda: caplog.records)
        await feed(line, {"n": 7}, channel="c")
        assert outlet.numbers == [1, 7]
        line.end_streams()
        streams[0].closed.set()
    (record,) = caplog.records
    assert record.getMessage().endswith("Stream.plain on s1")
    assert "1 plain generators are streaming already" in str(record.exc_info and record.exc_info[1])


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
            await feed(consumers.line(Outlet()), {})
            await until(begun.is_set)

    asyncio.run(serve())
    release.set()
    assert ended.wait(DEADLINE)
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("routechan-stream")])
    assert errors == []


# Channels of the routing's own


async def test_custom_channels_are_consumed(default_layer: SyncChannelLayer) -> None:
    """``Channel("thumbnail").send`` from a consumer reaches the consumer of that channel, with nothing else started."""
    outlet, made = Outlet(), []

    def sender(message: Message) -> None:
        for number in range(3):
            Channel("thumbnail").send({"n": number, "reply_channel": "done"})

    async def thumbnail(message: Message) -> None:
        made.append((message.channel_name, message["n"]))
        reply(message, n=message["n"])

    async with started(default_layer, route(RECEIVE, sender), route("thumbnail", thumbnail)) as consumers:
        await feed(consumers.line(outlet), {})
        await until(lambda: len(made) == 3)
        await until(lambda: default_layer.channel_statistics("done")["messages_pending"] == 3)
    assert made == [("thumbnail", 0), ("thumbnail", 1), ("thumbnail", 2)]
    assert [content["n"] for content in drain(default_layer, "done")] == [0, 1, 2]


@pytest.mark.parametrize(
    "consumer",
    [sync_echo, async_echo, decorated(async_echo), stream_echo, async_stream_echo, decorated(stream_echo)],
    ids=["sync", "async", "decorated async", "stream", "async stream", "decorated stream"],
)
async def test_every_kind_on_a_custom_channel(default_layer: SyncChannelLayer, consumer: Any) -> None:
    """Replies of a message that came over the layer go over the layer."""
    async with started(default_layer, route("custom", consumer)):
        Channel("custom").send({"n": 1, "reply_channel": "done"})
        await until(lambda: drain(default_layer, "done") == [{"n": 1}])


async def test_messages_of_one_reply_channel_keep_their_order(default_layer: SyncChannelLayer) -> None:
    """On custom channels too; those of other reply channels, and of none, run beside them."""
    begun, release = threading.Event(), threading.Event()
    seen: list[tuple[str | None, int]] = []

    def consumer(message: Message) -> None:
        if message["n"] == 0:
            begun.set()
            release.wait(DEADLINE)
        seen.append((message.get("reply_channel"), message["n"]))

    async with started(default_layer, route(["x", "y"], consumer)):
        Channel("x").send({"reply_channel": "a", "n": 0})
        await until(begun.is_set)  # which of two channels is read first, nobody promises
        for number in range(1, 4):
            Channel("xy"[number % 2]).send({"reply_channel": "a", "n": number})
        Channel("x").send({"reply_channel": "b", "n": 1})
        Channel("x").send({"n": 2})
        await until(lambda: len(seen) == 2, "the two beside")
        assert sorted(seen, key=str) == [("b", 1), (None, 2)]
        release.set()
        await until(lambda: len(seen) == 6)
    # x and y are two queues: each keeps its own order
    of_a = [number for name, number in seen if name == "a"]
    assert [number for number in of_a if number % 2 == 0] == [0, 2]
    assert [number for number in of_a if number % 2 == 1] == [1, 3]
    assert of_a[0] == 0


async def test_order_for_one_reply_channel_holds_for_many_messages(default_layer: SyncChannelLayer) -> None:
    """Ten reply channels, fifty messages each, plain consumers on several threads."""
    seen: dict[str, list[int]] = {}

    def consumer(message: Message) -> None:
        seen.setdefault(message["reply_channel"], []).append(message["n"])

    async with started(InMemoryChannelLayer(capacity=1000).sync, route("x", consumer)) as consumers:
        for number in range(50):
            for name in range(10):
                consumers.layer.send("x", {"reply_channel": f"r{name}", "n": number})
        await until(lambda: sum(map(len, seen.values())) == 500)
    assert list(seen.values()) == [list(range(50))] * 10


async def test_what_is_taken_is_bounded(default_layer: SyncChannelLayer) -> None:
    """While consumers are busy, messages wait in the layer, where expiry and capacity see them."""
    release = threading.Event()
    taken: list[int] = []

    def consumer(message: Message) -> None:
        taken.append(message["n"])
        release.wait(DEADLINE)

    async with started(default_layer, route("x", consumer), threads=3):
        for number in range(20):
            Channel("x").send({"n": number})
        await until(lambda: len(taken) >= 3)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(taken) in (3, 4)
        assert default_layer.channel_statistics("x")["messages_pending"] == 20 - len(taken)
        release.set()
        await until(lambda: len(taken) == 20)


async def test_consume_later_on_a_custom_channel(default_layer: SyncChannelLayer) -> None:
    """WK-22, WK-24: the message goes to the end of its channel; WK-21: with a limit, marked on its last try."""
    seen: list[tuple[int, int]] = []

    async def consumer(message: Message) -> None:
        seen.append((message["n"], message.get("__retries__", 0)))
        if message["n"] == 0:
            raise ConsumeLater

    async with started(default_layer, route("x", consumer), retries=2):
        Channel("x").send({"n": 0})
        Channel("x").send({"n": 1})
        await until(lambda: len(seen) == 4)
    assert seen == [(0, 0), (1, 0), (0, 1), (0, 2)]


async def test_an_error_on_a_custom_channel(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """It costs its message; the same reply channel's next one is consumed."""
    seen: list[int] = []

    def consumer(message: Message) -> None:
        if message["n"] == 0:
            raise RuntimeError("oh")
        seen.append(message["n"])

    async with started(default_layer, route("x", consumer)):
        for number in range(3):
            Channel("x").send({"n": number, "reply_channel": "r"})
        await until(lambda: seen == [1, 2])
    assert "Error in consumer" in caplog.text


@pytest.mark.parametrize("error", [ChannelFull("x"), asyncio.CancelledError()], ids=["error", "cancelled"])
async def test_a_reader_outlives_what_consuming_raises(default_layer: SyncChannelLayer, error: BaseException) -> None:
    """Whatever one message does, those behind it on the same reply channel are consumed, and places are freed."""
    seen: list[int] = []

    async def consumer(message: Message) -> None:
        if message["n"] % 2 == 0:
            raise error
        seen.append(message["n"])

    async with started(default_layer, route("x", consumer), threads=1):
        for number in range(10):
            Channel("x").send({"n": number, "reply_channel": "r"})
        await until(lambda: seen == [1, 3, 5, 7, 9], "every other message")


async def test_stop_does_not_wait_for_ever(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer of a channel that never ends is cancelled after a while, and what waits behind it is counted."""
    monkeypatch.setattr(channel_reader, "STOP_TIME", 0.01)
    begun = asyncio.Event()

    async def consumer(message: Message) -> None:
        begun.set()
        await asyncio.sleep(DEADLINE)

    async with started(default_layer, route("x", consumer)):
        for number in range(3):
            Channel("x").send({"n": number, "reply_channel": "r"})
        await begun.wait()
        await until(lambda: default_layer.channel_statistics("x")["messages_pending"] == 0)
    assert "1 consumers did not end within 0.01 s and are cancelled; 2 messages behind them are lost" in caplog.text


async def test_stop_waits_for_what_was_taken(default_layer: SyncChannelLayer) -> None:
    """A message that is being consumed is finished; what still waits stays in the layer."""
    begun, seen = asyncio.Event(), []

    async def consumer(message: Message) -> None:
        begun.set()
        await asyncio.sleep(0.02)
        seen.append(message["n"])

    async with started(default_layer, route("x", consumer)):
        Channel("x").send({"n": 1})
        await begun.wait()
    assert seen == [1]
    Channel("x").send({"n": 2})
    assert drain(default_layer, "x") == [{"n": 2}]


async def test_serves(default_layer: SyncChannelLayer) -> None:
    """OB-16: whether a consumer could take a connection's events, by its path."""
    async with started(default_layer, route(RECEIVE, sync_echo, path="^/x$")) as consumers:
        assert consumers.serves([RECEIVE], {"path": "/x"})
        assert not consumers.serves([RECEIVE], {"path": "/y"})
