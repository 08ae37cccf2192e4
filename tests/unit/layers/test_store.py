"""What a process holds itself: places kept, waiters served in turn, and nothing left of what is over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from routechan.encoding import LazyContent, Serializer
from routechan.exceptions import ChannelFull, InvalidName
from routechan.layers.envelope import MESSAGE, Envelope
from routechan.layers.options import CapacityRules
from routechan.layers.statistics import Counts
from routechan.layers.store import Store
from routechan.layers.waiters import LoopWaiter, ThreadWaiter, Waiter

OWN = "specific.ME!"


class Bench:
    """A store with a clock the test moves. Lifetime: test."""

    def __init__(self, capacity: int = 3) -> None:
        self.now = 1000.0
        self.counts = Counts()
        self.store = Store(
            "ME",
            10.0,
            100.0,
            CapacityRules(capacity, None),
            lambda: self.now,
            self.counts,
            ended_kept=2,
        )

    def take(self, *queues: str) -> bytes | None:
        """The next message, without waiting."""
        waiter = ThreadWaiter(queues)
        if self.store.take(waiter):
            assert waiter.item is not None
            return waiter.item.body
        self.store.leave(waiter, put_back=False)
        return None

    def all(self, queue: str) -> list[bytes]:
        return list(iter(lambda: self.take(queue), None))

    def wait(self, *queues: str) -> ThreadWaiter:
        """Somebody who waits, because there is nothing."""
        waiter = ThreadWaiter(queues)
        assert not self.store.take(waiter)
        return waiter

    def keep(self, channel: str, data: bytes, expires: float | None = None) -> list[Waiter]:
        woken: list[Waiter] = []
        expires = self.now + 10 if expires is None else expires
        self.store.keep([Envelope(MESSAGE, channel, data, expires=expires)], woken)
        self.store.wake(woken)
        return woken

    def counted(self, queue: str | None = None) -> dict[str, int]:
        return {what: count for what, count in self.counts.of(queue).items() if count}

    @property
    def empty(self) -> bool:
        """Nothing is held at all."""
        store = self.store
        return not (store._queues or store._waiters or store._memberships)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def data_of(waiter: Waiter) -> bytes | None:
    return waiter.item.body if waiter.item else None


# Queues


def test_the_channels_of_this_process_are_queues_each(bench: Bench) -> None:
    """section 1.2: those of others share one, up to ``!``; only whole queues are read on the 1.x face."""
    store = bench.store
    assert store.is_own(OWN)
    assert not store.is_own("specific.NOTME!")
    assert store.queue_of(OWN + "a") == OWN + "a"
    assert store.queue_of("process!a") == "process!"
    assert store.check_shared("process!") == "process!"
    with pytest.raises(InvalidName, match=r"each is read by its full name: await layer\.receive\(channel\)"):
        store.check_shared(OWN)


def test_a_full_queue_refuses(bench: Bench) -> None:
    """R4: each channel of this process has a capacity of its own; those of another process share one."""
    for channel in (OWN + "a", OWN + "b", "process!a"):
        for number in range(3):
            bench.store.put(channel, b"%d" % number)
    with pytest.raises(ChannelFull):
        bench.store.put(OWN + "a", b"")
    with pytest.raises(ChannelFull, match="'process!' is full"):
        bench.store.put("process!b", b"")
    assert bench.counted("process!") == {"messages_count": 3, "channel_full_count": 1}
    assert bench.counted(OWN) == {"messages_count": 6, "channel_full_count": 1}


def test_what_was_popped_elsewhere_makes_room_for_itself(bench: Bench) -> None:
    """R8, item 94: it cannot be refused any more, so the oldest go; the newest stay in order.

    Of a channel that others read too no more is popped than is waited for: nothing of that goes.
    """
    for number in range(5):
        bench.keep(OWN + "a", b"%d" % number)
        bench.keep("channel", b"%d" % number)
    assert bench.counted() == {"dropped_count": 2}
    assert bench.counted(OWN) == {"dropped_count": 2}
    assert bench.all(OWN + "a") == [b"2", b"3", b"4"]
    assert bench.all("channel") == [b"0", b"1", b"2", b"3", b"4"]
    assert bench.empty


def test_what_was_popped_elsewhere_keeps_its_own_time(bench: Bench) -> None:
    """R3: its stamp is the sender's, on Redis' clock."""
    bench.keep("channel", b"short", bench.now + 1)
    bench.keep("channel", b"long", bench.now + 20)
    bench.now += 15
    assert bench.all("channel") == [b"long"]
    assert bench.counted("channel") == {"expired_count": 1}


def test_what_has_expired_is_forgotten_though_nobody_asks(bench: Bench) -> None:
    """R8: ``purge``, of every queue, and with it the membership of who does not read (item 43)."""
    bench.store.add("group", OWN + "a")
    bench.store.put(OWN + "a", b"")
    bench.store.put("plain", b"")
    bench.store.purge()
    assert not bench.empty
    bench.now += 11
    bench.store.purge()
    assert bench.empty
    assert bench.store.take_ended() == [("group", OWN + "a")]
    assert bench.counted() == {"messages_count": 2, "expired_count": 2}


def test_pending_is_what_still_lives(bench: Bench) -> None:
    """section 2.8: how many, and how many seconds the oldest has waited."""
    assert bench.store.pending("channel") == (0, 0.0)
    bench.store.put("channel", b"")
    bench.now += 4
    bench.store.put("channel", b"")
    bench.now += 1
    assert bench.store.pending("channel") == (2, 5.0)
    bench.now += 6
    assert bench.store.pending("channel") == (1, 7.0)


# Who waits


def test_waiters_are_served_in_the_order_they_came(bench: Bench) -> None:
    """section 1.2: and what one of them is given takes no room."""
    waiters = [bench.wait("channel") for _ in range(3)]
    assert bench.store.waiting("channel") == 3
    for number in range(4):
        bench.store.put("channel", b"%d" % number)
    assert [data_of(waiter) for waiter in waiters] == [b"0", b"1", b"2"]
    assert all(waiter.woken.is_set() for waiter in waiters)
    assert bench.store.pending("channel")[0] == 1


def test_a_waiter_of_several_queues_is_given_one_message(bench: Bench) -> None:
    """R6: then it waits for none of them any more."""
    waiter = bench.wait("one", "two")
    bench.store.put("two", b"2")
    bench.store.put("one", b"1")
    assert data_of(waiter) == b"2"
    assert bench.store.waiting("one") == bench.store.waiting("two") == 0
    assert bench.all("one") == [b"1"]


def test_a_message_that_was_not_wanted_goes_to_the_next(bench: Bench) -> None:
    """R7: to whoever waits for that queue, and else back to its place."""
    first, second = bench.wait("channel"), bench.wait("channel")
    bench.store.put("channel", b"0")
    bench.store.leave(first, put_back=True)
    assert data_of(second) == b"0"
    bench.store.put("channel", b"1")
    bench.store.leave(second, put_back=True)
    assert bench.all("channel") == [b"0", b"1"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_several_that_were_not_wanted_find_their_places(bench: Bench, order: Sequence[int]) -> None:
    """R7: whichever reader gives up first; also before what came later, and although the queue is full."""
    waiters = [bench.wait("channel") for _ in range(3)]
    for number in range(6):
        bench.store.put("channel", b"%d" % number)
    for index in order:
        bench.store.leave(waiters[index], put_back=True)
    assert bench.all("channel") == [b"%d" % number for number in range(6)]


def test_leaving_with_a_message_takes_it_along(bench: Bench) -> None:
    """a reader that timed out in the very moment has its message."""
    waiter = bench.wait("channel")
    bench.store.put("channel", b"0")
    bench.store.leave(waiter, put_back=False)
    assert data_of(waiter) == b"0"
    assert bench.empty


def test_leaving_with_nothing_leaves_nothing(bench: Bench) -> None:
    """R8: no trace of who waited in vain, for several queues."""
    waiter = bench.wait("one", "two")
    bench.store.leave(waiter, put_back=True)
    bench.store.leave(waiter, put_back=True)
    assert bench.empty


def test_a_waiter_for_one_channel_leaves_those_of_others(bench: Bench) -> None:
    """section 1.2: two names of one foreign process share a queue; each reader gets its own."""

    async def read() -> list[bytes | None]:
        waiters = [LoopWaiter(("process!",), f"process!{name}") for name in "ab"]
        for waiter in waiters:
            assert not bench.store.take(waiter)
        bench.store.put("process!b", b"for b")
        bench.store.put("process!c", b"for c")
        bench.store.put("process!a", b"for a")
        for waiter in waiters:
            await asyncio.wait_for(waiter.future, 5)
        return [data_of(waiter) for waiter in waiters]

    assert asyncio.run(read()) == [b"for a", b"for b"]
    assert bench.all("process!") == [b"for c"]


def test_a_message_for_a_closed_loop_goes_to_the_next(bench: Bench) -> None:
    """R10: a loop that ended while its task waited takes nothing with it."""

    async def wait() -> LoopWaiter:
        waiter = LoopWaiter(("channel",), "channel")
        assert not bench.store.take(waiter)
        return waiter

    asyncio.run(wait())
    second = bench.wait("channel")
    bench.store.put("channel", b"0")
    assert data_of(second) == b"0"
    assert second.woken.is_set()


def test_who_is_woken_may_use_the_store_at_once(bench: Bench) -> None:
    """design: waking happens outside of the lock, so that no two locks are ever held."""
    seen: list[tuple[int, float]] = []

    class Curious(ThreadWaiter):
        __slots__ = ()

    waiter = Curious(("channel",))

    class Woken:
        def set(self) -> None:
            thread = threading.Thread(target=lambda: seen.append(bench.store.pending("channel")))
            thread.start()
            thread.join(5)

    waiter.woken = Woken()  # type: ignore[assignment]
    assert not bench.store.take(waiter)
    bench.store.put("channel", b"")
    assert seen == [(0, 0.0)]


# Groups


class Taker:
    """Lifetime: test."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[tuple[list[str], Any]] = []
        self.error = error

    def __call__(self, channels: Sequence[str], content: Any) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append((list(channels), content))


def lazy(**content: Any) -> LazyContent:
    return LazyContent(Serializer(), content=content)


def test_the_first_and_the_last_member_of_a_queue_are_told(bench: Bench) -> None:
    """R9: Redis knows that a process has members, and needs not be asked for each."""
    store = bench.store
    assert store.add("group", OWN + "a") is True
    assert store.add("group", OWN + "b") is False
    assert store.add("group", OWN + "b") is False
    assert store.add("other", OWN + "a") is True
    assert store.discard("group", OWN + "never") is False
    assert store.discard("group", OWN + "a") is False
    assert store.discard("group", OWN + "b") is True
    assert store.discard("group", OWN + "b") is False
    assert store.forget(OWN + "a") == [("other", True)]
    assert store.forget(OWN + "a") == []
    assert bench.empty


def test_a_delivery_reaches_each_queue_once(bench: Bench) -> None:
    """R9: those attached get the content itself, the others bytes of their own."""
    store, taker = bench.store, Taker()
    store.attach("ws.ME!", taker)
    for member in ("ws.ME!a", "ws.ME!b", OWN + "a", "plain"):
        store.add("group", member)
    sent = lazy(a=1)
    store.deliver("group", sent)
    assert taker.taken == [(["ws.ME!a", "ws.ME!b"], {"a": 1})]
    assert taker.taken[0][1] is sent.content
    assert bench.all(OWN + "a") == bench.all("plain") == [sent.data]
    store.deliver("group", sent, queue_name="plain")
    assert len(taker.taken) == 1
    assert bench.take(OWN + "a") is None
    assert bench.take("plain") == sent.data
    store.deliver("nobody", sent)


def test_a_full_member_costs_only_itself(bench: Bench) -> None:
    """GR-06: counted as dropped, whether it is a socket or a queue."""
    store = bench.store
    store.attach("ws.ME!", Taker(ChannelFull("ws.ME!a", 1)))
    for member in ("ws.ME!a", "full", "free"):
        store.add("group", member)
    for _ in range(3):
        store.put("full", b"")
    store.deliver("group", lazy())
    assert bench.store.pending("free")[0] == 1
    assert (bench.counted("full")["dropped_count"], bench.counted("ws.ME!")["dropped_count"]) == (1, 1)


def test_only_own_queues_can_be_attached(bench: Bench) -> None:
    """the contract of ``attach``: anything else would never be delivered."""
    for queue in ("websocket.send!", "ws.OTHER!", "plain"):
        with pytest.raises(InvalidName, match=r"a queue of this process ends in '\.ME!'"):
            bench.store.attach(queue, Taker())


def test_detaching_tells_what_ended(bench: Bench) -> None:
    """so that Redis is told too; other queues keep theirs."""
    store = bench.store
    store.attach("ws.ME!", Taker())
    for group, member in (("one", "ws.ME!a"), ("two", "ws.ME!a"), ("two", "ws.ME!b"), ("two", OWN + "a")):
        store.add(group, member)
    assert sorted(store.detach("ws.ME!")) == [("one", "ws.ME!a"), ("two", "ws.ME!a"), ("two", "ws.ME!b")]
    assert store.members("two") == {OWN: [OWN + "a"]}
    assert store.detach("ws.ME!") == []


def test_members_end_by_themselves(bench: Bench) -> None:
    """section 2.4: after ``group_expiry``, and somebody is told; live sockets stay."""
    store = bench.store
    store.attach("ws.ME!", Taker())
    store.add("group", "ws.ME!a")
    store.add("group", OWN + "a")
    bench.now += 101
    assert store.members("group") == {"ws.ME!": ["ws.ME!a"]}
    assert store.take_ended() == [("group", OWN + "a")]
    assert store.take_ended() == []


def test_what_ended_by_itself_is_remembered_within_a_bound(bench: Bench) -> None:
    """style, habit 8: nobody may ever ask for it; then the oldest are forgotten, and end in Redis by themselves."""
    for number in range(4):
        bench.store.add("group", f"{OWN}{number}")
    bench.now += 101
    assert bench.store.members("group") == {}
    assert bench.store.take_ended() == [("group", f"{OWN}2"), ("group", f"{OWN}3")]


def test_live_memberships_are_those_somebody_serves_or_reads(bench: Bench) -> None:
    """design section 5: these are renewed in Redis, the others run out."""
    store = bench.store
    store.attach("ws.ME!", Taker())
    for member in ("ws.ME!a", OWN + "read", OWN + "left"):
        store.add("group", member)
    bench.wait(OWN + "read")
    assert sorted(store.memberships(live=True)) == [("group", OWN + "read"), ("group", "ws.ME!a")]
    assert len(store.memberships(live=False)) == 3


def test_a_flush_keeps_who_waits_and_who_is_attached(bench: Bench) -> None:
    """section 2.2: messages and groups go, readers and sockets stay."""
    store, taker = bench.store, Taker()
    store.attach("ws.ME!", taker)
    store.add("group", "ws.ME!a")
    store.put("plain", b"")
    waiter = bench.wait("awaited")
    store.flush()
    assert store.members("group") == {}
    assert bench.take("plain") is None
    store.put("awaited", b"0")
    assert data_of(waiter) == b"0"
    store.add("group", "ws.ME!a")
    store.deliver("group", lazy(a=1))
    assert taker.taken == [(["ws.ME!a"], {"a": 1})]
