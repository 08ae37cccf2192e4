"""Operations that count: statistics of queues, and permits of limits that hold over all processes."""

from __future__ import annotations

from typing import Any

from ...statistics import COUNTED
from ..schema import STATISTICS, hash_tag_of
from ..wire import expires_of
from .script import CHUNK, HEADS, Call, Context, Script, Step, operation

_STATISTICS_TTL = 86_400_000
_QUEUE_STATISTICS_TTL = 3_600_000


class Counting:
    """Makes the operations that count. Lifetime: layer, in one process.

    Args:
        context: what all operations share.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._keys = context.keys
        self._counts = context.counts

    @operation()
    def add_statistics(self) -> Script[None]:
        """The operation that adds the counts of this process to those in Redis."""
        return self._add_statistics()

    def _add_statistics(self) -> Script[None]:
        totals, queues = self._counts.take()
        calls = self._increments(self._keys.statistics(), totals, _STATISTICS_TTL)
        for queue, counted in queues.items():
            calls += self._increments(self._keys.statistics(queue), counted, _QUEUE_STATISTICS_TTL)
            if len(calls) >= 5 * CHUNK:
                yield Step(calls, False)
                calls = []
        if calls:
            yield Step(calls, False)

    def _increments(self, key: str, counted: dict[str, int], ttl: int) -> list[Call]:
        calls: list[Call] = [(STATISTICS, ("HINCRBY", key, what, by)) for what, by in counted.items() if by]
        if calls:
            calls.append((STATISTICS, ("PEXPIRE", key, ttl)))
        return calls

    @operation()
    def permits(self, key: str, wanted: int, most: int, lasts: float) -> Script[int]:
        """The operation of ``Permitting.permits`` for ``key``, ``wanted``, ``most`` and ``lasts``."""
        tag, counted = hash_tag_of(key), self._keys.permits(key)
        calls: list[Call] = [
            (tag, ("HINCRBY", counted, "taken", wanted)),
            (tag, ("PEXPIRE", counted, int(lasts * 1000) + 1000)),
        ]
        taken, _ = yield Step(calls, repeatable=True)  # at worst fewer are granted
        return max(0, min(wanted, most - int(taken) + wanted))

    @operation()
    def length(self, queue: str) -> Script[int]:
        """The operation that tells how many messages wait in ``queue``, without looking at any."""
        (length,) = yield Step([(hash_tag_of(queue), ("LLEN", self._keys.queue(queue)))], True)
        return int(length)

    @operation()
    def statistics(self, queue: str | None) -> Script[dict[str, Any]]:
        """The counts of ``queue``, with what waits in it in Redis; for None those of the layer."""
        yield from self._add_statistics()
        (found,) = yield Step([(STATISTICS, ("HGETALL", self._keys.statistics(queue)))], True)
        stored = dict(zip(found[::2], found[1::2], strict=True))
        counts: dict[str, Any] = {what: int(stored.get(what.encode(), 0)) for what in COUNTED}
        if queue is not None:
            counts["messages_pending"], counts["messages_max_age"] = yield from self._pending(queue)
        return counts

    def _pending(self, queue: str) -> Script[tuple[int, float]]:
        """How many messages wait, and how many seconds the oldest has waited, without those that expired."""
        key, tag = self._keys.queue(queue), hash_tag_of(queue)
        expired = 0
        while True:
            length, heads = yield Step(
                [(tag, ("LLEN", key)), (tag, ("LRANGE", key, expired, expired + HEADS - 1))], repeatable=True
            )
            now = self._context.now()
            stamps = [expires_of(head) for head in heads]
            live = [stamp for stamp in stamps if stamp >= now]
            expired += len(stamps) - len(live)
            if live or not heads:
                return max(length - expired, 0), max(now - live[0] + self._context.expiry, 0.0) if live else 0.0
