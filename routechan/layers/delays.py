"""Calls that are made later, in this process."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("routechan")


class Delays:
    """Calls that are made later, on one thread, which lives while there are any. Lifetime: layer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._running = False

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call ``call`` after ``seconds``, on the thread of the delays; what it raises is logged."""
        with self._changed:
            heapq.heappush(self._calls, (time.monotonic() + seconds, next(self._numbers), call))
            self._changed.notify()
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="routechan-delays", daemon=True).start()

    def clear(self) -> None:
        """Forget all calls that are still to be made."""
        with self._changed:
            self._calls.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:  # an error in one call must not stop the next ones
                logger.exception("What was to be done later failed")

    def _next(self) -> Callable[[], object] | None:
        with self._changed:
            while self._calls:
                due, _, call = self._calls[0]
                left = due - time.monotonic()
                if left <= 0:
                    heapq.heappop(self._calls)
                    return call
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            self._running = False
            return None
