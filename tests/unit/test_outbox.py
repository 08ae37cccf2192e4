"""Delayed sends: filled by a consumer, delivered in order when it ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from routechan import Channel, ChannelFull, ConsumeLater, DenyConnection, Group, WebsocketCloseException
from routechan import outbox as outbox_module
from routechan.encoding import Content
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.outbox import Outbox, current, flush_sync, open_outbox
from tests.waiting import until

from .helpers import Clock, ForeignLayer, FullLayer, drain, matched, of_kind, run_here, run_on_loop

ways = pytest.mark.parametrize("kind", ["plain", "async"])


def test_a_nested_invocation_has_an_outbox_of_its_own(default_layer: SyncChannelLayer) -> None:
    """PM-01, PM-14: running a consumer inside another drops nothing the outer one sent before or sends after."""

    def inner(message: Any) -> None:
        Channel("a").send({"n": "inner"})

    def outer(message: Any) -> None:
        Channel("a").send({"n": "before"})
        run_here(inner)
        assert drain(default_layer, "a") == [{"n": "inner"}]
        Channel("a").send({"n": "after"})
        assert drain(default_layer, "a") == []

    run_here(outer)
    assert drain(default_layer, "a") == [{"n": "before"}, {"n": "after"}]


def test_each_invocation_starts_empty(default_layer: SyncChannelLayer) -> None:
    """PM-01: nothing is left over from the invocation before."""
    for _ in range(2):
        run_here(lambda message: Channel("a").send({"n": 1}))
        assert drain(default_layer, "a") == [{"n": 1}]


def test_a_thread_started_inside_a_consumer_sends_at_once(default_layer: SyncChannelLayer) -> None:
    """PM-02: the outbox belongs to the consumer that runs, not to threads it starts."""
    seen: list[list[Content]] = []

    def consumer(message: Any) -> None:
        thread = threading.Thread(target=lambda: Channel("a").send({"n": 1}))
        thread.start()
        thread.join()
        seen.append(drain(default_layer, "a"))

    run_here(consumer)
    assert seen == [[{"n": 1}]]


def test_active_only_while_a_consumer_runs(default_layer: SyncChannelLayer) -> None:
    """PM-02, PM-09, PM-15: no outbox before a consumer and none after it; sends are immediate there."""
    seen: list[Outbox | None] = []
    assert open_outbox() is None
    invocation = run_here(lambda message: seen.append(open_outbox()))
    assert len(seen) == 1
    assert seen[0] is not None
    assert open_outbox() is None
    assert current.get() is None
    assert invocation.closed


async def test_a_task_that_outlives_its_consumer_sends_at_once(default_layer: SyncChannelLayer) -> None:
    """PM-09: it inherits the outbox, but that is closed when the consumer has ended."""
    ended = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def late() -> None:
        await ended.wait()
        Channel("a").send({"n": "late"})

    async def consumer(message: Any) -> None:
        tasks.append(asyncio.create_task(late()))
        Channel("a").send({"n": "early"})

    await run_on_loop(consumer)
    assert drain(default_layer, "a") == [{"n": "early"}]
    ended.set()
    await tasks[0]
    assert drain(default_layer, "a") == [{"n": "late"}]


def test_append_and_flush_in_order() -> None:
    """PM-03, PM-04: entries are delivered in the order they were added, each by an immediate send."""
    layer = ForeignLayer()

    def consumer(message: Any) -> None:
        for number in range(20):
            Channel(f"c{number % 3}", channel_layer=layer).send({"n": number})
        Group("g", channel_layer=layer).send({"n": 20})

    run_here(consumer)
    assert [content["n"] for _, _, content in layer.calls] == list(range(21))


async def test_flush_in_order_on_the_loop() -> None:
    """PM-04: the same on the event loop, where a send may have to be waited for."""
    layer, own = ForeignLayer(), InMemoryChannelLayer()
    order: list[int] = []

    async def consumer(message: Any) -> None:
        for number in range(6):
            if number % 2:
                Channel("slow", channel_layer=layer).send({"n": number})
            else:
                Channel("fast", channel_layer=own).send({"n": number})

    own.post = lambda channel, content, delay: order.append(content["n"])
    layer.send = lambda channel, content: order.append(content["n"])
    await run_on_loop(consumer)
    assert order == list(range(6))


def test_a_full_channel_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """PM-05: every 0.2 s for 2 s, about ten times; each message has that time for itself."""
    clock = Clock()
    monkeypatch.setattr(outbox_module, "time", clock)
    layer = FullLayer(times=9)

    def consumer(message: Any) -> None:
        Channel("a", channel_layer=layer).send({"n": 1})
        Channel("b", channel_layer=layer).send({"n": 2})

    run_here(consumer)
    assert clock.slept == [0.2] * 18
    assert layer.calls == [("send", "a", {"n": 1}), ("send", "b", {"n": 2})]


def test_the_channel_full_of_another_layer_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """PM-05: what counts is the ``ChannelFull`` of the layer sent to, as its attribute says."""
    monkeypatch.setattr(outbox_module, "time", Clock())
    layer = FullLayer(times=1, error=ForeignLayer.ChannelFull)
    run_here(lambda message: Channel("a", channel_layer=layer).send({"n": 1}))
    assert layer.calls == [("send", "a", {"n": 1})]


class Slow(InMemoryChannelLayer):
    """Tells the outcome of a ``post`` as its ``way`` says, and counts those that found no room. Lifetime: test."""

    def __init__(self, way: str, **options: Any) -> None:
        super().__init__(**options)
        self.way = way
        self.refused = 0

    def post(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._post(*args, **kwargs)
        except ChannelFull:
            self.refused += 1
            raise

    def _post(self, *args: Any, **kwargs: Any) -> Any:
        if self.way == "a coroutine":
            return self._post_later(*args, **kwargs)
        if self.way == "a future":
            return self._outcome(*args, **kwargs)
        return super().post(*args, **kwargs)

    def _outcome(self, *args: Any, **kwargs: Any) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        try:
            future.set_result(super().post(*args, **kwargs))
        except ChannelFull as error:
            self.refused += 1
            future.set_exception(error)
        return future

    async def _post_later(self, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        try:
            super().post(*args, **kwargs)
        except ChannelFull:
            self.refused += 1
            raise


posts = pytest.mark.parametrize("way", ["at once", "a future", "a coroutine"])


@posts
async def test_a_full_channel_is_tried_again_on_the_loop(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """PM-05: the same for async consumers, without blocking the loop; what follows comes behind it."""
    monkeypatch.setattr(outbox_module, "FULL_RETRY_INTERVAL", 0)
    layer = Slow(way, channel_capacity={"a": 1})
    layer.sync.send("a", {"n": 0})

    async def consumer(message: Any) -> None:
        for number in range(1, 4):
            Channel("ab"[number == 2], channel_layer=layer).send({"n": number})

    task = asyncio.create_task(run_on_loop(consumer))
    for number in (0, 1, 3):
        await until(lambda number=number: layer.refused > number or task.done(), "it was tried")
        assert await layer.receive("a") == {"n": number}
    await task
    assert drain(layer.sync, "b") == [{"n": 2}]
    assert layer.refused >= 2


@posts
async def test_what_stays_full_is_lost_alone_on_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """PM-06, PM-07: after 2 s a full channel costs its message, logged with the target; the rest is sent."""
    clock = Clock()
    monkeypatch.setattr(outbox_module, "time", clock)
    monkeypatch.setattr(outbox_module, "FULL_RETRY_INTERVAL", 0)
    layer = Slow(way, channel_capacity={"full": 1})
    layer.sync.send("full", {"n": 0})

    async def consumer(message: Any) -> None:
        Channel("full", channel_layer=layer).send({"n": 1})
        Channel("rest", channel_layer=layer).send({"n": 2})

    task = asyncio.create_task(run_on_loop(consumer))
    await until(lambda: layer.refused > 5, "it was tried again and again")
    clock.now = 3.0
    await task
    assert drain(layer.sync, "rest") == [{"n": 2}]
    assert drain(layer.sync, "full") == [{"n": 0}]
    (record,) = caplog.records
    assert "a message to full could not be delivered and is lost: channel 'full' is full" in record.getMessage()


async def test_a_consumer_cancelled_while_its_channel_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """PM-05: who cancels need not wait for the rest of the two seconds."""
    monkeypatch.setattr(outbox_module, "FULL_RETRY_INTERVAL", 0)
    layer = Slow("a coroutine", capacity=1)
    layer.sync.send("a", {"n": 0})

    async def consumer(message: Any) -> None:
        Channel("a", channel_layer=layer).send({"n": 1})

    task = asyncio.create_task(run_on_loop(consumer))
    await until(lambda: layer.refused > 1, "it was tried again")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert drain(layer.sync, "a") == [{"n": 0}]


def test_what_cannot_be_delivered_is_lost_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """PM-06, PM-07, WK-27: after 2 s a full channel costs its message, logged with the target; the rest is sent."""
    clock = Clock()
    monkeypatch.setattr(outbox_module, "time", clock)
    layer = InMemoryChannelLayer(channel_capacity={"full": 1})
    Channel("full", channel_layer=layer).send({"n": 0})

    def consumer(message: Any) -> None:
        Channel("full", channel_layer=layer).send({"n": 1})
        Channel("rest", channel_layer=layer).send({"n": 2})

    run_here(consumer)
    assert 2.0 <= clock.now < 2.3
    assert drain(layer.sync, "rest") == [{"n": 2}]
    assert drain(layer.sync, "full") == [{"n": 0}]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "consumer on test: a message to full could not be delivered and is lost: channel 'full' is full" in (
        record.getMessage()
    )
    # PM-07: the next send is immediate again.
    Channel("rest", channel_layer=layer).send({"n": 3})
    assert drain(layer.sync, "rest") == [{"n": 3}]


@ways
def test_other_errors_cost_one_message_too(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """PM-08: a bad name or content that cannot travel is logged at once; the messages behind it are delivered."""

    def consumer(message: Any) -> None:
        Channel("no spaces").send({"n": 1})
        Channel("a").send({"n": object()})
        Channel("a").send({"n": 3})

    if kind == "async":
        asyncio.run(run_on_loop(of_kind(kind, consumer)))
    else:
        run_here(consumer)
    assert drain(default_layer, "a") == [{"n": 3}]
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert "a message to no spaces could not be delivered and is lost: a channel name holds" in texts[0]
    assert "message['n'] is an object" in texts[1]


def test_flushing_before_the_start_is_no_error(default_layer: SyncChannelLayer) -> None:
    """PM-10: there is no pair of signals that could be sent unpaired; flushing twice delivers once."""
    dispatcher, invocation = matched(lambda message: Channel("a").send({"n": 1}))
    flush_sync(invocation)
    dispatcher.call(invocation)
    flush_sync(invocation)
    flush_sync(invocation)
    assert drain(default_layer, "a") == [{"n": 1}]


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (RuntimeError("broken"), []),
        (SystemExit(1), []),
        (DenyConnection(), [{"close": True}]),
        (WebsocketCloseException(4000), [{"close": 4000}]),
        (ConsumeLater(), []),
    ],
    ids=lambda value: type(value).__name__,
)
@ways
def test_flushed_in_every_way_a_consumer_ends(
    default_layer: SyncChannelLayer, error: BaseException, more: list[Content], kind: str
) -> None:
    """PM-11: what was sent before the consumer raised, denied, closed or asked for another try is delivered."""

    def consumer(message: Any) -> None:
        message.reply_channel.send({"n": 1})
        raise error

    arguments: Any = ({"reply_channel": "websocket.send"}, "websocket.connect")
    if kind == "async":
        asyncio.run(run_on_loop(of_kind(kind, consumer), *arguments))
    else:
        run_here(consumer, *arguments)
    assert drain(default_layer, "websocket.send") == [{"n": 1}, *more]


def test_finished_is_told_before_the_flush(default_layer: SyncChannelLayer) -> None:
    """PM-12: what ``finished`` sends is delivered with the rest; old connections are closed before the flush."""
    seen: list[list[Content]] = []

    def finished() -> None:
        seen.append(drain(default_layer, "a"))
        Channel("a").send({"n": 2})

    run_here(lambda message: Channel("a").send({"n": 1}), finished=finished)
    assert seen == [[]]
    assert drain(default_layer, "a") == [{"n": 1}, {"n": 2}]


def test_a_failing_hook_does_not_stop_the_flush(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """PM-13, WK-27: what ``finished`` raises is logged; the sends are delivered, and nothing leaves the dispatcher."""

    def finished() -> None:
        raise RuntimeError("broken hook")

    run_here(lambda message: Channel("a").send({"n": 1}), finished=finished)
    assert drain(default_layer, "a") == [{"n": 1}]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["broken hook"]


async def test_connections_do_not_see_each_others_outbox(default_layer: SyncChannelLayer) -> None:
    """PM-02: two async consumers at once, each delivers what it sent when it ends."""
    first_may_end = asyncio.Event()

    async def first(message: Any) -> None:
        Channel("a").send({"n": "first"})
        await first_may_end.wait()

    async def second(message: Any) -> None:
        Channel("a").send({"n": "second"})

    task = asyncio.create_task(run_on_loop(first))
    await asyncio.sleep(0)
    await run_on_loop(second)
    assert drain(default_layer, "a") == [{"n": "second"}]
    first_may_end.set()
    await task
    assert drain(default_layer, "a") == [{"n": "first"}]


def test_channel_full_names_nothing_it_does_not_know() -> None:
    """PM-06: the text of a ``ChannelFull`` says what to do, and holds what is known."""
    assert str(ChannelFull()) == "the channel is full"
    assert str(ChannelFull("a")) == "channel 'a' is full; consume faster or raise its capacity"
    assert (
        str(ChannelFull("a", 3)) == "channel 'a' is full: it holds its 3 messages; consume faster or raise its capacity"
    )
