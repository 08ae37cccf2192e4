"""Plain functions on threads, in batches."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import pytest

from routechan.consumers import threads as threads_module
from routechan.consumers.threads import Threads
from tests.waiting import until

from ..helpers import DEADLINE

others: WeakSet[threading.Thread] = WeakSet()
variable: ContextVar[str] = ContextVar("variable", default="nothing")


@pytest.fixture
async def pool() -> AsyncIterator[Threads]:
    """Threads, at most four, that are told to end after the test."""
    others.update(alive())
    made = Threads(4)
    yield made
    made.stop()
    await until(lambda: not alive(), "the end of all threads")


def alive() -> list[threading.Thread]:
    """The threads of this test's pool; an application in another test may have left one that is idle."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("routechan-") and thread not in others]


class Results:
    """Keeps what ``done`` was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, Any]] = []

    def done(self, argument: Any, result: Any) -> None:
        self.told.append((argument, result))

    async def reach(self, count: int) -> list[tuple[Any, Any]]:
        await until(lambda: len(self.told) >= count, f"{count} results")
        return self.told


async def test_runs_elsewhere_and_tells_on_the_loop(pool: Threads) -> None:
    """The function runs on another thread, ``done`` on the loop's, with argument and result."""
    told = asyncio.get_running_loop().create_future()

    def function(argument: int) -> tuple[int, int]:
        return argument + 1, threading.get_ident()

    pool.submit(function, 1, lambda *args: told.set_result((*args, threading.get_ident())))
    argument, (result, ran_in), told_in = await asyncio.wait_for(told, DEADLINE)
    assert (argument, result) == (1, 2)
    assert ran_in != told_in == threading.get_ident()


async def test_batches(monkeypatch: pytest.MonkeyPatch, pool: Threads) -> None:
    """What waits is run by one thread in order, and the loop is woken once for all the results."""
    monkeypatch.setattr(threads_module, "PATIENCE", 10 * DEADLINE)
    monkeypatch.setattr(threads_module, "BATCH_TIME", DEADLINE)
    loop = asyncio.get_running_loop()
    wakings: list[Any] = []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args, **kw: (wakings.append(args), wake(*args, **kw))[1])
    results, go, told_early = Results(), threading.Event(), threading.Event()
    pool.submit(lambda argument: go.wait(DEADLINE), 0, lambda *args: (results.done(*args), told_early.set()))
    for number in range(1, 500):
        pool.submit(lambda argument: (argument, threading.get_ident()), number, results.done)
    # Time enough for the loop to hear of a result before the batch has ended.
    pool.submit(lambda argument: told_early.wait(0.05), 500, results.done)
    go.set()
    told = await results.reach(501)
    assert [argument for argument, _ in told] == list(range(501))
    assert len({result[1] for _, result in told[1:500]}) == 1
    assert told[500] == (500, False)
    assert len(wakings) == 1


async def test_a_thread_is_woken_when_the_turn_of_the_loop_is_over(pool: Threads) -> None:
    """What the sockets of one turn bring is one batch, although the interpreter's lock is let go between them."""
    results = Results()
    began: list[int] = []

    def submit() -> None:
        for number in range(3):
            pool.submit(began.append, number, results.done)
            time.sleep(0.02)  # as a read of the next socket does
            assert began == []

    asyncio.get_running_loop().call_soon(submit)
    await results.reach(3)
    assert began == [0, 1, 2]


async def test_long_batches_are_handed_over_in_between(monkeypatch: pytest.MonkeyPatch, pool: Threads) -> None:
    """Results are told after ``BATCH_TIME`` although more work is waiting."""
    monkeypatch.setattr(threads_module, "PATIENCE", 10 * DEADLINE)
    monkeypatch.setattr(threads_module, "BATCH_TIME", 0)
    results, told_first = Results(), threading.Event()

    def tell(argument: int, result: Any) -> None:
        results.done(argument, result)
        told_first.set()

    go = threading.Event()
    pool.submit(lambda argument: argument if go.wait(DEADLINE) else None, 1, tell)
    pool.submit(lambda argument: told_first.wait(DEADLINE), 2, results.done)  # the same thread, the same batch
    go.set()
    assert await results.reach(2) == [(1, 1), (2, True)]


async def test_a_blocked_function_holds_up_nobody(pool: Threads) -> None:
    """Others get their results while it blocks, again and again."""
    results, release = Results(), threading.Event()
    pool.submit(lambda argument: release.wait(DEADLINE), "blocked", results.done)
    for number in range(100):
        pool.submit(lambda argument: argument, number, results.done)
    assert [argument for argument, _ in await results.reach(100)] == list(range(100))
    for number in range(100, 110):
        pool.submit(lambda argument: argument, number, results.done)
        await results.reach(number + 1)
    assert "blocked" not in [argument for argument, _ in results.told]
    release.set()
    assert (await results.reach(111))[-1] == ("blocked", True)


async def test_at_most_limit_threads(pool: Threads) -> None:
    """As many functions may block at once as the limit says; further ones wait, and are run later."""
    results, release = Results(), threading.Event()
    running: list[int] = []

    def block(argument: int) -> None:
        running.append(argument)
        release.wait(DEADLINE)

    for number in range(10):
        pool.submit(block, number, results.done)
    await until(lambda: len(running) == 4, "four blocked functions")
    for _ in range(20):  # rounds in which a fifth thread could join
        await asyncio.sleep(threads_module.PATIENCE)
    assert len(running) == 4
    assert len(alive()) == 4
    release.set()
    await results.reach(10)
    assert sorted(running) == list(range(10))


async def test_a_queue_that_keeps_moving_gets_more_threads(pool: Threads) -> None:
    """Short blocking functions run side by side, although the queue's head is never the same for long."""
    results, threads = Results(), set()

    def block(argument: int) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.004)  # a query

    for number in range(100):
        pool.submit(block, number, results.done)
    await results.reach(100)
    assert len(threads) > 2


@pytest.mark.parametrize("blocked", [False, True], ids=["at once", "behind a blocked function"])
async def test_results_come_in_no_callers_context(pool: Threads, blocked: bool) -> None:
    """Neither a function nor its ``done`` sees the context variables of whoever submitted it, or anything before it."""
    seen: list[str] = []
    release = threading.Event()

    async def submit(name: str, function: Any) -> None:
        variable.set(name)
        pool.submit(function, name, lambda argument, result: seen.append(f"{result} {variable.get()}"))

    if blocked:
        await asyncio.create_task(submit("first", lambda argument: release.wait(DEADLINE) and "held"))
        await asyncio.sleep(0)
    await asyncio.create_task(submit("second", lambda argument: variable.get()))
    await until(lambda: "nothing nothing" in seen)
    release.set()
    await until(lambda: len(seen) == 1 + blocked)
    assert sorted(seen) == ["held nothing", "nothing nothing"][not blocked :]


@pytest.mark.parametrize("error", [RuntimeError("oh"), SystemExit("oh")], ids=lambda error: type(error).__name__)
async def test_what_a_function_raises_is_logged(
    pool: Threads, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """Its result is None, and its thread serves the next one."""
    results = Results()

    def function(argument: int) -> int:
        if argument == 1:
            raise error
        return argument

    for number in (1, 2):
        pool.submit(function, number, results.done)
    assert sorted(await results.reach(2)) == [(1, None), (2, 2)]
    assert [record.getMessage() for record in caplog.records] == ["Error on a consumer thread"]


async def test_what_done_raises_keeps_nobody_from_their_results(
    pool: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the others are told."""
    results = Results()

    def broken(argument: int, result: int) -> None:
        raise RuntimeError("broken done")

    pool.submit(lambda argument: argument, 1, broken)
    pool.submit(lambda argument: argument, 2, results.done)
    assert await results.reach(1) == [(2, 2)]
    assert "Error after a consumer" in caplog.text
    assert "broken done" in caplog.text


async def test_idle_threads_end_but_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a rush one thread stays, and it still works."""
    monkeypatch.setattr(threads_module, "IDLE_TIME", 0.02)
    pool, results, release = Threads(4), Results(), threading.Event()
    for number in range(4):
        pool.submit(lambda argument: release.wait(DEADLINE), number, results.done)
    await until(lambda: len(alive()) == 4, "four threads")
    release.set()
    await results.reach(4)
    await until(lambda: len(alive()) == 1, "one thread left")
    pool.submit(lambda argument: argument, 5, results.done)
    assert (await results.reach(5))[-1] == (5, 5)
    pool.stop()
    await until(lambda: not alive(), "the end of all threads")


async def test_stop_runs_what_was_submitted() -> None:
    """The threads end when nothing is left to do, also those that were idle."""
    pool, results, release = Threads(2), Results(), threading.Event()
    pool.submit(lambda argument: release.wait(DEADLINE), 0, results.done)
    for number in range(1, 20):
        pool.submit(lambda argument: argument, number, results.done)
    pool.stop()
    release.set()
    await results.reach(20)
    await until(lambda: not alive(), "the end of all threads")


async def test_dedicate_runs_on_a_thread_of_its_own(pool: Threads) -> None:
    """Named as asked, beside the pool's threads."""
    seen: list[Any] = []
    pool.dedicate(lambda: seen.append(threading.current_thread().name), "routechan-stream x")
    await until(lambda: seen)
    assert seen == ["routechan-stream x"]


async def test_dedicate_has_a_limit(pool: Threads) -> None:
    """Beyond it the text says what to raise or to write; a thread that ended makes room, whatever it raised."""
    release = threading.Event()
    pool.stream_limit = 4
    for _ in range(4):
        pool.dedicate(lambda: release.wait(DEADLINE) and None, "routechan-stream")
    with pytest.raises(
        RuntimeError,
        match=r"4 plain generators are streaming in this process already, each on a thread; write .* async generator.*"
        r'raise ROUTECHAN\["STREAM_THREADS"\]',
    ):
        pool.dedicate(lambda: None, "routechan-stream")
    results = Results()
    pool.submit(lambda argument: argument, 1, results.done)  # the limits are separate
    await results.reach(1)
    release.set()
    await until(lambda: not [thread for thread in alive() if thread.name == "routechan-stream"])
    ran = threading.Event()
    pool.dedicate(ran.set, "routechan-stream")
    await until(ran.is_set)


async def test_many_functions_from_many_rounds(pool: Threads) -> None:
    """Nothing is lost or told twice when work comes while results are handed over."""
    results = Results()
    for number in range(3000):
        pool.submit(lambda argument: -argument, number, results.done)
        if number % 7 == 0:
            await asyncio.sleep(0)
    told = await results.reach(3000)
    assert sorted(told) == [(number, -number) for number in range(3000)]


async def test_work_after_stop_is_still_run(pool: Threads) -> None:
    """``stop`` ends idle threads; an event that comes late is run all the same."""
    results = Results()
    pool.submit(lambda argument: argument, 1, results.done)
    await results.reach(1)
    pool.stop()
    pool.submit(lambda argument: argument, 2, results.done)
    assert await results.reach(2) == [(1, 1), (2, 2)]
