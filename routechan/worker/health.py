"""Answers whether a worker process is well, over HTTP."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from ..exceptions import ChannelLayerUnavailable, MissingExtra
from .process import WorkerProcess

logger = logging.getLogger("routechan")

#: Seconds in which the event loop has to answer, and the layer then.
PATIENCE = 0.4

#: Seconds that a client may take for its request.
CLIENT_TIME = 5.0

#: A queue of no process: asking who serves it tells that the layer answers.
NOBODYS = "health.nobody!"

TEXT = "text/plain; charset=utf-8"

#: Gives what ``/metrics`` answers: the body and its content type.
Metrics = Callable[[], "tuple[bytes, str]"]


def parse_address(text: str) -> tuple[str, int]:
    """``(host, port)`` of ``PORT`` or ``HOST:PORT``; without a host it is that of every interface, ``""``."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"a port is a number from 1 to 65535, alone or as in 127.0.0.1:9000, not {text!r}")
    return host.strip("[]"), int(port)


class Health:
    """An HTTP server on threads of its own. Lifetime: from entering it, with ``with``, to leaving.

    ``GET /healthz`` answers 200 where the process takes messages, its event loop answers and its layer does, else
    503; ``GET /livez`` answers 200 as long as the event loop does. Both tell all they know as JSON. ``GET /metrics``
    answers what ``metrics`` gives. ``listen`` may be called before entering, to know that the port is free.
    """

    def __init__(self, process: WorkerProcess, host: str, port: int, *, metrics: Metrics | None = None) -> None:
        self._process = process
        self.host = host
        self.port = port
        self._metrics = metrics
        self._server: ThreadingHTTPServer | None = None

    def listen(self) -> None:
        """Take the port; raises ``OSError``."""
        taken = listener(self.host, self.port)
        server = ThreadingHTTPServer(taken.getsockname()[:2], _handler(self), bind_and_activate=False)
        server.socket.close()
        server.socket = taken
        self._server = server

    def __enter__(self) -> Health:
        if self._server is None:
            self.listen()
        if self._server is not None:
            threading.Thread(target=self._server.serve_forever, name="routechan-health", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def state(self) -> dict[str, Any]:
        """What is known now. Not on the event loop, whose answer it waits for."""
        process = self._process
        alive, layer = self._ask_loop()
        idle_for = process.idle_for
        return {
            "alive": alive,
            "ready": process.taking,
            "layer": layer,
            "running": process.running,
            "seconds_since_message": None if idle_for is None else round(idle_for, 3),
        }

    def _ask_loop(self) -> tuple[bool, bool | None]:
        """Whether the event loop answers, and whether the layer does, None where that cannot be asked."""
        loop = self._process.loop
        if loop is None or loop.is_closed():
            return True, None  # about to begin, or over: it is not held up
        answered = threading.Event()
        asked = self._ask_layer(answered)
        try:
            answer = asyncio.run_coroutine_threadsafe(asked, loop)
        except RuntimeError:  # closed just now
            asked.close()
            return True, None
        if not answered.wait(PATIENCE):
            answer.cancel()
            return False, None
        try:
            return True, answer.result(2 * PATIENCE)
        except (concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            return True, None

    async def _ask_layer(self, answered: threading.Event) -> bool:
        answered.set()
        try:
            await asyncio.wait_for(self._process.layer.layer.is_served(NOBODYS), PATIENCE)
        except (ChannelLayerUnavailable, asyncio.TimeoutError):
            return False
        return True

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path in ("/healthz", "/livez"):
            state = self.state()
            well = state["alive"] if path == "/livez" else state["alive"] and state["ready"] and state["layer"]
            return 200 if well else 503, "application/json", json.dumps(state).encode() + b"\n"
        if path == "/metrics" and self._metrics is not None:
            try:
                body, kind = self._metrics()
            except MissingExtra as error:
                return 501, TEXT, f"{error}\n".encode()
            return 200, kind, body
        return 404, TEXT, b"There are /healthz, /livez and /metrics.\n"


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens there, on every interface for ``""``; raises ``OSError``."""
    if host == "" and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Lifetime: connection."""

        timeout = CLIENT_TIME
        server_version = "routechan"
        sys_version = ""

        def do_GET(self) -> None:
            try:
                status, kind, body = health.answer(self.path.partition("?")[0])
            except Exception:  # whatever a metric does, who asks is told
                logger.exception("Answering %s failed", self.path)
                status, kind, body = 500, TEXT, b"It failed; see the log.\n"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is written of requests that come every few seconds."""

    return Handler
