"""Memory, descriptors and log, in quarters of the time. In the last they may not be much more than in the second."""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter
from typing import NamedTuple

from tests.integration.workers.fleet import descriptors, resident

from .site import Site

#: Memory may grow by this share, and by so many MiB, between the second quarter of the time and the last.
GROWTH = 0.1
GROWTH_MIB = 4.0

#: So may descriptors and connections, by so many.
MORE = 2

#: Bytes of log an hour, of all processes together.
LOG = 1_000_000

#: What differs between two lines of one kind: numbers, names of processes and sockets, times.
_OWN = re.compile(r"\b(?=\w*\d)\w+\b|'[^']*'")


class Sample(NamedTuple):
    """Of one calm moment. MiB, but for the last three."""

    server: float
    worker: float
    redis: float
    redis_data: float
    server_files: float
    worker_files: float
    redis_connections: float


NAMES = Sample(
    *("server, MiB", "worker that stays, MiB", "Redis, MiB", "data in Redis, MiB"),  # type: ignore[arg-type]
    *("server, descriptors", "worker that stays, descriptors", "Redis, connections"),  # type: ignore[arg-type]
)


class Figures:
    """Lifetime: one run."""

    def __init__(self, site: Site, seconds: float) -> None:
        self._site = site
        self._seconds = seconds
        self._began = time.monotonic()
        self._quarters: list[list[Sample]] = [[], [], [], []]

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def take(self) -> None:
        """Take a sample; the moment should be a calm one."""
        redis = self._site.redis.processes[0]
        server, worker = self._site.servers[0].process.pid, self._site.workers[0].process.pid
        sample = Sample(
            resident(server) / 1024,
            resident(worker) / 1024,
            resident(redis.pid) / 1024,
            redis.info("memory")["used_memory"] / 2**20,
            descriptors(server),
            descriptors(worker),
            redis.info("clients")["connected_clients"],
        )
        self._quarters[min(int(self.elapsed / self._seconds * 4), 3)].append(sample)

    def print(self) -> None:
        print("per quarter of the time (medians of calm moments):")
        for name, values in zip(NAMES, self._medians(), strict=True):
            print(f"  {name}: " + ", ".join(f"{value:.1f}" for value in values))
        print(
            f"log: {self._log_bytes()} bytes in {self.elapsed:.0f} s, which is {self._log_an_hour() / 1000:.0f} kB an "
            "hour; most of it:"
        )
        for kind, count in self._lines().most_common(12):
            print(f"  {count} x {kind[:150]}")

    def broken(self) -> list[str]:
        """What grew, and a log that is too long. Only a long run can tell."""
        grown = []
        for name, (_, before, _, after) in zip(NAMES, self._medians(), strict=True):
            limit = before * (1 + GROWTH) + GROWTH_MIB if "MiB" in str(name) else before + MORE
            if after > limit:
                grown.append(f"{name}: {before:.1f} in the second quarter, {after:.1f} in the last")
        if self._log_an_hour() > LOG:
            grown.append(f"the log: {self._log_an_hour():.0f} bytes an hour")
        return grown

    def _medians(self) -> list[list[float]]:
        """For each figure its medians in the four quarters; not a number where there is no sample."""
        return [
            [
                statistics.median([sample[place] for sample in quarter]) if quarter else float("nan")
                for quarter in self._quarters
            ]
            for place in range(len(NAMES))
        ]

    @property
    def _output(self) -> str:
        return self._site.output + self._site.output_of_workers

    def _log_bytes(self) -> int:
        return len(self._output.encode())

    def _log_an_hour(self) -> float:
        return self._log_bytes() * 3600 / self.elapsed

    def _lines(self) -> Counter[str]:
        return Counter(_OWN.sub("_", line) for line in self._output.splitlines())
