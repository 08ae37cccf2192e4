"""Workers come and go under load, for long: ``scripts/soak``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import time
from typing import NamedTuple

from tests.redis_servers import SingleServer

from .fleet import Fleet, resident
from .load import Load

#: Seconds of one round: restarts in order for most of it, then workers are killed.
ROUND = 360.0
KILLING = 1 / 6

#: Seconds between two restarts.
BETWEEN = 1.5

#: Seconds within which a socket goes on whose message was lost.
GOES_ON = 2.0

#: Memory may grow by this share, and by so many MiB, between the second quarter of the time and the last.
GROWTH = 0.1
GROWTH_MIB = 4.0


class Sample(NamedTuple):
    """MiB, but for ``connections`` to Redis when no worker is coming or going."""

    server: float
    worker: float
    redis: float
    connections: int


class Soak:
    """Lifetime: one run."""

    def __init__(self, fleet: Fleet, redis: SingleServer, arguments: argparse.Namespace) -> None:
        self.fleet = fleet
        self.redis = redis
        self.seconds: float = arguments.seconds
        self.load = Load(fleet.urls("/slow/"), sockets=arguments.sockets, pause=arguments.pause)
        #: The first worker of a long run stays, so that its memory can be watched.
        self.restarted = range(1 if len(fleet.workers) > arguments.workers else 0, len(fleet.workers))
        self.began = time.monotonic()
        self.samples: list[Sample] = []
        self.broken: list[str] = []
        self.sampled = 0.0

    async def run(self) -> None:
        rounds = max(1, round(self.seconds / ROUND))
        length = self.seconds / rounds
        async with self.load:
            for number in range(rounds):
                if number:
                    self.load.go_on()
                await self.phase("SIGTERM", signal.SIGTERM, length * (1 - KILLING))
                self.load.go_on()
                await self.phase("kill -9", signal.SIGKILL, length * KILLING)
        self.check_samples()
        unexpected = [line for line in self.fleet.output.splitlines() if "is lost with the worker" not in line]
        if unexpected:
            self.broken.append(f"{len(unexpected)} other lines in the servers' logs, such as {unexpected[0]}")

    async def phase(self, name: str, number: int, seconds: float) -> None:
        ends = time.monotonic() + seconds
        restarts = 0
        statuses = set()
        while time.monotonic() < ends:
            for index in self.restarted:
                statuses.add(await self.fleet.restart(index, number))
                restarts += 1
                await asyncio.sleep(BETWEEN)
                self.sample()
                if time.monotonic() > ends:
                    break
        await self.load.settle()
        report = self.load.report
        print(f"{self.elapsed():>6.0f} s  {restarts} x {name}: {report}", flush=True)
        wrong = report.broken()
        killed = number == signal.SIGKILL
        may_lose = restarts * self.fleet.threads if killed else 0
        if report.lost > may_lose or report.most_lost_by_a_socket > restarts:
            wrong.append(f"{report.lost} lost where {may_lose} were running at most")
        if statuses != {-number if killed else 0}:
            wrong.append(f"exit statuses {sorted(statuses)}")
        if killed and report.silence > GOES_ON + report.percentile(0.9):  # which is what a busy machine adds
            wrong.append(f"a socket that went on after {report.silence:.2f} s")
        self.broken += [f"{name}, until {self.elapsed():.0f} s: {what}" for what in wrong]

    def sample(self) -> None:
        now = time.monotonic()
        if now < self.sampled + max(self.seconds / 60, 5):
            return
        self.sampled = now
        steady = self.fleet.workers[0]
        sample = Sample(
            sum(resident(server.process.pid) for server in self.fleet.servers) / 1024,
            resident(steady.process.pid) / 1024,
            self.redis.processes[0].info("memory")["used_memory"] / 2**20,
            self.redis.processes[0].info("clients")["connected_clients"],
        )
        self.samples.append(sample)
        print(
            f"{self.elapsed():>6.0f} s  servers {sample.server:.1f} MiB, worker {sample.worker:.1f} MiB, "
            f"Redis {sample.redis:.2f} MiB, {sample.connections} connections to it; "
            f"{self.load.answered} answered in this phase",
            flush=True,
        )

    def check_samples(self) -> None:
        """Flat: what the last quarter of the time needs is what the second did."""
        quarter = len(self.samples) // 4
        if quarter < 2:
            return
        for place, name in enumerate(("memory of the servers", "memory of the worker that stays", "memory of Redis")):
            if name.endswith("stays") and not self.restarted.start:
                continue
            before, after = (
                statistics.median(sample[place] for sample in part)
                for part in (self.samples[quarter : 2 * quarter], self.samples[-quarter:])
            )
            print(f"{name}: {before:.2f} MiB in the second quarter, {after:.2f} MiB in the last")
            if after > before * (1 + GROWTH) + GROWTH_MIB:
                self.broken.append(f"{name} grew from {before:.1f} to {after:.1f} MiB")
        most = [
            max(sample.connections for sample in part) for part in (self.samples[:quarter], self.samples[-quarter:])
        ]
        if most[1] > most[0] + 1:
            self.broken.append(f"connections to Redis grew from {most[0]} to {most[1]}")

    def elapsed(self) -> float:
        return time.monotonic() - self.began


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=3600, help="how long (default: an hour)")
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.4, help="seconds between two messages of a socket")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--workers", type=int, default=3, help="that are restarted; from 300 s on one more stays")
    arguments = parser.parse_args()
    steady = arguments.seconds >= 300
    with (
        SingleServer() as redis,
        Fleet(redis.url, servers=arguments.servers, workers=arguments.workers + steady) as fleet,
    ):
        soak = Soak(fleet, redis, arguments)
        asyncio.run(soak.run())
    for line in soak.broken:
        print(f"BROKEN: {line}", flush=True)
    print("a promise is broken" if soak.broken else "all promises hold")
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
