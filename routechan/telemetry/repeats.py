"""Log lines that repeat: the first of a kind is written at once, then one per interval with the number of others."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable

#: Seconds between two log lines of one kind.
INTERVAL = 60.0

#: How many kinds are told apart; more of them than this within one interval share the lines of one kind.
KINDS = 1000


class Repeats:
    """Says which log lines of a kind are written. Lifetime: that of what logs. Thread-safe.

    A kind is what has one cause, such as a line of code or an option: never what a client chooses, because there must
    not be more kinds than somebody wants to read.

    Args:
        interval: Seconds between two lines of a kind; ``INTERVAL`` by default.
        clock: The time in seconds.
    """

    def __init__(self, interval: float | None = None, *, clock: Callable[[], float] | None = None) -> None:
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[Hashable, tuple[float, int]] = {}  # kind -> when its last line was written, lines since

    def more(self, kind: Hashable) -> str | None:
        """What to write behind a log line of ``kind``.

        Returns:
            None where the line is not to be written; otherwise the number of those that were not written before it,
            as the end of a sentence, or an empty string.
        """
        now = time.monotonic() if self._clock is None else self._clock()
        interval = INTERVAL if self._interval is None else self._interval
        with self._lock:
            if kind not in self._kinds and len(self._kinds) >= KINDS:
                self._kinds = {known: entry for known, entry in self._kinds.items() if now < entry[0] + interval}
                if len(self._kinds) >= KINDS:
                    kind = None
            written, silent = self._kinds.get(kind, (-math.inf, 0))
            if now < written + interval:
                self._kinds[kind] = written, silent + 1
                return None
            self._kinds[kind] = now, 0
        return f" ({silent} more like this since it was last said)" if silent else ""


class OncePerInterval(logging.Filter):
    """Keeps the warnings and errors in another library's log to one per kind and interval. Lifetime: process.

    A kind is a line of code with the class of its exception. uvicorn, for one, writes a traceback for each message of
    a client that is not UTF-8, and a warning for whatever is no HTTP.

    Args:
        repeats: Which lines are written.
    """

    def __init__(self, repeats: Repeats) -> None:
        super().__init__()
        self._repeats = repeats

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is written, behind which stands how many were not."""
        if record.levelno < logging.WARNING:
            return True
        kind = record.exc_info[0] if record.exc_info else None
        more = self._repeats.more((record.pathname, record.lineno, kind))
        if more:
            record.msg = f"{record.msg}{more}"
        return more is not None
