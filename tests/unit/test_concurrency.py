"""``LoopQueue``: items go from threads to an event loop in order, and in batches."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from routechan.concurrency import LoopQueue
from tests.waiting import until


@pytest.fixture
async def woken(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One item for each time that a thread has woken the loop of the test."""
    times: list[None] = []
    loop: Any = asyncio.get_running_loop()
    call_soon_threadsafe = loop.call_soon_threadsafe

    def wake(*arguments: Any, **options: Any) -> Any:
        times.append(None)
        return call_soon_threadsafe(*arguments, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", wake)
    return times


def on_a_thread(queue: LoopQueue[int], *numbers: int) -> None:
    """Put them while the loop waits."""
    thread = threading.Thread(target=lambda: [queue.put(number) for number in numbers])
    thread.start()
    thread.join()


async def test_a_burst_wakes_the_loop_once(woken: list[None]) -> None:
    """What is put before the loop gets to it is taken in one turn, in order, on the loop's thread."""
    taken: list[tuple[int, int]] = []
    queue: LoopQueue[int] = LoopQueue(
        asyncio.get_running_loop(), lambda number: taken.append((number, threading.get_ident()))
    )
    for burst in range(3):
        woken.clear()
        taken.clear()
        on_a_thread(queue, *range(100))
        assert (taken, len(woken)) == ([], 1), burst
        await asyncio.sleep(0)
        assert taken == [(number, threading.get_ident()) for number in range(100)]


async def test_the_order_of_each_thread() -> None:
    """Whenever the loop has its turns, nothing is lost, and the items of each thread keep their order."""
    taken: list[tuple[int, int]] = []
    queue: LoopQueue[tuple[int, int]] = LoopQueue(asyncio.get_running_loop(), taken.append)

    def put(thread: int) -> None:
        for number in range(5000):
            queue.put((thread, number))

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    await until(lambda: len(taken) == 20_000)
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [item for item in taken if item[0] == number] == [(number, count) for count in range(5000)]


async def test_an_item_that_cannot_be_taken(caplog: pytest.LogCaptureFixture) -> None:
    """What ``take`` raises is logged, and costs that item only."""
    taken: list[int] = []

    def take(number: int) -> None:
        if number == 1:
            raise LookupError("of the second")
        taken.append(number)

    on_a_thread(LoopQueue(asyncio.get_running_loop(), take), 0, 1, 2)
    await asyncio.sleep(0)
    assert taken == [0, 2]
    [record] = caplog.records
    assert record.exc_info is not None
    assert "of the second" in str(record.exc_info[1])


async def test_a_flood_leaves_the_loop_its_turns() -> None:
    """What is put while others are taken waits for the next turn."""
    taken: list[int] = []
    between: list[int] = []

    def take(number: int) -> None:
        taken.append(number)
        if len(taken) < 100:
            flood.put(number + 25)

    flood = LoopQueue(asyncio.get_running_loop(), take)
    on_a_thread(flood, *range(25))
    while len(taken) < 124:
        await asyncio.sleep(0)
        between.append(len(taken))
    assert taken == list(range(124))
    assert [count for count in between if count] == [25, 50, 75, 100, 124]


async def test_what_is_put_before_another_call_is_taken_before_it() -> None:
    """However many items there are, and whichever thread woke the loop."""
    loop = asyncio.get_running_loop()
    taken: list[object] = []
    queue: LoopQueue[object] = LoopQueue(loop, taken.append)

    def put(thread: int) -> None:
        for number in range(200):
            for part in range(number):
                queue.put((thread, number, part))
            loop.call_soon_threadsafe(taken.append, (thread, number, number))

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(3)]
    for thread in threads:
        thread.start()
    await until(lambda: len(taken) == 3 * sum(range(1, 201)))
    places = {item: place for place, item in enumerate(taken)}
    for thread in range(3):
        for number in range(200):
            parts = [places[thread, number, part] for part in range(number + 1)]
            assert parts == sorted(parts)


def test_a_loop_that_is_closed() -> None:
    """``put`` raises ``RuntimeError``, as the loop itself does; what is refused is not kept."""
    loop = asyncio.new_event_loop()
    taken: list[int] = []
    queue: LoopQueue[int] = LoopQueue(loop, taken.append)
    queue.put(1)
    loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            queue.put(2)
    assert (taken, queue.waiting()) == ([], (1,))


async def test_what_waits(caplog: pytest.LogCaptureFixture) -> None:
    """Any thread may read what waits; the loop may take it back, also while it takes an item."""
    taken: list[int] = []

    def take(number: int) -> None:
        taken.append(number)
        if number == 1:
            assert queue.clear() == [2, 3]

    queue = LoopQueue(asyncio.get_running_loop(), take)
    on_a_thread(queue, 0, 1, 2, 3)
    assert queue.waiting() == (0, 1, 2, 3)
    await asyncio.sleep(0)
    assert (taken, queue.waiting()) == ([0, 1], ())
    on_a_thread(queue, 4)
    assert queue.clear() == [4]
    await asyncio.sleep(0)
    assert taken == [0, 1]
    assert caplog.records == []


async def test_threads_keep_their_context() -> None:
    """``take`` runs in the context of whoever made the queue: what it starts has nothing of the thread's."""
    variable = contextvars.ContextVar("variable", default="of the maker")
    seen: list[str] = []
    queue: LoopQueue[int] = LoopQueue(asyncio.get_running_loop(), lambda _: seen.append(variable.get()))

    def put() -> None:
        variable.set("of the thread")
        queue.put(1)

    await asyncio.to_thread(put)
    await until(lambda: seen)
    assert seen == ["of the maker"]
