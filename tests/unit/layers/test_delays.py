"""Calls that wait for their time: made in order, on a thread that lives while there are any."""

from __future__ import annotations

import threading
import time

import pytest

from routechan.layers.memory import Delays
from tests.waiting import wait_until

SOON = 20.0


def threads(delays: Delays) -> list[threading.Thread]:
    """Those of ``delays``: layers of other tests may still have theirs."""
    return [thread for thread in threading.enumerate() if getattr(thread, "_target", None) == delays._run]


@pytest.fixture
def delays() -> Delays:
    return Delays()


def test_calls_are_made_in_the_order_of_their_times(delays: Delays) -> None:
    """a call that is due sooner passes those put in before it; equal times keep the order they were put in."""
    seen: list[int] = []
    for number, seconds in ((4, 0.2), (0, 0.05), (1, 0.1)):
        delays.call_later(seconds, lambda number=number: seen.append(number))
    for number in (2, 3):
        delays.call_later(0.15, lambda number=number: seen.append(number))
    wait_until(lambda: len(seen) == 5, "all were made")
    assert seen == [0, 1, 2, 3, 4]


def test_a_call_is_not_made_before_its_time(delays: Delays) -> None:
    """and another thread's at that."""
    made: list[tuple[float, str]] = []
    began = time.monotonic()
    delays.call_later(0.1, lambda: made.append((time.monotonic(), threading.current_thread().name)))
    wait_until(lambda: made, "it was made")
    assert made[0][0] - began >= 0.1
    assert made[0][1] == "routechan-delays"


def test_one_thread_serves_all_and_ends_with_the_last(delays: Delays) -> None:
    """a process that delays nothing has no such thread; the next call starts one again."""
    seen: list[int] = []
    for _ in range(2):
        for _ in range(20):
            delays.call_later(0.05, lambda: seen.append(1))
        assert len(threads(delays)) == 1
        wait_until(lambda: not threads(delays), "the thread ended")
    assert len(seen) == 40


def test_a_call_that_fails_costs_nobody_else(delays: Delays, caplog: pytest.LogCaptureFixture) -> None:
    """style, habit 13: logged, and those behind it are made."""
    seen: list[int] = []

    def fail() -> None:
        raise LookupError("its own trouble")

    delays.call_later(0.01, fail)
    delays.call_later(0.02, lambda: seen.append(1))
    wait_until(lambda: seen, "the second was made")
    assert "its own trouble" in caplog.text


def test_a_call_may_put_in_another(delays: Delays) -> None:
    """as a full channel is tried again."""
    seen: list[int] = []

    def again() -> None:
        seen.append(1)
        if len(seen) < 3:
            delays.call_later(0.01, again)

    delays.call_later(0.0, again)
    wait_until(lambda: len(seen) == 3, "it was made three times")


def test_cleared_calls_are_not_made(delays: Delays) -> None:
    """a flush; the thread ends at once, not when they would have been due."""
    seen: list[int] = []
    delays.call_later(600, lambda: seen.append(1))
    assert len(threads(delays)) == 1
    delays.clear()
    wait_until(lambda: not threads(delays), "the thread ended")
    delays.call_later(0.01, lambda: seen.append(2))
    wait_until(lambda: seen, "the next one was made")
    assert seen == [2]


@pytest.mark.parametrize("far", [threading.TIMEOUT_MAX * 2, 1e15, 1e300])
def test_a_call_in_the_far_future_holds_up_no_other(delays: Delays, far: float) -> None:
    """style, habit 8: longer than a thread can wait."""
    seen: list[int] = []
    delays.call_later(far, lambda: seen.append(1))
    delays.call_later(0.01, lambda: seen.append(2))
    wait_until(lambda: seen, "the near one was made")
    delays.clear()
    delays.call_later(0.01, lambda: seen.append(3))
    wait_until(lambda: 3 in seen, "later ones are made")
    assert seen == [2, 3]
