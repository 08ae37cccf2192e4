"""Sockets of a compiled client that keep a server busy, and count what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import machine
import picows
from running import Running
from sample import Sample

TEXT = picows.WSMsgType.TEXT
AT_ONCE = 50
HANDSHAKE = 30.0
PATIENCE = 10.0


class LoadError(Exception):
    """What came back is not what should have come back."""


class Load:
    """The sockets of one sample and what went wrong with them. Lifetime: one sample.

    Args:
        running: The system that they are connected to.
        cpus: The CPUs that client and system run on.
        headers: Of each handshake.
    """

    def __init__(self, running: Running, cpus: list[int], headers: dict[str, str] | None = None) -> None:
        self.running = running
        self.framing = running.target.framing
        self.headers = headers or {}
        self.received = 0
        self.due = 0
        self.sending = True
        self.closing = False
        self.trouble: str | None = None
        self.sockets: list[Socket] = []
        self._cpus = cpus

    async def open(self, urls: Sequence[str], make: Callable[[], S]) -> list[S]:
        """One socket for each URL. The first alone: it waits for a process that has just been started."""
        found: list[S] = []
        start = 0
        while start < len(urls):
            batch = urls[start : start + (AT_ONCE if self.sockets else 1)]
            made = await asyncio.wait_for(asyncio.gather(*(self._connect(url, make()) for url in batch)), HANDSHAKE)
            found += made
            self.sockets += made
            start += len(batch)
        return found

    async def _connect(self, url: str, socket: S) -> S:
        await picows.ws_connect(lambda: socket, url, extra_headers=self.headers)
        await socket.ready
        return socket

    async def window(self, warmup: float, seconds: float) -> Sample:
        """What arrived per second within ``seconds``, after ``warmup``."""
        await asyncio.sleep(warmup)
        before, busy = self._clocks(), machine.busy_seconds(self._cpus)
        began, received = time.perf_counter(), self.received
        self.begin_window()
        await asyncio.sleep(seconds)
        while self.received == received and self.trouble is None and time.perf_counter() - began < PATIENCE:
            await asyncio.sleep(0.05)  # on a busy machine a short window may be over before anything comes
        arrived, took = self.received - received, time.perf_counter() - began
        by_all = machine.busy_seconds(self._cpus) - busy
        used = {name: now - before[name] for name, now in self._clocks().items()}
        if arrived == 0 and self.trouble is None:
            self.trouble = f"nothing arrived in {took:.1f} s; {self.received} of {self.due} messages in all"
        others = max(0.0, by_all - sum(used.values()))
        return Sample(arrived / took, {name: each / took for name, each in used.items()}, others / took)

    def begin_window(self) -> None:
        """Forget what was noted before the window."""

    async def drain(self, patience: float = PATIENCE) -> None:
        """Send no more, and let what is on the way arrive."""
        self.sending = False
        deadline = time.monotonic() + patience
        while self.received != self.due and self.trouble is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)  # what comes twice comes now

    async def close(self, patience: float = PATIENCE) -> None:
        """Drain, and close.

        Raises:
            LoadError: If not all came that was due, or anything else was amiss.
        """
        await self.drain(patience)
        self.closing = True
        for socket in self.sockets:
            socket.transport.send_close(picows.WSCloseCode.OK)
        if self.sockets:
            gone = [asyncio.ensure_future(each.transport.wait_disconnected()) for each in self.sockets]
            await asyncio.wait(gone, timeout=patience)
        for socket in self.sockets:
            socket.transport.disconnect(graceful=False)
        if self.trouble is None and self.received != self.due:
            self.trouble = f"{self.received} messages arrived where {self.due} were due"
        if self.trouble is not None:
            raise LoadError(self.trouble)

    async def measured(self, warmup: float, seconds: float) -> Sample:
        """The window, and the end."""
        try:
            return await self.window(warmup, seconds)
        finally:
            await self.close()

    def _clocks(self) -> dict[str, float]:
        return {**self.running.clocks(), "client": time.process_time()}


class Socket(picows.WSListener):  # type: ignore[misc]
    """What every socket of a load does and checks. Lifetime: one connection."""

    transport: picows.WSTransport

    def __init__(self, load: Load) -> None:
        self.load = load
        self.message = load.framing.message
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.leaving = False
        self._opening = list(load.framing.opening)

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport
        if not self._opening:
            self.ready.set_result(None)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if payload == self.message:
            self.got()
        elif self._opening and payload.startswith(self._opening[0][0]):
            _, answer = self._opening.pop(0)
            if answer:
                transport.send(TEXT, answer)
            if not self._opening:
                self.ready.set_result(None)
        elif self.load.framing.ping and payload == self.load.framing.ping[0]:
            transport.send(TEXT, self.load.framing.ping[1])
        elif not self.load.closing and not self.leaving:
            self.fail(f"a socket received {frame}")

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        if not self.load.closing and not self.leaving:
            self.fail("the server closed a socket")

    def leave(self) -> None:
        """Close, before the others do."""
        self.leaving = True
        self.transport.send_close(picows.WSCloseCode.OK)

    def send(self) -> None:
        self.transport.send(TEXT, self.message)

    def fail(self, trouble: str) -> None:
        self.load.trouble = self.load.trouble or trouble
        if not self.ready.done():
            self.ready.set_exception(LoadError(trouble))

    def got(self) -> None:
        """Its message has come."""
        self.fail("a message came that nobody had sent")


S = TypeVar("S", bound=Socket)


async def fetch(port: int, path: str) -> bytes:
    """The body of a page."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise LoadError(f"{path} was answered with {head[:80]!r}")
    return body


def spread(urls: Sequence[str], count: int) -> list[str]:
    """``count`` URLs, of each server as many."""
    return [urls[number % len(urls)] for number in range(count)]
