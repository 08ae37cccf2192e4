"""The driver: what leaves together and in which order, and who is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from routechan.exceptions import ChannelFull, ChannelLayerUnavailable
from routechan.layers.redis import driver
from routechan.layers.redis.commands.script import Script
from routechan.layers.redis.transport import Transport
from tests.waiting import wait_until

from .driving import LOST, Bench, Op, Send
from .fakes import SOON, FakeNode, Gate, numbers


@pytest.fixture
def bench(driving: Bench) -> Bench:
    """A driver to one server."""
    return driving


# Together, and in order


def test_a_call_returns_what_the_operation_returns(bench: Bench) -> None:
    """R1: one write, one connection."""
    assert bench.call(7, size=2) == [1, 1]
    assert bench.node.writes == [[("STEP0", 7)] * 2]
    assert bench.node.connects == bench.reconnections.count == 1


def test_an_operations_own_error_is_the_callers(bench: Bench) -> None:
    """such as ``ChannelFull``: the connection is none the worse."""

    class Full(Op):
        def script(self) -> Script[Any]:
            yield from super().script()
            raise ChannelFull("a", 1)

    with pytest.raises(ChannelFull):
        bench.driver.call(Full(0))
    assert bench.call(1) == [1]
    assert bench.node.connects == 1


async def test_a_thousand_posts_are_a_few_writes(bench: Bench) -> None:
    """R10, section 8.1, 12: what gathers leaves together, in order, over one connection."""
    futures = [bench.post(number) for number in range(1000)]
    await asyncio.wait_for(asyncio.gather(*futures), SOON)
    assert numbers(bench.node.commands) == list(range(1000))
    assert len(bench.node.writes) <= 20
    assert bench.node.connects == 1


def test_entries_leave_in_the_order_they_came(bench: Bench, held: Gate) -> None:
    """the contract of ``post``: from whichever thread and through whichever method."""
    done: list[Any] = []
    for number in range(4):
        bench.start(number, lambda result, error, number=number: done.append(number))
    thread = threading.Thread(target=bench.call, args=(4,))
    thread.start()
    wait_until(lambda: len(bench.driver._waiting) == 5, "all five wait")
    held.open()
    thread.join(SOON)
    wait_until(lambda: len(done) == 4, "the callbacks were called")
    assert numbers(bench.node.commands) == ["first", 0, 1, 2, 3, 4]
    assert len(bench.node.writes) == 2
    assert done == [0, 1, 2, 3]


async def test_sends_to_a_queue_leave_in_one_command(bench: Bench, held: Gate) -> None:
    """R1: those that lie next to each other, so that no message passes another; each learns what became of it."""
    first = [Send("a", b"1"), Send("a", b"full"), Send("a", b"2"), Send("b", b"3"), Send("a", b"4"), Op(0)]
    posts = [bench.driver.post(operation) for operation in [*first, Send("a", b"5"), Send("a", b"6")]]
    held.open()
    outcomes = await asyncio.wait_for(asyncio.gather(*posts, return_exceptions=True), SOON)
    assert bench.node.commands[1:] == [
        ("RPUSH", "a", b"1", b"full", b"2"),
        ("RPUSH", "b", b"3"),
        ("RPUSH", "a", b"4"),
        ("STEP0", 0),
        ("RPUSH", "a", b"5", b"6"),
    ]
    assert len(bench.node.writes) == 2
    assert isinstance(outcomes.pop(1), ChannelFull)
    assert outcomes == [None, None, None, None, [1], None, None]


def test_steps_of_several_operations_leave_together(bench: Bench, held: Gate) -> None:
    """R1: three operations of two steps are two round trips."""
    for number in range(3):
        bench.start(number, steps=2)
    held.open()
    wait_until(lambda: len(bench.node.writes) == 3, "both steps were written")
    assert bench.node.writes[1:] == [[("STEP0", n) for n in range(3)], [("STEP1", n) for n in range(3)]]


def test_no_more_than_so_many_leave_together(bench: Bench, held: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """style, habit 8: a crowd does not become one write without end."""
    monkeypatch.setattr(driver, "TOGETHER", 10)
    for number in range(25):
        bench.start(number)
    held.open()
    wait_until(lambda: len(bench.node.commands) == 26, "all were written")
    assert [len(write) for write in bench.node.writes] == [1, 10, 10, 5]


def test_what_reads_first_is_read_ahead(bench: Bench, held: Gate) -> None:
    """R9: a group's members are read in the round trip before, so that its messages keep their place among sends."""
    bench.start("send")
    thread = threading.Thread(target=lambda: bench.call("group", steps=2, reads_first=True))
    thread.start()
    wait_until(lambda: len(bench.driver._waiting) == 2, "both wait")
    bench.start("after")
    held.open()
    thread.join(SOON)
    wait_until(lambda: len(bench.node.commands) == 5, "all were written")
    assert bench.node.writes[1:] == [
        [("STEP0", "group")],
        [("STEP0", "send"), ("STEP1", "group"), ("STEP0", "after")],
    ]


def test_nothing_is_read_ahead_of_a_change_of_members(bench: Bench, held: Gate) -> None:
    """section 2.2: who was added before the group send is reached by it."""
    bench.start("join", changes_membership=True)
    thread = threading.Thread(target=lambda: bench.call("group", steps=2, reads_first=True))
    thread.start()
    wait_until(lambda: len(bench.driver._waiting) == 2, "both wait")
    held.open()
    thread.join(SOON)
    assert bench.node.writes[1:] == [[("STEP0", "join")], [("STEP0", "group")], [("STEP1", "group")]]


def test_each_server_is_written_to_once(bench: Bench, held: Gate) -> None:
    """R6, R9: servers work side by side; replies find their operations."""
    other = FakeNode("other")
    other.answer = lambda command: 2
    bench.topology.tags["far"] = other
    results: list[Any] = []
    for number, tag in enumerate(("h", "far", "h", "far")):
        bench.start(number, lambda result, error: results.append(result), tag=tag)
    held.open()
    wait_until(lambda: len(results) == 4, "all are done")
    assert numbers(bench.node.writes[1]) == [0, 2]
    assert numbers(other.writes[0]) == [1, 3]
    assert results == [[1], [2], [1], [2]]


def test_what_callbacks_ask_for_is_done_once_after_them(bench: Bench, held: Gate) -> None:
    """those who got a message are woken all at once; one that fails costs nobody else."""
    done: list[Any] = []

    def afterwards() -> None:
        done.append("afterwards")

    def fail() -> None:
        raise LookupError("not our trouble")

    def callback(result: Any, error: BaseException | None) -> Callable[[], object]:
        done.append("callback")
        return afterwards

    bench.start(0, lambda result, error: fail)
    for number in range(1, 4):
        bench.start(number, callback)
    held.open()
    wait_until(lambda: len(done) == 4, "all were called")
    assert done == ["callback"] * 3 + ["afterwards"]
    assert bench.call(4) == [1]


def test_what_leaves_along_costs_no_round_trip_and_no_thread(bench: Bench) -> None:
    """R1: counts leave with the next operation; plain calls start no thread."""
    bench.driver.start_along(Op("counts"))
    assert bench.node.commands == []
    assert bench.call(1) == [1]
    assert numbers(bench.node.writes[0]) == [1, "counts"]
    assert bench.driver._thread is None


def test_the_clock_learns_the_time_of_each_server(bench: Bench) -> None:
    """R3: before the first stamp."""
    bench.node.time = 5_000.0
    bench.call(1)
    assert abs(bench.clock.now() - 5_000) < SOON


def test_each_server_is_asked_for_what_its_version_allows(bench: Bench) -> None:
    """R6: shards may be of several versions, while they are upgraded."""
    older = FakeNode("older")
    older.newer = False
    away = FakeNode("away")
    away.refused = LOST
    bench.topology.tags.update(old=older, away=away)
    transport = Transport(bench.topology, bench.clock, bench.reconnections)
    with transport.lock:
        assert [transport.is_newer(tag) for tag in ("h", "old", "h", "away")] == [True, False, True, False]


# Callbacks, loops, threads


def test_a_callback_that_fails_costs_nobody_else(bench: Bench, held: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """style, habit 13: it is logged, and the others' operations go on."""
    seen: list[Any] = []

    def fail(result: Any, error: BaseException | None) -> None:
        raise LookupError("a callback's own")

    bench.start(0, fail)
    bench.start(1, lambda result, error: seen.append(result))
    held.open()
    wait_until(lambda: seen, "the second was called")
    assert bench.call(2) == [1]
    assert "Handling a reply of Redis failed" in caplog.text


def test_a_closed_loop_takes_nothing_with_it(bench: Bench, held: Gate) -> None:
    """R10: a loop that ended with its posts on the way; other loops and threads go on."""

    async def post() -> None:
        bench.post("gone")

    asyncio.run(post())
    held.open()
    assert bench.call("stays") == [1]
    wait_until(lambda: numbers(bench.node.commands) == ["first", "gone", "stays"], "all were written")
    assert bench.call("next") == [1]
    assert bench.node.connects == 1


async def test_a_cancelled_post_takes_effect_all_the_same(bench: Bench, held: Gate) -> None:
    """R7: it is on its way; its outcome has nobody to go to, which is no trouble."""
    future = bench.post("cancelled")
    future.cancel()
    held.open()
    assert await asyncio.wait_for(bench.post("next"), SOON) == [1]
    assert numbers(bench.node.commands) == ["first", "cancelled", "next"]


def test_many_threads_share_one_connection(bench: Bench) -> None:
    """R10: no connection per call, nor per thread."""
    results: list[Any] = []
    bench.node.answer = lambda command: command[-1]
    threads = [
        threading.Thread(target=lambda first=first: results.extend(bench.call(first + n)[0] for n in range(25)))
        for first in range(0, 200, 25)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert sorted(results) == list(range(200))
    assert bench.node.connects == 1


# The end


def test_what_is_put_in_leaves_before_the_end(bench: Bench) -> None:
    """``drain``: within the time it is given."""
    for number in range(5):
        bench.driver._put(driver.PendingOperation(Op(number)))
    bench.driver.drain(SOON)
    assert numbers(bench.node.commands) == list(range(5))


def test_after_the_end_nothing_is_taken(bench: Bench) -> None:
    """``close``: connections are closed, and whoever comes is told."""
    bench.call(1)
    bench.driver.close()
    assert bench.node.connections[0].closed
    with pytest.raises(ChannelLayerUnavailable, match="was closed"):
        bench.call(2)


def test_the_thread_ends_with_it(bench: Bench) -> None:
    """``close``: also one that has nothing to do."""
    bench.start(1)
    wait_until(lambda: bench.node.commands, "it was written")
    thread = bench.driver._thread
    assert thread is not None
    bench.driver.close()
    thread.join(SOON)
    assert not thread.is_alive()
