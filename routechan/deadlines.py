"""Deadlines of the same length, of which there are as many as connections, on one timer of the event loop.

A timer of asyncio takes 600 bytes. Deadlines of one length are due in the order in which they are set, so a queue has
them all, and only the first of it needs a timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from weakref import WeakKeyDictionary

#: Seconds that a deadline may be early: uvloop counts milliseconds, and would wake for one again and again.
TOLERANCE = 0.001

#: event loop -> seconds -> the deadlines so many seconds after they were set
_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float, _Queue]] = WeakKeyDictionary()


class Deadline:
    """Something to be done at a time, unless it is cancelled. Lifetime: until then.

    Args:
        when: The time, on the clock of the event loop.
        call: Called then.
    """

    __slots__ = ("_call", "when")

    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self.when = when
        self._call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Do nothing at that time; what was to be called is let go of now."""
        self._call = None

    @property
    def cancelled(self) -> bool:
        """Whether nothing will be done, or it is done."""
        return self._call is None

    def reached(self) -> None:
        """Do it."""
        call, self._call = self._call, None
        if call is not None:
            call()


def call_after(loop: asyncio.AbstractEventLoop, seconds: float, call: Callable[[], object]) -> Deadline:
    """Set a deadline, for code that sets many of the same length.

    Args:
        loop: The event loop, on which this is called.
        seconds: How long from now.
        call: Called then, on the loop.

    Returns:
        The deadline, to be cancelled. It takes a hundred bytes until its time, also when it is cancelled.
    """
    queues = _queues.get(loop)
    if queues is None:
        queues = _queues[loop] = {}
    queue = queues.get(seconds)
    if queue is None:
        queue = queues[seconds] = _Queue()
    return queue.add(loop, loop.time() + seconds, call)


class _Queue:
    """The deadlines of one length on one event loop. Lifetime: that of the loop, which it does not hold."""

    def __init__(self) -> None:
        self._waiting: deque[Deadline] = deque()
        self._context = Context()  # not that of a connection, which it would hold

    def add(self, loop: asyncio.AbstractEventLoop, when: float, call: Callable[[], object]) -> Deadline:
        deadline = Deadline(when, call)
        self._waiting.append(deadline)
        if len(self._waiting) == 1:
            loop.call_at(when, self._look, context=self._context)
        return deadline

    def _look(self) -> None:
        """Do what is due, and look again when the next is."""
        loop, waiting = asyncio.get_running_loop(), self._waiting
        due = loop.time() + TOLERANCE
        while waiting and (waiting[0].when <= due or waiting[0].cancelled):
            deadline = waiting.popleft()
            if not deadline.cancelled:
                loop.call_soon(deadline.reached)  # one that raises is reported by the loop, and ends no other
        if waiting:
            loop.call_at(waiting[0].when, self._look, context=self._context)
