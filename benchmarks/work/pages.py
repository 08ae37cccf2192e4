"""HTTP beside sockets: clients that ask for a page, while others echo on the same server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import uvloop
from client import LoadError, spread
from sample import Sample
from systems import SYSTEMS

from .base import Work
from .echo import Echo, Echoes

if TYPE_CHECKING:
    from bench import Bench

SOCKETS, BODY = 64, b"hello"


class Asker(asyncio.Protocol):
    """Asks for a page, and again when it is there, on one connection. Lifetime: one connection."""

    def __init__(self, pages: Pages, port: int, path: str) -> None:
        self._pages = pages
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self._heard = b""
        self.idle = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, end, body = self._heard.partition(b"\r\n\r\n")
        if not end or len(body) < len(BODY):
            return
        if b" 200 " not in head.split(b"\r\n", 1)[0] or body != BODY:
            self._pages.trouble = self._pages.trouble or f"a page was answered with {self._heard[:200]!r}"
        self._heard = b""
        self._pages.pages += 1
        if self._pages.sending and self._pages.trouble is None:
            self.transport.write(self._request)
        else:
            self.idle.set()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.idle.is_set():
            self._pages.trouble = self._pages.trouble or "the server closed a connection that waited for a page"
            self.idle.set()


class Pages(Echoes):
    """Sockets, and the pages that came beside. Lifetime: one sample."""

    pages = 0
    before = 0

    def begin_window(self) -> None:
        super().begin_window()
        self.before = self.pages


async def _take(bench: Bench, name: str, count: int) -> Sample:
    with bench.running(name, "http") as running:
        load = Pages(running, bench.cpus(name), bench.headers(name))
        port, path = running.ports[0], SYSTEMS[name].targets["page"].path
        loop = asyncio.get_running_loop()
        askers: list[Asker] = []
        try:
            for socket in await load.open(spread(running.urls(), SOCKETS), lambda: Echo(load)):
                socket.send()
            for _ in range(count):
                made = await loop.create_connection(lambda: Asker(load, port, path), "127.0.0.1", port)
                askers.append(made[1])
            sample = await load.window(bench.warmup, bench.seconds)
            rate = (load.pages - load.before) / bench.seconds
        finally:
            load.sending = False
            for asker in askers:
                await asyncio.wait_for(asker.idle.wait(), 10)
                asker.transport.close()
            await load.close()
        if not rate:
            raise LoadError("no page came")
        return replace(sample, rate=rate, values={"echoes": sample.rate})


def take(bench: Bench, name: str, count: int) -> Sample:
    """Pages a second for ``count`` clients."""
    return uvloop.run(_take(bench, name, count))


_names = [name for name, system in SYSTEMS.items() if "page" in system.targets and not system.redis]
_without = ("channel_session", "enforce_ordering", "async, Django")

PAGES = Work(
    "http",
    f"HTTP beside sockets: 16 clients that ask for a page, and {SOCKETS} sockets that echo meanwhile",
    "pages/s",
    take,
    {16: tuple(name for name in _names if not any(part in name for part in _without))},
    shown={"echoes": "echoes/s beside"},
)
