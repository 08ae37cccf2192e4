"""Latency at a fixed rate: messages leave when they are due, whether the last one is back or not."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import systems
import uvloop
from client import Socket, spread
from sample import Sample, percentiles

from . import echo
from .base import Work

if TYPE_CHECKING:
    from bench import Bench

SOCKETS = 64


class Paced(Socket):
    """Knows when the messages were due that are on the way. Lifetime: one connection."""

    load: echo.Echoes

    def __init__(self, load: echo.Echoes) -> None:
        super().__init__(load)
        self.on_the_way: deque[float] = deque()

    def send_due(self, due: float) -> None:
        self.load.due += 1
        self.on_the_way.append(due)
        self.send()

    def got(self) -> None:
        if not self.on_the_way:
            return self.fail("a message came twice")
        self.load.received += 1
        self.load.times.append(time.perf_counter() - self.on_the_way.popleft())
        return None


async def pace(load: echo.Echoes, sockets: list[Paced], rate: float) -> None:
    """Send on one socket after the other, each message when it is due: the client never sleeps, as timers are late."""
    due, number = time.perf_counter(), 0
    while load.sending and load.trouble is None:
        now = time.perf_counter()
        while due <= now:
            sockets[number % len(sockets)].send_due(due)
            number += 1
            due += 1 / rate
        await asyncio.sleep(0)


async def at_rate(bench: Bench, name: str, rate: float) -> Sample:
    with bench.running(name, "echo") as running:
        load = echo.Echoes(running, bench.cpus(name), bench.headers(name))
        sending: asyncio.Future[None] | None = None
        try:
            sockets = await load.open(spread(running.urls(), SOCKETS), lambda: Paced(load))
            sending = asyncio.ensure_future(pace(load, sockets, rate))
            sample = await load.window(bench.warmup, bench.seconds)
            values = percentiles(load.times)
        finally:
            load.sending = False
            if sending is not None:
                await sending
            await load.close(20)
        return replace(sample, values={**values, "asked": rate}, spins=True)


def take(bench: Bench, name: str, point: int) -> Sample:
    """The time of an echo at half of what the bare application reaches on uvicorn."""
    rate = bench.once("half of bare's peak", lambda: echo.take(bench, systems.BARE, SOCKETS).rate / 2)
    return uvloop.run(at_rate(bench, name, rate))


LATENCY = Work(
    "latency",
    f"Latency of an echo: {SOCKETS} sockets, at half of the rate that the bare application reaches on uvicorn",
    "messages/s",
    take,
    {
        0: (
            *(systems.BARE, systems.BARE_OWN, systems.PLAIN, systems.ASYNC, systems.PLAIN_UVICORN),
            *("bare, granian", "Starlette, uvicorn", "Node, ws", "picows alone"),
        )
    },
    shown={"p50": "p50 (ms)", "p99": "p99 (ms)", "p99.9": "p99.9 (ms)"},
    drawn="p99",
)
