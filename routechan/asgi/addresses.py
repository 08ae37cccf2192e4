"""What each client address has open, and how often it opens sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..limits.rules import Buckets, Rate


class Addresses:
    """The clients of a server by address. Lifetime: server process, on one event loop.

    The address is the one the ASGI server gives: behind a proxy that it does not trust, that of the proxy.

    Args:
        sockets: How many sockets of one address may be open; None for any.
        rate: How often one address may open a socket; None for any.
        clock: The time in seconds.
    """

    def __init__(self, sockets: int | None, rate: Rate | None, clock: Callable[[], float]) -> None:
        self._most = sockets
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._handshakes = None if rate is None else Buckets(rate)

    def refusal(self, address: str | None) -> tuple[str, str] | None:
        """Count a handshake of ``address``, and decide whether to refuse it.

        Args:
            address: As ``address_of`` gives it; None is never refused.

        Returns:
            The option that bounds it and the reason to refuse; or None.
        """
        if address is None:
            return None
        handshakes = self._handshakes
        if handshakes is not None and not handshakes.take(address, self._clock()):
            events, seconds = handshakes.rate
            return "handshake_rate", f"{address} opens more than {events} sockets in {seconds:g} s"
        if self._most is not None and self._open[address] >= self._most:
            return "address_sockets", f"{address} has {self._most} sockets open already"
        return None

    def opened(self, address: str | None) -> None:
        """Count a socket of ``address`` as open."""
        if address is not None and self._most is not None:
            self._open[address] += 1

    def closed(self, address: str | None) -> None:
        """Count a socket of ``address`` no more."""
        if address is not None and self._most is not None:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
