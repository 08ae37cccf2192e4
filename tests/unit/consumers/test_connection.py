"""One connection's events: in order, one at a time, whatever kind of consumer takes them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from routechan import Channel, ConsumeLater, Message, WebsocketCloseException, route
from routechan.consumers import connection as connection_module
from routechan.encoding import Content
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..helpers import DEADLINE, drain, of_kind
from .helpers import ECHOES, RECEIVE, Outlet, echo, feed, reply, started


@pytest.mark.parametrize("kind", ["plain", "async", "decorated async", "decorated plain"])
async def test_order_of_one_connection(default_layer: SyncChannelLayer, kind: str) -> None:
    """Replies come in the order of the events, for plain and async functions, decorated or not."""
    outlet = Outlet()
    async with started(default_layer, route(RECEIVE, ECHOES[kind])) as consumers:
        await feed(consumers.connection(outlet), *({"n": number} for number in range(200)))
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
        route(RECEIVE, lambda message: an_async(message), kind="^decorated"),
    ]
    async with started(default_layer, *routing) as consumers:
        kinds = ["plain", "async", "decorated", "async", "plain", "plain", "decorated", "decorated"]
        await feed(consumers.connection(outlet), *({"n": n, "kind": kinds[n % len(kinds)]} for n in range(80)))
    assert trouble == []
    assert outlet.numbers == list(range(80))


async def test_the_next_event_is_read_while_a_plain_consumer_runs(default_layer: SyncChannelLayer) -> None:
    """``handle`` returns nothing to wait for at first; the next event waits until the consumer has ended."""
    outlet, release = Outlet(), threading.Event()

    def consumer(message: Message) -> None:
        if message["n"] == 0:
            release.wait(DEADLINE)
        echo(message)

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        connection = consumers.connection(outlet)
        assert connection.handle(RECEIVE, {"n": 0}) is None
        pending = connection.handle(RECEIVE, {"n": 1})
        assert pending is not None
        task = asyncio.ensure_future(pending)
        await asyncio.sleep(0)
        assert not task.done()
        release.set()
        await asyncio.wait_for(task, DEADLINE)
        await connection.idle()
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

    blocking = {"plain": block, "async": async_block, "decorated": lambda message: async_block(message)}[kind]
    routing = [route("a", blocking), route("b", echo), route("c", ECHOES["async"])]
    async with started(default_layer, *routing) as consumers:
        blocked, free = Outlet(), Outlet("websocket.send.here!2")
        task = asyncio.create_task(feed(consumers.connection(blocked), {}, channel="a"))
        connection = consumers.connection(free)
        for number in range(10):
            await feed(connection, {"n": number}, channel="bc"[number % 2])
        assert (blocked.numbers, free.numbers) == ([], list(range(10)))
        release.set()
        loop_release.set()
        await asyncio.wait_for(task, DEADLINE)
        assert blocked.numbers == [1]


async def test_many_connections(default_layer: SyncChannelLayer) -> None:
    """Fifty connections at once, all kinds of consumers: each has its own replies, in order."""
    routing = [route("a", echo), route("b", ECHOES["async"]), route("c", ECHOES["decorated async"])]
    async with started(default_layer, *routing) as consumers:
        outlets = [Outlet(f"websocket.send.here!{number}") for number in range(50)]

        async def connection(outlet: Outlet) -> None:
            connection = consumers.connection(outlet)
            for number in range(40):
                await feed(connection, {"n": number}, channel="abc"[number % 3])

        await asyncio.gather(*map(connection, outlets))
    assert [outlet.numbers for outlet in outlets] == [list(range(40))] * 50


async def test_replies_go_straight_to_the_connection(default_layer: SyncChannelLayer) -> None:
    """The reply channel of the message delivers to its own connection; nothing of it is left in the layer."""
    outlet = Outlet()
    names: list[str] = []

    async def consumer(message: Message) -> None:
        names.append(message.reply_channel.name)
        reply(message, n=1)
        await message.reply_channel.asend({"n": 2})
        Channel("elsewhere").send({"n": 3})

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await feed(consumers.connection(outlet), {"reply_channel": outlet.name})
    assert names == [outlet.name]
    assert outlet.numbers == [1, 2]
    assert drain(default_layer, "elsewhere") == [{"n": 3}]
    assert drain(default_layer, "websocket.send.here!") == []


@pytest.mark.parametrize("paced", [False, True])
async def test_an_immediate_send(default_layer: SyncChannelLayer, paced: bool) -> None:
    """It goes over the layer, or straight to a connection that is paced; there it waits until the client took it."""
    outlet, sent = Outlet(), threading.Event()
    outlet.paced = paced
    outlet.may_write.clear()

    def consumer(message: Message) -> None:
        assert not message.reply_channel.closed
        message.reply_channel.send({"n": 1}, immediately=True)
        sent.set()

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        task = asyncio.create_task(feed(consumers.connection(outlet), {}))
        if paced:
            await until(lambda: outlet.numbers == [1])
            assert not await asyncio.to_thread(sent.wait, 0.05)
            outlet.may_write.set()
        await until(sent.is_set)
        await task
    assert (await default_layer.layer.channel_statistics(outlet.name))["messages_pending"] == (0 if paced else 1)


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("pending", ["future", "coroutine"])
async def test_the_next_event_waits_for_the_sends_of_the_one_before(
    default_layer: SyncChannelLayer, kind: str, pending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sends may take time, as over Redis: the connection's next event begins when they have left."""
    left = asyncio.get_running_loop().create_future()
    posted: list[int] = []
    begun: list[int] = []

    async def leave() -> None:
        await left

    def post(channel: str, content: Content, *args: Any, **kwargs: Any) -> Any:
        posted.append(content["n"])
        return left if pending == "future" else leave()

    def consumer(message: Message) -> None:
        begun.append(message["n"])
        Channel("elsewhere").send({"n": message["n"]})

    monkeypatch.setattr(default_layer.layer, "post", post)
    async with started(default_layer, route(RECEIVE, of_kind(kind, consumer))) as consumers:
        task = asyncio.create_task(feed(consumers.connection(Outlet()), {"n": 0}, {"n": 1}))
        await until(lambda: posted)
        for _ in range(20):  # rounds in which the next one could begin
            await asyncio.sleep(0)
        assert begun == [0]
        left.set_result(None)
        await task
    assert begun == posted == [0, 1]


async def test_a_message_without_a_route(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """RT-36: logged; the connection goes on."""
    outlet = Outlet()
    async with started(default_layer, route("a", echo)) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {}, channel="b")
        await feed(connection, {"n": 1}, channel="a")
    assert "No route takes a message on b" in caplog.text
    assert outlet.numbers == [1]


@pytest.mark.parametrize("kind", ["plain", "async", "decorated async", "stream", "async stream"])
async def test_an_error_costs_one_message(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-20: it is logged with the consumer's name; what was sent before is delivered, and the connection goes on."""
    outlet = Outlet()

    def bad(message: Message) -> Iterator[Content]:
        yield {"n": 1}
        raise RuntimeError("oh")

    async with started(default_layer, route("bad", of_kind(kind, bad)), route("good", echo)) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {}, channel="bad")
        await until(lambda: "Error in consumer" in caplog.text)
        await feed(connection, {"n": 2}, channel="good")
    assert outlet.numbers == [1, 2]
    (record,) = caplog.records
    name = "tests.unit.helpers.<lambda>" if kind.startswith("decorated") else f"{__name__}.bad"
    assert record.getMessage() == f"Error in consumer {name} on bad"


async def test_closing_from_a_consumer(default_layer: SyncChannelLayer) -> None:
    """EX-07: the close takes the same way as any reply."""
    outlet = Outlet()

    def consumer(message: Message) -> None:
        reply(message, n=1)
        raise WebsocketCloseException(4000)

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await feed(consumers.connection(outlet), {})
    assert outlet.delivered == [{"n": 1}, {"close": 4000}]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it is being cancelled")
async def test_a_cancelled_task_is_an_error_of_the_consumer(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-20: awaiting a task that was cancelled does not cancel the connection."""
    outlet = Outlet()

    async def consumer(message: Message) -> None:
        task = asyncio.create_task(asyncio.sleep(DEADLINE))
        task.cancel()
        await task

    async with started(default_layer, route("a", consumer), route("b", echo)) as consumers:
        connection = consumers.connection(outlet)
        await feed(connection, {}, channel="a")
        await feed(connection, {"n": 1}, channel="b")
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
        task = asyncio.create_task(feed(consumers.connection(Outlet()), {}))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert told == ["consumer", "finished"]


async def test_an_unhashable_consumer(default_layer: SyncChannelLayer) -> None:
    """A callable object that cannot be hashed is a consumer as any other."""

    class Unhashable:
        __hash__ = None

        def __call__(self, message: Message) -> None:
            echo(message)

    outlet = Outlet()
    async with started(default_layer, route(RECEIVE, Unhashable())) as consumers:
        await feed(consumers.connection(outlet), {"n": 1})
    assert outlet.numbers == [1]


async def test_hooks_run_in_the_thread_of_the_consumer(default_layer: SyncChannelLayer) -> None:
    """WK-13, design 4: ``started`` and ``finished`` fire where the consumer runs."""
    places: list[int] = []

    def record(*args: Any) -> None:
        places.append(threading.get_ident())

    async with started(default_layer, route(RECEIVE, record), started=record, finished=record) as consumers:
        await feed(consumers.connection(Outlet()), {})
    assert len(places) == 3
    assert len(set(places)) == 1
    assert places[0] != threading.get_ident()


# Another try


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions follow at once."""
    monkeypatch.setattr(connection_module, "LATER_DELAY", 0.0001)


@pytest.mark.usefixtures("no_delay")
@pytest.mark.parametrize("kind", ["plain", "async", "decorated async"])
async def test_consume_later_repeats_in_place(default_layer: SyncChannelLayer, kind: str) -> None:
    """WK-22, WK-24, WK-25: later events wait, so that order is kept; the mutated content travels along."""
    outlet = Outlet()

    def consumer(message: Message) -> None:
        echo(message)
        message["tries"] = message.get("tries", 0) + 1
        if message["n"] == 0 and message["tries"] < 3:
            raise ConsumeLater

    async with started(default_layer, route(RECEIVE, of_kind(kind, consumer))) as consumers:
        await feed(consumers.connection(outlet), {"n": 0}, {"n": 1}, {"n": 2})
    assert outlet.numbers == [0, 0, 0, 1, 2]


async def test_the_delay_grows(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """WK-24: each repetition waits twice as long as the one before, up to a bound."""
    monkeypatch.setattr(connection_module, "LATER_DELAY_MAX", 0.05)
    waited: list[float] = []
    sleep = asyncio.sleep

    async def consumer(message: Message) -> None:
        raise ConsumeLater

    async def record(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    async with started(default_layer, route(RECEIVE, consumer), retries=5) as consumers:
        monkeypatch.setattr(asyncio, "sleep", record)
        await feed(consumers.connection(Outlet()), {})
        monkeypatch.setattr(asyncio, "sleep", sleep)
    assert waited == [0.01, 0.02, 0.04, 0.05, 0.05]


@pytest.mark.usefixtures("no_delay")
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_consume_later_is_limited(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-10, WK-21: the last try is marked; then the event is dropped with a warning, and the next one is run."""
    doomed: list[bool] = []
    outlet = Outlet()

    def consumer(message: Message) -> None:
        if message["n"] == 1:
            doomed.append(getattr(message, "__doomed__", False))
            raise ConsumeLater
        echo(message)

    async with started(default_layer, route(RECEIVE, of_kind(kind, consumer)), retries=3) as consumers:
        await feed(consumers.connection(outlet), {"n": 1}, {"n": 2})
    assert doomed == [False, False, False, True]
    assert outlet.numbers == [2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.usefixtures("no_delay")
@pytest.mark.parametrize("kind", ["stream", "async stream"])
async def test_a_stream_may_ask_for_another_try(default_layer: SyncChannelLayer, kind: str) -> None:
    """WK-19: ``ConsumeLater`` in a generator is not lost: it is run again."""
    outlet, tries = Outlet(), []

    def consumer(message: Message) -> Iterator[Content]:
        tries.append(1)
        if len(tries) == 1:
            raise ConsumeLater
        yield {"n": 1}

    async with started(default_layer, route(RECEIVE, of_kind(kind, consumer))) as consumers:
        await feed(consumers.connection(outlet), {})
        await until(lambda: outlet.numbers == [1], "the second try")
