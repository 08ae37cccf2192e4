"""What each step costs, each from two points: one machine, one Redis, fixed rates."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from statistics import mean

from redis_server import RedisServer
from running import Host, Running
from systems import OWN, System, inline, worked
from work.memory import settled

from .cluster import Cluster
from .model import Costs, Use
from .site import Site, Spent, each_second, used_by

SITE, CLUSTERED = inline("plain", OWN, "redis"), inline("plain", OWN, "cluster")
PINGED = replace(SITE, server=(*SITE.server, "--ws-ping-interval", "1"))
RELAYED = worked("plain", 8)


@dataclass(frozen=True)
class Sizes:
    """How large the measurement is.

    Attributes:
        rate: Messages a second.
        seconds: Of each window.
        few: Members of a small room, on each process that has any.
        many: The same, of a large one.
        sockets: Few and many sockets, for memory and pings.
    """

    rate: float = 100.0
    seconds: float = 3.0
    few: int = 10
    many: int = 100
    sockets: tuple[int, int] = (200, 2000)


@asynccontextmanager
async def started(system: System, work: str, nodes: Sequence[RedisServer], *, servers: int = 1) -> AsyncIterator[Site]:
    """A system on an empty Redis; at the end nothing must have been lost."""
    for node in nodes:
        node.empty()
    with Running(system, system.targets[work], redis=nodes[0], hosts=[Host()] * servers) as running:
        site = Site(running, nodes)
        try:
            yield site
        finally:
            await site.close()


async def measure(sizes: Sizes, tell: Callable[[str], object]) -> Costs:
    """Measure everything once; ``tell`` is called with what is measured next."""
    with RedisServer() as redis:
        tell("messages to groups")
        groups = await _groups(sizes, redis)
        tell("events")
        echo = await _echo(sizes, SITE, redis)
        tell("memory and pings")
        process_bytes, socket_bytes, ping = await _sockets(sizes, redis)
        tell("events through a worker")
        relayed = await _echo(sizes, RELAYED, redis)
        tell("statistics")
        note = _note(redis)
    tell("an idle Cluster")
    clustered = await _idle_cluster(sizes)
    return Costs(
        process_bytes=process_bytes,
        socket_bytes=socket_bytes,
        ping=ping,
        relayed_server=relayed.servers[0].cpu,
        relayed_worker=relayed.worker,
        relayed_redis=relayed.nodes[0].cpu,
        relayed_calls=relayed.nodes[0].calls,
        **clustered_costs(groups["idle"], *clustered),
        **group_costs(groups, echo, sizes, note),
    )


#: The rooms that are sent to, one after the other: members on each of four processes, as multiples of few and many.
FEW, MANY = "few", "many"
ROOMS = {
    "one": (FEW,),
    "one, many": (MANY,),
    "two": (FEW, FEW),
    "four": (FEW, FEW, FEW, FEW),
    "four, many": (FEW, MANY, MANY, MANY),
}
PROCESSES = 4


async def _groups(sizes: Sizes, redis: RedisServer) -> dict[str, Spent]:
    """For each room, and ``idle``: what a message takes beyond what the processes take when idle."""
    members = {FEW: sizes.few, MANY: sizes.many}
    async with started(SITE, "chat", [redis], servers=PROCESSES) as site:
        rooms = {}
        for number, (name, sizes_of_room) in enumerate(ROOMS.items()):
            rooms[name] = await site.open(f"r{number}", [members[size] for size in sizes_of_room])
        await site.settle()
        await site.window(list(rooms.values()), sizes.rate, sizes.seconds / 3)  # what is loaded once
        idle = await site.window([], 0, sizes.seconds)
        found = {
            name: each_of(await site.window([room], sizes.rate, sizes.seconds), idle) for name, room in rooms.items()
        }
    return {"idle": idle, **found}


async def _echo(sizes: Sizes, system: System, redis: RedisServer) -> Spent:
    """What an event and its reply take."""
    async with started(system, "echo", [redis]) as site:
        room = await site.open("", [1])
        await site.window([room], sizes.rate, sizes.seconds / 3)
        idle = await site.window([], 0, sizes.seconds)
        return each_of(await site.window([room], sizes.rate, sizes.seconds), idle)


async def _sockets(sizes: Sizes, redis: RedisServer) -> tuple[float, float, float]:
    """Bytes of a process, bytes of a socket in a group, microseconds of a ping."""
    few, many = sizes.sockets
    async with started(PINGED, "chat", [redis]) as site:
        held, pinged = [], []
        for count in (few, many - few):
            for number in range(count // sizes.few):
                await site.open(f"m{len(held)}x{number}", [sizes.few])
            held.append(await settled(site.running))
            pinged.append((await site.window([], 0, sizes.seconds)).servers[0].cpu)
        socket_bytes = (held[1] - held[0]) / (many - few)
        return held[0] - few * socket_bytes, socket_bytes, (pinged[1] - pinged[0]) / (many - few) * 1e6


def _note(redis: RedisServer, batches: int = 300, length: int = 8) -> float:
    """Microseconds of Redis for one command of the statistics, written as they are: some in one batch."""
    before = used_by(redis)
    note = [("HINCRBY", "note", "messages_count", 1), ("PEXPIRE", "note", 60_000)]
    for _ in range(batches):
        redis.ask_together(note * (length // 2))
    after = used_by(redis)
    return (after.cpu - before.cpu) / (after.notes - before.notes) * 1e6


async def _idle_cluster(sizes: Sizes) -> tuple[list[Use], Spent]:
    """What nodes take each second without processes, and what they and processes take when nothing happens."""
    with Cluster(3) as cluster:
        before, began = [used_by(node) for node in cluster.nodes], time.monotonic()
        time.sleep(sizes.seconds)
        took = time.monotonic() - began
        alone = [each_second(old, used_by(node), took) for old, node in zip(before, cluster.nodes, strict=True)]
        async with started(CLUSTERED, "chat", cluster.nodes, servers=PROCESSES) as site:
            await site.open("idle", [1] * PROCESSES)
            await site.settle()
            return alone, await site.window([], 0, sizes.seconds)


def clustered_costs(single: Spent, alone: Sequence[Use], idle: Spent) -> dict[str, float]:
    """What a Cluster takes when nothing happens, and what processes take more than on a single Redis."""
    node_idle = mean([use.cpu for use in alone]) * 1e6
    process_idle = [mean([use.cpu for use in spent.servers]) * 1e6 for spent in (single, idle)]
    return {
        "process_clustered": process_idle[1] - process_idle[0],
        "node_idle": node_idle,
        "node_process": (mean([use.cpu for use in idle.nodes]) * 1e6 - node_idle) / PROCESSES,
        "node_calls_idle": mean([use.calls for use in idle.nodes]) / PROCESSES,
    }


def each_of(window: Spent, idle: Spent) -> Spent:
    """What each message took beyond what the same processes take when idle, in microseconds."""

    def each(busy: Use, idle: Use) -> Use:
        calls = busy.calls - busy.notes - (idle.calls - idle.notes)
        return Use(
            (busy.cpu - idle.cpu) / window.sends * 1e6, calls=calls / window.sends, notes=busy.notes - idle.notes
        )

    return Spent(
        window.sends,
        [each(busy, quiet) for busy, quiet in zip(window.servers, idle.servers, strict=True)],
        [each(busy, quiet) for busy, quiet in zip(window.nodes, idle.nodes, strict=True)],
        (window.worker - idle.worker) / window.sends * 1e6,
    )


def group_costs(found: dict[str, Spent], echo: Spent, sizes: Sizes, note: float) -> dict[str, float]:
    """The costs of a message to a group, from what messages to different rooms take."""
    one, many, two, four, far = (found[name] for name in ROOMS)
    more = sizes.many - sizes.few

    def others(spent: Spent) -> float:
        return mean([use.cpu for use in spent.servers[1:]])

    delivery = mean([(many.servers[0].cpu - one.servers[0].cpu) / more, *[(others(far) - others(four)) / more] * 3])
    event = echo.servers[0].cpu - delivery
    push = (four.servers[0].cpu - two.servers[0].cpu) / 2
    redis = [spent.nodes[0] for spent in (one, two, four)]
    redis_push = (redis[2].cpu - redis[1].cpu) / 2
    idle = found["idle"]
    calls_note = four.nodes[0].notes / (PROCESSES - 1)
    return {
        "note": note * calls_note,
        "calls_note": calls_note,
        "process_idle": mean([use.cpu for use in idle.servers]) * 1e6,
        "event": event,
        "send": one.servers[0].cpu - event - sizes.few * delivery,
        "trip": two.servers[0].cpu - one.servers[0].cpu - push,
        "push": push,
        "arrival": others(four) - sizes.few * delivery,
        "delivery": delivery,
        "redis_idle": idle.nodes[0].cpu / PROCESSES * 1e6,
        "redis_calls_idle": idle.nodes[0].calls / PROCESSES,
        "redis_send": redis[0].cpu,
        "redis_trip": redis[1].cpu - redis[0].cpu - redis_push,
        "redis_push": redis_push,
        "calls_send": redis[0].calls,
        "calls_push": (redis[2].calls - redis[0].calls) / 3,
    }
