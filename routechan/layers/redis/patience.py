"""How long those wait for Redis who wait for the outcome of an operation."""

from __future__ import annotations

from ...concurrency import in_consumer

#: Seconds that consumers wait once their process is about to end.
HURRIED = 2.0


class Patience:
    """How long code that calls the layer may wait. Lifetime: layer, in one process.

    Args:
        send_timeout: seconds that code which is no consumer waits.
    """

    def __init__(self, send_timeout: float) -> None:
        self._others = send_timeout
        self._consumers: float | None = None

    def __call__(self) -> float | None:
        """The seconds that the running code may wait for a server that is away; None for as long as any operation."""
        return self._consumers if in_consumer() else self._others

    def hurry(self) -> None:
        """Have consumers wait for ``HURRIED`` seconds, and not again for a server that was waited for in vain."""
        self._consumers = HURRIED
