"""How fast is the Redis layer, against channels_redis and asgi_redis on the same Redis server?"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import channels1_venv
import curves
import machine
import redis_benchmark
from calm import undisturbed
from comparison import LayerSample, Measure, Ratio, layer_table
from processes import HERE, Meter, Worker, WorkerError
from redis_server import RedisServer
from results import Goal

OURS, CORE, PUBSUB, ASGI_REDIS = "routechan", "core", "pubsub", "asgi_redis"
LAYERS = (OURS, CORE, PUBSUB)
OWN = ", own channels"
LOOPS = ("asyncio", "uvloop")
PACKAGES = ("redis", "hiredis", "msgpack", "channels_redis", "channels", "uvloop", "django")
MEASURED = (HERE.parent / "routechan", HERE / "peers")
WORK = ("in_flight", "members", "redis_time", "sync", "pairs", "sizes")
TEXT = 100  # characters of a message's text
MIGHT_WAIT = 8_000_000  # bytes on the way at most: Redis cuts off subscribers that are 32 MB behind


def main() -> int:
    options = arguments()
    done = redis_benchmark.run(
        "layers",
        "Channel layers on Redis",
        options,
        packages=PACKAGES,
        folders=MEASURED,
        files=2000,
        measure=lambda server, facts: Bench(server, options, facts).run(),
        goals=goals,
        table=layer_table,
        draw=draw,
    )
    return 1 if done is None else 0


class Bench:
    """All samples of one run, on one server."""

    def __init__(self, server: RedisServer, options: argparse.Namespace, facts: dict[str, str]) -> None:
        self.server = server
        self.options = options
        self.facts = facts
        if find_spec("hiredis") is None:
            facts["hiredis"] = "not installed"
        self.layers = [name for name in LAYERS if name == OURS or find_spec("channels_redis") is not None]

    def run(self) -> list[Measure]:
        done: list[Measure] = []
        for name in self.options.only or WORK:
            done += getattr(self, f"measure_{name}")()
        return done

    def measure_in_flight(self) -> Iterator[Measure]:
        variants = [*self.layers, OURS + OWN, *([CORE + OWN] if CORE in self.layers else [])]
        for loop in LOOPS:
            tasks = self.options.tasks
            measure = Measure(f"in_flight_{loop}", f"Send and receive, {tasks} in flight, {loop}", "pairs/s")
            self._rounds(measure, [(variant, 0) for variant in variants], self._in_flight(loop))
            yield measure

    def measure_members(self) -> Iterator[Measure]:
        counts = self.options.members
        for loop, points in (("uvloop", counts), ("asyncio", [count for count in counts if count == 1000])):
            title = f"A group whose members are in one process, the sender in another, {loop}"
            measure = Measure(f"members_{loop}", title, "deliveries/s", "members")
            self._rounds(measure, [(layer, count) for count in points for layer in self.layers], self._members(loop))
            yield measure

    def measure_redis_time(self) -> Iterator[Measure]:
        pace = self.options.pace
        measure = Measure("redis_time", f"Redis time of a group send, {1 / pace:g} sends/s", "sends/s", "members")
        points = [(layer, count) for count in self.options.timed_members for layer in self.layers]
        if self.options.quick:
            points = [(layer, count) for layer, count in points if layer != CORE or count <= 1000]  # it takes its time
        self._rounds(measure, points, self._members("uvloop", pace))
        yield measure

    def measure_sync(self) -> Iterator[Measure]:
        measure = Measure("sync", "The 1.x face, one send and one receive after the other", "pairs/s")
        python: Path | None = None
        variants = [OURS]
        try:
            python, self.facts["asgi_redis"] = channels1_venv.prepare()
            variants.append(ASGI_REDIS)
        except channels1_venv.Missing as error:
            self.facts["asgi_redis"] = f"missing, {error}"
            measure.fail(ASGI_REDIS, 0, str(error))
        self._rounds(measure, [(variant, 0) for variant in variants], self._one_at_a_time(python))
        yield measure

    def measure_pairs(self) -> Iterator[Measure]:
        measure = Measure("pairs", "Pairs of a sending and a receiving process", "messages/s", "pairs")
        points = [(layer, pairs) for pairs in self.options.pairs for layer in self.layers]
        self._rounds(measure, points, lambda layer, pairs: self._couples(layer, pairs, TEXT))
        yield measure

    def measure_sizes(self) -> Iterator[Measure]:
        measure = Measure("sizes", "One pair of processes, longer messages", "messages/s", "bytes")
        points = [(layer, size) for size in self.options.sizes for layer in self.layers]
        self._rounds(measure, points, lambda layer, size: self._couples(layer, 1, size))
        yield measure

    def _rounds(
        self, measure: Measure, points: list[tuple[str, int]], sample: Callable[[str, int], LayerSample]
    ) -> None:
        """Every variant at every point once a round, each in processes of its own: A B C, A B C, ..."""
        for number in range(self.options.rounds):
            for variant, point in points:
                if point in measure.failed.get(variant, {}):
                    continue
                try:
                    measure.add(variant, point, self._calm(measure, number + 1, variant, point, sample))
                except WorkerError as error:
                    print(f"{measure.name}, {variant}, {point}: FAILED, {error}", flush=True)
                    measure.fail(variant, point, str(error))

    def _calm(
        self,
        measure: Measure,
        number: int,
        variant: str,
        point: int,
        sample: Callable[[str, int], LayerSample],
    ) -> LayerSample:
        """A sample; one that other processes disturbed is taken again, ``--retakes`` times at most."""

        def take() -> LayerSample:
            self.server.empty()
            return sample(variant, point)

        taken, discarded = undisturbed(
            take,
            lambda each, again: tell(measure, number, variant, point, each, again),
            cpus=machine.cpus(),
            patience=self.options.patience,
            retakes=self.options.retakes,
        )
        measure.discarded += discarded
        return taken

    def _in_flight(self, loop: str) -> Callable[[str, int], LayerSample]:
        def sample(variant: str, point: int) -> LayerSample:
            layer = variant.removesuffix(OWN)
            spec = self._spec(layer, "in flight", loop=loop, tasks=self.options.tasks, own=layer != variant)
            if layer == PUBSUB:
                spec["own"] = True  # it reaches subscribers only, and only new_channel subscribes
            with Worker("worker.py", spec) as worker:
                worker.hear()
                return self._window([worker])

        return sample

    def _one_at_a_time(self, python: Path | None) -> Callable[[str, int], LayerSample]:
        def sample(variant: str, point: int) -> LayerSample:
            spec = self._spec(variant, "one at a time")
            with Worker("one_at_a_time.py", spec, python=python if variant == ASGI_REDIS else None) as worker:
                worker.hear()
                return self._window([worker], warmup=0)

        return sample

    def _members(self, loop: str, pace: float = 0.0) -> Callable[[str, int], LayerSample]:
        def sample(layer: str, members: int) -> LayerSample:
            with ExitStack() as stack:
                acks, done = pipe(stack)
                spec = self._spec(layer, "receive as members", loop=loop, members=members, ack=done)
                receiver = stack.enter_context(Worker("worker.py", spec, pipes=(done,)))
                receiver.hear()
                more = {"members": members, "ack": acks, "ahead": self.options.ahead, "pace": pace}
                spec = self._spec(layer, "send to group", loop=loop, **more)
                sender = stack.enter_context(Worker("worker.py", spec, pipes=(acks,)))
                sender.hear()
                self.server.forget_times()
                meter = Meter(self.server, [receiver, sender])
                sender.tell("go")
                time.sleep(self.options.seconds / 2)
                meter.look()
                sent = sender.hear()
                cost = meter.read()
                commands = {name: each / sent["measured"] for name, each in self.server.microseconds().items()}
                receiver.tell("stop")
                got = receiver.hear()
                lost = sent["sent"] * members - got["received"]
                if lost == 0 and got["numbers"] != members * sum(range(sent["sent"])):
                    raise WorkerError(f"{layer}: as many messages came as were due, but not those that were sent")
                return LayerSample(
                    sent["rate"], **vars(cost), lost=lost, redis_us=sum(commands.values()), commands=commands
                )

        return sample

    def _couples(self, layer: str, pairs: int, size: int) -> LayerSample:
        window = max(1, min(self.options.tasks, MIGHT_WAIT // size))
        with ExitStack() as stack:
            receivers, senders = [], []
            for _ in range(pairs):
                acks, done = pipe(stack)
                spec = self._spec(layer, "receive", ack=done, size=size)
                receivers.append(stack.enter_context(Worker("worker.py", spec, pipes=(done,))))
                name = receivers[-1].hear()["name"]
                spec = self._spec(layer, "send", ack=acks, size=size, name=name, window=window)
                senders.append(stack.enter_context(Worker("worker.py", spec, pipes=(acks,))))
            for sender in senders:
                sender.hear()
            return self._window(senders, beside=receivers)

    def _window(
        self, workers: list[Worker], *, beside: list[Worker] | None = None, warmup: float | None = None
    ) -> LayerSample:
        """The rates of ``workers`` from "go" to the result, added up."""
        meter = Meter(self.server, [*workers, *(beside or [])])
        for worker in workers:
            worker.tell("go")
        time.sleep((self.options.warmup if warmup is None else warmup) + self.options.seconds / 2)
        meter.look()
        rates = [worker.hear()["rate"] for worker in workers]
        return LayerSample(sum(rates), **vars(meter.read()))

    def _spec(self, layer: str, work: str, *, loop: str = "uvloop", **more: Any) -> dict[str, Any]:
        timing = {"warmup": self.options.warmup, "seconds": self.options.seconds}
        return {"layer": layer, "work": work, "url": self.server.url, "loop": loop, "size": TEXT, **timing, **more}


def pipe(stack: ExitStack) -> tuple[int, int]:
    """The reading and the writing end of a new pipe, closed with ``stack``."""
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends


def goals(measures: dict[str, Measure]) -> Iterator[Ratio]:
    """What is held to a bound, and a few ratios beside it, of what was measured."""
    for loop in LOOPS:
        measure = measures.get(f"in_flight_{loop}")
        if measure:
            yield Ratio(f"{measure.title}: routechan / core", measure, (OURS, 0), (CORE, 0), Goal(20))
            yield Ratio(f"{measure.title}: routechan / pub/sub", measure, (OURS, 0), (PUBSUB, 0), Goal(5))
            own = (OURS + OWN, 0), (CORE + OWN, 0)
            yield Ratio(f"{measure.title}, own process's channels: routechan / core", measure, *own, None)
    for loop in LOOPS:
        measure = measures.get(f"members_{loop}")
        if measure:
            title = f"Deliveries to 1,000 members, {loop}"
            yield Ratio(f"{title}: routechan / pub/sub", measure, (OURS, 1000), (PUBSUB, 1000), Goal(1.5))
            yield Ratio(f"{title}: routechan / core", measure, (OURS, 1000), (CORE, 1000), None)
    measure = measures.get("redis_time")
    if measure:
        title = "Redis time per group send, 10,000 members / 10"
        bound = Goal(1.5, at_least=False)
        yield Ratio(f"{title}: routechan", measure, (OURS, 10_000), (OURS, 10), bound, "redis_us")
        yield Ratio(f"{title}: core", measure, (CORE, 10_000), (CORE, 10), None, "redis_us")
        yield Ratio(f"{title}: pub/sub", measure, (PUBSUB, 10_000), (PUBSUB, 10), None, "redis_us")
    measure = measures.get("sync")
    if measure:
        yield Ratio(f"{measure.title}: routechan / asgi_redis", measure, (OURS, 0), (ASGI_REDIS, 0), Goal(1.5))


def tell(measure: Measure, number: int, variant: str, point: int, sample: LayerSample, again: bool) -> None:
    """One line of progress."""
    line = f"{measure.name:<17} round {number}  {variant:<24}"
    if measure.axis:
        line += f" {point:>9,} {measure.axis:<8}"
    line += f" {sample.rate:>10,.0f} {measure.unit:<12}  {sample.connections:>3} connections  "
    line += f"CPU: processes {sample.worker_cpu:4.0%}, Redis {sample.redis_cpu:4.0%}, others {sample.other_cpu:4.0%}"
    line += f"  Redis {sample.redis_us:,.0f} us/send" if sample.redis_us else ""
    line += f"  LOST {sample.lost}" if sample.lost else ""
    print(line + ("  disturbed, taken again" if again else "  DISTURBED" if sample.disturbed else ""), flush=True)


def draw(done: list[Measure], facts: dict[str, str], file: Path) -> bool:
    """The curves, if any were measured."""
    by_name = {measure.name: measure for measure in done}
    panels = [
        ("members_uvloop", "rate", "deliveries/s"),
        ("redis_time", "redis_us", "µs of Redis per group send"),
        ("pairs", "rate", "messages/s"),
        ("sizes", "rate", "messages/s"),
    ]
    drawn = [(by_name[name], *rest) for name, *rest in panels if name in by_name]
    if drawn:
        curves.draw(drawn, facts, file)
    return bool(drawn)


def arguments() -> argparse.Namespace:
    parser = redis_benchmark.parser_of(__doc__, WORK, warmup=0.5)
    parser.add_argument("--tasks", type=int, default=40, help="messages in flight (default 40)")
    parser.add_argument("--ahead", type=int, default=1, help="group sends on the way at a time (default 1)")
    parser.add_argument("--pace", type=float, default=0.1, help="redis_time: seconds between sends (default 0.1)")
    return redis_benchmark.parse(
        parser,
        full={
            "warmup": 0.5,
            "members": [1, 10, 100, 1000, 10_000],
            "timed_members": [10, 100, 1000, 10_000],
            "pairs": [1, 2, 3, 4],
            "sizes": [100, 1000, 10_000, 100_000, 1_000_000],
        },
        quick={
            "seconds": 0.5,
            "warmup": 0.2,
            "members": [10, 1000],
            "timed_members": [10, 10_000],
            "pairs": [1, 2],
            "sizes": [100, 100_000],
        },
        from_one=("rounds", "tasks", "ahead"),
    )


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"took {time.monotonic() - started:.0f} s")
    sys.exit(status)
