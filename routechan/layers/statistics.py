"""Counts of messages that were sent, refused, dropped, or expired unread."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict

#: What is counted, for a layer and for each queue (``layers-and-protocol`` 2.8).
COUNTED = ("messages_count", "channel_full_count", "dropped_count", "expired_count")

#: How many queues have counts of their own; beyond that, the oldest counts are forgotten.
COUNTED_QUEUES = 10_000


class Counts:
    """Counts in all and by queue. Lifetime: layer. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._queues: OrderedDict[str, Counter[str]] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether anything was counted since the last ``take``."""
        return bool(self._totals)

    def add(self, queue: str | None, what: str, by: int = 1) -> None:
        """Add ``by`` to the count ``what`` of ``queue``, and to the totals; None counts in the totals only.

        Args:
            queue: the name of a queue, or None.
            what: one of ``COUNTED``.
            by: how many.
        """
        with self._lock:
            self._totals[what] += by
            if queue is None:
                return
            counted = self._queues.get(queue)
            if counted is None:
                counted = self._queues[queue] = Counter()
                if len(self._queues) > COUNTED_QUEUES:
                    self._queues.popitem(last=False)
            counted[what] += by

    def of(self, queue: str | None) -> dict[str, int]:
        """The counts of ``queue``, or the totals of the layer for None."""
        with self._lock:
            counted = self._totals if queue is None else self._queues.get(queue, Counter())
            return {what: counted[what] for what in COUNTED}

    def take(self) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """The totals and those by queue since the last ``take``, which are forgotten here."""
        with self._lock:
            totals, queues = dict(self._totals), {queue: dict(counted) for queue, counted in self._queues.items()}
            self._totals.clear()
            self._queues.clear()
            return totals, queues
