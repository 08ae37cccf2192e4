"""Memory: sockets that are open and silent."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import systems
import uvloop
from client import Load, Socket, spread
from running import Running
from sample import Sample

from .base import Work

if TYPE_CHECKING:
    from bench import Bench


def take(bench: Bench, name: str, count: int) -> Sample:
    """Bytes that the server holds for each of ``count`` sockets."""
    return uvloop.run(_take(bench, name, count))


async def _take(bench: Bench, name: str, count: int) -> Sample:
    with bench.running(name, "echo") as running:
        first = Load(running, bench.cpus(name))  # what the first socket of a process loads is not a socket's cost
        await first.open(running.urls(), lambda: Socket(first))
        await first.close()
        before = await settled(running)
        load = Load(running, bench.cpus(name))
        try:
            await load.open(spread(running.urls(), count), lambda: Socket(load))
            return Sample((await settled(running) - before) / count)
        finally:
            await load.close()


async def settled(running: Running, patience: float = 5) -> int:
    """The servers' memory when it has stopped changing."""
    deadline = time.monotonic() + patience
    last, now = -1, running.resident()
    while last != now and time.monotonic() < deadline:
        await asyncio.sleep(0.3)
        last, now = now, running.resident()
    return now


_few = (systems.BARE, systems.BARE_OWN, systems.PLAIN, systems.ASYNC, systems.PLAIN_UVICORN, "Node, ws")

MEMORY = Work(
    "memory",
    "Memory of the server: idle sockets",
    "bytes/socket",
    take,
    {
        2000: (
            *_few,
            *("bare, granian", "bare, gunicorn", "bare, hypercorn", "bare, daphne"),
            *("Channels 4 async, memory", "Channels 4 sync, memory", "Starlette, uvicorn", "python-socketio, uvicorn"),
            *("Node, Socket.IO", "picows alone"),
        ),
        10_000: _few,
    },
    axis="sockets",
    smoke=200,
)
