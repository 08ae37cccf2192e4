"""Pings, which find out that a client is gone without a word."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from .framing import PING, frame


class Keepalive:
    """The pings of one open connection. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        loop: the event loop.
        interval: seconds between two pings; None for no pings.
        timeout: seconds that the answer may take; None for any time.
        send: sends the bytes of a frame.
        hears: whether the connection is being read, so that an answer would be heard.
        failed: called once when no answer came.
    """

    __slots__ = ("_failed", "_hears", "_interval", "_loop", "_pending", "_send", "_timeout", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float | None,
        timeout: float | None,
        *,
        send: Callable[[bytes], object],
        hears: Callable[[], bool],
        failed: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._timeout = timeout
        self._send = send
        self._hears = hears
        self._failed = failed
        self._pending = b""  # the payload of the ping that is not answered yet
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the first ping after one interval."""
        self.stop()
        if self._interval:
            self._timer = self._loop.call_later(self._interval, self._ping)

    def stop(self) -> None:
        """Send no more pings."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answered(self, payload: bytes) -> None:
        """Take a pong.

        Args:
            payload: what it carries; that of another ping, or of none, means nothing.
        """
        if self._pending and payload == self._pending:
            self._pending = b""
            if self._timeout:
                self.start()

    def _ping(self) -> None:
        self._pending = random.randbytes(4)
        self._send(frame(PING, self._pending))
        if self._timeout:
            self._timer = self._loop.call_later(self._timeout, self._late)
        else:
            self.start()

    def _late(self) -> None:
        if self._hears():
            self._failed()
        else:  # the application is busy, and the answer may lie behind a message that it has yet to take
            self.start()
