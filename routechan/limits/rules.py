"""The rules of limits: rates and runs of failures, with no clock, lock or I/O of their own.

Each resource has one owner, which asks the rule and acts: a socket for what waits for its client and for its failures,
the connection's task for frames, the server for handshakes, the runtime for streams, the store for groups. The owner
passes the time in, counts what it refused in ``counters.limited`` and writes one log line per interval. Settings are
fields of ``ServerOptions``; None switches a limit off. ``docs/limits.rst`` lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, NamedTuple

#: Seconds of the units that a rate may have.
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

#: Runs of failures that are remembered of one socket, newest first: a stream that began before them may yet fail.
MOST_RUNS = 20

#: Keys, such as addresses, whose events are counted at a time.
MOST_KEYS = 100_000


class Rate(NamedTuple):
    """``events`` in ``seconds``, in a burst or spread over them."""

    events: int
    seconds: float

    @classmethod
    def parse(cls, text: object) -> Rate:
        """Read a rate.

        Args:
            text: Such as ``"5/s"``, ``"100/10s"`` or ``"600/m"``; the units are s, m and h.

        Returns:
            The rate.

        Raises:
            ValueError: It is no such text.
        """
        found = re.fullmatch(r"(\d+)/(\d*)([smh])", text) if isinstance(text, str) else None
        if found is None or int(found[1]) < 1 or (found[2] and int(found[2]) < 1):
            raise ValueError(f"a rate is a text such as '5/s', '100/10s' or '600/m', not {text!r:.100}")
        return cls(int(found[1]), int(found[2] or 1) * UNITS[found[3]])


class TokenBucket:
    """Allows ``rate.events`` events at once, and as many again spread over ``rate.seconds``. Lifetime: its owner's.

    Args:
        rate: The rate.
        now: The time in seconds.
    """

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate.events)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token, if there is one.

        Args:
            now: The time in seconds.

        Returns:
            0.0 if there was one; otherwise the seconds until there is.
        """
        count, seconds = self._rate
        tokens = min(float(count), self._tokens + (now - self._at) * count / seconds)
        self._at = now
        if tokens >= 1.0:
            self._tokens = tokens - 1.0
            return 0.0
        self._tokens = tokens
        return (1.0 - tokens) * seconds / count

    def is_full(self, now: float) -> bool:
        """Whether a new bucket would allow as much at the time ``now``."""
        count, seconds = self._rate
        return self._tokens + (now - self._at) * count / seconds >= count


class Buckets:
    """Token buckets of many keys, such as addresses. Lifetime: its owner's.

    Keys that are silent are forgotten, so that nobody fills the memory with new ones.

    Args:
        rate: The rate of each key.
        most: How many keys there may be; beyond that, an eighth of them is forgotten, silent longest.
    """

    def __init__(self, rate: Rate, most: int = MOST_KEYS) -> None:
        self.rate = rate
        self._most = most
        self._buckets: dict[Hashable, TokenBucket] = {}  # silent longest first

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, now: float) -> bool:
        """Whether ``key`` is within its rate at the time ``now``, if this event counts."""
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            bucket = TokenBucket(self.rate, now)
            if len(self._buckets) >= self._most:
                self._forget(now)
        self._buckets[key] = bucket
        return not bucket.take(now)

    def _forget(self, now: float) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)}
        _forget_first(self._buckets, self._most)


class Permits:
    """One process' part of what many keys are permitted in all processes together. Lifetime: its owner's.

    Time is cut into periods of ``rate.seconds``. In each, all processes have ``rate.events`` permits for a key, which
    some count keeps that they share. A process asks for a tenth of them at a time, so it asks eleven times at most,
    however often the key comes: once there are none, it need not ask again before the period ends.

    Args:
        rate: The rate of each key.
        most: How many keys there may be; beyond that, an eighth of them, the oldest, is forgotten, and asked for again.
    """

    def __init__(self, rate: Rate, most: int = MOST_KEYS) -> None:
        self.rate = rate
        #: How many permits to ask for.
        self.wanted = max(1, rate.events // 10)
        self._most = most
        self._left: dict[Hashable, tuple[int, int | None]] = {}  # key -> period, permits; None where there are no more

    def __len__(self) -> int:
        return len(self._left)

    def period(self, now: float) -> int:
        """The number of the period at the time ``now``, on a clock that the processes agree on."""
        return int(now // self.rate.seconds)

    def take(self, key: Hashable, period: int) -> bool | None:
        """Take a permit for ``key`` in the period of the number ``period``.

        Returns:
            Whether there was one; None where more have to be asked for.
        """
        known, left = self._left.get(key, (period, 0))
        if known != period:
            left = 0
        if not left:
            return None if left == 0 else False
        self._left[key] = period, left - 1
        return True

    def add(self, key: Hashable, period: int, granted: int) -> bool:
        """Keep the permits that were ``granted`` for ``key`` in ``period``, but for one, which is taken now.

        Returns:
            Whether there was one; if not, the period has no more.
        """
        if key not in self._left and len(self._left) >= self._most:
            self._left = {each: entry for each, entry in self._left.items() if entry[0] == period}
            _forget_first(self._left, self._most)
        known, left = self._left.get(key, (period, 0))
        kept = (left or 0) if known == period else 0  # another thread may have asked too
        self._left[key] = period, (kept + granted - 1 if granted else None)
        return granted > 0


def _forget_first(entries: dict[Hashable, Any], most: int) -> None:
    """Make room among ``entries``, of which there may be ``most``; for many, because it costs a look at all of them."""
    for key in list(entries)[: max(0, len(entries) - most + most // 8 + 1)]:
        del entries[key]


class InARow:
    """Counts failures of numbered events that follow each other. Lifetime: that of what the events belong to.

    It is told of failures alone, in whichever order: streams of one socket end side by side. An event that it is not
    told of has succeeded, or goes on, and parts those before it from those behind it. So success costs nothing.
    """

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: dict[int, int] = {}  # the first event of a run of failures -> its last

    def add(self, number: int) -> int:
        """Count the failure of event ``number``.

        Returns:
            How many have failed in a row, with this one among them.
        """
        first = last = number
        for begin, end in tuple(self._runs.items()):
            if begin - 1 <= number <= end + 1:
                del self._runs[begin]
                first, last = min(first, begin), max(last, end)
        self._runs[first] = last
        if len(self._runs) > MOST_RUNS:
            del self._runs[min(self._runs)]
        return last - first + 1
