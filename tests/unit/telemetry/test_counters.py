"""What a process counts: messages, sockets, and the runs of its consumers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routechan import Channel, ConsumeLater, DenyConnection, Group, Message, route
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.outbox import flush_sync
from routechan.routing import Router
from routechan.telemetry.counters import BOUNDS, counters, figures_of
from tests.waiting import until

from ..asgi.clients import Client, Open
from ..asgi.consumers import accept, echo
from ..monitor.helpers import counted, fail, inline, relaying, working


def test_a_run_is_sorted_into_the_bucket_that_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket counts durations up to its bound; the last takes the rest."""
    durations = (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1] + 1)
    clock = iter([time for duration in durations for time in (0.0, duration)])
    monkeypatch.setattr("routechan.consumers.dispatch.perf_counter", lambda: next(clock))

    def consumer(message: Message) -> None:
        """Takes as long as the clock says."""

    dispatcher = Dispatcher(Router([route("test", consumer)]))
    for _ in durations:
        run = dispatcher.match(Message({}, "test", None))
        assert run is not None
        dispatcher.call(run)
    figures = figures_of(consumer)
    assert figures.buckets == [2, 1, *[0] * (len(BOUNDS) - 2), 1]
    assert figures.count == 4
    assert figures.seconds == pytest.approx(BOUNDS[0] * 2.01 + BOUNDS[-1] + 1)


def test_consumers_are_counted_by_name() -> None:
    """Consumers of one name are counted together, unhashable ones too."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, message: Message) -> None:
            pass

    assert figures_of(echo) is figures_of(echo) is counters.consumers["tests.unit.asgi.consumers.echo"]
    assert figures_of(Unhashable()) is figures_of(Unhashable())


def run(
    layer: Any, consumer: Any, content: dict[str, Any] | None = None, channel: str = "test"
) -> tuple[int, int, int]:
    """Run a plain consumer once; by how much the runs, failures and running ones of its name have grown."""
    dispatcher = Dispatcher(Router([route(channel, consumer)]))
    figures = figures_of(consumer)
    before = figures.count, figures.failures
    found = dispatcher.match(Message(content or {}, channel, layer))
    assert found is not None
    dispatcher.call(found)
    flush_sync(found)
    return figures.count - before[0], figures.failures - before[1], len(figures.running)


def test_a_run(default_layer: SyncChannelLayer) -> None:
    """Counted while it runs, and with its time when it has ended."""
    seen: list[int] = []

    def consumer(message: Message) -> None:
        seen.append(len(figures_of(consumer).running))

    seconds = figures_of(consumer).seconds
    assert run(default_layer, consumer) == (1, 0, 0)
    assert seen == [1]
    assert 0 < figures_of(consumer).seconds - seconds < 1


@pytest.mark.parametrize(
    ("error", "failures"), [(ConsumeLater, 0), (DenyConnection, 0), (SystemExit, 1), (ValueError, 1)]
)
def test_failures(default_layer: SyncChannelLayer, error: type[BaseException], failures: int) -> None:
    """Another try and a refused handshake are answers; any other exception is a failure. All runs are counted."""

    def consumer(message: Message) -> None:
        raise error

    assert run(default_layer, consumer, {"reply_channel": "some"}, "websocket.connect") == (1, failures, 0)


async def test_what_goes_on_elsewhere_is_one_run() -> None:
    """A plain consumer that returns a coroutine, and a generator, count once, with all of their time."""
    going_on = threading.Event()

    async def inner(message: Message) -> None:
        await asyncio.sleep(0.02)

    def wrapper(message: Message) -> Any:
        time.sleep(0.02)
        return inner(message)

    def stream(message: Message) -> Iterator[dict[str, str]]:
        yield {"text": "one"}
        going_on.wait(5)
        yield {"text": "two"}

    async def astream(message: Message) -> AsyncIterator[dict[str, str]]:
        yield {"text": "one"}

    layer = InMemoryChannelLayer()
    routing = [
        route("wrapped", wrapper),
        route("websocket.receive", stream, path="^/a"),
        route("websocket.receive", astream),
    ]
    async with inline(layer, *routing) as application:
        await layer.send("wrapped", {})
        await until(lambda: figures_of(wrapper).count == 1)
        assert figures_of(wrapper).seconds >= 0.04
        async with Open(application, "/a") as client, Open(application, "/b") as other:
            client.send("go")
            other.send("go")
            assert await client.text() == "one"
            assert (len(figures_of(stream).running), figures_of(stream).count) == (1, 0)
            assert figures_of(stream).longest() > 0
            going_on.set()
            assert await client.text() == "two"
            assert await other.text() == "one"
        await until(lambda: figures_of(stream).count == figures_of(astream).count == 1)
    assert [figures_of(consumer).running for consumer in (wrapper, stream, astream)] == [{}, {}, {}]
    assert figures_of(stream).longest() == 0.0


def test_what_is_not_gone_on_with_is_not_running(default_layer: SyncChannelLayer) -> None:
    """A stream that a plain consumer returned, and that never starts, is not counted as running."""

    def stream(message: Message) -> Iterator[dict[str, str]]:
        yield {}

    def stream_wrapper(message: Message) -> Any:
        return stream(message)

    assert run(default_layer, stream_wrapper) == (0, 0, 0)


async def test_sockets_and_messages() -> None:
    """Sockets opened and open, frames both ways, messages for consumers by channel and from them."""
    layer = InMemoryChannelLayer()
    before = counters.received["websocket.receive"]
    async with inline(layer, route("websocket.receive", echo)) as application:
        with counted("sockets_opened", "sockets_closed", "frames_received", "frames_sent", "sent") as grown:
            open_before = counters.sockets_open
            async with Open(application) as client:
                for _ in range(3):
                    client.send("hello")
                    await client.text()
                assert counters.sockets_open == open_before + 1
        assert counters.sockets_open == open_before
    assert grown == {"sockets_opened": 1, "sockets_closed": 1, "frames_received": 3, "frames_sent": 3, "sent": 4}
    assert counters.received["websocket.receive"] - before == 3


def test_sends_are_counted_once(default_layer: SyncChannelLayer) -> None:
    """Sends count once: in a consumer when its outbox is flushed, elsewhere at once; a group send is one."""

    def consumer(message: Message) -> None:
        Channel("a").send({})
        Group("g").send({})
        Channel("b").send({}, immediately=True)

    with counted("sent") as grown:
        run(default_layer, consumer)
        Channel("c").send({})
    assert grown == {"sent": 4}


async def test_a_client_that_does_not_read() -> None:
    """Pauses of reading are counted, and connections closed because their send queue is full."""

    def burst(message: Message) -> None:
        for number in range(int(message["text"])):
            message.reply_channel.send({"text": str(number)})

    async with inline(InMemoryChannelLayer(), route("websocket.receive", burst), socket_capacity=5) as application:
        closed = counters.readers_closed
        with counted("readers_paused", "readers_closed", "frames_dropped") as grown:
            async with Open(application) as client:
                client.reads.clear()
                client.send("2")
                client.send("1")
                await until(lambda: client.held_up)
                await until(lambda: client.asked > 1)
                client.reads.set()
                assert [await client.text() for _ in range(3)] == ["0", "1", "0"]
            async with Open(application) as client:
                client.reads.clear()
                client.send("20")
                await until(lambda: counters.readers_closed > closed)
                client.reads.set()
    assert grown["readers_closed"] == 1
    assert grown["readers_paused"] >= 1
    assert grown["frames_dropped"] >= 6


async def test_what_is_lost() -> None:
    """Messages that no route takes, and sends that cannot be delivered."""

    def to_nobody(message: Message) -> None:
        Channel("no name!", channel_layer=layer).send({})
        Channel("bad name", channel_layer=layer).send({})

    layer = InMemoryChannelLayer()
    async with inline(layer, route("test", to_nobody), route("other", echo, text="never")):
        with counted("unrouted", "lost") as grown:
            await layer.send("test", {})
            await layer.send("other", {"text": "something"})
            await until(lambda: figures_of(to_nobody).count == 1)
            await asyncio.sleep(0.01)
    assert grown == {"unrouted": 1, "lost": 2}


async def test_relayed_events() -> None:
    """Those handed to workers, those that are over, and those that no worker took in time."""
    layer = InMemoryChannelLayer()
    with counted("events_relayed", "events_over", "events_late", "events_lost", "sent") as grown:
        routing = [route("websocket.connect", accept), route("websocket.receive", echo)]
        async with relaying(layer) as application, working(layer, *routing), Open(application) as client:
            client.send("hello")
            assert await client.text() == "hello"
        assert counters.events_waiting == 0
        async with relaying(layer, event_timeout=0.2) as application, Client(application) as client:
            await until(lambda: counters.events_waiting == 1)
    # connect, receive, disconnect; then connect and disconnect that nobody takes
    assert (grown["events_relayed"], grown["events_over"], grown["events_late"]) == (5, 5, 2)
    assert grown["sent"] == 2  # the notes between server and worker are none


async def test_failures_in_an_application() -> None:
    """A consumer of a socket that fails is counted under its name."""
    failures = figures_of(fail).failures
    routing = [route("websocket.receive", fail)]
    async with inline(InMemoryChannelLayer(), *routing) as application, Open(application) as client:
        client.send("hello")
    assert figures_of(fail).failures == failures + 1
