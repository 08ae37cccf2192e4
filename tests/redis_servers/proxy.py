"""A network between a layer and Redis that the test breaks: a TCP proxy on threads."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Any

#: How a reply to TIME begins.
_TIME = re.compile(rb"\*2\r\n\$10\r\n(\d{10})\r\n\$")

#: Bytes that are passed on at once.
PIECE = 4096


class _Link:
    """One connection through the proxy. Lifetime: that connection."""

    def __init__(self, network: Network, client: socket.socket) -> None:
        self.network = network
        self.client = client
        self.server: socket.socket | None = None
        self.threads: list[threading.Thread] = []

    def reset(self) -> None:
        """End it on both sides at once, with an RST."""
        for end in (self.client, self.server):
            if end is not None:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def run(self) -> None:
        """Connect on, and pass on what is said both ways."""
        with suppress(OSError):
            self.network.pass_gate()
            self.server = socket.create_connection(("127.0.0.1", self.network.server_port))
            for ends in ((self.client, self.server, False), (self.server, self.client, True)):
                self.network.start(self.pump, *ends)

    def pump(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                self.network.pass_gate()
                if replies and self.network.clock_ahead:
                    data = _TIME.sub(self.network.time_told, data)
                if replies and self.network.take_cut(len(data)):
                    target.sendall(data[: max(len(data) // 2, 1)])
                    break
                self.network.slow_down(len(data))
                target.sendall(data)
        self.reset()


class Network:
    """Passes connections on to one server, as well or badly as it is told to. Lifetime: test.

    Args:
        server_port: the port of the server, on this machine.
    """

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.delay = 0.0  # seconds that each piece takes, each way
        self.bandwidth = 0.0  # bytes a second of each connection and direction; 0: as fast as it goes
        self.clock_ahead = 0  # seconds that are added to what the server answers to TIME
        self._cuts = 0  # replies that are still to be cut in two
        self._open = threading.Event()
        self._open.set()
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.start(self._accept)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Faults

    def drop(self) -> int:
        """Reset all connections; how many there were."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.reset()
        return len(links)

    def silence(self) -> None:
        """From now on take connections and what is said, and pass nothing on, until ``speak``."""
        self._open.clear()

    def speak(self) -> None:
        """End ``silence``; what was said meanwhile is passed on."""
        self._open.set()

    def cut(self, replies: int = 1) -> None:
        """Reset the connections of the next so many replies, each after half of it was passed on."""
        with self._lock:
            self._cuts += replies

    def close(self) -> None:
        """End all connections."""
        self.speak()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    # For the links

    def start(self, target: Any, *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, name="tests-network", daemon=True).start()

    def pass_gate(self) -> None:
        self._open.wait()

    def slow_down(self, size: int) -> None:
        pause = self.delay + (size / self.bandwidth if self.bandwidth else 0.0)
        if pause:
            time.sleep(pause)

    def time_told(self, told: re.Match[bytes]) -> bytes:
        """A reply to TIME by a clock that was set."""
        return b"*2\r\n$10\r\n%d\r\n$" % (int(told[1]) + self.clock_ahead)

    def take_cut(self, size: int) -> bool:
        with self._lock:
            cuts = self._cuts > 0 and size > 1
            self._cuts -= cuts
        return cuts

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link = _Link(self, client)
                with self._lock:
                    self._links.append(link)
                self.start(link.run)
