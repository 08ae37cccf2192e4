"""Samples in alternating rounds: each system once a round, each in processes of its own."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import dataclass

import machine
import picows
from bench import Bench
from calm import undisturbed
from client import LoadError
from goals import judged
from processes import WorkerError
from results import Results
from running import ServerError
from sample import Sample
from systems import SYSTEMS, Missing
from tables import number
from work import Work
from work.layers import needs

TROUBLE = (ServerError, LoadError, WorkerError, OSError, asyncio.TimeoutError, picows.WSError)

#: From here on a point takes long, and is measured once where no goal needs it.
LARGE = 10_000


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Of what goals compare.
        other_rounds: Of everything else.
        only_goals: Leave everything else out.
        smoke: See that all runs; measure nothing.
        patience: Wait so many seconds for calm before a sample.
        retakes: How often a disturbed sample is taken again.
        systems: Parts of names: only systems that contain one. Empty for all.
    """

    rounds: int
    other_rounds: int
    only_goals: bool = False
    smoke: bool = False
    patience: float = 0.0
    retakes: int = 0
    systems: tuple[str, ...] = ()

    def of(self, work: Work) -> dict[tuple[str, int], int]:
        """The rounds of each system at each point."""
        wanted = judged(work.name)
        found: dict[tuple[str, int], int] = {}
        for name, point in self._pairs(work):
            if self.systems and not any(part in name for part in self.systems):
                continue
            if self.smoke or (name, point) in wanted:
                found[name, point] = 1 if self.smoke else self.rounds
            elif not self.only_goals:
                found[name, point] = 1 if point >= LARGE else self.other_rounds
        return found

    def _pairs(self, work: Work) -> list[tuple[str, int]]:
        if not self.smoke:
            return work.pairs()
        names = list(dict.fromkeys(name for name, _ in work.pairs()))
        point = work.smoke if work.smoke is not None else min(work.plan)
        return [(name, point) for name in (names if work.every or self.systems else names[:1])]


class Progress:
    """Tells what has been measured, and how long the rest may take. Lifetime: one run."""

    def __init__(self, planned: int) -> None:
        self._planned = planned
        self._done = 0
        self._began = time.monotonic()

    def tell(self, work: Work, name: str, point: int, sample: Sample, again: bool) -> None:
        line = f"{number(sample.rate):>9} {work.unit:<12}"
        if sample.cpu:
            line += f" {sample.cpu_each:7.1f} us of CPU each, client {sample.cpu.get('client', 0):4.0%}"
            line += f", others {sample.others:4.0%}"
        line += "".join(f", {key} {number(value)}" for key, value in sample.values.items())
        self._print(work, name, point, line + (" (disturbed, again)" if again else "*" if sample.disturbed else ""))

    def fail(self, work: Work, name: str, point: int, why: str) -> None:
        self._print(work, name, point, f"FAILED: {why}")

    def step(self) -> None:
        self._done += 1

    def _print(self, work: Work, name: str, point: int, line: str) -> None:
        passed = time.monotonic() - self._began
        left = passed / (self._done or 1) * (self._planned - self._done) / 60
        where = f"{self._done + 1}/{self._planned}, {left:.0f} min left"
        what = f"{work.name} {point}" if work.axis else work.name
        print(f"[{where:>19}] {what:<24} {name:<48} {line}", flush=True)


def measure(bench: Bench, works: list[Work], plan: Plan, results: Results) -> None:
    """All works, one after the other, into ``results``."""
    wanted = {work.name: plan.of(work) for work in works}
    for work in works:
        for name, point in list(wanted[work.name]):
            if not is_there(work, name, results):
                del wanted[work.name][name, point]
    progress = Progress(sum(sum(rounds.values()) for rounds in wanted.values()))
    for work in works:
        rounds = wanted[work.name]
        for turn in range(max(rounds.values(), default=0)):
            for (name, point), times in rounds.items():
                if turn < times:
                    sample_once(bench, work, name, point, plan, results, progress)
                    progress.step()


def is_there(work: Work, name: str, results: Results) -> bool:
    """Whether a system or layer can be had; ``results`` is told what it is, or why not."""
    if name in results.missing:
        return False
    if name in results.systems:
        return True
    try:
        if work.layers:
            needs(name)
        else:
            facts = SYSTEMS[name].facts()
            results.systems[name] = SYSTEMS[name].command() + (f" ({facts})" if facts else "")
    except Missing as error:
        print(f"missing: {name}: {error}", flush=True)
        results.missing[name] = str(error)
        return False
    return True


def sample_once(
    bench: Bench, work: Work, name: str, point: int, plan: Plan, results: Results, progress: Progress
) -> None:
    """One more sample of a system, unless it failed before."""
    key = (work.name, name, point)
    if key in results.failed:
        return
    bench.unpin()
    gc.collect()
    try:
        sample, discarded = undisturbed(
            lambda: work.take(bench, name, point),
            lambda each, again: progress.tell(work, name, point, each, again),
            cpus=machine.cpus(),
            patience=plan.patience,
            retakes=plan.retakes,
        )
    except TROUBLE as error:
        told = str(error) or repr(error)
        progress.fail(work, name, point, f"{told:.4000}")
        results.failed[key] = told.splitlines()[-1]
    else:
        results.samples.setdefault(key, []).append(sample)
        results.discarded += discarded
