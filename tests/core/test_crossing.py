"""What threads put reaches the event loop: in order, together, and without holding up the loop or one another."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from routechan.crossing import Crossing
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


def on_a_thread(crossing: Crossing[int], *numbers: int) -> None:
    """Put them while the loop waits."""
    thread = threading.Thread(target=lambda: [crossing.put(number) for number in numbers])
    thread.start()
    thread.join()


async def test_a_burst_wakes_the_loop_once(woken: list[None]) -> None:
    """What is put before the loop gets to it is taken in one turn, in order, on the loop's thread."""
    taken: list[tuple[int, int]] = []
    crossing: Crossing[int] = Crossing(
        asyncio.get_running_loop(), lambda number: taken.append((number, threading.get_ident()))
    )
    for burst in range(3):
        woken.clear()
        taken.clear()
        on_a_thread(crossing, *range(100))
        assert (taken, len(woken)) == ([], 1), burst
        await asyncio.sleep(0)
        assert taken == [(number, threading.get_ident()) for number in range(100)]


async def test_the_order_of_each_thread() -> None:
    """However the loop's turns fall among what threads put: nothing is lost, and each thread's items keep order."""
    taken: list[tuple[int, int]] = []
    crossing: Crossing[tuple[int, int]] = Crossing(asyncio.get_running_loop(), taken.append)

    def put(thread: int) -> None:
        for number in range(5000):
            crossing.put((thread, number))

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    await until(lambda: len(taken) == 20_000)
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [item for item in taken if item[0] == number] == [(number, count) for count in range(5000)]


async def test_what_cannot_be_taken_costs_itself(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[int] = []

    def take(number: int) -> None:
        if number == 1:
            raise LookupError("of the second")
        taken.append(number)

    on_a_thread(Crossing(asyncio.get_running_loop(), take), 0, 1, 2)
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

    flood = Crossing(asyncio.get_running_loop(), take)
    on_a_thread(flood, *range(25))
    while len(taken) < 124:
        await asyncio.sleep(0)
        between.append(len(taken))
    assert taken == list(range(124))
    assert [count for count in between if count] == [25, 50, 75, 100, 124]


async def test_what_is_put_before_another_call_is_taken_before_it() -> None:
    """However much that is, and whichever thread woke the loop."""
    loop = asyncio.get_running_loop()
    taken: list[object] = []
    crossing: Crossing[object] = Crossing(loop, taken.append)

    def put(thread: int) -> None:
        for number in range(200):
            for part in range(number):
                crossing.put((thread, number, part))
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
    """``RuntimeError``, as of the loop itself, also where it was woken in vain; what is refused is not kept."""
    loop = asyncio.new_event_loop()
    taken: list[int] = []
    crossing: Crossing[int] = Crossing(loop, taken.append)
    crossing.put(1)
    loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            crossing.put(2)
    assert (taken, crossing.waiting()) == ([], (1,))


async def test_what_waits(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody may look at it; on the loop it can be had back, by what takes an item too."""
    taken: list[int] = []

    def take(number: int) -> None:
        taken.append(number)
        if number == 1:
            assert crossing.clear() == [2, 3]

    crossing = Crossing(asyncio.get_running_loop(), take)
    on_a_thread(crossing, 0, 1, 2, 3)
    assert crossing.waiting() == (0, 1, 2, 3)
    await asyncio.sleep(0)
    assert (taken, crossing.waiting()) == ([0, 1], ())
    on_a_thread(crossing, 4)
    assert crossing.clear() == [4]
    await asyncio.sleep(0)
    assert taken == [0, 1]
    assert caplog.records == []


async def test_threads_keep_their_context() -> None:
    """``take`` runs in the context of who made the crossing: what it starts has nothing of the thread's."""
    variable = contextvars.ContextVar("variable", default="of the maker")
    seen: list[str] = []
    crossing: Crossing[int] = Crossing(asyncio.get_running_loop(), lambda _: seen.append(variable.get()))

    def put() -> None:
        variable.set("of the thread")
        crossing.put(1)

    await asyncio.to_thread(put)
    await until(lambda: seen)
    assert seen == ["of the maker"]
