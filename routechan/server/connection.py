"""An open WebSocket connection: the frames of its client, the pace of both sides, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from ..asgi.translation import Event, may_close_with
from .fragments import BrokenRule, Fragments
from .framing import CLOSE, PING, PONG, close_frame, control_frame, frame
from .inbox import Inbox
from .keepalive import Keepalive
from .parser import Wire, feed, parser

#: Seconds that a connection may take to end, once one side has closed it. Then it is aborted.
CLOSE_TIMEOUT = 10.0

#: Bytes of a frame, beyond which the parser is freed when it has read it: it keeps the memory that this took.
LARGE = 64 * 1024

#: The types of frames, as picows has them.
_TEXT, _BINARY, _PING, _PONG = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG


class State(IntEnum):
    """How far a connection has come."""

    CONNECTING = 0  # the application has not answered the handshake
    DENYING = 1  # it has begun to answer with an HTTP response
    OPEN = 2
    CLOSING = 3  # this side has closed: the application sends nothing more
    LOST = 4  # the client has closed, or it is gone


class Connection(WSListener):
    """One connection, which the parser tells of its frames. Lifetime: connection, on one event loop.

    Args:
        loop: the event loop.
        most: the largest message of the client, in bytes.
        ping_interval: seconds between two pings; None for no pings.
        ping_timeout: seconds that the answer may take; None for any time.
    """

    close_timeout = CLOSE_TIMEOUT

    __slots__ = (
        "_deadline",
        "_drained",
        "_early",
        "_fragments",
        "_inbox",
        "_keepalive",
        "_loop",
        "_most",
        "_pong",
        "_state",
        "_wire",
        "_ws",
        "transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        most: int,
        ping_interval: float | None,
        ping_timeout: float | None,
    ) -> None:
        self._loop = loop
        self._most = most
        self._inbox = Inbox(loop, self._resume_reading)
        self._fragments = Fragments(most)
        self._keepalive = Keepalive(loop, ping_interval, ping_timeout)
        self._state = State.CONNECTING
        self._drained: asyncio.Future[None] | None = None  # while the client does not read
        self._early = b""  # what the client has sent, and no parser has read
        self._deadline: asyncio.TimerHandle | None = None
        self._wire: Wire | None = None
        self._ws: WSTransport | None = None
        self._pong = b""  # the last answer to a ping, while the client reads none
        self.transport: asyncio.Transport

    def _open(self) -> None:
        """Take messages from now on, first those that are here already."""
        self._state = State.OPEN
        self._keepalive.start(self)
        self._resume_reading()

    # Who reads the transport: the parser while there is something to parse, and this itself between. A parser takes a
    # third of the memory of a connection, and most connections say nothing most of the time but that they are alive.

    def data_received(self, data: bytes) -> None:
        """Take what the client of an open connection sends first, or after a silence.

        Args:
            data: the bytes, from the beginning of a frame on.
        """
        kind, payload = control_frame(data)
        code = int.from_bytes(payload, "big")
        if kind and self._state is not State.OPEN:
            if kind == CLOSE:
                self._leave()
        elif kind == PONG:
            self._keepalive.answered(payload)
        elif kind == PING:
            self._answer_ping(frame(PONG, payload))
        elif kind == CLOSE and (not payload or (len(payload) == 2 and may_close_with(code))):
            self._take_close(code, "")
        else:
            self._early = data
            self._hold()
            self._resume_reading()

    def _parse(self) -> None:
        """Have a parser read the transport, whose reading is paused: or uvloop would go on to read for this."""
        self._wire = Wire(self.transport, self._refused)
        self.transport.set_protocol(parser(self, self._wire, self._most))

    def _free_parser(self) -> None:
        """Read the transport without a parser, until there is something to parse."""
        held = self._inbox.held
        self._hold()
        self._wire.muted = True  # type: ignore[union-attr]
        self._wire = self._ws = None
        self.transport.set_protocol(self)  # type: ignore[arg-type]  # all it asks for is there
        if not held:
            self._resume_reading()

    # What the client sends: called by the parser

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Take the transport of the parser.

        Args:
            transport: what it says of the closing handshake.
        """
        self._ws = transport

    def on_ws_frame(self, transport: WSTransport, data: WSFrame) -> None:
        """Take a frame.

        Args:
            transport: of the parser.
            data: the frame, which is gone when this returns.
        """
        kind, over = data.msg_type, data.payload_size > LARGE
        if self._state is not State.OPEN:  # what crossed the close of this side, or came behind that of the client
            if kind is WSMsgType.CLOSE:
                self._leave()
        elif data.rsv1 or data.rsv2 or data.rsv3:
            self._break(1002, "no extension was agreed on")
        elif kind is _TEXT and data.fin and not self._fragments:
            self._take_text(data.get_payload_as_utf8_text)
        elif kind is _BINARY and data.fin and not self._fragments:
            self._take({"type": "websocket.receive", "bytes": data.get_payload_as_bytes()})
        elif kind is _PING:
            self._answer_ping(frame(PONG, data.get_payload_as_bytes()))
        elif kind is _PONG:
            over = self._keepalive.answered(data.get_payload_as_bytes())  # the client may have nothing else to say
        elif kind is WSMsgType.CLOSE:
            code = _code(data.get_close_code())
            if data.payload_size and not may_close_with(code):
                self._break(1002, f"{code} is no code to close with")
            else:
                self._take_close(code, data.get_close_reason() or "")
        else:
            self._take_fragment(data)
        if over and data.last_in_buffer and not data.tail_size and self._state is State.OPEN:
            self._free_parser()

    def _take_text(self, decode: Callable[[], str]) -> None:
        try:
            text = decode()
        except UnicodeDecodeError:
            self._break(1007, "text is not UTF-8")
        else:
            self._take({"type": "websocket.receive", "text": text})

    def _take(self, event: Event) -> None:
        """Hand a message to the application; read no more before it has taken it."""
        inbox = self._inbox
        if inbox.held:
            inbox.put_soon(event)  # a task may be running that has accepted, or has taken the message before
            return
        inbox.put(event)
        if inbox and self._state is State.OPEN:
            self._hold()

    def _take_fragment(self, data: WSFrame) -> None:
        try:
            message = self._fragments.add(data)
        except BrokenRule as error:
            self._break(error.code, str(error))
        else:
            if message is None:
                pass
            elif self._fragments.is_text:
                self._take_text(message.decode)
            else:
                self._take({"type": "websocket.receive", "bytes": bytes(message)})

    def _answer_ping(self, pong: bytes) -> None:
        if self._drained is not None:
            self._pong = pong  # of several that a client does not read the last is enough (RFC 6455, 5.5.3)
        else:
            self._write(pong)

    def _take_close(self, code: int, reason: str) -> None:
        """Answer the close of the client."""
        self.transport.write(close_frame(code) if code else frame(CLOSE, b""))
        self._gone(code or 1005, reason)
        self._leave()

    def _break(self, code: int, reason: str) -> None:
        """End the connection of a client that breaks a rule."""
        self._fail(close_frame(code, reason))

    def _refused(self, close: bytes) -> None:
        """End the connection with the frame ``close``, which the parser has made for a broken rule."""
        closed = self._ws.close_handshake  # type: ignore[union-attr]
        if self._state is not State.OPEN:
            self._leave()  # the parser finds no frame any more, and keeps whatever comes
            return
        recv = closed and closed.recv
        code = _code(recv.code) if recv else 0
        if recv and (not code or may_close_with(code)):  # what came behind its close does not matter
            self._take_close(code, recv.reason or "")
        else:
            self._fail(close)

    def _fail(self, close: bytes) -> None:
        """End the connection with the frame ``close``."""
        self.transport.write(close)
        self._gone(int.from_bytes(close[2:4], "big"), close[4:].decode())
        self._leave()

    # The pace of both sides

    def _write(self, data: bytes) -> None:
        """Send ``data``, if the connection is not lost: asyncio logs each write to one that is."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:
        """Have the application wait: the client does not read."""
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Have the application go on."""
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None
            if self._pong and self._state is State.OPEN:
                self.transport.write(self._pong)
            self._pong = b""

    def ping(self, frame: bytes) -> None:
        """Send ``frame``, the bytes of a ping."""
        self.transport.write(frame)

    def hears(self) -> bool:
        """Whether the client is being read."""
        return not self._inbox.held

    def is_silent(self) -> None:
        """End the connection of a client that has not answered a ping."""
        self._break(1011, "keepalive ping timeout")

    def _hold(self) -> None:
        """Read no more for now."""
        if not self._inbox.held:
            self._inbox.held = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        """Read on, if the application has taken what came before or takes no more."""
        inbox = self._inbox
        if self._state < State.OPEN:
            return  # what comes before then is kept, and that is enough
        while self._early and not (inbox and self._state is State.OPEN):
            self._hold()
            if self._wire is None:
                self._parse()
            self._early = self._early[feed(self.transport.get_protocol(), self._early) :]  # type: ignore[arg-type]
        if inbox.held and not (inbox and self._state is State.OPEN) and not self.transport.is_closing():
            inbox.held = False
            self.transport.resume_reading()

    # The end

    def _close(self, code: int, reason: str) -> None:
        """Close, and wait for the client to do the same."""
        self.transport.write(close_frame(code, reason))
        self._gone(code, reason, State.CLOSING)
        self._resume_reading()
        self._after(self.close_timeout, self.transport.abort)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Take note that the connection is gone.

        Args:
            transport: of the parser.
        """
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the connection is gone.

        Args:
            error: why, where it was not closed.
        """
        if self._deadline is not None:
            self._deadline.cancel()
        self._gone(1006, "")
        self.transport.close()  # one of TLS complains else
        self._inbox.close()
        self._early = b""
        self._wire = self._ws = None

    def _gone(self, code: int, reason: str, state: State = State.LOST) -> None:
        """Tell the application, once, that the connection is over."""
        before, self._state = self._state, state
        self._keepalive.stop()
        if before < State.CLOSING:
            self._inbox.put_soon({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.resume_writing()

    def _leave(self) -> None:
        self._state = State.LOST
        if self._wire is not None:
            self._wire.muted = True
        self.transport.pause_reading()  # TLS goes on to read until everything is written
        self.transport.close()
        self._after(self.close_timeout, self.transport.abort)

    def _after(self, seconds: float, call: Callable[..., object], *arguments: object) -> None:
        """Call ``call`` later, in place of what was to be called."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, call, *arguments)


def _code(code: Any) -> int:
    """A close code of picows: a member of an enumeration, or a number that has no member."""
    return int(code)
