"""Fan-out: one socket sends to all, and again when all have it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import systems
import uvloop
from client import Load, LoadError, Socket, spread
from sample import Sample
from systems import SYSTEMS

from .base import Work

if TYPE_CHECKING:
    from bench import Bench


class Member(Socket):
    """One of the group. Who completes a round has the first send again. Lifetime: one connection."""

    count = 0

    def got(self) -> None:
        load = self.load
        self.count += 1
        load.received += 1
        if load.received == load.due and load.sending:
            load.due += len(load.sockets)
            load.sockets[0].send()


async def fan_out(bench: Bench, name: str, count: int, servers: int) -> Sample:
    with bench.running(name, "fanout", servers=servers) as running:
        load = Load(running, bench.cpus(name), bench.headers(name))
        try:
            members = await load.open(spread(running.urls(), count), lambda: Member(load))
            await asyncio.sleep(0.5)  # over Redis, who was accepted last may not be a member yet
            load.due = count
            members[0].send()
            sample = await load.window(bench.warmup, bench.seconds)
        finally:
            await load.close(30)
        if len({member.count for member in members}) > 1:
            raise LoadError("some members received a message twice, others not at all")
        return sample


def take(bench: Bench, name: str, count: int, *, servers: int = 1) -> Sample:
    """Deliveries a second to ``count`` sockets."""
    return uvloop.run(fan_out(bench, name, count, servers))


_all = [name for name, system in SYSTEMS.items() if "fanout" in system.targets]
_few = [systems.BARE, systems.PLAIN, "routechan plain, own server, Redis", "Channels 4 async, memory"]
_few += ["Channels 4 async, core", "Channels 4 async, pub/sub", "python-socketio, uvicorn", "picows alone", "Node, ws"]
_most = [name for name in _few if "Channels 4" not in name]
_skipped = ("1 thread", "routechan async, worker", systems.CHANNELS1)

FANOUT = Work(
    "fanout",
    "Fan-out: one of the sockets sends to all, again when all have it",
    "deliveries/s",
    take,
    {
        10: tuple(_few),
        100: (*_few, systems.CHANNELS1),  # asgi_redis drops what a server has to read beyond 100 messages
        1000: tuple(name for name in _all if not any(part in name for part in _skipped)),
        10_000: tuple(_most),
    },
    axis="sockets",
    smoke=100,
)

TWO_SERVERS = Work(
    "fanout_two_servers",
    "Fan-out to 1,000 sockets, 500 on each of two server processes that share one Redis",
    "deliveries/s",
    partial(take, servers=2),
    {1000: ("routechan plain, own server, Redis", "Channels 4 async, core", "Channels 4 async, pub/sub")},
)
