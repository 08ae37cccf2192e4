"""What does it cost to run consumers in a worker, and what did it cost in Channels 1.x?"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import channels1_venv
import hops
import load
import machine
import picows
import redis_benchmark
import uvloop
from calm import undisturbed
from comparison import Measure, Ratio
from hops import HopSample
from redis_server import RedisServer
from results import Goal
from server import HERE, ServerError
from sites import Plan, Site, channels1, ours
from tables import number, rst_table

SYNC, ASYNC, CHANNELS1 = "workers, sync", "workers, async", "Channels 1.1.8"
INLINE, MEMORY = "inline, Redis", "inline, memory"
PATHS = {SYNC: "sync", ASYNC: "async", CHANNELS1: "sync", INLINE: "sync", MEMORY: "sync"}
WORK = ("echo", "fanout", "latency")
THREADS = (1, 4, 8, 32)
PACKAGES = ("uvicorn", "uvloop", "websockets", "picows", "django", "redis", "hiredis", "msgpack")
MEASURED = (HERE.parent / "routechan", HERE.parent / "routechan_django", HERE / "apps", HERE / "projects")

TROUBLE = (ServerError, load.LoadError, OSError, asyncio.TimeoutError, picows.WSError)

Take = Callable[[Site, str, int], HopSample]


def main() -> int:
    options = arguments()
    done = redis_benchmark.run(
        "workers",
        "Consumers in workers",
        options,
        packages=PACKAGES,
        folders=MEASURED,
        files=options.members + 200,
        measure=lambda redis, facts: Bench(redis, options, facts).run(),
        goals=goals,
        table=table,
        window=f", sockets: echo {options.sockets}, fan-out {options.members}",
    )
    return 1 if done is None or any(measure.failed for measure in done) else 0


class Bench:
    """All samples of one run, with one Redis server."""

    def __init__(self, redis: RedisServer, options: argparse.Namespace, facts: dict[str, str]) -> None:
        self.redis = redis
        self.options = options
        self.facts = facts
        self.plans: dict[str, Plan] = {
            SYNC: ours(workers=True),
            ASYNC: ours(workers=True),
            INLINE: ours(workers=False),
            MEMORY: ours(workers=False, layer="memory"),
        }
        self.threads: dict[str, int] = {}
        self.missing: channels1_venv.Missing | None = None
        try:
            python, facts[CHANNELS1] = channels1_venv.prepare()
            self.plans[CHANNELS1] = channels1(python)
        except channels1_venv.Missing as error:
            self.missing = error
            facts[CHANNELS1] = f"missing, {error}"
        facts["commands"] = self.plans[SYNC].commands()
        if CHANNELS1 in self.plans:
            facts["commands of Channels 1.1.8"] = self.plans[CHANNELS1].commands()

    def run(self) -> list[Measure]:
        done: list[Measure] = []
        for name in self.options.only or WORK:
            done.append(getattr(self, f"measure_{name}")())
        if self.threads:
            chosen = ", ".join(f"{variant} {threads}" for variant, threads in self.threads.items())
            tried = ", ".join(map(str, self.options.threads))
            self.facts["--threads"] = f"{chosen}: the best of {tried} in one short echo each"
        return done

    def measure_echo(self) -> Measure:
        count = self.options.sockets
        measure = Measure("echo", f"Echo, {count} sockets with one message on the way each", "messages/s")
        self._rounds(measure, (SYNC, ASYNC, CHANNELS1), (count,), self._echo)
        return measure

    def measure_fanout(self) -> Measure:
        members = self.options.members
        measure = Measure("fanout", f"Fan-out to {members} sockets", "deliveries/s")

        def take(site: Site, path: str, count: int) -> HopSample:
            return uvloop.run(hops.fanout(site, f"/fanout/{path}", sockets=count, **self._timing()))

        self._rounds(measure, (SYNC, INLINE, MEMORY), (members,), take)
        return measure

    def measure_latency(self) -> Measure:
        pace = self.options.pace
        title = (
            f"Latency of an echo: one socket without a pause, and {self.options.sockets} with {pace:g} messages/s each"
        )
        measure = Measure("latency", title, "messages/s", "sockets")

        def take(site: Site, path: str, count: int) -> HopSample:
            return self._echo(site, path, count, every=1 / pace if count > 1 else 0.0)

        self._rounds(measure, (INLINE, SYNC, CHANNELS1), (1, self.options.sockets), take)
        return measure

    def _rounds(self, measure: Measure, variants: tuple[str, ...], points: tuple[int, ...], take: Take) -> None:
        """Every variant once a round, each in processes of its own: A B C, A B C, ..."""
        able = [variant for variant in variants if self._is_able(measure, variant, points)]
        for turn in range(self.options.rounds):
            for variant in able:
                for point in points:
                    if point in measure.failed.get(variant, {}):
                        continue
                    try:
                        measure.add(variant, point, self._calm(measure, turn + 1, variant, point, take))
                    except TROUBLE as error:
                        fail(measure, variant, point, error)

    def _is_able(self, measure: Measure, variant: str, points: tuple[int, ...]) -> bool:
        """Whether it can be had here at all; its threads are chosen then."""
        trouble: Exception | None = None
        if variant in self.plans:
            try:
                self._choose_threads(variant)
            except TROUBLE as error:
                trouble = error
        else:
            trouble = self.missing
        for point in points if trouble else ():
            fail(measure, variant, point, trouble)
        return trouble is None

    def _calm(self, measure: Measure, turn: int, variant: str, point: int, take: Take) -> HopSample:
        sample, discarded = undisturbed(
            lambda: self._sample(variant, point, take, self.threads.get(variant, 1)),
            lambda each, again: tell(measure.name, f"round {turn}", variant, point, each, again),
            cpus=machine.cpus(),
            patience=self.options.patience,
            retakes=self.options.retakes,
        )
        measure.discarded += discarded
        return sample

    def _sample(self, variant: str, point: int, take: Take, threads: int) -> HopSample:
        self.redis.empty()
        gc.collect()
        with Site(self.plans[variant], self.redis, threads=threads) as site:
            return take(site, PATHS[variant], point)

    def _choose_threads(self, variant: str) -> None:
        """The best ``--threads`` of a worker, by one short echo with each."""
        if variant in self.threads or self.plans[variant].worker is None:
            return
        rates: dict[int, float] = {}
        for threads in self.options.threads:
            sample = self._sample(variant, self.options.sockets, self._echo, threads)
            tell("threads", f"{threads:>2} each", variant, self.options.sockets, sample, False)
            rates[threads] = sample.rate
        self.threads[variant] = max(rates, key=lambda threads: rates[threads])

    def _echo(self, site: Site, path: str, count: int, every: float = 0.0) -> HopSample:
        return uvloop.run(hops.echo(site, f"/echo/{path}", sockets=count, every=every, **self._timing()))

    def _timing(self) -> dict[str, Any]:
        return {"warmup": self.options.warmup, "seconds": self.options.seconds, "cpus": machine.cpus()}


def goals(measures: dict[str, Measure]) -> Iterator[Ratio]:
    """What is held to a bound, and a few ratios beside it, of what was measured."""
    measure = measures.get("echo")
    if measure:
        (count,) = {point for points in [*measure.samples.values(), *measure.failed.values()] for point in points}
        yield Ratio(f"Echo: {SYNC} / {CHANNELS1}", measure, (SYNC, count), (CHANNELS1, count), Goal(8))
        yield Ratio(f"Echo: {ASYNC} / {CHANNELS1}", measure, (ASYNC, count), (CHANNELS1, count), Goal(8))
    measure = measures.get("fanout")
    if measure:
        (count,) = {point for points in [*measure.samples.values(), *measure.failed.values()] for point in points}
        yield Ratio(f"Fan-out: {SYNC} / {INLINE}", measure, (SYNC, count), (INLINE, count), Goal(0.75))
        yield Ratio(f"Fan-out: {SYNC} / {MEMORY}", measure, (SYNC, count), (MEMORY, count), None)
    measure = measures.get("latency")
    if measure:
        for count in sorted({point for points in measure.samples.values() for point in points}):
            for value in ("p50", "p99"):
                title = f"Latency {value}, {count} {'socket' if count == 1 else 'sockets'}"
                yield Ratio(f"{title}: {SYNC} / {INLINE}", measure, (SYNC, count), (INLINE, count), None, value)


def table(measure: Measure) -> str:
    """The medians of ``HopSample``."""
    timed = any(sample.p50 for points in measure.samples.values() for each in points.values() for sample in each)
    header = ["variant", measure.unit, "CPU: server", "worker", "Redis", "client", "µs of CPU each"]
    if timed:
        header[2:2] = ["p50 (ms)", "p99 (ms)"]
    if measure.axis:
        header.insert(1, measure.axis)
    rows = [header]
    for variant, points in measure.samples.items():
        for point in sorted(points):
            if not measure.of(variant, point):
                continue
            rate = measure.median(variant, point)
            cpu = [measure.median(variant, point, f"{name}_cpu") for name in ("server", "worker", "redis", "client")]
            row = [variant, number(rate), *(f"{share:.0%}" for share in cpu), number(sum(cpu[:3]) / rate * 1e6)]
            if timed:
                row[2:2] = [f"{measure.median(variant, point, value):.2f}" for value in ("p50", "p99")]
            if measure.axis:
                row.insert(1, f"{point:,}")
            rows.append(row)
    return rst_table(rows)


def fail(measure: Measure, variant: str, point: int, error: Exception) -> None:
    told = str(error) or repr(error)
    print(f"{measure.name}, {variant}, {point}: FAILED, {told:.4000}", flush=True)
    measure.fail(variant, point, told.splitlines()[-1])


def tell(name: str, turn: str, variant: str, point: int, sample: HopSample, again: bool) -> None:
    """One line of progress."""
    line = f"{name:<8} {turn:<8} {variant:<15} {point:>5} sockets {sample.rate:>9,.0f}/s"
    line += f"  CPU: server {sample.server_cpu:4.0%}, worker {sample.worker_cpu:4.0%}, Redis {sample.redis_cpu:4.0%}"
    line += f", client {sample.client_cpu:4.0%}, others {sample.other_cpu:4.0%}"
    line += f"  p50 {sample.p50:.2f} ms, p99 {sample.p99:.2f} ms" if sample.p50 else ""
    print(line + ("  disturbed, taken again" if again else "  DISTURBED" if sample.disturbed else ""), flush=True)


def arguments() -> argparse.Namespace:
    parser = redis_benchmark.parser_of(__doc__, WORK, warmup=0.7)
    parser.add_argument("--sockets", type=int, default=40, help="echo and latency (default 40)")
    parser.add_argument("--members", type=int, default=1000, help="fan-out: sockets in the group (default 1000)")
    parser.add_argument("--pace", type=float, default=5, help="latency: messages/s of each socket (default 5)")
    parser.add_argument(
        "--threads", type=int, action="append", help=f"of the workers; may be repeated, the best is taken {THREADS}"
    )
    return redis_benchmark.parse(
        parser,
        full={"warmup": 0.7, "threads": list(THREADS)},
        quick={"seconds": 1.0, "warmup": 0.5, "threads": [8, 32]},
        from_one=("rounds", "sockets", "members"),
    )


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"took {time.monotonic() - started:.0f} s")
    sys.exit(status)
