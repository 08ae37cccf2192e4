"""A network that can be cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

from tests.processes import PATIENCE


class Network:
    """Between a browser and a server: hands on what they say, until it is cut. Lifetime: test. Thread-safe.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._left: int | None = None  # bytes that the server may say before the network is cut
        self._is_cut = threading.Event()
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Network:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE)
        self._listener.close()

    def cut(self) -> None:
        """End all connections, and each new one, until ``mend``."""
        with self._lock:
            self._cut()

    def cut_after(self, count: int) -> None:
        """Hand ``count`` more bytes of the server on, then cut, be it in the midst of a frame."""
        with self._lock:
            self._left = count

    def wait_until_cut(self) -> None:
        assert self._is_cut.wait(PATIENCE), "the server has not said as much as was waited for"

    def mend(self) -> None:
        """Let new connections through."""
        with self._lock:
            self._left = None
            self._is_cut.clear()

    def _cut(self) -> None:
        self._is_cut.set()
        for connection in self._open:
            with suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):  # the end of the listener
            while True:
                browser = self._listener.accept()[0]
                with self._lock:
                    if self._is_cut.is_set():
                        browser.close()
                        continue
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                    self._open |= {browser, server}
                for source, target in ((browser, server), (server, browser)):
                    threading.Thread(target=self._pump, args=(source, target, source is server), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    if self._is_cut.is_set():
                        break
                    if counts and self._left is not None:
                        data = data[: self._left]
                        self._left -= len(data)
                    target.sendall(data)
                    if self._left == 0:
                        self._cut()
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._lock:
            self._open.discard(source)
        source.close()
