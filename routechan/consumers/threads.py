"""Threads for plain consumers, which take work in batches.

The event loop puts work into one queue. Normally one thread takes it: it runs all that waits, then wakes the loop once
for all the results, so a plain function costs the loop about as much as an ``async def``. Work that has waited for
``PATIENCE`` shows that the threads are blocked, and one more joins them. So a blocked function delays nobody else,
until ``limit`` of them block. From then on clients take turns: however many busy sockets one has, the next client's
event waits for one event of each thread and of each other client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from ..outbox import Outbox
from ..telemetry.log_fields import log_fields

logger = logging.getLogger("routechan")

#: Seconds that work may wait before another thread joins.
PATIENCE = 0.005

#: Seconds after which a thread hands over its results although more work waits.
BATCH_TIME = 0.001

#: Seconds without work after which a thread ends; the last one stays as long as its loop.
IDLE_TIME = 30.0

#: How many plain generators stream at a time by default. Between two steps a thread costs little but its memory.
STREAM_THREADS = 128

#: How many generators stream to one socket at a time by default.
SOCKET_STREAMS = 10

Function = Callable[[Any], Any]
Done = Callable[[Any, Any], None]

#: A function, its argument, what is told of its end, and the client whose work it is.
_Work = tuple[Function, Any, Done, "str | None"]


class Threads:
    """Threads that work for one event loop. Lifetime: from ``__init__`` on the loop to ``stop``.

    Args:
        limit: how many threads there may be. The queue needs no bound: each connection has at most one event in it.
        stream_limit: how many threads of ``dedicate`` there may be beside them.
    """

    def __init__(self, limit: int, stream_limit: int = STREAM_THREADS) -> None:
        self.limit = limit
        self.stream_limit = stream_limit
        self._loop = asyncio.get_running_loop()
        # What runs on the loop runs in this context, not in that of whoever submitted something first.
        self._context = copy_context()
        self._work: deque[_Work] = deque()
        self._turns: dict[str | None, deque[_Work]] = {}  # client -> its work, where clients take turns; on the loop
        self._depth = sys.maxsize  # how much may be in the queue; the rest takes turns
        self._submitted = 0
        self._checked = 0  # how much had been submitted at the last check of the queue
        self._results: deque[tuple[Done, Any, Any]] = deque()
        self._lock = threading.Lock()
        self._parked: list[_Parking] = []  # threads without work
        self._awake = 0  # threads that will look at the queue again before they park
        self._count = 0
        self._handing_over = False
        self._unfinished = 0
        self._checking = False
        self._waking = False
        self._stopped = False
        self._dedicated = 0

    def submit(self, function: Function, argument: Any, done: Done, client: str | None = None) -> None:
        """Run a function on a thread, then tell the loop.

        Args:
            function: called with ``argument`` on a thread, without the caller's context variables. It must not raise:
                an exception is logged, and its result is None.
            argument: usually the ``Invocation`` of a consumer.
            done: called with ``argument`` and the result, on the loop, without those either.
            client: whose work it is, where clients take turns.
        """
        self._unfinished += 1
        self._submitted += 1
        if len(self._work) >= self._depth or self._turns:
            self._queue_by_client((function, argument, done, client))
            self._admit()
        else:
            self._work.append((function, argument, done, client))
        # Looked at without the lock for speed: a thread counts itself out before it looks at the queue for
        # the last time, so either it sees this work or we see that nobody is awake.
        if self._awake == 0 and not self._waking:
            self._waking = True
            self._loop.call_soon(self._wake, context=self._context)
        if not self._checking:
            self._checking = True
            self._loop.call_later(PATIENCE, self._check, context=self._context)

    def waiting(self) -> list[Any]:
        """The arguments of the work that no thread has begun, on the loop."""
        return [work[1] for works in (tuple(self._work), *self._turns.values()) for work in works]

    def dedicate(self, function: Callable[[], None], name: str) -> None:
        """Run ``function`` on a thread of its own, called ``name``, for work that may last as long as a connection.

        Raises:
            RuntimeError: ``stream_limit`` of these are running.
        """
        with self._lock:
            if self._dedicated >= self.stream_limit:
                raise RuntimeError(
                    f"{self.stream_limit} plain generators are streaming in this process already, each on a thread; "
                    'write the consumer as an async generator, which needs none, or raise ROUTECHAN["STREAM_THREADS"] '
                    "(without Django: the argument stream_threads)"
                )
            self._dedicated += 1

        def run() -> None:
            try:
                function()
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

    def _wake(self) -> None:
        """On the loop: have a thread take what there is, if none will.

        It is woken when the loop has read all sockets that had something, and not at the first of them: uvloop lets go
        of the interpreter's lock between two sockets, and the thread would take it for each message.
        """
        self._waking = False
        if self._work and self._awake == 0:
            with self._lock:
                if self._awake == 0:
                    self._wake_one()

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
                function, argument, done, _ = work.popleft()
            except IndexError:
                break
            try:
                result = function(argument)
            except BaseException:  # the thread serves everyone: it outlives whatever is run on it
                logger.exception("Error on a consumer thread", extra=_log_fields(argument))
                result = None
            results.append((done, argument, result))
            if time.perf_counter() - began > BATCH_TIME:
                self._hand_over()
                began = time.perf_counter()
        self._hand_over()

    def _hand_over(self) -> None:
        """Have the loop take the results there are now, and no more.

        A function may have sent something straight to the loop before its result was there: that stands before this
        call in the loop's queue, and has to stay before it.
        """
        with self._lock:
            if not self._results or self._handing_over:
                return
            self._handing_over = True
            try:
                self._loop.call_soon_threadsafe(self._finish, len(self._results), context=self._context)
            except RuntimeError:
                logger.warning("The event loop is closed; results of consumers are lost")

    def _finish(self, count: int) -> None:
        """On the loop: call ``done`` of the first ``count`` results."""
        results = self._results
        for _ in range(count):
            done, argument, result = results.popleft()
            self._unfinished -= 1
            try:
                done(argument, result)
            except BaseException:  # an error of one connection must not keep the others from their results
                logger.exception("Error after a consumer", extra=_log_fields(argument))
        with self._lock:
            self._handing_over = False
        self._hand_over()
        if self._turns:
            self._admit()

    def _check(self) -> None:
        """On the loop, while work is unfinished: add a thread if work waits behind a blocked function."""
        self._hand_over()
        # The first in the queue was submitted before the last check: it has waited for PATIENCE.
        if self._work and self._submitted - len(self._work) - sum(map(len, self._turns.values())) < self._checked:
            with self._lock:
                all_block = not self._parked and self._count >= self.limit
                self._wake_one()
            if all_block:
                self._take_turns()
        elif not self._turns:
            self._depth = sys.maxsize
        self._admit()
        self._checked = self._submitted
        if self._unfinished:
            self._loop.call_later(PATIENCE, self._check, context=self._context)
        else:
            self._checking = False

    def _take_turns(self) -> None:
        """On the loop: leave as much in the queue as there are threads, and let clients take turns with the rest."""
        self._depth = self.limit
        rest: list[_Work] = []
        while len(self._work) > self._depth:
            with contextlib.suppress(IndexError):  # threads take from the other end
                rest.append(self._work.pop())
        for work in reversed(rest):
            self._queue_by_client(work)

    def _queue_by_client(self, work: _Work) -> None:
        client = work[3]
        queue = self._turns.get(client)
        if queue is None:
            self._turns[client] = deque((work,))
        else:
            queue.append(work)

    def _admit(self) -> None:
        """On the loop: put work into the queue, one of each client in turn."""
        while self._turns and len(self._work) < self._depth:
            client = next(iter(self._turns))
            queue = self._turns.pop(client)
            self._work.append(queue.popleft())
            if queue:
                self._turns[client] = queue  # behind the others
        self._wake()


def _log_fields(argument: Any) -> dict[str, Any]:
    """The fields of log records about ``argument``, which usually is an ``Invocation``."""
    return argument.log_fields() if isinstance(argument, Outbox) else log_fields()


class _Parking:
    """The place where one thread waits for work."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> bool:
        """Whether it was woken within ``seconds``."""
        return self._lock.acquire(timeout=seconds)

    def leave(self) -> None:
        """Wake the thread."""
        self._lock.release()
