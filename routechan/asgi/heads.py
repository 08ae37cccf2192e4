"""uvicorn's HTTP protocol, made to bound the head of a request: its bytes, and the time that it may take to arrive.

uvicorn waits for a head for ever and takes one of any size, and while its httptools puts a long line together piece by
piece, which takes the longer the more there is, no other client is served.

``python -m routechan serve`` uses this; elsewhere it is ``uvicorn --http routechan.asgi.heads:HTTPProtocol``.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of a request line and its headers; what uvicorn's other protocol, h11, has as its default.
HEAD_BYTES = 64 * 1024

#: Seconds from when a connection is opened, or a later request on it begins, until its head is there.
HEAD_TIMEOUT = 30.0

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 38\r\nconnection: close\r\n\r\nThe head of this request is too large."
)


class HTTPProtocol(HttpToolsProtocol):
    """One connection, which ends where the head of a request is too large or too slow. Lifetime: connection."""

    head_bytes = HEAD_BYTES
    head_timeout = HEAD_TIMEOUT

    _arrived = 0  # bytes of a head that is not complete, with what came in one piece before it
    _size = 0  # bytes of the lines of a head
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a head or a body."""
        super().data_received(data)
        if self._head_timer is not None and not self.transport.is_closing():
            self._arrived += len(data)
            if self._arrived > self.head_bytes:
                self._refuse()

    def on_message_begin(self) -> None:
        """Take note that a head begins."""
        super().on_message_begin()
        self._arrived = self._size = 0
        if self._head_timer is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request line.

        Args:
            url: The piece.
        """
        super().on_url(url)
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header.

        Args:
            name: Its name.
            value: Its value.
        """
        super().on_header(name, value)
        self._size += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Start the request.

        Raises:
            ValueError: Its head is too large. httptools passes it on as an error of its own.
        """
        self._forget_head()
        if self._size > self.head_bytes:
            raise ValueError("the head of this request is too large")  # ends in send_400_response
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket protocol, unless a response to an earlier request is still to come.

        That one would be written between the frames, whether its client reads or not, and its application would never
        be told that the client has left.
        """
        if self.cycle is None or self.cycle.response_complete:
            super().handle_websocket_upgrade()
        else:
            self.send_400_response("A handshake has to wait for the response to the request before it.")

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or one whose head is too large.

        Args:
            msg: What the client is told.
        """
        if self._size > self.head_bytes:
            self._refuse()
        else:
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._forget_head()
        super().connection_lost(exc)

    def _refuse(self) -> None:
        self._forget_head()
        self.transport.write(TOO_LARGE)
        self.transport.close()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout, self._late)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._head_timer = None
            self.transport.close()
        else:  # it is not read as long as the request before it is not answered
            self._await_head()
