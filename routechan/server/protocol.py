"""The WebSocket protocol between uvicorn, which has read the handshake, and an ASGI application."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)
from uvicorn.server import ServerState

from ..asgi import lines
from ..asgi.translation import ABORTS, WRITES, Event
from . import handshake
from .connection import Connection, State
from .framing import BINARY, TEXT, close_frame, frame

logger = logging.getLogger("uvicorn.error")

#: Bytes of a client that are kept before its handshake is answered.
EARLY_BYTES = 64 * 1024

#: The key of an event that has been framed.
FRAME = "routechan.frame"


class WebSocketProtocol(Connection):
    """One connection and its application: what uvicorn's ``--ws`` takes. Lifetime: connection, on one event loop.

    First it is the protocol of the transport itself. When the application has accepted, the parser takes its place and
    calls this with each frame. The application runs in a task, which a message wakes at once (see ``inbox``).

    Args:
        config: of the server.
        server_state: of the server.
        app_state: what the lifespan of the application has put into its state.
    """

    #: Seconds that the closes of a stop are spread over, so that clients do not all come back at once. Those that speak
    #: ``routechan.v1`` are asked to wait as long at most before they do.
    drain_time = 0.0

    __slots__ = ("_config", "_denial", "_key", "_server_state", "_speaks", "scope")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        loop = _loop or asyncio.get_running_loop()
        super().__init__(loop, config.ws_max_size, config.ws_ping_interval, config.ws_ping_timeout)
        self._config = config
        self._server_state = server_state
        self._key = b""
        self._speaks = False
        self._denial: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None
        self.scope: Any = {"state": app_state}

    # What uvicorn and the transport call

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take the connection over from the HTTP protocol.

        Args:
            transport: of the connection.
        """
        self.transport = transport
        self._server_state.connections.add(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Take the handshake, or what the client sends before it is answered.

        Args:
            data: all of the handshake first, as uvicorn has it.
        """
        if self._state is State.OPEN or self._state is State.CLOSING:
            super().data_received(data)
        elif self._key:
            self._early += data
            if len(self._early) > EARLY_BYTES:
                self._hold()
        elif self._state is State.CONNECTING:
            try:
                request = handshake.read(data)
            except handshake.Refusal as refusal:
                self._answer(refusal.status, refusal.headers, str(refusal).encode())
            else:
                self._begin(request)

    def eof_received(self) -> None:
        """Have the transport close: a client that sends nothing more has left."""

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the connection is gone.

        Args:
            error: why, where it was not closed.
        """
        self._server_state.connections.discard(self)
        super().connection_lost(error)
        self.scope = {}  # which has a method of this

    def shutdown(self) -> None:
        """End the connection, because the server stops; an open one within ``drain_time`` seconds."""
        if self.drain_time and self._state is State.OPEN:
            self._loop.call_later(self.drain_time * random.random(), self._end_now)
        else:
            self._end_now()

    def _end_now(self) -> None:
        if self._state is State.OPEN:
            if self.drain_time and self._speaks:
                retry = lines.said("retry", f"{self.drain_time * random.random():.3f}")
                self._write(_framed(retry))
            self._fail(close_frame(1012))
        elif self._state <= State.DENYING:
            self._refuse(503)
        else:
            self._leave()

    # The application

    def _begin(self, request: handshake.Request) -> None:
        self._key = request.key
        config, root_path, transport = self._config, self._config.root_path, self.transport
        self.scope = {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "root_path": root_path,
            "path": root_path + request.path,
            "raw_path": root_path.encode("ascii") + request.raw_path,
            "query_string": request.query_string,
            "headers": request.headers,
            "subprotocols": request.subprotocols,
            "state": self.scope["state"].copy(),
            "extensions": {"websocket.http.response": {}, ABORTS: {}, WRITES: {"write": self.write}},
        }
        self._inbox.put({"type": "websocket.connect"})
        # When uvicorn has put this on the transport, also where tasks begin at once; it may be lost by then.
        self._loop.call_soon(self._start, self.scope)

    def _start(self, scope: Any) -> None:
        task = self._loop.create_task(self._run(self._config.loaded_app, scope))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    async def _run(self, application: Callable[..., Awaitable[object]], scope: Any) -> None:
        try:
            result = await application(scope, self._inbox.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            logger.exception("Exception in ASGI application\n")
            self._end(1011)
        else:
            if self._state <= State.DENYING:
                logger.error("ASGI callable returned without completing handshake.")
            elif result is not None:
                logger.error("ASGI callable should return None, but returned '%s'.", result)
        self._end(1000)

    def _end(self, code: int) -> None:
        """End what the application has left open: with ``code``, or with 500 where nobody has accepted."""
        if self._state is State.OPEN:
            self._close(code, "")
        elif self._state <= State.DENYING:
            self._refuse(500)

    async def send(self, event: Event) -> None:
        """Take an event of the application: its ASGI ``send``.

        Args:
            event: the event; while the client does not read, this waits with it.

        Raises:
            ClientDisconnected: the client has left.
            RuntimeError: the event may not come now.
        """
        while self._drained is not None:
            await asyncio.shield(self._drained)
        kind, state = event["type"], self._state
        if state is State.OPEN and kind == "websocket.send":
            self._write(_framed(event))
        elif state is State.OPEN and kind == "websocket.close":
            self._close(event.get("code") or 1000, event.get("reason") or "")
        elif state is State.CONNECTING and kind == "websocket.accept":
            self._accept(event.get("subprotocol"), event.get("headers") or ())
        elif state is State.CONNECTING and kind == "websocket.close":
            self._deny(403, (), b"")
        elif state is State.CONNECTING and kind == "websocket.http.response.start":
            self._state = State.DENYING
            self._denial = event["status"], list(event.get("headers") or ()), b""
        elif state is State.DENYING and kind == "websocket.http.response.body":
            status, headers, body = self._denial  # type: ignore[misc]
            self._denial = status, headers, body + (event.get("body") or b"")
            if not event.get("more_body"):
                self._deny(*self._denial)
        elif state is State.LOST:
            raise ClientDisconnected
        else:
            raise RuntimeError(f"Unexpected ASGI event {kind!r}: the connection is {state.name.lower()}")

    def write(self, event: Event) -> bool:
        """Send a message, if nothing keeps it: what ``WRITES`` says of an ASGI ``send``.

        Args:
            event: the message, which keeps its frame for the next socket it is sent to.

        Returns:
            Whether it was sent; else it is left to ``send``.
        """
        if self._state is not State.OPEN or self._drained is not None or event["type"] != "websocket.send":
            return False
        data = event.get(FRAME)
        if data is None:
            event[FRAME] = data = _framed(event)
        self._write(data)
        return True

    def _accept(self, subprotocol: str | None, headers: handshake.Headers) -> None:
        self._log("[accepted]")
        if self.transport.is_closing():
            self._gone(1006, "")
            return
        self._speaks = subprotocol == lines.PROTOCOL
        headers = [*self._server_state.default_headers, *headers]
        self.transport.write(handshake.acceptance(self._key, subprotocol, headers))
        self._open()

    def _deny(self, status: int, headers: handshake.Headers, body: bytes) -> None:
        self._log(str(status))
        self._answer(status, headers, body)

    def _refuse(self, status: int) -> None:
        """Refuse the handshake because of this server, or of its application."""
        self._answer(status, (), handshake.phrase(status).encode())

    def _answer(self, status: int, headers: handshake.Headers, body: bytes) -> None:
        """Refuse the handshake."""
        self.transport.write(handshake.response(status, [*self._server_state.default_headers, *headers], body))
        self._gone(1006, "")
        self._leave()

    def _log(self, outcome: str) -> None:
        """Say what became of the handshake, as uvicorn does."""
        if logger.isEnabledFor(logging.INFO):
            where = get_client_addr(self.scope), get_path_with_query_string(self.scope)
            logger.info('%s - "WebSocket %s" %s', *where, outcome)


def _framed(event: Event) -> bytes:
    text = event.get("text")
    return frame(BINARY, event["bytes"]) if text is None else frame(TEXT, text.encode())
