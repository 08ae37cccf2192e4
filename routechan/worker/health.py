"""The health of a worker process, over HTTP."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Any

from ..consumers.watchdog import held_threads
from ..exceptions import ChannelLayerUnavailable, MissingExtra
from .process import WorkerProcess

logger = logging.getLogger("routechan")

#: Seconds that the event loop has to answer, and then the layer.
PATIENCE = 0.4

#: Seconds for which all threads of plain consumers have to be held before the process counts as stuck.
STUCK_TIME = 600.0

#: Seconds in which a client has to send its request and take the answer.
CLIENT_TIME = 5.0

#: How many bytes a request may have.
REQUEST_SIZE = 8192

#: How many clients are connected at a time; for one more, the one that came first has to go.
CLIENTS = 64

#: How many answers are worked out at a time, each on a thread, because they wait for the event loop of the process.
ANSWERS = 2

#: A queue that no process serves: asking about it tells whether the layer answers.
UNSERVED = "health.nobody!"

TEXT = "text/plain; charset=utf-8"

#: Gives what ``/metrics`` answers: the body and its content type.
Metrics = Callable[[], "tuple[bytes, str]"]


def parse_address(text: str) -> tuple[str, int]:
    """The host and port in ``text``, ``PORT`` or ``HOST:PORT``.

    Without a host it is ``127.0.0.1``: what the answers tell is for this machine. ``*`` is ``""``, every interface.

    Raises:
        ValueError: ``text`` has no port number.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"a port is a number from 1 to 65535, alone or as in 127.0.0.1:9000 and *:9000, not {text!r}")
    return "" if host == "*" else host.strip("[]") or "127.0.0.1", int(port)


class Health:
    """Answers how a process is, over HTTP. Lifetime: a ``with`` block.

    ``GET /healthz`` answers 200 if the process takes messages and both its event loop and its layer answer, else 503.
    ``GET /livez`` answers 200 as long as the event loop answers and not all threads are stuck. Both give the whole
    state as JSON. ``GET /metrics`` answers with what ``metrics`` returns. ``listen`` may be called before entering, to
    know that the port is free.

    Args:
        process: whose health it is.
        host: the address to listen on; every interface for ``""``.
        port: the port to listen on.
        metrics: returns the body of ``/metrics`` and its content type.
        stuck_time: seconds; the process is not alive while each of its threads has been held by one plain consumer for
            longer. None: it may be held as long as it likes.
    """

    def __init__(
        self,
        process: WorkerProcess,
        host: str,
        port: int,
        *,
        metrics: Metrics | None = None,
        stuck_time: float | None = STUCK_TIME,
    ) -> None:
        self._process = process
        self._stuck_time = stuck_time
        self.host = host
        self.port = port
        self._metrics = metrics
        self._server: _Server | None = None

    def listen(self) -> _Server:
        """Take the port.

        Returns:
            The server, which answers nobody yet.

        Raises:
            OSError: the port cannot be had.
        """
        self._server = _Server(listener(self.host, self.port), self.answer)
        return self._server

    def __enter__(self) -> Health:
        (self._server or self.listen()).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()

    def state(self) -> dict[str, Any]:
        """The state as plain values.

        Not for the event loop, whose answer it waits for.
        """
        process = self._process
        alive, layer = self._ask_loop()
        idle_for = process.idle_for
        stuck = self._stuck()
        return {
            "alive": alive and not stuck,
            "stuck": stuck,
            "ready": process.taking,
            "layer": layer,
            "running": process.running,
            "seconds_since_message": None if idle_for is None else round(idle_for, 3),
        }

    def _stuck(self) -> bool:
        """Whether each thread has been held for ``stuck_time``."""
        process = self._process
        return (
            self._stuck_time is not None and len(held_threads(process.dispatcher, self._stuck_time)) >= process.threads
        )

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
            await asyncio.wait_for(self._process.layer.layer.is_served(UNSERVED), PATIENCE)
        except (ChannelLayerUnavailable, asyncio.TimeoutError):
            return False
        return True

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """The status, content type and body that answer a request for ``path``."""
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


class _Server:
    """A small HTTP server on an event loop and threads of its own. Lifetime: a ``Health`` block.

    Whatever clients do costs the process ``CLIENTS`` descriptors and ``ANSWERS`` threads at most.

    Args:
        socket: listens already.
        answer: gives the status, content type and body for a path.
    """

    def __init__(self, socket: socket.socket, answer: Callable[[str], tuple[int, str, bytes]]) -> None:
        self.socket = socket
        self._answer = answer
        self._over = asyncio.Event()
        self._clients: dict[asyncio.StreamWriter, None] = {}  # in the order in which they came
        self._thread = threading.Thread(target=self._run, name="routechan-health", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(ANSWERS, "routechan-health-answer") as self._threads:
            self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self.socket, limit=REQUEST_SIZE)
        await self._over.wait()
        server.close()
        for client in tuple(self._clients):
            client.transport.abort()
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = None
        if len(self._clients) > CLIENTS:
            next(iter(self._clients)).transport.abort()
        try:
            await asyncio.wait_for(self._exchange(reader, writer), CLIENT_TIME)
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            pass  # the client has left, takes too long, or sends something else: nothing to tell anybody
        finally:
            del self._clients[writer]
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and end the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, *_ = *head.decode("latin-1").split(maxsplit=2), "", ""
        path = target.partition("?")[0]
        if method in ("GET", "HEAD"):
            status, kind, body = await self._loop.run_in_executor(self._threads, self._answered, path)
        else:
            status, kind, body = 405, TEXT, b"Use GET or HEAD.\n"
        lines = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "\r\n",
        )
        writer.write("\r\n".join(lines).encode("latin-1") + (b"" if method == "HEAD" else body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def _answered(self, path: str) -> tuple[int, str, bytes]:
        try:
            return self._answer(path)
        except Exception:  # whatever a metric does, the client gets an answer
            logger.exception("Answering %r failed", path)
            return 500, TEXT, b"It failed; see the log.\n"


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host`` (every interface for ``""``) and ``port``.

    Raises:
        OSError: the port cannot be had.
    """
    if host == "" and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
