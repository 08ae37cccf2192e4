"""What happens to the site, beside the networks of its clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .site import Site

#: Seconds between two faults of a phase.
BETWEEN = 2.0


@dataclass
class Phase:
    """``fault`` again and again, until the time of the phase is over."""

    name: str
    fault: Callable[[], Awaitable[None]]


class Faults:
    """Each method is one fault, over when it returns. Lifetime: one run."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._times = 0
        self.phases = [
            Phase("networks are cut", self._nothing),
            Phase("servers are restarted one by one", self._restart_servers),
            Phase("workers are killed", self._kill_worker),
            Phase("Redis is killed and comes back with its data", self._restart_redis),
            Phase("Redis fails over as planned", self._fail_over),
            Phase("the master of Redis dies", self._kill_master),
        ]

    async def _nothing(self) -> None:
        await asyncio.sleep(BETWEEN)

    async def _restart_servers(self) -> None:
        for index in range(len(self._site.servers)):
            await self._site.restart_server(index)
            await asyncio.sleep(BETWEEN)

    async def _kill_worker(self) -> None:
        self._times += 1
        await self._site.kill_worker(self._times % len(self._site.workers))
        await asyncio.sleep(BETWEEN)

    async def _restart_redis(self) -> None:
        master = self._site.redis.master
        master.kill()
        await asyncio.to_thread(master.start)
        await asyncio.sleep(2 * BETWEEN)

    async def _fail_over(self) -> None:
        await asyncio.to_thread(self._site.redis.failover)
        await asyncio.sleep(2 * BETWEEN)

    async def _kill_master(self) -> None:
        old = self._site.redis.master
        await asyncio.to_thread(self._site.redis.kill_master)
        await asyncio.to_thread(old.start)
        await asyncio.sleep(2 * BETWEEN)
