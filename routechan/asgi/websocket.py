"""One socket's life: its events in, one after another, until it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from ..encoding import Content
from ..handover import settled
from ..observe.counters import counters
from ..observe.failures import about
from . import translation
from .server import Server
from .sockets import Socket
from .translation import Event, Scope
from .writer import Receive, Send

logger = logging.getLogger("routechan")

#: Seconds a closed socket may take to leave.
CLOSE_TIME = 10.0

#: Seconds that its end may take once the server has cancelled a connection.
CANCELLED_TIME = 5.0


async def serve_websocket(server: Server, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a connection from ``websocket.connect`` to the end of its disconnect consumer."""
    event = await receive()
    if event["type"] != "websocket.connect":
        return
    name = server.sockets.new_name()
    content = translation.connect_content(scope, name)
    refusal = server.refusal(content)
    if refusal is not None:
        logger.warning(
            "WebSocket %r is refused: %s", content["path"], refusal, extra=about("websocket.connect", content)
        )
        await send({"type": "websocket.close", "code": 1000})
        return
    path = content["path"]
    connection = _Connection(server, name, path, scope, send)
    if server.consumers.serves(("websocket.disconnect",), content):
        # What is known now: its order is that of no later event, so that ``enforce_ordering`` never waits for one.
        server.layer.last_will(name, "websocket.disconnect", translation.disconnect_content(1006, name, path, 0))
    server.sockets.add(name, connection.socket)
    counters.sockets_opened += 1
    running = connection.run(content, receive)
    del content  # its headers are not needed for as long as the socket is open
    try:
        await running
    finally:
        server.sockets.remove(name)
        counters.sockets_closed += 1
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
        order = 1
        event: Event | None = None
        cancelled = False
        try:
            await settled(line.handle("websocket.connect", connect))
            del connect
            while not self._stopped:
                self._reading = True
                event = await receive()
                self._reading = False
                if event["type"] != "websocket.receive":
                    break
                counters.frames_received += 1
                if not socket.closed:  # else a frame that crossed our close
                    pending = line.handle("websocket.receive", translation.receive_content(event, name, path, order))
                    order += 1
                    if pending is not None:
                        await pending
                    if socket.queue is not None:
                        counters.readers_paused += 1
                        await socket.writable()  # who does not read is not read: the rest waits in TCP
                event = None
        except asyncio.CancelledError:
            # Ours, or how servers end what is still open when they stop. Who cancels once more means at once.
            cancelled = not (self._stopped and self._reading)
            self._uncancel()
            event = None
        self._reading = False
        self._cancel_timer()
        await self._finish(event, order, cancelled)

    async def _finish(self, event: Event | None, order: int, cancelled: bool) -> None:
        """Nothing more is read. ``event`` says why, if the server gave it; it may have ``cancelled`` us instead."""
        socket = self.socket
        if cancelled:
            socket.end()
        if event is not None:
            socket.lost()
        socket.closed = True
        self.line.end_streams()
        code = event.get("code") if event else 1006
        if socket.close_code is not None:
            code = socket.close_code
        disconnect = translation.disconnect_content(code, socket.name, socket.path, order)
        try:
            await self._disconnected(disconnect, CANCELLED_TIME if cancelled else None)
        except asyncio.CancelledError:
            if cancelled:
                raise
            cancelled = True
            self._uncancel()
            logger.debug("The server does not wait for the websocket.disconnect of %r", socket.path)
        if event is None:
            await _within(CANCELLED_TIME if cancelled else CLOSE_TIME, socket.flushed())

    async def _disconnected(self, content: Content, within: float | None) -> None:
        ended = self._handle_disconnect(content)
        if within is None:
            await ended
        elif not await _within(within, ended):
            logger.warning(
                "The websocket.disconnect of %r was not settled within %g s; the server ends without it",
                self.socket.path,
                within,
                extra=about("websocket.disconnect", content),
            )

    async def _handle_disconnect(self, content: Content) -> None:
        await settled(self.line.handle("websocket.disconnect", content))
        await self.line.idle()

    def _uncancel(self) -> None:
        """The connection's task was cancelled, and goes on."""
        if hasattr(self._reader, "uncancel"):  # Python 3.11
            self._reader.uncancel()  # type: ignore[union-attr]

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
                extra=about("websocket.connect", connection=self.socket.name),
            )
            self.socket.deny()


async def _within(seconds: float, waiting: Awaitable[None]) -> bool:
    """Whether what is awaited came to its end in time; else it is cancelled."""
    try:
        await asyncio.wait_for(waiting, seconds)
    except asyncio.TimeoutError:
        return False
    return True
