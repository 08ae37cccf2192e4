"""What one client may send on its socket: how large a message, and how many a second."""

from __future__ import annotations

import asyncio
import logging
import sys
from time import monotonic

from ..limits.rules import TokenBucket
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats
from .options import ServerOptions
from .socket import Socket

logger = logging.getLogger("routechan")


class FrameLimits:
    """The limits of one socket's messages. Lifetime: connection.

    Args:
        socket: Closed when its client sends too large a message.
        options: ``frame_bytes`` and ``frame_rate``.
        repeats: Which log lines are written.
    """

    __slots__ = ("_bucket", "_options", "_repeats", "_socket", "most")

    def __init__(self, socket: Socket, options: ServerOptions, repeats: Repeats) -> None:
        self._socket = socket
        self._options = options
        self._repeats = repeats
        rate = options.rate("frame_rate")
        self._bucket = None if rate is None else TokenBucket(rate, monotonic())
        #: Bytes of the largest message; of text, characters.
        self.most = sys.maxsize if options.frame_bytes is None else options.frame_bytes

    @property
    def paced(self) -> bool:
        """Whether each message has to wait for ``pace``."""
        return self._bucket is not None

    async def pace(self) -> None:
        """Wait until the client's next message may be handled; what it sends meanwhile stays in TCP."""
        bucket = self._bucket
        if bucket is None:
            return
        wait = bucket.take(monotonic())
        if wait:
            counters.limited["frame_rate"] += 1
            rate = self._options.frame_rate
            self._log("frame_rate", f"read more slowly: its client sends more than {rate}, its FRAME_RATE")
        while wait:
            await asyncio.sleep(wait)
            wait = bucket.take(monotonic())

    def too_large(self) -> None:
        """Close the socket with 1009: its client has sent a message larger than ``most``."""
        counters.limited["frame_bytes"] += 1
        reason = f"it sent a message of more than {self.most} bytes"
        self._log("frame_bytes", f"closed with 1009: {reason} (FRAME_BYTES)")
        self._socket.refuse(1009, reason)

    def _log(self, limit: str, what: str) -> None:
        more = self._repeats.more(limit)
        if more is not None:
            socket = self._socket
            fields = log_fields("websocket.receive", connection=socket.name)
            logger.warning("%s (%r) is %s%s", socket.name, socket.path, what, more, extra=fields)
