"""Sockets of a compiled client that keep a server busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import machine
import picows
from calm import OTHER_ALLOWED
from server import Server

PAYLOAD = b"hello, this is a message of 48 bytes: 0123456789"
TEXT = picows.WSMsgType.TEXT
AT_ONCE = 50


class LoadError(Exception):
    """What came back is not what should have come back."""


@dataclass(frozen=True)
class Sample:
    """One measured window. CPU values are shares of one CPU, 0 to 1; ``other_cpu`` is what neither the server
    nor the client used of the CPUs they run on."""

    rate: float
    server_cpu: float = 0
    client_cpu: float = 0
    other_cpu: float = 0

    @property
    def disturbed(self) -> bool:
        """Whether other processes took CPU that was meant for this run."""
        return self.other_cpu > OTHER_ALLOWED


class Load:
    """The sockets of one run and what went wrong with them. Lifetime: one run."""

    def __init__(self, cpus: list[int] | None = None) -> None:
        self._cpus = machine.cpus() if cpus is None else cpus
        self.transports: list[picows.WSTransport] = []
        self.sent = 0
        self.received = 0
        self.sending = True
        self.closing = False
        self.trouble: str | None = None

    async def open(self, url: str, count: int, listener: Callable[[], picows.WSListener]) -> None:
        while len(self.transports) < count:
            batch = min(AT_ONCE, count - len(self.transports))
            opened = await asyncio.gather(*(picows.ws_connect(listener, url) for _ in range(batch)))
            self.transports.extend(transport for transport, _ in opened)

    async def window(self, server: Server, warmup: float, seconds: float) -> Sample:
        """Messages per second that arrived within ``seconds``, after ``warmup``."""
        await asyncio.sleep(warmup)
        before = self._clocks(server)
        await asyncio.sleep(seconds)
        took, arrived, by_server, by_client, by_all = (
            now - then for now, then in zip(self._clocks(server), before, strict=True)
        )
        if arrived == 0 and self.trouble is None:
            self.trouble = f"nothing arrived in {took:.1f} s; {self.received} of {self.sent} messages in all"
        other = max(0.0, by_all - by_server - by_client)
        return Sample(arrived / took, by_server / took, by_client / took, other / took)

    async def close(self, patience: float = 5) -> None:
        """Let what is on the way arrive, and close. Raises LoadError if it does not, or anything was amiss."""
        self.sending = False
        deadline = time.monotonic() + patience
        while self.received != self.sent and self.trouble is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self.closing = True
        for transport in self.transports:
            transport.send_close(picows.WSCloseCode.OK)
        await asyncio.wait(
            [asyncio.ensure_future(each.wait_disconnected()) for each in self.transports], timeout=patience
        )
        for transport in self.transports:
            transport.disconnect(graceful=False)
        if self.trouble is None and self.received != self.sent:
            self.trouble = f"{self.received} messages arrived where {self.sent} were due"
        if self.trouble is not None:
            raise LoadError(self.trouble)

    def _clocks(self, server: Server) -> tuple[float, float, float, float, float]:
        """Seconds, messages, and CPU seconds of the server, of the client and of everybody."""
        return (
            time.perf_counter(),
            self.received,
            server.cpu_seconds(),
            time.process_time(),
            machine.busy_seconds(self._cpus),
        )


class Listener(picows.WSListener):
    """What every socket of a load checks."""

    def __init__(self, load: Load) -> None:
        self.load = load

    def wrong(self, frame: picows.WSFrame) -> None:
        if not self.load.closing:
            self.load.trouble = f"a socket received {frame}"

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        if not self.load.closing and self.load.trouble is None:
            self.load.trouble = "the server closed a socket"


class Echo(Listener):
    """Sends again when its message is back."""

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.get_payload_as_bytes() != PAYLOAD:
            return self.wrong(frame)
        load = self.load
        load.received += 1
        if load.sending:
            load.sent += 1
            transport.send(TEXT, PAYLOAD)


class Member(Listener):
    """One of a group. Who completes a round has the first socket send the next message."""

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.get_payload_as_bytes() != PAYLOAD:
            return self.wrong(frame)
        load = self.load
        load.received += 1
        if load.received == load.sent and load.sending:
            load.sent += len(load.transports)
            load.transports[0].send(TEXT, PAYLOAD)


async def echo(server: Server, path: str, *, sockets: int, warmup: float, seconds: float, cpus: list[int]) -> Sample:
    """Messages per second of ``sockets`` sockets with one message on the way each."""
    load = Load(cpus)
    await load.open(server.url + path, sockets, lambda: Echo(load))
    for transport in load.transports:
        load.sent += 1
        transport.send(TEXT, PAYLOAD)
    return await _measured(load, server, warmup, seconds)


async def fanout(server: Server, path: str, *, sockets: int, warmup: float, seconds: float, cpus: list[int]) -> Sample:
    """Deliveries per second when one of ``sockets`` sockets sends to all, one message at a time."""
    load = Load(cpus)
    await load.open(server.url + path, sockets, lambda: Member(load))
    load.sent += sockets
    load.transports[0].send(TEXT, PAYLOAD)
    return await _measured(load, server, warmup, seconds)


async def idle(server: Server, path: str, *, sockets: int) -> float:
    """Bytes of memory each of ``sockets`` silent sockets costs the server."""
    first = Load()  # what the first socket of a process loads is not a socket's cost
    await first.open(server.url + path, 1, lambda: Listener(first))
    await first.close()
    before = await _settled(server)
    load = Load()
    await load.open(server.url + path, sockets, lambda: Listener(load))
    after = await _settled(server)
    await load.close()
    return (after - before) / sockets


async def _measured(load: Load, server: Server, warmup: float, seconds: float) -> Sample:
    try:
        return await load.window(server, warmup, seconds)
    finally:
        await load.close()


async def _settled(server: Server, patience: float = 5) -> int:
    """The server's memory when it has stopped changing."""
    deadline = time.monotonic() + patience
    last, now = -1, server.resident()
    while last != now and time.monotonic() < deadline:
        await asyncio.sleep(0.3)
        last, now = now, server.resident()
    return now
