"""The development server: uvicorn, called as 1.x called Daphne's class, and a line for each request and socket."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from routechan.asgi.lifespan import ASGIApplication
from routechan.asgi.translation import Scope
from routechan.asgi.writer import Receive, Send

from .. import conf

#: ``action_logger(protocol, action, details)``.
ActionLogger = Callable[[str, str, dict[str, Any]], object]


def build_endpoint_description_strings(host: str, port: int) -> list[str]:
    """Where to serve, as ``Server`` takes it: ``["tcp:port=8000:interface=127.0.0.1"]`` (CM-10)."""
    return [f"tcp:port={int(port)}:interface={host.strip('[]').replace(':', chr(92) + ':')}"]


class Server:
    """Serves ``channel_layer``, or ``application`` if that is set, on ``endpoints`` (CM-09). Lifetime: process.

    ``http_timeout`` and ``websocket_handshake_timeout`` (seconds) and ``ws_protocols`` come before the settings;
    None leaves them to these. They hold for applications that are built after this.
    """

    def __init__(
        self,
        channel_layer: Any,
        endpoints: Iterable[str],
        signal_handlers: bool = True,
        action_logger: ActionLogger | None = None,
        http_timeout: float | None = None,
        ws_protocols: Iterable[str] | None = None,
        root_path: str = "",
        websocket_handshake_timeout: float | None = None,
        application: ASGIApplication | None = None,
    ) -> None:
        self.channel_layer = channel_layer
        self.endpoints = list(endpoints)
        self.signal_handlers = signal_handlers
        self.action_logger = action_logger
        self.root_path = root_path
        self.application = application
        conf.serve_with(
            http_timeout=http_timeout,
            subprotocols=None if ws_protocols is None else tuple(ws_protocols),
            handshake_timeout=websocket_handshake_timeout,
        )
        self._listeners: list[socket.socket] = []

    def listen(self) -> None:
        """Take the endpoints; raises ``OSError`` where one cannot be had."""
        for endpoint in self.endpoints:
            host, port = _address(endpoint)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family)
            self._listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
                listener.listen()
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Give the endpoints back."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def run(self) -> None:
        """Serve until a signal ends it."""
        import uvicorn

        application: Any = self.application or self.channel_layer
        if self.action_logger is not None:
            application = _Watched(application, self.action_logger)
        if self.root_path:
            application = _below(self.root_path, application)
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=1,  # the pages reconnect; a developer waits for nothing
            )
        )
        if not self.signal_handlers:
            server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
        if not self._listeners:
            self.listen()
        try:
            server.run(sockets=self._listeners)
        finally:
            self.close()


class _Watched:
    """An ASGI application, each of whose requests and sockets is told to ``log``. Lifetime: process."""

    def __init__(self, application: ASGIApplication, log: ActionLogger) -> None:
        self._application = application
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.monotonic(), 500

        async def sent(event: Any) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            await send(event)

        try:
            await self._application(scope, receive, sent)
        finally:
            took = time.monotonic() - began
            self._log("http", "complete", {**_who(scope), "status": status, "time_taken": took})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        who, opened = _who(scope), False
        self._log("websocket", "connecting", who)

        async def sent(event: Any) -> None:
            nonlocal opened
            if event["type"] == "websocket.accept":
                opened = True
                self._log("websocket", "connected", who)
            await send(event)

        try:
            await self._application(scope, receive, sent)
        finally:
            self._log("websocket", "disconnected" if opened else "rejected", who)


def _below(root_path: str, application: ASGIApplication) -> ASGIApplication:
    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await application({**scope, "root_path": root_path}, receive, send)

    return served


def _who(scope: Scope) -> dict[str, Any]:
    host, port = scope.get("client") or ("unknown", 0)
    # As it was sent: decoded it could hold new lines, and whatever else a terminal obeys.
    path = quote(scope["path"], safe="/!$&'()*+,;=:@~")
    return {"path": path, "method": scope.get("method", ""), "client": f"{host}:{port}"}


def _address(endpoint: str) -> tuple[str, int]:
    parts = dict(part.split("=", 1) for part in endpoint.replace("\\:", "\0").split(":") if "=" in part)
    if "port" not in parts:
        raise ValueError(f"an endpoint is such as 'tcp:port=8000:interface=127.0.0.1', not {endpoint!r}")
    return parts.get("interface", "127.0.0.1").replace("\0", ":"), int(parts["port"])
