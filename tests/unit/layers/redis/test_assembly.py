"""Each part of a Redis layer works over plain stand-ins for the parts below it, and needs no other."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from routechan.encoding import Serializer
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers.envelope import MESSAGE, Envelope
from routechan.layers.history import HistoryRules
from routechan.layers.losses import Losses
from routechan.layers.options import CapacityRules
from routechan.layers.receiver import Delivery, NoSource, Opener, Receiver, StoreSubscription
from routechan.layers.redis import engine as engine_module
from routechan.layers.redis.arrivals import Fetcher
from routechan.layers.redis.commands.script import Operation, Script, Step
from routechan.layers.redis.connection import RedisClock, Retry
from routechan.layers.redis.driver import Driver
from routechan.layers.redis.engine import Engine
from routechan.layers.redis.schema import hash_tag_of
from routechan.layers.redis.wire import Wire
from routechan.layers.statistics import Counts
from routechan.layers.store import Store
from routechan.layers.waiters import Subscriber, ThreadWaiter
from tests.waiting import until, wait_until

from .bench import Bench, arrival, message
from .fakes import FakeNode, FakeTopology


class Transport:
    """Commands and replies without a server. Lifetime: test."""

    trouble = None
    retry = Retry()

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.lock = threading.Lock()

    def is_ready(self) -> bool:
        return True

    def close(self) -> None: ...

    def perform(self, calls: list[Any]) -> tuple[list[Any], bool]:
        self.commands += [command for _, command in calls]
        return [len(command) for _, command in calls], True


class Length(Operation[int]):
    """Returns what the transport replies. Lifetime: test."""

    def script(self) -> Script[int]:
        (reply,) = yield Step([("tag", ("LLEN", "key"))], True)
        return int(reply)


def test_a_driver_needs_a_transport() -> None:
    """house: it knows no server, no clock and no operation by type."""
    transport: Any = Transport()
    driver = Driver(transport)
    assert driver.call(Length()) == 2
    assert transport.commands == [("LLEN", "key")]
    driver.close()


def make_store(**options: Any) -> Store:
    return Store("ME", 10.0, 100.0, CapacityRules(3, None), lambda: 1000.0, Counts(), **options)


class Taker(Subscriber):
    """Who waits, and keeps what it is given. Lifetime: test."""

    __slots__ = ("given",)

    def __init__(self, queues: Sequence[str], slots: int) -> None:
        super().__init__(queues)
        self.slots = self.share = slots
        self.given: list[Envelope] = []

    def give(self, item: Envelope) -> bool:
        self.given.append(item)
        self.slots -= 1
        return self.slots > 0

    def vacate(self, queue: str) -> Sequence[str]:
        raise AssertionError("nothing was given back")


def test_a_store_needs_only_a_clock_and_counts() -> None:
    """house: who waits in it is whoever has slots; what ended by itself is asked for, not told."""
    store, taker = make_store(ended_kept=3), Taker(("a",), 2)
    assert store.subscribe(taker)
    store.keep([arrival("a", 2000.0)], [])
    store.put("a", b"put", b"headers")
    assert [(item.body, item.headers) for item in taker.given] == [(b"body", b""), (b"put", b"headers")]
    assert store.take_ended() == []


class Performed:
    """A driver that answers each operation from a table. Lifetime: test."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.started: list[Any] = []

    def start(self, operation: Any, callback: Callable[..., Any] | None = None) -> None:
        self.started.append(operation)
        if callback is not None:
            afterwards = callback(self.answers.pop(0), None)
            if afterwards is not None:
                afterwards()

    def call(self, operation: Any, callback: Callable[..., Any] | None = None) -> Any:
        self.start(operation, callback)


def test_a_fetcher_needs_a_store_and_a_driver() -> None:
    """house: it knows who waits from the store, and nothing of faces, subscriptions or the engine."""
    bench, store = Bench(), make_store()
    driver: Any = Performed([arrival("a", 2000.0)], [])
    no_tools: Any = None
    fetcher = Fetcher(store, driver, bench.messages, bench.context, FakeTopology(), no_tools)
    waiter = ThreadWaiter(("a",))
    assert not store.take(waiter)
    fetcher.demand("a")
    assert waiter.received().name == "a"
    assert waiter.woken.is_set()
    another = ThreadWaiter(("a",))
    assert not store.take(another)
    fetcher.fetch(another, block=False)
    assert another.item is None
    assert store.waiting("a") == 0
    assert fetcher.readers() == []


def test_a_fetch_that_a_server_holds_up() -> None:
    """R6: the pop that is held up leaves the places behind that server to another pop; nothing is asked for twice."""
    bench, store = Bench(), make_store()
    near, far = FakeNode("near"), FakeNode("far")
    topology = FakeTopology(near, far)
    topology.tags[hash_tag_of("b")] = far
    driver: Any = Performed()
    driver.answers = [None]
    driver.start = lambda operation, callback: driver.started.append((operation, callback))
    driver.is_late = lambda hash_tag: False
    no_tools: Any = None
    fetcher = Fetcher(store, driver, bench.messages, bench.context, topology, no_tools)
    waiter = ThreadWaiter(("a", "b"))
    assert not store.take(waiter)
    fetcher.demand_any(["a", "b"])
    ((held_up, came),) = driver.started
    assert fetcher._asked == {"a": 1, "b": 1}
    step = next(held_up.script())
    first = "a" if step.calls[0][0] == hash_tag_of("a") else "b"
    held_up.held_up()
    assert len(driver.started) == 2
    assert fetcher._asked == {"a": 1, "b": 1}
    other = next(driver.started[1][0].script())
    assert [tag for tag, _ in other.calls] == [hash_tag_of("b" if first == "a" else "a")]
    held_up.held_up()
    assert len(driver.started) == 2
    came([arrival(first, 2000.0)], None)()
    assert waiter.received().name == first
    driver.started[1][1]([], None)()
    assert fetcher._asked == {}


class Demands(NoSource):
    """Keeps what is asked for. Lifetime: test."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def demand_any(self, queues: Sequence[str]) -> None:
        self.asked.append(tuple(queues))

    def demand(self, queue: str) -> None:
        raise ChannelLayerUnavailable("this channel layer was closed; nothing was sent")

    def no_demand(self, queues: Iterable[str]) -> None:
        self.asked.append(("no", *queues))


async def test_a_subscription_needs_a_store_and_a_source() -> None:
    """house: it asks the source for messages, takes them from the store, and tells of its end."""
    store, source, opener = make_store(), Demands(), Opener(Serializer(), Losses(Counts()))
    found: list[Delivery] = []
    subscription = StoreSubscription(store, source, opener, ["a", "b"], found.append, 1)
    assert source.asked == [("a", "b")]
    store.put("b", Serializer().encode({"n": 1}))
    await until(lambda: found)
    found[0].release()
    assert source.asked == [("a", "b")] * 2
    subscription.end()
    assert source.asked[-1] == ("no", "a", "b")
    assert (found[0].channel, found[0].content, found[0].headers) == ("b", {"n": 1}, {})


async def test_a_wait_that_nothing_can_end_is_none() -> None:
    """R7: where the source is closed, whoever would wait is told, and takes no message that comes later."""
    store, source, opener = make_store(), Demands(), Opener(Serializer(), Losses(Counts()))
    receiver = Receiver(store, source, opener, 0.01)
    with pytest.raises(ChannelLayerUnavailable):
        receiver.begin("a", "a")
    assert source.asked == [("no", "a")]
    assert store.waiting("a") == 0
    store.put("a", Serializer().encode({"n": 1}))
    found = receiver.receive_delivery(["a"], False)
    assert found is not None
    assert found.content == {"n": 1}


def test_a_subscription_whose_loop_is_closed() -> None:
    """R10: it takes nothing with it; the next reader gets the message."""
    store, opener = make_store(), Opener(Serializer(), Losses(Counts()))

    async def subscribe() -> StoreSubscription:
        return StoreSubscription(store, NoSource(), opener, ["a"], lambda delivery: None, 1)

    subscription = asyncio.run(subscribe())
    store.put("a", b"body")
    assert store.waiting("a") == 0
    waiter = ThreadWaiter(("a",))
    assert store.take(waiter)
    assert waiter.received().body == b"body"
    assert subscription.held() == ()


@pytest.fixture
def node() -> FakeNode:
    """A server that has nothing, and executes everything."""
    replies: dict[str, Any] = {
        "TIME": [b"1000", b"0"],
        "ZRANGEBYSCORE": [],
        "LMPOP": None,
        "LPOP": None,
        "BLMPOP": None,
    }

    def answer(command: tuple[Any, ...]) -> Any:
        if command[0] == "BLMPOP":
            time.sleep(0.01)
        return replies.get(command[0], 1)

    made = FakeNode()
    made.answer = answer
    return made


async def test_an_engine_needs_a_topology(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """house: everything else it makes itself, of parts that know nothing of it; counts leave along with operations."""
    monkeypatch.setattr(engine_module, "COUNTING_INTERVAL", 0.0)
    made = Engine(
        FakeTopology(node),
        prefix="rc",
        expiry=10,
        group_expiry=100,
        capacity=3,
        channel_capacity=None,
        channel_bytes=None,
        max_groups=None,
        serializer=Serializer(),
        wire=Wire(),
        lease=15,
        send_timeout=10,
        mark="abc",
        history=HistoryRules(None),
        linger=5,
        clock=RedisClock(),
    )
    for number in range(2):
        send = made.send("a", {"n": number}, 0.0, None)
        assert send is not None
        await asyncio.wait_for(made.post(send), 5)
    verbs = [command[0] for command in node.commands]
    assert verbs.count("RPUSH") == 2
    wait_until(lambda: "HINCRBY" in [command[0] for command in node.commands], "counts left with the second")
    made.attach(f"ws.{made.process}!", lambda channels, content: None)
    assert made.send(f"ws.{made.process}!a", {}, 0.0, None) is None
    receiver = Receiver(made.store, made, made.opener, 0.01)
    assert await asyncio.to_thread(receiver.receive_delivery, ["a"], False) is None
    made.close()


def test_what_was_popped_and_what_was_sent_are_one_class() -> None:
    """house: one envelope for what a queue holds, here and in Redis."""
    assert Wire().unpack(message(1000.0, "a")) == Envelope(MESSAGE, "a", b"body", b"", 1000.0)
