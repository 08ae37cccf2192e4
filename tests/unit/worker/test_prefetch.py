"""Which messages a process takes off its channels, in which order it consumes them, and how it stops."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from routechan import Channel, ChannelFull, ConsumeLater, Message, include, route
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.layers.base import Delivery
from routechan.routing import Router
from routechan.worker import prefetch as prefetch_module
from routechan.worker.prefetch import Prefetcher
from routechan.worker.process import WorkerProcess
from tests.waiting import until

from ..consumers.helpers import started
from ..helpers import DEADLINE, drain, of_kind
from ..relay.helpers import working

# Order


async def test_messages_of_one_reply_channel_keep_their_order(default_layer: SyncChannelLayer) -> None:
    """Those of other reply channels, and of none, run beside them."""
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


async def test_order_for_one_reply_channel_holds_for_many_messages() -> None:
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


async def test_consume_later(default_layer: SyncChannelLayer) -> None:
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


@pytest.mark.usefixtures("every_line")
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("plain", RuntimeError("oh")),
        ("async", RuntimeError("oh")),
        ("async", ChannelFull("x")),
        ("async", asyncio.CancelledError()),
    ],
    ids=["plain", "async", "full", "cancelled"],
)
async def test_an_error_costs_its_message_only(
    default_layer: SyncChannelLayer, kind: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; messages behind it on the same reply channel are consumed, and slots are released."""
    seen: list[int] = []

    def consumer(message: Message) -> None:
        if message["n"] % 2 == 0:
            raise error
        seen.append(message["n"])

    async with started(default_layer, route("x", of_kind(kind, consumer)), threads=1):
        for number in range(10):
            Channel("x").send({"n": number, "reply_channel": "r"})
        await until(lambda: seen == [1, 3, 5, 7, 9], "every other message")
    assert len(caplog.records) == 5


# Prefetch slots


async def test_what_is_taken_is_bounded(default_layer: SyncChannelLayer) -> None:
    """While consumers are busy, messages wait in the layer, where expiry and capacity see them."""
    release = threading.Event()
    begun: list[int] = []

    def consumer(message: Message) -> None:
        begun.append(message["n"])
        release.wait(DEADLINE)

    async with started(default_layer, route("x", consumer), threads=3):
        for number in range(20):
            Channel("x").send({"n": number})
        await until(lambda: len(begun) >= 3)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(begun) in (3, 4)
        assert default_layer.channel_statistics("x")["messages_pending"] == 20 - len(begun)
        release.set()
        await until(lambda: len(begun) == 20)


async def test_one_at_a_time(default_layer: SyncChannelLayer) -> None:
    """``threads=1``: a message is taken when it can be run at once; the others are left to other processes."""
    begun, release = threading.Event(), threading.Event()

    def consumer(message: Message) -> None:
        begun.set()
        release.wait(DEADLINE)

    async with working(default_layer, route(["x", "y", "z"], consumer), threads=1):
        for channel in "xyz":
            await default_layer.layer.send(channel, {})
        await until(begun.is_set)
        await asyncio.sleep(0.05)
        waiting = [default_layer.receive([channel])[0] for channel in "xyz"]
        release.set()
    assert sorted(filter(None, waiting)) in (["x", "y"], ["x", "z"], ["y", "z"])


async def test_async_consumers_need_no_thread(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where async consumers alone take a channel's messages, many run at once, whatever ``threads`` is; bounded."""
    monkeypatch.setattr("routechan.worker.prefetch.MAX_IN_HAND", 40)
    begun, release, hold = [], asyncio.Event(), threading.Event()

    async def consumer(message: Message) -> None:
        begun.append(message["n"])
        await release.wait()

    def plain(message: Message) -> None:
        hold.wait(DEADLINE)

    routing = [
        route("x", consumer, kind="a"),
        include([route("x", consumer)]),
        route("mixed", consumer, kind="a"),
        route("mixed", plain),
    ]
    async with working(default_layer, *routing, threads=1):
        await default_layer.layer.send("mixed", {})  # holds the only thread
        for number in range(50):
            await default_layer.layer.send("x", {"n": number})
        await default_layer.layer.send("mixed", {"kind": "a", "n": "never"})
        await until(lambda: len(begun) == 40)
        await asyncio.sleep(0.05)
        assert sorted(begun) == list(range(40))
        assert [default_layer.receive(["mixed"])[0] for _ in range(2)] == ["mixed", None]
        release.set()
        hold.set()
        await until(lambda: len(begun) == 50)


async def test_an_async_consumer_releases_its_slot(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where plain consumers take messages too, the one thread is free meanwhile; bounded all the same."""
    monkeypatch.setattr("routechan.worker.prefetch.MAX_IN_HAND", 8)
    begun, release, ran = [], asyncio.Event(), []

    async def consumer(message: Message) -> None:
        begun.append(message["n"])
        await release.wait()

    routing = [route("mixed", consumer, kind="a"), route("mixed", lambda message: ran.append(message["n"]))]
    async with working(default_layer, *routing, threads=1):
        for number in range(7):
            await default_layer.layer.send("mixed", {"kind": "a", "n": number})
        await until(lambda: begun == list(range(7)))
        await default_layer.layer.send("mixed", {"n": "beside"})
        await until(lambda: ran == ["beside"])
        for number in range(7, 10):
            await default_layer.layer.send("mixed", {"kind": "a", "n": number})
        await until(lambda: len(begun) == 8)
        await asyncio.sleep(0.05)
        assert len(begun) == 8  # which holds the only slot
        release.set()
        await until(lambda: begun == list(range(10)))


# Stop


async def test_draining(default_layer: SyncChannelLayer) -> None:
    """A worker told to stop takes nothing more, ends what it runs, and leaves the rest to others."""
    begun, release, by = threading.Event(), threading.Event(), []

    def named(name: str) -> Any:
        def consumer(message: Message) -> None:
            begun.set()
            release.wait(DEADLINE)
            by.append((name, message["n"]))

        return consumer

    first = WorkerProcess(Dispatcher(Router([route("x", named("first"))])), default_layer, ["x"], threads=1)
    running = asyncio.create_task(first.run())
    for number in range(2):
        await default_layer.layer.send("x", {"n": number})
    await until(begun.is_set)
    first.stop()
    async with working(default_layer, route("x", named("second"))):
        release.set()
        await until(lambda: len(by) == 2)
    assert await asyncio.wait_for(running, DEADLINE) == 0
    assert sorted(by) == [("first", 0), ("second", 1)]


@pytest.mark.parametrize("again", [False, True])
async def test_the_end_of_the_drain_time(default_layer: SyncChannelLayer, again: bool) -> None:
    """What does not end within the drain time is cancelled, and counted; a second ``stop`` waits for nothing."""
    begun = asyncio.Event()

    async def forever(message: Message) -> None:
        begun.set()
        await asyncio.Event().wait()

    worker = WorkerProcess(
        Dispatcher(Router([route("x", forever)])), default_layer, ["x"], drain=DEADLINE if again else 0.05
    )
    running = asyncio.create_task(worker.run())
    await default_layer.layer.send("x", {})
    await asyncio.wait_for(begun.wait(), DEADLINE)
    worker.stop()
    if again:
        worker.stop()
    assert await asyncio.wait_for(running, DEADLINE / 2) == 1


async def test_stop_does_not_wait_for_ever(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer of a channel that never ends is cancelled after a while, and what waits behind it is counted."""
    monkeypatch.setattr(prefetch_module, "STOP_TIME", 0.01)
    begun = asyncio.Event()

    async def consumer(message: Message) -> None:
        begun.set()
        await asyncio.sleep(DEADLINE)

    async with started(default_layer, route("x", consumer)):
        for number in range(3):
            Channel("x").send({"n": number, "reply_channel": "r"})
        await begun.wait()
        await until(lambda: default_layer.channel_statistics("x")["messages_pending"] == 0)
    assert "1 consumer did not end within 0.01 s and had to be cancelled, with the loss of 2 messages" in caplog.text


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


@pytest.mark.parametrize("end", ["leave", "stop"])
async def test_what_was_on_its_way_is_consumed(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """R7: what the layer had fetched for this process goes to no other one, so it is consumed before the end."""
    seen: list[int] = []

    async def consume(delivery: Delivery) -> None:
        seen.append(delivery.content["n"])

    async def withdraw(channels: Any) -> list[Delivery]:
        return [Delivery(name, {"n": 1}, {}) for name in channels]

    monkeypatch.setattr(default_layer.layer, "withdraw", withdraw)
    prefetcher = Prefetcher(default_layer.layer)
    prefetcher.start(consume, ["x"])
    if end == "leave":
        await asyncio.wait_for(prefetcher.leave(["x"]), DEADLINE)
        monkeypatch.undo()
    assert await prefetcher.stop() == 0
    assert seen == [1]
    assert prefetcher.in_hand == 0


async def test_a_message_that_cannot_be_begun(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """An error costs one message, and is logged; those behind it on its reply channel come."""
    seen: list[int] = []

    def consume(delivery: Delivery) -> None:
        if delivery.content["n"] == 0:
            raise RuntimeError("a mistake of ours")
        seen.append(delivery.content["n"])
        delivery.done()

    prefetcher = Prefetcher(default_layer.layer)
    prefetcher.start(consume, ["x"])
    for number in range(3):
        await default_layer.layer.send("x", {"n": number, "reply_channel": "r"})
    await until(lambda: seen == [1, 2])
    assert await prefetcher.stop() == 0
    assert "Consuming a message on x failed" in caplog.text
    assert "a mistake of ours" in caplog.text
