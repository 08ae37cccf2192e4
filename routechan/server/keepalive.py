"""Pings, which find out that a client is gone without a word."""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from ..deadlines import Deadline, call_after
from .framing import PING, frame


class Pinged(Protocol):
    """A connection that is pinged."""

    def ping(self, frame: bytes) -> None:
        """Send ``frame``, the bytes of a ping."""

    def hears(self) -> bool:
        """Whether it is being read, so that an answer would be heard."""

    def is_silent(self) -> None:
        """No answer came in time."""


class Keepalive:
    """The pings of one connection. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        loop: the event loop.
        interval: seconds between two pings; None for no pings.
        timeout: seconds that the answer may take; None for any time.
    """

    __slots__ = ("_connection", "_deadline", "_interval", "_loop", "_pending", "_timeout")

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float | None, timeout: float | None) -> None:
        self._loop = loop
        self._interval = interval
        self._timeout = timeout
        self._connection: Pinged | None = None
        self._pending = b""  # the payload of the ping that is not answered yet
        self._deadline: Deadline | None = None

    def start(self, connection: Pinged) -> None:
        """Ping ``connection``, first after one interval."""
        self._connection = connection
        self._wait()

    def stop(self) -> None:
        """Send no more pings."""
        self._connection = None  # breaks a reference cycle: a connection that is gone is freed at once
        self._cancel()

    def answered(self, payload: bytes) -> bool:
        """Take a pong.

        Args:
            payload: what it carries; that of another ping, or of none, means nothing.

        Returns:
            Whether it answers the last ping.
        """
        if not self._pending or payload != self._pending:
            return False
        self._pending = b""
        if self._timeout:
            self._wait()
        return True

    def _wait(self) -> None:
        self._cancel()
        if self._interval:
            self._deadline = call_after(self._loop, self._interval, self._ping)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _ping(self) -> None:
        if self._connection is None:
            return
        self._pending = random.randbytes(4)
        self._connection.ping(frame(PING, self._pending))
        if self._timeout:
            self._deadline = call_after(self._loop, self._timeout, self._late)
        else:
            self._wait()

    def _late(self) -> None:
        if self._connection is None:
            return
        if self._connection.hears():
            self._connection.is_silent()
        else:  # the application is busy, and the answer may lie behind a message that it has yet to take
            self._wait()
