"""The parser of frames: picows' protocol, over a transport that it shares with ``WebSocketProtocol``.

picows answers a handshake as soon as it is given one, by itself. So it is given one that is always the same, when the
client's own has been answered, and its answer is dropped. From then on it reads the transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from picows import WSListener, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSAutoPingStrategy
from picows.picows import WSProtocol as Parser  # type: ignore[attr-defined]  # it is not documented

#: Bytes that picows begins to read into: its least. It takes twice as many whenever a frame needs more.
READ_BUFFER = 2048

#: Bytes that are read at a time, and taken apart at once: they may be thousands of frames, and meanwhile no other
#: client is served.
READ_MOST = 16 * 1024

_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

#: What picows answers, to nobody; the same for all, which keep it.
_ANSWER = WSUpgradeResponse.create_101_response()

# What picows logs is what clients do: connect, leave, break the rules. It must not fill a log.
_nothing = logging.LoggerAdapter(logging.getLogger("routechan.server.picows"), {})
_nothing.logger.setLevel(logging.CRITICAL + 1)


class Wire:
    """What picows is given as its transport. Lifetime: connection.

    picows writes but one thing: the close frame of a client that breaks the rules.

    Args:
        transport: of the connection.
        failed: called with that frame.
    """

    __slots__ = ("_failed", "_transport", "muted")

    def __init__(self, transport: asyncio.Transport, failed: Callable[[bytes], object]) -> None:
        self._transport = transport
        self._failed = failed
        self.muted = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What picows asks of a transport.

        Args:
            name: ``socket``, which is this, or ``ssl_object``, for which something is said, or picows would write past
                the transport.
            default: for any other name.
        """
        return self if name in ("socket", "ssl_object") else default

    def fileno(self) -> int:
        """The descriptor of no file."""
        return -1

    def setsockopt(self, *options: object) -> None:
        """Leave the socket as it is; one of Unix would not take these."""

    def getsockopt(self, *options: object) -> int:
        """A value that is only logged."""
        return 0

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the client."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send the close frame ``data``, and end the connection."""
        if not self.muted:
            self.muted = True
            self._failed(data)

    def close(self) -> None:
        """Do nothing: what ``write`` has called ends the connection."""


class BoundedParser(Parser):  # type: ignore[misc]
    """The parser of one connection, which reads no more than ``READ_MOST`` bytes at a time. Lifetime: connection.

    picows reads whatever there is, into a buffer that grows whenever it is full, be it of the smallest frames.
    """

    __slots__ = ()

    def get_buffer(self, size_hint: int) -> memoryview:
        """What the next bytes are to be written to.

        Args:
            size_hint: what the transport proposes; it does not matter.
        """
        return Parser.get_buffer(self, size_hint)[:READ_MOST]  # type: ignore[no-any-return]


def parser(listener: WSListener, wire: Wire, most: int) -> BoundedParser:
    """The parser of a connection whose handshake has been answered, to be put on its transport.

    Args:
        listener: is told of its frames.
        wire: its transport.
        most: the largest frame, in bytes; a larger one closes the connection with 1009.
    """
    protocol = BoundedParser(
        host_port=None,
        ws_path=None,
        is_client_side=False,
        ws_listener_factory=lambda request: WSUpgradeResponseWithListener(_ANSWER, listener),
        logger=_nothing,
        disconnect_on_exception=True,
        websocket_handshake_timeout=None,
        enable_auto_ping=False,
        auto_ping_idle_timeout=0,
        auto_ping_reply_timeout=0,
        auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
        enable_auto_pong=False,
        max_frame_size=most,
        extra_headers=None,
        read_buffer_init_size=READ_BUFFER,
    )
    protocol.connection_made(wire)
    feed(protocol, _HANDSHAKE)
    wire.muted = False
    return protocol


def feed(protocol: BoundedParser, data: bytes) -> int:
    """Have ``protocol`` read as much of ``data`` as it reads at a time, as if it had come from the transport.

    Returns:
        How many bytes that were.
    """
    buffer = protocol.get_buffer(-1)
    size = min(len(buffer), len(data))
    buffer[:size] = data[:size]
    protocol.buffer_updated(size)
    return size
