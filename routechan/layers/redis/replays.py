"""Which messages were taken already: those that come again are replays."""

from __future__ import annotations

import threading
from collections import deque

#: How many entries are kept, of some 150 bytes. Each stands for up to 64 messages that one sender sent in a row.
ENTRIES = 100_000

#: Into how many parts the memory is divided. The oldest is forgotten as a whole.
PARTS = 8


class _Part:
    """Messages that were taken in one piece of time. Lifetime: until the last of them has expired."""

    __slots__ = ("ends", "taken")

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}  # sender and number / 64 -> a bit for each number
        self.ends = 0.0  # when the last of them has expired


class Replays:
    """Remembers messages until they expire, as many as there is room for. Lifetime: layer. Thread-safe.

    Where there is no more room, the oldest are forgotten before they expire: about an eighth of ``ENTRIES`` entries.

    Args:
        span: seconds that most messages live.
    """

    def __init__(self, span: float) -> None:
        self._each = span / PARTS  # seconds that a part takes messages for
        self._parts: deque[_Part] = deque()
        self._next = 0.0  # when another part begins
        self._lock = threading.Lock()

    def is_new(self, sender: bytes, number: int, expires: float, now: float) -> bool:
        """Whether a message was not taken before; it is from now on.

        Args:
            sender: who sent it.
            number: its number among the messages of the sender.
            expires: until when it is remembered, in seconds.
            now: the time on the same clock.
        """
        entry, bit = (int.from_bytes(sender, "big") << 40) + (number >> 6), 1 << (number & 63)
        with self._lock:
            parts = self._parts
            while parts and parts[0].ends < now:
                parts.popleft()
            for part in parts:
                if part.taken.get(entry, 0) & bit:
                    return False
            if not parts or now >= self._next or len(parts[-1].taken) >= ENTRIES // PARTS:
                parts.append(_Part())
                self._next = now + self._each
                while len(parts) > 1 and sum(len(part.taken) for part in parts) > ENTRIES - ENTRIES // PARTS:
                    parts.popleft()
            last = parts[-1]
            last.taken[entry] = last.taken.get(entry, 0) | bit
            last.ends = max(last.ends, expires)
            return True
