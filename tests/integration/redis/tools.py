"""What tests look into a Redis with: the words of a layer and its server, keys, and clocks that are wrong."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from routechan.layers import RedisChannelLayer
from routechan.layers.redis.connection import RedisClock
from tests.contract.reading import SOON

#: Makes layers of one prefix, each of which is a process to the others.
Make = Callable[..., RedisChannelLayer]


class Shifted(RedisClock):
    """A clock that is wrong by so many seconds until Redis tells the time, and ``ahead`` of that ever after."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self._offset += wrong
        self._latest += wrong
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


class Proxy:
    """Between a layer and Redis: notes each turn, what the client says until the server answers. Lifetime: test."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.turns: list[bytes] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._server_port))
                turn: list[int] = []  # which of ``turns`` the client's next words belong to; none: they begin one
                self._start(self._pump, client, server, turn, True)
                self._start(self._pump, server, client, turn, False)

    def _pump(self, source: socket.socket, target: socket.socket, turn: list[int], says: bool) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if not says:
                    turn.clear()
                elif turn:
                    self.turns[turn[0]] += data
                else:
                    with self._lock:
                        turn.append(len(self.turns))
                        self.turns.append(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def about(self, *words: str) -> list[bytes]:
        """The turns that mention one of ``words``."""
        return [turn for turn in self.turns if any(word.encode() in turn for word in words)]

    def close(self) -> None:
        """After whoever uses it has closed its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SOON)


def verbs(turn: bytes) -> list[str]:
    """The commands in a turn."""
    words = turn.split(b"\r\n")
    return [words[at + 2].decode() for at, word in enumerate(words) if word[:1] == b"*" and word[1:].isdigit()]


def key_of(layer: RedisChannelLayer, queue: str) -> str:
    """The key of a queue."""
    return layer.engine.keys.queue(queue)
