"""When to try a lost server again."""

from __future__ import annotations

import random
import time

#: Seconds between attempts to reach a server: the first, and the longest; jitter takes up to half of it off.
FIRST_RETRY = 0.05
LONGEST_RETRY = 1.0


class Retry:
    """When to try a server again: jittered, further apart each time, for ever."""

    def __init__(self) -> None:
        self._interval = FIRST_RETRY
        self.at = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self.at > 0

    def failed(self) -> None:
        self.at = time.monotonic() + self._interval * random.uniform(0.5, 1.0)
        self._interval = min(self._interval * 2, LONGEST_RETRY)

    def succeeded(self) -> None:
        self._interval = FIRST_RETRY
        self.at = 0.0
