"""Redis' clock, as this process knows it."""

from __future__ import annotations

import time


class RedisClock:
    """Seconds of the server's clock, in a process whose own may differ. Lifetime: layer.

    Every stamp and every expiry is a time of this clock (R3), so that processes on several machines agree.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset

    def learn(self, redis_time: float) -> None:
        """The server just told its time."""
        self._offset = redis_time - time.monotonic()
