"""Waiting for what comes true soon, on a thread and on an event loop, on a machine that may be busy."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator

#: Seconds after which what should have come true has failed, on an idle machine. Only a failure takes so long.
PATIENCE = 10.0


def stretched(seconds: float) -> float:
    """How long what takes ``seconds`` on an idle machine may take now: longer, the more processes share a processor.

    Limits that promise a time go through this. A process that becomes ready waits for all those before it, and then for
    those that it woke.
    """
    return seconds * (1.0 + _processes_running() / (os.cpu_count() or 1))


def _processes_running() -> float:
    """How many want a processor: now, or on average of the last minute if that is more."""
    average: float = os.getloadavg()[0]
    try:
        with open("/proc/loadavg") as file:
            now = int(file.read().split()[3].partition("/")[0])
    except OSError:  # no Linux
        return average
    return max(average, now)


def wait_until(condition: Callable[[], object], what: str = "it", seconds: float = PATIENCE) -> float:
    """Wait until ``condition()`` holds; the seconds that took. Fails after ``stretched(seconds)``."""
    began = time.monotonic()
    for pause in _pauses(condition, what, seconds):
        time.sleep(pause)
    return time.monotonic() - began


async def until(condition: Callable[[], object], what: str = "it", seconds: float = PATIENCE) -> float:
    """``wait_until`` on an event loop."""
    began = time.monotonic()
    for pause in _pauses(condition, what, seconds):
        await asyncio.sleep(pause)
    return time.monotonic() - began


def _pauses(condition: Callable[[], object], what: str, seconds: float) -> Iterator[float]:
    """How long to sleep before each next look; none once the condition holds."""
    began = time.monotonic()
    while not condition():
        took = time.monotonic() - began
        assert took < seconds or took < stretched(seconds), f"{what}: not so after {took:.2f} s"
        yield min(0.2, 0.001 + took / 20)
