"""One run: phase after phase, what each member was given of its group, and whether that is what was promised."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from tests.waiting import stretched

from .faults import Faults, Phase
from .members import Member
from .site import Site
from .speakers import Speakers
from .truth import judge

#: Seconds until all members have come back and have the last words, when nothing is in their way; stretched.
SETTLED = 60.0

#: Members that connect at once in the beginning.
TOGETHER = 50


class Recovery:
    """Lifetime: one run. ``broken`` is what was promised and is not so.

    Args:
        site: what is restarted.
        seconds: how long all phases take.
        members: how many clients.
        groups: how many groups they share.
        rate: messages a second to each group.
        pause: seconds between two cuts of a client's network, on average.
    """

    def __init__(self, site: Site, seconds: float, *, members: int, groups: int, rate: float, pause: float) -> None:
        self._site = site
        self._seconds = seconds
        self._groups = [f"feed-{number}" for number in range(groups)]
        self._members = [Member(site.urls(""), self._groups[n % groups], pause) for n in range(members)]
        self._speakers = Speakers(site.layer, self._groups, rate)
        self._faults = Faults(site)
        self._running: list[asyncio.Task[None]] = []
        self._began = time.monotonic()
        self._said = dict.fromkeys(self._groups, 0)  # the last number of the phase before
        self._totals: Counter[str] = Counter()
        self.broken: list[str] = []

    async def run(self, only: str = "") -> None:
        phases = [phase for phase in self._faults.phases if only in phase.name]
        async with self._speakers:
            try:
                for start in range(0, len(self._members), TOGETHER):
                    group = self._members[start : start + TOGETHER]
                    self._running += [asyncio.create_task(member.run()) for member in group]
                    await self._until(lambda group=group: all(member.open for member in group), "members are in")
                await self._settle()
                self._take("nothing happens")
                for phase in phases:
                    await self._phase(phase, self._seconds / len(phases))
            finally:
                for task in self._running:
                    task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)
        self._tell("all", self._totals)

    async def _phase(self, phase: Phase, seconds: float) -> None:
        ends, times = time.monotonic() + seconds, 0
        self._speakers.talk()
        for member in self._members:
            member.go()
        while not times or time.monotonic() < ends:
            await phase.fault()
            times += 1
        await self._settle()
        self._take(f"{phase.name}, {times} times")

    async def _settle(self) -> None:
        """Wait until every member has all there is, and nothing happens any more."""
        for member in self._members:
            member.stay()
        await self._speakers.last_words()
        self._truth = {}
        for group in self._groups:
            numbers = [int(entry.content["text"]) for entry in await self._speakers.history(group)]
            self._truth[group] = [number for number in numbers if number > self._said[group]]
        await self._until(
            lambda: all(member.open and member.last == self._truth[member.group][-1] for member in self._members),
            "every member has the last message",
        )

    def _take(self, name: str) -> None:
        """Say what became of all messages of a phase."""
        found: Counter[str] = Counter()
        for member in self._members:
            if self._said[member.group]:  # else it was there from some message on
                found += judge(self._truth[member.group], member.heard)
            found += member.told
            found["cuts"] += member.cuts
            member.forget()
        for group, numbers in self._truth.items():
            self._said[group] = numbers[-1]
        found["in doubt"], self._speakers.in_doubt = self._speakers.in_doubt, 0
        self._totals += found
        self._tell(name, found)
        wrong = {
            "missed and not told": found["silent"],
            "given twice, or out of order": found["twice"],
            "back with an id, and told that nothing was asked for": found["back: joined"],
        }
        self.broken += [f"{name}: {count} {what}" for what, count in wrong.items() if count]

    def _tell(self, name: str, found: Counter[str]) -> None:
        back = found["back: recovered"] + found["back: gap"] + found["back: joined"]
        share = f"{found['back: recovered'] / back:.2%}" if back else "nobody"
        parts = [
            f"{found['given']} messages given, {found['twice']} twice, {found['silent']} missed silently, "
            f"{found['gap']} missed and told",
            f"{found['cuts']} cuts, {back} came back: {share} recovered, {found['back: gap']} told of a gap; "
            f"{found['back: cut before it was told']} cut again before they were told",
            f"{found['in doubt']} sends in doubt, {found['gone']} given that Redis lost",
        ]
        print(f"{time.monotonic() - self._began:>6.0f} s  {name}: " + "; ".join(parts), flush=True)

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + stretched(SETTLED)
        while not condition():
            for task in self._running:
                if task.done():
                    task.result()  # raises what it has found wrong
            if time.monotonic() > deadline:
                self.broken.append(f"after {SETTLED:.0f} s it is not so that {what}")
                return
            await asyncio.sleep(0.1)
