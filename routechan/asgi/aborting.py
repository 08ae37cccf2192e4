"""uvicorn's WebSocket protocol, made to abort the connection of a client that does not read.

It answers handshakes that websockets cannot read, too. uvicorn leaves their clients without an answer, for ever.

uvicorn closes a connection once everything that was written has left. A client that does not read keeps it from that
for ever: with a descriptor, what waits in the transport, and what the connection holds. ASGI has no event to abort it.

``python -m routechan serve`` uses this, which also bounds what comes in; elsewhere it is ``uvicorn --ws
routechan.asgi.aborting:WebSocketProtocol``.
"""

from __future__ import annotations

import asyncio

from .incoming import BoundedWebSocketProtocol
from .translation import ABORTS

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class WebSocketProtocol(BoundedWebSocketProtocol):
    """One connection, which ends ``close_timeout`` seconds after its application at the latest.

    The same holds where its client has not answered a ping. Lifetime: connection.
    """

    _abort_timer: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        """Run the application, and then close the connection."""
        self.scope["extensions"][ABORTS] = {}
        await super().run_asgi()
        self._abort_soon()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first have the whole handshake."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            # websockets has refused it as too large, for one; its answer, if it has one, uvicorn leaves with it.
            self.transport.write(b"".join(self.conn.data_to_send()) or BAD_REQUEST)
            self.transport.close()

    def keepalive_timeout(self) -> None:
        """Close the connection, whose client has not answered a ping."""
        super().keepalive_timeout()
        self._abort_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)

    def _abort_soon(self) -> None:
        if not self.disconnected and self._abort_timer is None:
            self._abort_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
