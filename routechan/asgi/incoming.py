"""uvicorn's WebSocket protocol, made to bound what one connection holds of what its client sends.

uvicorn reads no more of a connection whose application has a message to take. But what has been read by then it takes
apart at once: 256 KiB, which compression makes 256 MiB of. The parts of a message it keeps one by one, however small
they are, empty ones too; and it answers each ping, also of a client that reads no answers.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

#: Bytes of compressed frames that are taken apart at a time; they make a thousand times as many at most.
PIECE = 4096

#: How a pong begins: a whole frame, which is not compressed.
_PONG = b"\x8a"


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection, which holds a message, and what a piece of compressed frames makes. Lifetime: connection."""

    _unread = b""  # what came, while the application had not taken the messages before it
    _pong = b""  # the last answer, while the client reads none

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._rest = bytearray()  # of a message that comes in parts, but for the first of them

    def data_received(self, data: bytes) -> None:
        """Take what came apart, or as much of it as the application is ready for."""
        if self._unread or self.read_paused or (self.conn.extensions and len(data) > PIECE):
            self._unread += data
            self._take_apart()
        else:
            super().data_received(data)

    def _take_apart(self) -> None:
        unread, at = self._unread, 0
        while at < len(unread) and not self.read_paused and not self.transport.is_closing():
            super().data_received(unread[at : at + PIECE])
            at += PIECE
        self._unread = unread[at:]

    async def receive(self) -> Any:
        """The next event for the application."""
        event = await super().receive()
        if self._unread:
            self._take_apart()
        return event

    def handle_cont(self, event: Frame) -> None:
        """Take the part of a message in the frame ``event``, which is not its first."""
        if not event.fin:
            self._rest += event.data
            return
        if self._rest:
            event = Frame(event.opcode, bytes(self._rest + event.data))
            self._rest = bytearray()
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, but no more than the last ping of a client that does not read (RFC 6455, 5.5.3)."""
        if self.writable.is_set():
            super().handle_ping()
            return
        others: list[bytes] = []
        for frame in self.conn.data_to_send():  # also what answers other frames of the same piece
            if frame.startswith(_PONG):
                self._pong = frame
            else:
                others.append(frame)
        self.transport.write(b"".join(others))

    def resume_writing(self) -> None:
        """Go on to write: the client reads."""
        super().resume_writing()
        if self._pong:
            self.transport.write(self._pong)
            self._pong = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone, with what was not taken apart of it."""
        self._unread = b""
        super().connection_lost(exc)
