"""One socket's life: its events in, one after another, until it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from . import translation
from .server import Server
from .sockets import Socket
from .translation import Event, Scope
from .writer import Receive, Send

logger = logging.getLogger("routechan")

#: Seconds a closed socket may take to leave.
CLOSE_TIME = 10.0


async def serve_websocket(server: Server, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a connection from ``websocket.connect`` to the end of its disconnect consumer."""
    event = await receive()
    if event["type"] != "websocket.connect":
        return
    name = server.sockets.new_name()
    content = translation.connect_content(scope, name)
    refusal = server.refusal(content)
    if refusal is not None:
        logger.warning("WebSocket %s is refused: %s", content["path"], refusal)
        await send({"type": "websocket.close", "code": 1000})
        return
    connection = _Connection(server, name, content["path"], scope, send)
    server.sockets.add(name, connection.socket)
    try:
        await connection.run(content, receive)
    finally:
        server.sockets.remove(name)
        connection.socket.lost()
        connection.line.end_streams()


class _Connection:
    """Reads one socket. Lifetime: connection."""

    __slots__ = ("_reader", "_stopped", "_timer", "line", "socket")

    def __init__(self, server: Server, name: str, path: str, scope: Scope, send: Send) -> None:
        options = server.options
        self.socket = Socket(
            name,
            path,
            send,
            capacity=options.socket_capacity,
            subprotocol=translation.choose_subprotocol(scope, options.subprotocols),
            stop_reading=self.stop_reading,
        )
        self.line = server.consumers.line(self.socket)
        self._reader: asyncio.Task[object] | None = None  # set while it waits for the client
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            options.handshake_timeout, self._handshake_over, options.handshake_timeout
        )

    async def run(self, connect: translation.Event, receive: Receive) -> None:
        socket, line = self.socket, self.line
        name, path = socket.name, socket.path
        await line.handle("websocket.connect", dict(connect))
        connect.clear()  # the headers are not needed again, for as long as the socket is open
        order = 1
        while True:
            event = await self._next(receive)
            if event is None or event["type"] != "websocket.receive":
                break
            if socket.closed:
                continue  # a frame that crossed our close
            await line.handle("websocket.receive", translation.receive_content(event, name, path, order))
            order += 1
            if socket.waiting:
                await socket.writable()  # who does not read is not read: the rest waits in TCP
        if self._timer is not None:
            self._timer.cancel()
        code = socket.close_code if socket.close_code is not None else (event or {}).get("code", 1006)
        if event is not None:
            socket.lost()
        socket.closed = True
        line.end_streams()
        await line.handle("websocket.disconnect", translation.disconnect_content(code, name, path, order))
        await line.idle()
        if event is None:
            await _within(CLOSE_TIME, socket.flushed())

    async def _next(self, receive: Receive) -> Event | None:
        """The next event, or None when reading was stopped from this side."""
        if self._timer is not None and self.socket.accepted:
            self._timer.cancel()
            self._timer = None
        if self.socket.closed and self._timer is None:
            # The server answers our close with a disconnect; one that does not must not hold us for ever.
            self._timer = asyncio.get_running_loop().call_later(CLOSE_TIME, self.stop_reading)
        if self._stopped:
            return None
        self._reader = asyncio.current_task()
        try:
            return await receive()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            if hasattr(self._reader, "uncancel"):  # Python 3.11
                self._reader.uncancel()  # type: ignore[union-attr]
            return None
        finally:
            self._reader = None

    def stop_reading(self) -> None:
        """Wake the connection's task out of ``receive``. ASGI has no other way to end a wait for the client."""
        if not self._stopped:
            self._stopped = True
            if self._reader is not None:
                self._reader.cancel()

    def _handshake_over(self, seconds: float) -> None:
        self._timer = None
        if not self.socket.accepted and not self.socket.closed:
            logger.warning(
                "WebSocket %s was not accepted within %g s and is refused; "
                'the websocket.connect consumer has to send {"accept": True}',
                self.socket.path,
                seconds,
            )
            self.socket.deny()


async def _within(seconds: float, waiting: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(waiting, seconds)
    except asyncio.TimeoutError:
        return
