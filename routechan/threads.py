"""Plain functions on threads, in batches.

The event loop puts work into one queue. Normally one thread takes it: it runs what is waiting, then
wakes the loop once for all the results, so that a plain function costs a loop about as much as an
``async def``. Work that has waited longer than ``PATIENCE`` shows that the threads at work are held up, and one more
joins them; a blocked function therefore holds up nobody else, until ``limit`` of them block.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from .observe.failures import about
from .outbox import Outbox

logger = logging.getLogger("routechan")

#: Seconds that work may wait before another thread joins.
PATIENCE = 0.005

#: Seconds after which results are handed over although more work is waiting.
BATCH_TIME = 0.001

#: Seconds without work after which a thread ends; the last one stays as long as its loop.
IDLE_TIME = 30.0

Function = Callable[[Any], Any]
Done = Callable[[Any, Any], None]


class Threads:
    """Threads that work for one event loop. Lifetime: from ``__init__`` on the loop to ``stop``.

    ``limit`` bounds the threads, not the queue: each connection has at most one event in it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self._work: deque[tuple[Context, Function, Any, Done]] = deque()
        self._submitted = 0
        self._watched = 0  # how much had been submitted when the queue was last watched
        self._results: deque[tuple[Done, Any, Any]] = deque()
        self._lock = threading.Lock()
        self._parked: list[_Parking] = []
        self._awake = 0  # threads that will look at the queue again before they park
        self._count = 0
        self._handing_over = False
        self._unfinished = 0
        self._watching = False
        self._stopped = False
        self._dedicated = 0

    def submit(self, function: Function, argument: Any, done: Done) -> None:
        """Run ``function(argument)`` on a thread, then ``done(argument, result)`` on the loop.

        The function sees the caller's context variables. It must not raise: an exception is logged and
        its result is None.
        """
        self._unfinished += 1
        self._submitted += 1
        self._work.append((copy_context(), function, argument, done))
        # Looked at without the lock for speed: a thread counts itself out before it looks at the queue for
        # the last time, so either it sees this work or we see that nobody is awake.
        if self._awake == 0:
            with self._lock:
                if self._awake == 0:
                    self._wake_one()
        if not self._watching:
            self._watching = True
            self._loop.call_later(PATIENCE, self._watch)

    def dedicate(self, function: Callable[[], None], name: str) -> None:
        """Run ``function()`` on a thread of its own, for work that may last as long as a connection.

        Raises ``RuntimeError`` when ``limit`` of these are running.
        """
        with self._lock:
            if self._dedicated >= self.limit:
                raise RuntimeError(
                    f"{self.limit} plain generators are streaming already, each on a thread; raise the limit "
                    "of threads, or write the consumer as an async generator, which needs none"
                )
            self._dedicated += 1
        context = copy_context()

        def run() -> None:
            try:
                context.run(function)
            finally:
                with self._lock:
                    self._dedicated -= 1

        threading.Thread(target=run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Let the threads end when they are idle; work already submitted is still run."""
        with self._lock:
            self._stopped = True
            self._awake += len(self._parked)
            for parking in self._parked:
                parking.leave()
            self._parked.clear()

    def _wake_one(self) -> None:
        """With the lock held: have one more thread look at the queue, if the limit allows."""
        if self._parked:
            self._awake += 1
            self._parked.pop().leave()
        elif self._count < self.limit:
            threading.Thread(target=self._serve, name=f"routechan-{self._count + 1}", daemon=True).start()
            self._awake += 1
            self._count += 1

    def _serve(self) -> None:
        parking = _Parking()
        while True:
            self._run_waiting()
            with self._lock:
                self._awake -= 1
                if self._work:
                    self._awake += 1
                    continue
                if self._stopped:
                    self._count -= 1
                    return
                self._parked.append(parking)
            if not parking.wait(IDLE_TIME):
                with self._lock:
                    if parking in self._parked:
                        self._parked.remove(parking)
                        if self._count > 1 or self._loop.is_closed():
                            self._count -= 1
                            return
                        self._awake += 1
                    else:  # woken just now: take the release that came with it
                        parking.wait(0)

    def _run_waiting(self) -> None:
        began = time.perf_counter()
        work, results = self._work, self._results
        while True:
            try:
                context, function, argument, done = work.popleft()
            except IndexError:
                break
            try:
                result = context.run(function, argument)
            except BaseException:  # the thread serves everyone: it outlives whatever is run on it
                logger.exception("Error on a consumer thread", extra=_about(argument))
                result = None
            results.append((done, argument, result))
            if time.perf_counter() - began > BATCH_TIME:
                self._hand_over()
                began = time.perf_counter()
        self._hand_over()

    def _hand_over(self) -> None:
        """Have the loop take the results there are now.

        It takes so many and no more: what a function sent straight to the loop before its result was there
        stands before this call in the loop's queue, and has to stay before it.
        """
        with self._lock:
            if not self._results or self._handing_over:
                return
            self._handing_over = True
            try:
                self._loop.call_soon_threadsafe(self._finish, len(self._results))
            except RuntimeError:
                logger.warning("The event loop is closed; results of consumers are lost")

    def _finish(self, count: int) -> None:
        """On the loop: tell those whose work is done."""
        results = self._results
        for _ in range(count):
            done, argument, result = results.popleft()
            self._unfinished -= 1
            try:
                done(argument, result)
            except Exception:  # one connection's trouble must not keep the others from their results
                logger.exception("Error after a consumer", extra=_about(argument))
        with self._lock:
            self._handing_over = False
        self._hand_over()

    def _watch(self) -> None:
        """On the loop, while work is unfinished: see that nothing waits behind a blocked function."""
        self._hand_over()
        # What is first in the queue was submitted before the last look: it has waited for PATIENCE.
        if self._work and self._submitted - len(self._work) < self._watched:
            with self._lock:
                self._wake_one()
        self._watched = self._submitted
        if self._unfinished:
            self._loop.call_later(PATIENCE, self._watch)
        else:
            self._watching = False


def _about(argument: Any) -> dict[str, Any]:
    """For the log; what is submitted is a consumer's run, as a rule."""
    return argument.about() if isinstance(argument, Outbox) else about()


class _Parking:
    """Where one thread waits until it is needed."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> bool:
        """True when woken, False after the time."""
        return self._lock.acquire(timeout=seconds)

    def leave(self) -> None:
        self._lock.release()
