"""The development server: uvicorn behind the interface of Daphne's class in 1.x, with an access log."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from routechan.asgi.lifespan import ASGIApplication
from routechan.asgi.translation import Scope
from routechan.asgi.writer import Receive, Send

from .. import conf

#: ``action_logger(protocol, action, details)``.
ActionLogger = Callable[[str, str, dict[str, Any]], object]

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000

#: Arguments of Daphne's class that say how it works, and mean nothing here.
WITHOUT_EFFECT = ("force_sync", "verbosity")


def build_endpoint_description_strings(
    host: str | None = None,
    port: int | None = None,
    unix_socket: str | None = None,
    file_descriptor: int | None = None,
) -> list[str]:
    """The endpoints for ``Server``, such as ``["tcp:port=8000:interface=127.0.0.1"]`` (CM-10, 6.13).

    Args:
        host: An address; that of IPv6 may stand in brackets. By default 127.0.0.1, if there is a port.
        port: A port number; by default 8000, if there is a host.
        unix_socket: The path of a unix socket.
        file_descriptor: The number of a socket that this process has inherited.
    """
    endpoints = []
    if host is not None or port is not None:
        interface = (host or DEFAULT_HOST).strip("[]").replace(":", "\\:")
        endpoints.append(f"tcp:port={DEFAULT_PORT if port is None else int(port)}:interface={interface}")
    if unix_socket:
        endpoints.append(f"unix:{unix_socket}")
    if file_descriptor is not None:
        endpoints.append(f"fd:fileno={int(file_descriptor)}")
    return sorted(endpoints)


class Server:
    """Serves a channel layer, or another application, with uvicorn (CM-09). Lifetime: process.

    Args:
        channel_layer: The layer to serve, which is an ASGI application.
        endpoints: Where to listen, as ``build_endpoint_description_strings`` returns it.
        signal_handlers: Whether SIGINT and SIGTERM stop the server; False outside of the main thread.
        action_logger: Called as ``action_logger(protocol, action, details)`` for each request and step of a socket.
        http_timeout: Seconds a request may take.
        ws_protocols: The subprotocols that may be chosen.
        root_path: The script prefix of all requests.
        websocket_handshake_timeout: Seconds until a socket has to be accepted or refused.
        application: The ASGI application to serve in place of the layer.
        host: Where to listen, beside ``endpoints``; see ``build_endpoint_description_strings``.
        port: As ``host``; without any of these it listens on port 8000 of this machine.
        unix_socket: As ``host``.
        file_descriptor: As ``host``.
        websocket_connect_timeout: An older name of ``websocket_handshake_timeout``.
        websocket_timeout: None or a negative number: sockets have no greatest age.
        ping_interval: Seconds between two pings of a socket.
        ping_timeout: Seconds within which a ping has to be answered.
        **without_effect: Arguments of Daphne's class about how it works, ``WITHOUT_EFFECT``; ``TypeError`` for others.

    The timeouts and ``ws_protocols`` replace the settings, unless None, in applications that are built afterwards.

    Raises:
        TypeError: There is no such argument.
        ValueError: ``websocket_timeout`` is an age.
    """

    def __init__(
        self,
        channel_layer: Any,
        endpoints: Iterable[str] | None = None,
        signal_handlers: bool = True,
        action_logger: ActionLogger | None = None,
        http_timeout: float | None = None,
        ws_protocols: Iterable[str] | None = None,
        root_path: str = "",
        websocket_handshake_timeout: float | None = None,
        application: ASGIApplication | None = None,
        *,
        host: str | None = None,
        port: int | None = None,
        unix_socket: str | None = None,
        file_descriptor: int | None = None,
        websocket_connect_timeout: float | None = None,
        websocket_timeout: float | None = None,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 30,
        **without_effect: Any,
    ) -> None:
        for name in without_effect:
            if name not in WITHOUT_EFFECT:
                raise TypeError(f"Server() has no argument {name!r}; start uvicorn or daphne itself, with its options")
        if websocket_timeout is not None and websocket_timeout >= 0:
            raise ValueError(f"websocket_timeout={websocket_timeout!r}: sockets have no greatest age; leave it out")
        own = build_endpoint_description_strings(host, port, unix_socket, file_descriptor)
        self.channel_layer = channel_layer
        self.endpoints = [*(endpoints or ()), *own] or build_endpoint_description_strings(DEFAULT_HOST)
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.signal_handlers = signal_handlers
        self.action_logger = action_logger
        self.root_path = root_path
        self.application = application
        conf.override_from_command_line(
            http_timeout=http_timeout,
            subprotocols=None if ws_protocols is None else tuple(ws_protocols),
            handshake_timeout=websocket_handshake_timeout or websocket_connect_timeout,
        )
        self._listeners: list[socket.socket] = []

    def listen(self) -> None:
        """Listen on the endpoints; ``OSError`` where one cannot be used."""
        for endpoint in self.endpoints:
            kind, _, place = endpoint.partition(":")
            if kind == "fd":
                self._listeners.append(socket.socket(fileno=int(place.rpartition("=")[2])))
                continue
            address = place if kind == "unix" else _address(endpoint)
            family = socket.AF_UNIX if kind == "unix" else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            listener = socket.socket(family)
            self._listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
                listener.listen()
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def run(self) -> None:
        """Serve until a signal stops the server."""
        import uvicorn

        application: Any = self.application or self.channel_layer
        if self.action_logger is not None:
            application = _AccessLog(application, self.action_logger)
        if self.root_path:
            application = _with_root_path(self.root_path, application)
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                log_level="warning",
                access_log=False,
                ws="routechan.server:WebSocketProtocol" if find_spec("picows") else "auto",
                ws_ping_interval=self.ping_interval,
                ws_ping_timeout=self.ping_timeout,
                timeout_graceful_shutdown=1,  # pages reconnect, and a developer should not have to wait
            )
        )
        logging.getLogger("uvicorn.error").addFilter(_is_no_answered_denial)
        if not self.signal_handlers:
            server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
        if not self._listeners:
            self.listen()
        try:
            server.run(sockets=self._listeners)
        finally:
            self.close()


class _AccessLog:
    """ASGI middleware that reports each request and each step of a socket to ``log``. Lifetime: process."""

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
        started_at, status = time.monotonic(), 500

        async def logging_send(event: Any) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            await send(event)

        try:
            await self._application(scope, receive, logging_send)
        finally:
            time_taken = time.monotonic() - started_at
            self._log("http", "complete", {**_details(scope), "status": status, "time_taken": time_taken})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        details, accepted = _details(scope), False
        self._log("websocket", "connecting", details)

        async def logging_send(event: Any) -> None:
            nonlocal accepted
            if event["type"] == "websocket.accept":
                accepted = True
                self._log("websocket", "connected", details)
            await send(event)

        try:
            await self._application(scope, receive, logging_send)
        finally:
            self._log("websocket", "disconnected" if accepted else "rejected", details)


def _is_no_answered_denial(record: logging.LogRecord) -> bool:
    """Whether to print a line of uvicorn: not that a handshake was not completed, when it was refused with a body."""
    return record.getMessage() != "ASGI callable returned without completing handshake."


def _with_root_path(root_path: str, application: ASGIApplication) -> ASGIApplication:
    async def with_root_path(scope: Scope, receive: Receive, send: Send) -> None:
        await application({**scope, "root_path": root_path}, receive, send)

    return with_root_path


def _details(scope: Scope) -> dict[str, Any]:
    host, port = scope.get("client") or ("unknown", 0)
    # Quoted again: a decoded path may hold new lines and control sequences, which must not reach a terminal.
    path = quote(scope["path"], safe="/!$&'()*+,;=:@~")
    return {"path": path, "method": scope.get("method", ""), "client": f"{host}:{port}"}


def _address(endpoint: str) -> tuple[str, int]:
    parts = dict(part.split("=", 1) for part in endpoint.replace("\\:", "\0").split(":") if "=" in part)
    if "port" not in parts:
        raise ValueError(f"an endpoint is such as 'tcp:port=8000:interface=127.0.0.1', not {endpoint!r}")
    return parts.get("interface", "127.0.0.1").replace("\0", ":"), int(parts["port"])
