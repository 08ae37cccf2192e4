"""One run: phase after phase, what became of each message, and whether that was promised."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

from tests.integration.workers.load import Load, Report
from tests.waiting import stretched

from .announcer import Announcer
from .clients import Clients
from .faults import Cost, Faults
from .figures import Figures
from .phases import Phase, phases_of_round
from .site import Site

#: Seconds of one round of a long run.
ROUND = 360.0

#: Seconds within which a socket goes on whose message was lost.
GOES_ON = 2.0

#: Seconds that missing answers may take: those after a lost event wait until it is given up.
GRACE = 5.0

#: Leases until others have run the disconnects of a server that was taken for dead.
DISCONNECTED = 3

LOST = "is lost with the worker that took it"


class Soak:
    """Lifetime: one run. ``broken`` is what was promised and is not so."""

    def __init__(self, site: Site, seconds: float, sockets: int, pause: float, crowds: list[int]) -> None:
        self._site = site
        self._seconds = seconds
        self._load = Load(site.urls("/talk/"), sockets=sockets, pause=pause, reopen=True, grace=GRACE)
        self._announcer = Announcer(site.redis.url, site.environment["REDIS_PREFIX"], "talk", site.layer)
        self._clients = Clients(site, self._load, self._announcer, crowds)
        self._faults = Faults(site)
        self._totals: dict[str, Report] = defaultdict(Report)
        self._times: dict[str, int] = defaultdict(int)
        self._figures = Figures(site, seconds)
        self.broken: list[str] = []

    async def run(self, only: str = "") -> None:
        rounds = max(1, round(self._seconds / ROUND))
        phases = [phase for phase in phases_of_round(self._faults, self._clients) if only in phase.name]
        whole = sum(phase.share for phase in phases)
        async with self._announcer, self._load:
            for phase in phases * rounds:
                await self._phase(phase, self._seconds / rounds * phase.share / whole)
        self._tell()

    async def _phase(self, phase: Phase, seconds: float) -> None:
        ends = time.monotonic() + seconds
        cost, times, before = Cost(), 0, len(self._site.output)

        def logged(what: str) -> int:
            return self._site.output[before:].count(what)

        self._announcer.go_on()
        self._load.go_on()
        while not times or time.monotonic() < ends:
            cost.add(await phase.fault())
            times += 1
        await self._load.settle(self._announcer.last_words, lambda: logged(LOST))
        report = self._load.report
        print(f"{self._figures.elapsed:>6.0f} s  {phase.name}, {times} times: {report}", flush=True)
        wrong = self._wrong(report, cost, logged(LOST))
        wrong += await self._wrong_in_ledger(logged("websocket.disconnect"))
        self.broken += [f"{phase.name}, until {self._figures.elapsed:.0f} s: {what}" for what in wrong]
        self._totals[phase.name].add(report)
        self._times[phase.name] += times
        self._figures.take()

    def _wrong(self, report: Report, cost: Cost, logged: int) -> list[str]:
        wrong, self._site.complaints = self._site.complaints, []
        if report.twice:
            wrong.append(f"{report.twice} answered or heard twice")
        if report.misordered > cost.late:
            wrong.append(f"{report.misordered} out of order")
        if report.most_lost_by_a_socket > cost.lost_by_a_socket:
            wrong.append(
                f"{report.lost} lost, {report.most_lost_by_a_socket} of a socket where {cost.lost_by_a_socket} may be"
            )
        if report.lost > logged:
            wrong.append(f"{report.lost} lost, and {logged} logged")
        if report.most_unheard_by_a_socket > cost.unheard_by_a_socket:
            wrong.append(f"a socket did not hear {report.most_unheard_by_a_socket} messages to its group")
        if codes := set(report.codes) - cost.codes:
            wrong.append(f"sockets were closed: {codes}")
        # The percentile is what a busy machine adds.
        if cost.at_once and report.silence > stretched(GOES_ON) + report.percentile(0.9):
            wrong.append(f"a socket went on after {report.silence:.2f} s")
        if closed := sum(not talk.opened.is_set() for talk in self._load.talks):
            wrong.append(f"{closed} sockets did not come back")
        return wrong

    async def _wrong_in_ledger(self, lost: int) -> list[str]:
        """Each socket that is gone has had its disconnect, once, but for ``lost`` ones at most."""
        ledger, expected = self._site.ledger, len(self._load.talks)
        deadline = time.monotonic() + stretched(DISCONNECTED * self._site.lease)
        while ledger.open() > expected and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        missing, twice = max(ledger.open() - expected, 0), ledger.twice()
        ledger.forget(missing)
        wrong = [f"{twice} disconnects came twice"] if twice else []
        if missing > lost:
            wrong.append(f"{missing} disconnects did not come, {lost} were logged as lost")
        return wrong

    def _tell(self) -> None:
        for name, report in self._totals.items():
            print(f"{name}, {self._times[name]} times: {report}")
        self._figures.print()
        if self._seconds >= ROUND * 4:
            self.broken += self._figures.broken()
