"""Ten thousand sockets of one process, reached by one message that another process sends."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from redis_server import RedisServer

from .measure import SITE, started
from .site import Spent

#: What is told of a crowd, with its unit.
TOLD = {
    "sockets": "sockets of one server process",
    "opening": "seconds to open them all and join them to one group",
    "memory": "MiB that the server process holds then",
    "socket": "bytes for each socket",
    "last": "ms from a message to the last socket that has it",
    "cpu": "ms of CPU of the server process for that",
    "redis": "ms of CPU of Redis for that",
}


async def crowd(count: int, messages: int, tell: Callable[[str], object]) -> dict[str, float]:
    """Open them, send some messages one after the other, and take medians; the names are those of ``TOLD``."""
    with RedisServer() as redis:
        async with started(SITE, "chat", [redis], servers=2) as site:
            tell(f"{count:,} sockets")
            await site.open("before", [1, 1])
            await site.settle()
            empty = site.memory(0)
            began = time.monotonic()
            room = await site.open("everybody", [count, 1], speakers=(1,))
            opening = time.monotonic() - began
            await site.settle(3.0)
            memory = site.memory(0)
            spent: list[tuple[float, Spent]] = []
            for _ in range(messages):
                began = time.monotonic()
                window = await site.once(room)
                spent.append((time.monotonic() - began, window))
    return {
        "sockets": count,
        "opening": opening,
        "memory": memory / 2**20,
        "socket": (memory - empty) / count,
        "last": median(took for took, _ in spent) * 1e3,
        "cpu": median(window.servers[0].cpu * took for took, window in spent) * 1e3,
        "redis": median(window.nodes[0].cpu * took for took, window in spent) * 1e3,
    }
