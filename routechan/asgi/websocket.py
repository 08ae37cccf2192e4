"""One socket's life: its events in, one after another, until it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from ..encoding import Content
from ..handover import settled
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
        logger.warning("WebSocket %r is refused: %s", content["path"], refusal)
        await send({"type": "websocket.close", "code": 1000})
        return
    path = content["path"]
    connection = _Connection(server, name, path, scope, send)
    if server.consumers.serves(("websocket.disconnect",), content):
        # What is known now: its order is that of no later event, so that ``enforce_ordering`` never waits for one.
        server.layer.last_will(name, "websocket.disconnect", translation.disconnect_content(1006, name, path, 0))
    server.sockets.add(name, connection.socket)
    running = connection.run(content, receive)
    del content  # its headers are not needed for as long as the socket is open
    try:
        await running
    finally:
        server.sockets.remove(name)
        if connection.socket.dropped:
            server.layer.count_dropped(name, connection.socket.dropped)
        connection.socket.lost()
        connection.line.end_streams()
        connection.forget_reader()


class _Connection:
    """Reads one socket. Lifetime: connection."""

    __slots__ = ("_reader", "_reading", "_stopped", "_timer", "line", "socket")

    def __init__(self, server: Server, name: str, path: str, scope: Scope, send: Send) -> None:
        options = server.options
        self.socket = Socket(
            name,
            path,
            send,
            capacity=options.socket_capacity,
            subprotocol=translation.choose_subprotocol(scope, options.subprotocols),
            ended=self._ended,
        )
        self.line = server.consumers.line(self.socket)
        self._reader = asyncio.current_task()
        self._reading = False  # waiting for the client
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            options.handshake_timeout, self._handshake_over, options.handshake_timeout
        )

    async def run(self, connect: Content, receive: Receive) -> None:
        socket, line = self.socket, self.line
        name, path = socket.name, socket.path
        await settled(line.handle("websocket.connect", connect))
        del connect
        order = 1
        event: Event | None = None
        try:
            while not self._stopped:
                self._reading = True
                event = await receive()
                self._reading = False
                if event["type"] != "websocket.receive":
                    break
                if not socket.closed:  # else a frame that crossed our close
                    pending = line.handle("websocket.receive", translation.receive_content(event, name, path, order))
                    order += 1
                    if pending is not None:
                        await pending
                    if socket.queue is not None:
                        await socket.writable()  # who does not read is not read: the rest waits in TCP
                event = None
        except asyncio.CancelledError:
            if not (self._stopped and self._reading):
                raise
            if hasattr(self._reader, "uncancel"):  # Python 3.11
                self._reader.uncancel()  # type: ignore[union-attr]
        self._reading = False
        self._cancel_timer()
        if event is not None:
            socket.lost()
        socket.closed = True
        line.end_streams()
        code = event.get("code") if event else 1006
        if socket.close_code is not None:
            code = socket.close_code
        await settled(line.handle("websocket.disconnect", translation.disconnect_content(code, name, path, order)))
        await line.idle()
        if event is None:
            await _within(CLOSE_TIME, socket.flushed())

    def _ended(self, wait: bool) -> None:
        """This side closes: the server answers with a disconnect; one that does not must not hold us for ever."""
        self._cancel_timer()
        if wait:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_TIME, self._stop_reading)
        else:
            self._stop_reading()

    def _stop_reading(self) -> None:
        """Wake the connection's task out of ``receive``. ASGI has no other way to end a wait for the client."""
        if not self._stopped:
            self._stopped = True
            if self._reading and self._reader is not None:
                self._reader.cancel()

    def forget_reader(self) -> None:
        """The connection is over, and its task may go on to something else."""
        self._cancel_timer()
        self._reader = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _handshake_over(self, seconds: float) -> None:
        self._timer = None
        if not self.socket.accepted and not self.socket.closed:
            logger.warning(
                "WebSocket %r was not accepted within %g s and is refused; "
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
