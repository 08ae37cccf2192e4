"""What happens to processes and networks, and what that may cost: ``docs/reliability.rst`` promises no more."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.crowd import Crowd
from tests.waiting import stretched

from .announcer import PAUSE
from .site import Site

#: Seconds between two faults.
BETWEEN = 1.5

#: Clients that want to connect to a server while it stands still.
KNOCKING = 50

#: Close codes of sockets whose server was taken for dead, and of those that were just cut off.
RESTARTED, CUT_OFF = 1012, 1006


@dataclass
class Cost:
    """The most that may be lost and go wrong. Nothing ever comes twice."""

    lost_by_a_socket: int = 0
    late: float = 0  # answers of events that had been given up
    unheard_by_a_socket: int = 0
    codes: set[int | None] = field(default_factory=set)
    at_once: bool = True  # whether every socket goes on as soon as an event is given up

    def add(self, other: Cost) -> None:
        self.lost_by_a_socket += other.lost_by_a_socket
        self.late += other.late
        self.unheard_by_a_socket += other.unheard_by_a_socket
        self.codes |= other.codes
        self.at_once &= other.at_once


class Faults:
    """Each method is one fault, over when it returns. Lifetime: one run."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._workers = itertools.cycle(site.restarted)
        self._breaks = itertools.cycle(
            (network, cuts) for network in (site.server_network, site.worker_network) for cuts in (0, 1, 3)
        )
        self._slow = itertools.cycle([{"delay": 0.02}, {"bandwidth": 300_000.0}])
        self._silent = itertools.cycle([site.server_network, site.worker_network])

    async def restart(self) -> Cost:
        """A worker is restarted with SIGTERM: nothing is lost."""
        await self._site.end_worker(next(self._workers), signal.SIGTERM)
        await asyncio.sleep(BETWEEN)
        return Cost()

    async def kill(self) -> Cost:
        """A worker is killed: what it was running is lost, of each socket one event."""
        await self._site.end_worker(next(self._workers), signal.SIGKILL)
        await asyncio.sleep(BETWEEN)
        return Cost(lost_by_a_socket=1)

    async def slow(self) -> Cost:
        """Every way to Redis is long, then narrow: nothing is lost."""
        networks = self._site.server_network, self._site.worker_network
        how = next(self._slow)
        for network in networks:
            network.slow(**how)
        await asyncio.sleep(2 * BETWEEN)
        for network in networks:
            network.slow()
        return Cost(at_once=False)

    async def broken(self) -> Cost:
        """Connections are reset, or cut in the midst of replies: what was on its way is lost, of each socket one event.

        And what was said to the group, if it was on its way just then.
        """
        network, cuts = next(self._breaks)
        if cuts:
            network.cut(cuts)
        else:
            network.drop()
        await asyncio.sleep(BETWEEN)
        return self._of_breaks(max(cuts, 1), network, unheard=2)

    async def silent(self) -> Cost:
        """A network swallows everything for longer than the timeout, and passes it on then: as above, each timeout."""
        network = next(self._silent)
        timeouts = 2.5
        network.silence()
        await asyncio.sleep(timeouts * self._site.socket_timeout)
        network.speak()
        await asyncio.sleep(2 * BETWEEN)
        said = math.ceil(timeouts * self._site.socket_timeout / PAUSE)
        return self._of_breaks(math.ceil(timeouts), network, unheard=said)

    def _of_breaks(self, breaks: int, network: object, unheard: int) -> Cost:
        heard_over = network is self._site.server_network
        return Cost(
            lost_by_a_socket=breaks,
            unheard_by_a_socket=breaks * unheard if heard_over else 0,
            at_once=False,
        )

    async def frozen_server(self) -> Cost:
        """The server stands still until others have run the disconnects of its sockets, which then come back.

        With them come those who have knocked meanwhile.
        """
        site = self._site
        crowd = Crowd([site.servers[0].port], "/crowd/", KNOCKING)
        with _frozen(site.servers[0].process.pid):
            deadline = time.monotonic() + stretched(3 * site.lease)
            while site.ledger.open():
                if time.monotonic() > deadline:
                    site.complaints.append(f"{site.ledger.open()} sockets of a frozen server were not disconnected")
                    break
                await asyncio.sleep(0.1)
            knocking = asyncio.create_task(crowd.enter())
            await asyncio.sleep(BETWEEN)
        await knocking
        crowd.leave()
        await asyncio.sleep(2 * BETWEEN)
        return Cost(codes={RESTARTED, CUT_OFF}, at_once=False)

    async def frozen_worker(self) -> Cost:
        """A worker stands still beyond its lease: its events are given up, and their answers may come late."""
        with _frozen(self._site.workers[next(self._workers)].process.pid):
            await asyncio.sleep(1.5 * self._site.lease)
        await asyncio.sleep(2 * BETWEEN)
        return Cost(lost_by_a_socket=1, late=math.inf, at_once=False)


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
