"""Channel layers alone, in processes of their own, on one Redis server."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import channels1_venv
from processes import Meter, Worker, WorkerError
from sample import Sample
from systems import Missing, channels1

from .base import Work

if TYPE_CHECKING:
    from bench import Bench

OURS, CORE, PUBSUB, ASGI_REDIS = "routechan", "core", "pubsub", "asgi_redis"
ALL = (OURS, CORE, PUBSUB)
TASKS, TEXT, PACE = 40, 100, 0.1
MIGHT_WAIT = 8_000_000  # bytes on the way at most: Redis cuts off subscribers that are 32 MB behind
SHOWN = {"connections": "connections"}


def spec(bench: Bench, layer: str, work: str, **more: Any) -> dict[str, Any]:
    """What a process of ``peers/`` is told."""
    timing = {"warmup": bench.warmup, "seconds": bench.seconds}
    return {"layer": layer, "work": work, "url": bench.redis.url, "loop": "uvloop", "size": TEXT, **timing, **more}


def pipe(stack: ExitStack) -> tuple[int, int]:
    """The reading and the writing end of a new pipe, closed with ``stack``."""
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends


def window(bench: Bench, workers: list[Worker], *, beside: list[Worker] | None = None, warmup: float = 0) -> Sample:
    """The rates of ``workers`` from "go" to the result, added up."""
    meter = Meter(bench.redis, [*workers, *(beside or [])])
    for worker in workers:
        worker.tell("go")
    time.sleep(warmup + bench.seconds / 2)
    meter.look()
    return meter.read(sum(worker.hear()["rate"] for worker in workers))


def in_flight(bench: Bench, layer: str, point: int, *, loop: str) -> Sample:
    """Pairs of a send and a receive a second, of so many tasks."""
    bench.redis.empty()
    # Normal channels, so that each message goes through Redis. Pub/sub reaches subscribers only: names of new_channel.
    with Worker("worker.py", spec(bench, layer, "in flight", loop=loop, tasks=point, own=layer == PUBSUB)) as worker:
        worker.hear()
        return window(bench, [worker], warmup=bench.warmup)


def members(bench: Bench, layer: str, count: int, *, pace: float = 0.0) -> Sample:
    """Deliveries a second to a group whose members are in one process; at a pace, sends a second."""
    bench.redis.empty()
    with ExitStack() as stack:
        acks, done = pipe(stack)
        told = spec(bench, layer, "receive as members", members=count, ack=done)
        receiver = stack.enter_context(Worker("worker.py", told, pipes=(done,)))
        receiver.hear()
        told = spec(bench, layer, "send to group", members=count, ack=acks, ahead=1, pace=pace)
        sender = stack.enter_context(Worker("worker.py", told, pipes=(acks,)))
        sender.hear()
        bench.redis.forget_times()
        meter = Meter(bench.redis, [receiver, sender])
        sender.tell("go")
        time.sleep(bench.seconds / 2)
        meter.look()
        sent = sender.hear()
        microseconds = sum(bench.redis.microseconds().values()) / sent["measured"]
        sample = meter.read(sent["rate"], redis_us=microseconds)
        receiver.tell("stop")
        check_members(layer, count, sent["sent"], receiver.hear())
        return sample


def check_members(layer: str, count: int, sent: int, got: dict[str, Any]) -> None:
    """Whether each message came to each member once."""
    if got["received"] != sent * count:
        raise WorkerError(f"{layer}: {got['received']} messages arrived where {sent * count} were due")
    if got["numbers"] != count * sum(range(sent)):
        raise WorkerError(f"{layer}: as many messages came as were due, but not those that were sent")


def sizes(bench: Bench, layer: str, size: int) -> Sample:
    """Messages a second from one process to another."""
    bench.redis.empty()
    with ExitStack() as stack:
        acks, done = pipe(stack)
        receiver = stack.enter_context(
            Worker("worker.py", spec(bench, layer, "receive", ack=done, size=size), pipes=(done,))
        )
        name = receiver.hear()["name"]
        window_size = max(1, min(TASKS, MIGHT_WAIT // size))
        told = spec(bench, layer, "send", ack=acks, size=size, name=name, window=window_size)
        sender = stack.enter_context(Worker("worker.py", told, pipes=(acks,)))
        sender.hear()
        return window(bench, [sender], beside=[receiver], warmup=bench.warmup)


def one_at_a_time(bench: Bench, layer: str, point: int) -> Sample:
    """Pairs of a send and a receive a second, one after the other, through the 1.x face."""
    bench.redis.empty()
    python = None
    if layer == ASGI_REDIS:
        channels1()
        python = channels1_venv.FOLDER / "bin" / "python"
    told = spec(bench, layer, "one at a time")
    with Worker("one_at_a_time.py", told, python=python) as worker:
        worker.hear()
        return window(bench, [worker])


def script(bench: Bench, layer: str, count: int) -> Sample:
    """Group sends a second of a script without an event loop; the members are in another process."""
    bench.redis.empty()
    with ExitStack() as stack:
        acks, done = pipe(stack)
        told = spec(bench, layer, "receive as members", members=count, ack=done)
        receiver = stack.enter_context(Worker("worker.py", told, pipes=(done,)))
        receiver.hear()
        told = spec(bench, layer, "sends of a script", ack=acks, window=20)
        sender = stack.enter_context(Worker("script.py", told, pipes=(acks,)))
        sender.hear()
        meter = Meter(bench.redis, [receiver, sender])
        sender.tell("go")
        time.sleep(bench.seconds / 2)
        meter.look()
        sent = sender.hear()
        sample = meter.read(sent["rate"])
        receiver.tell("stop")
        check_members(layer, count, sent["sent"], receiver.hear())
        return sample


def needs(layer: str) -> None:
    """Whether that layer can be had here.

    Raises:
        Missing: If not.
    """
    if layer == ASGI_REDIS:
        channels1()
    elif layer != OURS:
        try:
            __import__("channels_redis")
        except ImportError as error:
            raise Missing("channels_redis not installed") from error


LOOPS = ("uvloop", "asyncio")
IN_FLIGHT = [
    Work(
        f"layer_in_flight_{loop}",
        f"Layer alone: {TASKS} tasks that each send to a channel and receive from it, on {loop}",
        "pairs/s",
        partial(in_flight, loop=loop),
        {TASKS: ALL},
        shown=SHOWN,
        layers=True,
    )
    for loop in LOOPS
]

MEMBERS = Work(
    "layer_members",
    "Layer alone: a group whose members are in one process, the sender in another",
    "deliveries/s",
    members,
    {10: ALL, 100: ALL, 1000: ALL, 10_000: ALL, 100_000: (OURS, PUBSUB)},
    axis="members",
    shown=SHOWN,
    layers=True,
)

REDIS_TIME = Work(
    "layer_redis_time",
    f"Layer alone: Redis' own time for a group send, at {1 / PACE:g} sends/s",
    "sends/s",
    partial(members, pace=PACE),
    {10: ALL, 1000: ALL, 10_000: (OURS, PUBSUB), 100_000: (OURS, PUBSUB)},
    axis="members",
    shown={"redis_us": "µs of Redis per send"},
    drawn="redis_us",
    layers=True,
)

SIZES = Work(
    "layer_sizes",
    "Layer alone: one process sends to another, messages of different size",
    "messages/s",
    sizes,
    dict.fromkeys((100, 1000, 10000, 100000, 1000000), ALL),
    axis="bytes",
    layers=True,
)

ONE_AT_A_TIME = Work(
    "layer_one_at_a_time",
    "Layer alone: the 1.x face, one send and one receive after the other",
    "pairs/s",
    one_at_a_time,
    {1: (OURS, ASGI_REDIS)},
    shown=SHOWN,
    layers=True,
    every=True,
)

SCRIPT = Work(
    "script",
    "Sync sends from a script: to a group of 10 in another process, at most 20 on the way",
    "sends/s",
    script,
    {10: ALL},
    shown=SHOWN,
    layers=True,
)
