"""Echo: sockets that each have one message on the way."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import systems
import uvloop
from client import Load, Socket, fetch, spread
from sample import Sample, percentiles
from systems import SYSTEMS

from .base import Work

if TYPE_CHECKING:
    from bench import Bench

LATENCIES = {"p50": "p50 (ms)", "p99": "p99 (ms)"}


class Echoes(Load):
    """The sockets, and how long each answer took. Lifetime: one sample."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.times: list[float] = []

    def begin_window(self) -> None:
        self.times = []


class Echo(Socket):
    """Sends again when its message is back. Lifetime: one connection."""

    load: Echoes
    sent = 0.0

    def send(self) -> None:
        self.load.due += 1
        self.sent = time.perf_counter()
        super().send()

    def got(self) -> None:
        if not self.sent:
            return self.fail("a message came twice")
        load = self.load
        load.received += 1
        load.times.append(time.perf_counter() - self.sent)
        self.sent = 0.0
        if load.sending:
            self.send()
        return None


def take(bench: Bench, name: str, count: int) -> Sample:
    """Messages a second of ``count`` sockets."""
    return uvloop.run(_take(bench, name, count))


async def _take(bench: Bench, name: str, count: int) -> Sample:
    with bench.running(name, "echo") as running:
        load = Echoes(running, bench.cpus(name), bench.headers(name))
        try:
            sockets = await load.open(spread(running.urls(), count), lambda: Echo(load))
            before = await _queries(running.ports[0]) if SYSTEMS[name].database else 0
            for socket in sockets:
                socket.send()
            sample = await load.window(bench.warmup, bench.seconds)
            values = percentiles(load.times)
            await load.drain()
            if SYSTEMS[name].database:
                values["queries"] = (await _queries(running.ports[0]) - before) / load.received
        finally:
            await load.close()
        return replace(sample, values=values)


async def _queries(port: int) -> int:
    """The statements that its database has had."""
    return int(await fetch(port, "/queries"))


_behind = [name for name, system in SYSTEMS.items() if system.database]
_worked = [name for name, system in SYSTEMS.items() if system.worker]
_all = [name for name in SYSTEMS if name not in _behind]
_few = [systems.BARE, systems.PLAIN, systems.ASYNC, "Channels 4 async, memory", "Channels 4 sync, memory"]
_few += ["Starlette, uvicorn", "python-socketio, uvicorn", "picows alone", "Node, ws", "Node, Socket.IO"]
_redis = ["routechan plain, own server, Redis", *_worked]

ECHO = Work(
    "echo",
    "Echo: each socket has one message on the way",
    "messages/s",
    take,
    {1: (*_few, *_redis), 64: (*_all,), 500: (*_few,)},
    axis="sockets",
    shown=LATENCIES,
    smoke=64,
    every=True,
)

SESSIONS = Work(
    "sessions",
    "Echo behind sessions and users: 64 sockets of a browser where a user is logged in, sessions in the database",
    "messages/s",
    take,
    {64: tuple(name for name in _behind if "from_http" not in name)},
    shown={**LATENCIES, "queries": "queries each"},
    every=True,
)
