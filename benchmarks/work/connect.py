"""Connects: clients that do the handshake, close, and begin again."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import systems
import uvloop
from client import Load, LoadError
from framing import Framing
from sample import Sample
from systems import SYSTEMS

from .base import Work

if TYPE_CHECKING:
    from bench import Bench

TEXT, CLOSE = 0x1, 0x8


def frame(opcode: int, payload: bytes) -> bytes:
    """A short frame of a client; its mask is zero, so that the payload stays."""
    return struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload)) + bytes(4) + payload


CLOSED = frame(CLOSE, struct.pack("!H", 1000))


def request(url: str, headers: dict[str, str]) -> bytes:
    """A handshake."""
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Visit(asyncio.Protocol):
    """One connection: handshake, what its framing opens with, close. No library: it has to be faster than servers are.

    Lifetime: one connection.
    """

    def __init__(self, handshake: bytes, framing: Framing, done: asyncio.Future[bytes]) -> None:
        self._handshake = handshake
        self._steps = [(b"\r\n\r\n", b""), *framing.opening]
        self._answers = [frame(TEXT, answer) if answer else b"" for _, answer in self._steps]
        self._done = done
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._handshake)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while self._steps and self._steps[0][0] in self._heard:
            self._steps.pop(0)
            answer = self._answers.pop(0) or (b"" if self._steps else CLOSED)
            if answer:
                self._transport.write(answer)  # type: ignore[attr-defined]

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(b"" if self._steps else self._heard)


class Visitors(Load):
    """Clients that come and go; ``received`` is how many have been. Lifetime: one sample."""

    async def come_and_go(self, url: str) -> None:
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        handshake = request(url, self.headers)
        while self.sending:
            self.due += 1
            done: asyncio.Future[bytes] = loop.create_future()
            await loop.create_connection(
                lambda done=done: Visit(handshake, self.framing, done), parts.hostname, parts.port
            )
            heard = await done
            if not heard.startswith(b"HTTP/1.1 101"):
                self.trouble = self.trouble or f"a handshake was answered with {heard[:80]!r}"
                return
            self.received += 1


CLIENTS = 32


def take(bench: Bench, name: str, count: int) -> Sample:
    """Handshakes a second of ``count`` clients."""
    return uvloop.run(_take(bench, name, count))


async def _take(bench: Bench, name: str, count: int) -> Sample:
    with bench.running(name, "echo") as running:
        load = Visitors(running, bench.cpus(name), bench.headers(name))
        tasks = [asyncio.ensure_future(load.come_and_go(running.urls()[0])) for _ in range(count)]
        began = time.monotonic()
        while load.received < count and load.trouble is None:  # a process has just been started
            await asyncio.sleep(0.01)
            if time.monotonic() - began > 30:
                raise LoadError("the first handshakes were not answered in 30 s")
        try:
            return await load.window(bench.warmup, bench.seconds)
        finally:
            load.sending = False
            _, late = await asyncio.wait(tasks, timeout=10)
            for task in late:
                task.cancel()
            await load.close()
            for task in tasks:
                if not task.cancelled():
                    task.result()  # raises


_behind = [name for name, system in SYSTEMS.items() if system.database]
_all = [name for name, system in SYSTEMS.items() if not system.database and not system.redis]

CONNECT = Work(
    "connect",
    f"Connects: {CLIENTS} clients that do the handshake, close, and come again",
    "connects/s",
    take,
    {CLIENTS: (*_all, systems.CHANNELS1)},
)

CONNECT_SESSIONS = Work(
    "connect_sessions",
    f"Connects behind sessions and users: {CLIENTS} clients with the cookie of a session in the database",
    "connects/s",
    take,
    {CLIENTS: tuple(_behind)},
    every=True,
)
