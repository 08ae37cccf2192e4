"""One WebSocket connection: reads its events one after another, until it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from ..concurrency import ends_task, maybe_await
from ..deadlines import Deadline, call_after
from ..encoding import Content
from ..interfaces import QUESTION, SOCKET_CHANNELS
from ..limits.clients import address_of
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from . import lines, recovery, translation
from .disconnects import DISCONNECT, LEAVE_TIMEOUT, Leaving, handed_in
from .frames import FrameLimits
from .refusals import refuse
from .server import Server
from .socket import Socket
from .translation import Event, Scope
from .writer import Receive, Send

logger = logging.getLogger("routechan")

#: Stands for the frame that was handed in.
NOTHING: Content = {}

#: Frames that are read ahead where an event waits for long, and bytes, but for the last of them.
AHEAD = 16
AHEAD_BYTES = 1024 * 1024

#: Seconds that the closing handshake may take.
CLOSE_TIMEOUT = 10.0

#: What the log advises where the server does not abort the connections of clients that do not read.
ADVICE = (
    " python -m routechan serve aborts such connections, and so does uvicorn --ws "
    "routechan.asgi.aborting:WebSocketProtocol"
)

#: Seconds that the disconnect consumer may take once the server has cancelled the connection.
CANCEL_TIMEOUT = 5.0


async def serve_websocket(server: Server, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection, from ``websocket.connect`` to the end of its disconnect consumer.

    Args:
        server: The server that the connection belongs to.
        scope: The ASGI scope.
        receive: The ASGI ``receive``.
        send: The ASGI ``send``.
    """
    event = await receive()
    if event["type"] != "websocket.connect":
        return
    if server.fence.doubt is not None:
        await server.fence.settled()  # this socket is none of those that others have taken for dead
    name = server.sockets.new_name()
    content = translation.connect_content(scope, name, server.options.root_path)
    lines.hide_offer(scope, content)
    server.mount(SOCKET_CHANNELS, content)
    refusal = server.refusal(content)
    if refusal is not None:
        more = server.repeats.more(("refused", refusal.kind))
        if more is not None:
            fields = log_fields("websocket.connect", content)
            logger.warning("WebSocket %r is refused: %s%s", content["path"], refusal.reason, more, extra=fields)
        if refusal.kind in counters.limited:
            counters.limited[refusal.kind] += 1
        if refusal.status == 403:
            denial = translation.denial(scope, server.options.debug)(refusal.reason)
        else:
            denial = translation.limited(scope, refusal.status)
        for event in denial:
            await send(event)
        return
    address = address_of(content)
    connection = _Connection(server, name, content["path"], address or name, scope, receive, send)
    server.sockets.add(name, connection.socket)
    counters.sockets_opened += 1
    server.addresses.opened(address)
    running = connection.run(content)
    del content  # free the headers: the socket may stay open for days
    try:
        await running
    finally:
        server.addresses.closed(address)
        connection.end()


class _Connection:
    """Reads the events of one socket and hands them to its consumers. Lifetime: connection.

    Whatever happens to the socket, ``run`` hands in its disconnect once, and ``end`` leaves nothing behind but a
    disconnect that is still owed.
    """

    __slots__ = (
        "_aborts",
        "_ahead",
        "_gone",
        "_is_stream",
        "_leaving",
        "_looking",
        "_order",
        "_owed",
        "_reader",
        "_reading",
        "_receive",
        "_server",
        "_stopped",
        "_timer",
        "events",
        "socket",
    )

    def __init__(
        self, server: Server, name: str, path: str, client: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        options = server.options
        extensions = scope.get("extensions") or {}
        self.socket = Socket(
            name,
            path,
            client,
            send,
            take=extensions.get(translation.WRITES, {}).get("write"),
            options=options,
            waiting=server.waiting,
            repeats=server.repeats,
            subprotocol=lines.choose_subprotocol(scope, options.subprotocols),
            denial=translation.denial(scope, options.debug),
            ended=self._ended,
            look=self._look,
            tell=server.telling.tell,
        )
        recovery.begin(self.socket, server.ids, scope)
        self.events = server.consumers.connection(self.socket)
        self._server = server
        self._aborts = translation.ABORTS in extensions
        self._is_stream = translation.EVENT_STREAM in extensions
        self._order = 1  # of the next event; the connect has 0
        self._owed: Content | None = None  # the disconnect that could not reach its consumer
        self._leaving: tuple[Leaving, Content] | None = None  # what the server goes on with, and the disconnect in it
        self._receive = receive
        self._gone = False  # the server has reported the disconnect, and frames before it wait for their consumer
        self._ahead: asyncio.Queue[Event | BaseException] | None = None  # what was read while an event waited
        self._looking: asyncio.Task[None] | None = None
        self._reader = asyncio.current_task()
        self._reading = False  # waiting in ``receive``
        self._stopped = False
        self._timer: Deadline | asyncio.TimerHandle | None = call_after(
            asyncio.get_running_loop(), options.handshake_timeout, self._handshake_over
        )

    async def run(self, connect: Content) -> None:
        """Hand in the events of the socket, from ``connect`` to its disconnect.

        Raises:
            BaseException: What ``receive`` raised, once the disconnect is handed in.
        """
        socket, events, fence = self.socket, self.events, self._server.fence
        name, path = socket.name, socket.path
        event: Event | None = None
        cancelled = False
        failure: BaseException | None = None
        frames: list[Content] = []  # of a client that has left, while an event of it waited
        try:
            try:
                self._leave_will(connect)
                await maybe_await(events.handle("websocket.connect", connect))
            except BaseException as error:
                if ends_task(error):
                    raise
                self._refuse("websocket.connect", connect, error)
            del connect
            limits = FrameLimits(socket, self._server.options, self._server.repeats)
            paced, most, speaks = limits.paced, limits.most, socket.speaks
            while not self._stopped:
                self._reading = True
                event = await self._receive()
                self._reading = False
                if fence.doubt is not None:
                    await fence.settled()
                if event["type"] != "websocket.receive":
                    break
                counters.frames_received += 1
                if not socket.closed:  # else a frame that crossed our close
                    if paced:
                        await limits.pace()
                    if translation.size_of(event) > most:
                        limits.too_large()
                        event = None
                        continue
                    if speaks:
                        event = socket.message(event)
                        if event is None:
                            await socket.writable()
                            continue
                        if socket.awaits_answer:
                            self._look()  # an answer may stand behind this message, whose consumer takes its time
                    content = translation.receive_content(event, name, path, self._order)
                    if speaks and QUESTION in event:
                        content[QUESTION] = event[QUESTION]
                    self._order += 1
                    if self._gone:
                        frames.append(content)
                        continue
                    try:
                        pending = events.handle("websocket.receive", content)
                        if pending is not None:
                            await pending
                    except BaseException as error:
                        if ends_task(error):
                            raise
                        self._refuse("websocket.receive", content, error)
                    pending, content = None, NOTHING  # free the frame: the next one may be hours away
                    if socket.queue is not None:
                        counters.readers_paused += 1
                        await socket.writable()  # backpressure: do not read a client that does not drain its replies
                event = None
        except BaseException as error:
            if isinstance(error, GeneratorExit) and ends_task(error):
                raise  # nothing can be awaited any more
            # Either ``_stop_reading`` cancelled us, or the server does, as servers end open connections when they stop.
            # A second cancellation by the server ends the connection at once. Any other error is one of ``receive``.
            if ends_task(error):
                cancelled = not (self._stopped and self._reading)
                self._uncancel()
            else:
                failure = error
                socket.lost()
            event = None
        self._reading = False
        self._cancel_timer()
        await self._finish(event, cancelled, frames)
        if failure is not None:
            raise failure

    def _leave_will(self, connect: Content) -> None:
        server, name, path = self._server, self.socket.name, self.socket.path
        if server.consumers.watches_end(connect):
            # If this process dies, nobody knows how many events came before. Order 0 is that of no later event, so
            # ``enforce_ordering`` does not make the disconnect wait for one.
            server.layer.last_will(name, "websocket.disconnect", translation.disconnect_content(1006, name, path, 0))

    def _refuse(self, channel: str, content: Content, error: BaseException) -> None:
        """End the socket, whose event could not reach its consumer because of ``error``."""
        refusal = refuse(self._server.layer, channel, content, error, self._server.repeats)
        self.socket.refuse(refusal.code, f"The event on {channel} could not reach its consumer: {error!r}")

    async def _finish(self, event: Event | None, cancelled: bool, frames: list[Content]) -> None:
        """Close the socket and run its disconnect consumer.

        ``event`` is the server's ``websocket.disconnect``; None if this side closed, or the server ``cancelled`` us.
        ``frames`` are those that came before it, and were not handed in.
        """
        socket = self.socket
        if cancelled:
            socket.end()
        if event is not None:
            socket.lost()
        socket.closed = True
        self.events.end_streams()
        code = event.get("code") if event else 1006
        if socket.close_code is not None:
            code = socket.close_code
        disconnect = translation.disconnect_content(code, socket.name, socket.path, self._order)
        try:
            if self.events.elsewhere:
                await self._leave(frames, disconnect)
            else:
                await self._disconnected(disconnect, CANCEL_TIMEOUT if cancelled else None)
        except asyncio.CancelledError:
            if cancelled:
                raise
            cancelled = True
            self._uncancel()
            logger.debug("The server does not wait for the websocket.disconnect of %r", socket.path)
        if event is None and not await _within(CANCEL_TIMEOUT if cancelled else CLOSE_TIMEOUT, socket.flushed()):
            self._log_remaining()

    def _log_remaining(self) -> None:
        """Say what is left behind, unless the server aborts the connection."""
        more = None if self._aborts or self._server.stopping else self._server.repeats.more("remaining")
        if more is not None:
            logger.warning(
                "The client of %s (%r) does not even take its close. Its connection, with what was written to it, "
                "stays in the ASGI server until TCP gives it up.%s%s",
                self.socket.name,
                self.socket.path,
                "" if self._is_stream else ADVICE,
                more,
                extra=log_fields("websocket.disconnect", connection=self.socket.name),
            )

    async def _leave(self, frames: list[Content], disconnect: Content) -> None:
        """Hand in what is left; if workers do not consume it soon, the server waits for it without this task."""
        if self.socket.told:
            return
        self.socket.told = True
        leaving = Leaving(self.events, frames, disconnect, self._server.repeats)
        self._leaving = leaving, disconnect
        await asyncio.wait([leaving.task], timeout=LEAVE_TIMEOUT)

    def end(self) -> None:
        """Leave nothing behind: the task of the connection goes on with something else, or is gone."""
        self._cancel_timer()
        if self._looking is not None:
            self._looking.cancel()
            self._looking, self._receive = None, _nothing_more  # breaks the reference cycle
        self._reader = None  # never cancel it again
        server, socket = self._server, self.socket
        counters.sockets_closed += 1
        if not socket.told:
            self._owed = translation.disconnect_content(1006, socket.name, socket.path, self._order)
        server.sockets.remove(socket.name)
        if self._owed is not None:
            server.disconnects.owe(socket.name, self._owed)
        if self._leaving is not None:
            server.disconnects.keep(socket.name, *self._leaving)
        if socket.dropped:
            server.layer.count_dropped(socket.name, socket.dropped)
        socket.lost()
        self.events.end_streams()

    async def _disconnected(self, content: Content, within: float | None) -> None:
        ended = self._handle_disconnect(content)
        if within is None:
            await ended
        elif not await _within(within, ended):
            logger.warning(
                "The websocket.disconnect of %r was not finished within %g s; the server ends without it",
                self.socket.path,
                within,
                extra=log_fields("websocket.disconnect", content),
            )

    async def _handle_disconnect(self, content: Content) -> None:
        told, self.socket.told = self.socket.told, True
        if not told and await handed_in(self.events, DISCONNECT, content, self._server.repeats) is not None:
            self._owed = content
        await self.events.idle()

    def _uncancel(self) -> None:
        """Clear the task's cancellation request: the connection goes on."""
        if hasattr(self._reader, "uncancel"):  # Python 3.11
            self._reader.uncancel()  # type: ignore[union-attr]

    def _look(self) -> None:
        """Read ahead from now on: whether the client has left stands behind what it sent before."""
        if self._ahead is None and not self._reading and self._reader is not None:
            self._ahead = asyncio.Queue(AHEAD)
            self._looking = asyncio.get_running_loop().create_task(self._read_ahead(self._receive, self._ahead))
            self._receive = self._from_ahead

    async def _read_ahead(self, receive: Receive, ahead: asyncio.Queue[Event | BaseException]) -> None:
        found: Event | BaseException
        more, size = True, 0
        while more:
            if size >= AHEAD_BYTES:
                await ahead.join()
                size = 0
            try:
                found = await receive()
            except BaseException as error:
                if ends_task(error):
                    raise
                found = error
            more = not isinstance(found, BaseException) and found["type"] == "websocket.receive"
            if isinstance(found, BaseException) or not more:
                self._gone = True
                self.socket.left()
                self.events.release()
            elif self.socket.takes_answer(found):
                counters.frames_received += 1
                continue
            else:
                size += translation.size_of(found)
            await ahead.put(found)

    async def _from_ahead(self) -> Event:
        ahead = self._ahead
        found = await ahead.get()  # type: ignore[union-attr]
        ahead.task_done()  # type: ignore[union-attr]
        if isinstance(found, BaseException):
            raise found
        return found

    def _ended(self, wait: bool) -> None:
        """This side has closed the socket.

        With ``wait``, read on until the server reports the disconnect.
        """
        self._cancel_timer()
        self.events.release()
        if wait:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._stop_reading)
        else:
            self._stop_reading()

    def _stop_reading(self) -> None:
        """Make the connection's task leave ``receive``; ASGI offers no way to do so but to cancel the task."""
        if not self._stopped:
            self._stopped = True
            if self._reading and self._reader is not None:
                self._reader.cancel()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _handshake_over(self) -> None:
        self._timer = None
        if not self.socket.accepted and not self.socket.closed:
            seconds = self._server.options.handshake_timeout
            reason = f"it was not accepted within {seconds:g} s: {self.events.waits_for()}"
            more = self._server.repeats.more("handshake_timeout")
            if more is not None:
                logger.warning(
                    "WebSocket %r is refused: %s%s",
                    self.socket.path,
                    reason,
                    more,
                    extra=log_fields("websocket.connect", connection=self.socket.name),
                )
            self.socket.deny(reason)


async def _within(seconds: float, waiting: Awaitable[None]) -> bool:
    """Wait up to ``seconds``; whether it finished in time (otherwise it is cancelled)."""
    try:
        await asyncio.wait_for(waiting, seconds)
    except asyncio.TimeoutError:
        return False
    return True


async def _nothing_more() -> Event:
    """Stands in for ``receive`` once the connection is gone."""
    return {"type": "websocket.disconnect"}
