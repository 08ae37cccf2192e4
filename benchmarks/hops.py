"""Echo and fan-out with the time that each answer took, and what each process of the site paid for it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import picows
from calm import OTHER_ALLOWED
from load import PAYLOAD, TEXT, Listener, Load, Member
from sites import Site

HANDSHAKE = 30.0


@dataclass(frozen=True)
class HopSample:
    """One window. CPU values are shares of one CPU; ``p50`` and ``p99`` milliseconds from send to answer."""

    rate: float
    server_cpu: float
    worker_cpu: float
    redis_cpu: float
    client_cpu: float
    other_cpu: float
    p50: float = 0.0
    p99: float = 0.0

    @property
    def disturbed(self) -> bool:
        return self.other_cpu > OTHER_ALLOWED


class Echoes(Load):
    """The sockets of one sample. ``every`` is the seconds between two messages of a socket, 0 for at once."""

    def __init__(self, cpus: list[int], every: float) -> None:
        super().__init__(cpus)
        self.every = every
        self.latencies: list[float] = []
        self.sockets: list[Echo] = []

    def listener(self) -> Echo:
        self.sockets.append(Echo(self))
        return self.sockets[-1]


class Echo(Listener):
    """Sends the next message when the last is back, and it is due. Lifetime: socket."""

    def __init__(self, load: Echoes) -> None:
        super().__init__(load)
        self.echoes = load
        self.due = 0.0

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def begin(self, after: float) -> None:
        self.due = time.perf_counter() + after
        asyncio.get_running_loop().call_later(after, self._send)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.get_payload_as_bytes() != PAYLOAD:
            return self.wrong(frame)
        echoes = self.echoes
        echoes.received += 1
        now = time.perf_counter()
        # From when it was due, not from when it left: an answer that is late must not hide the delay of the next.
        echoes.latencies.append(now - self.due)
        self.due = self.due + echoes.every if echoes.every else now
        if self.due <= now:
            self._send()
        else:
            asyncio.get_running_loop().call_later(self.due - now, self._send)

    def _send(self) -> None:
        if self.echoes.sending:
            self.echoes.sent += 1
            self.transport.send(TEXT, PAYLOAD)


async def echo(
    site: Site, path: str, *, sockets: int, warmup: float, seconds: float, cpus: list[int], every: float = 0.0
) -> HopSample:
    """``sockets`` sockets with one message on the way each, as fast as it goes or at a pace."""
    load = Echoes(cpus, every)
    await _open(load, site.url + path, sockets, load.listener)
    for number, socket in enumerate(load.sockets):
        socket.begin(every * number / sockets)
    return await _measured(load, site, warmup, seconds, load.latencies)


async def fanout(site: Site, path: str, *, sockets: int, warmup: float, seconds: float, cpus: list[int]) -> HopSample:
    """Deliveries when one of ``sockets`` sockets sends to all, one message at a time."""
    load = Load(cpus)
    await _open(load, site.url + path, sockets, lambda: Member(load))
    await asyncio.sleep(0.5)  # who was accepted last may not be a member yet
    load.sent += sockets
    load.transports[0].send(TEXT, PAYLOAD)
    return await _measured(load, site, warmup, seconds)


async def _open(load: Load, url: str, sockets: int, listener: Callable[[], Listener]) -> None:
    """The first alone: it waits for a worker that has just been started."""
    await asyncio.wait_for(load.open(url, 1, listener), HANDSHAKE)
    await load.open(url, sockets, listener)


async def _measured(
    load: Load, site: Site, warmup: float, seconds: float, latencies: list[float] | None = None
) -> HopSample:
    try:
        await asyncio.sleep(warmup)
        if latencies is not None:
            latencies.clear()
        before = site.clocks()
        found = await load.window(site, 0, seconds)
        taken = {name: (now - before[name]) / seconds for name, now in site.clocks().items()}
        times = sorted(latencies or ())
    finally:
        await load.close()
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else [0.0] * 99
    return HopSample(
        found.rate,
        taken["server"],
        taken["worker"],
        taken["redis"],
        found.client_cpu,
        found.other_cpu,
        cuts[49] * 1000,
        cuts[98] * 1000,
    )
