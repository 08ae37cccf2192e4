"""Samples of alternating runs, and what they come to."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from load import Sample
from tables import doubtful, heading, page, rst_table

BARE = "bare"
CLIENT_ALLOWED = 0.9


@dataclass(frozen=True)
class Goal:
    """A bound on the ratio to bare."""

    bound: float
    at_least: bool = True

    def met(self, ratio: float) -> bool:
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound}"


@dataclass
class Benchmark:
    """One kind of work, done by each variant once a round. ``samples[variant][round]``, ``goals[variant]``."""

    name: str
    title: str
    unit: str
    goals: dict[str, Goal]
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    discarded: int = 0

    def add(self, variant: str, sample: Sample) -> None:
        self.samples.setdefault(variant, []).append(sample)

    def rows(self) -> list[Row]:
        return [self._row(variant) for variant in self.samples]

    def _row(self, variant: str) -> Row:
        mine, bare = self.samples[variant], self.samples[BARE]
        rate = _median([each.rate for each in mine])
        return Row(
            variant=variant,
            rate=rate,
            ratio=rate / _median([each.rate for each in bare]),
            ratios=[each.rate / its_bare.rate for each, its_bare in zip(mine, bare, strict=True)],
            per_cpu=_ratio(_per_cpu(mine), _per_cpu(bare)),
            server_cpu=_median([each.server_cpu for each in mine]),
            client_cpu=_median([each.client_cpu for each in mine]),
            disturbed=sum(each.disturbed for each in mine),
        )


@dataclass(frozen=True)
class Row:
    """A variant's medians. ``ratios`` are those of the single rounds, ``per_cpu`` is the ratio of the rates per
    second of server CPU, which other work on the machine moves less."""

    variant: str
    rate: float
    ratio: float
    ratios: list[float]
    per_cpu: float | None
    server_cpu: float
    client_cpu: float
    disturbed: int

    @property
    def doubt(self) -> str | None:
        """Why the ratio says nothing about a goal."""
        if self.disturbed:
            return "the machine was busy"
        if self.client_cpu > CLIENT_ALLOWED:
            return "the client is the limit"
        return None


def table(benchmark: Benchmark) -> str:
    """An RST section."""
    header = ["variant", benchmark.unit, "ratio to bare", "of single rounds", "goal"]
    found = benchmark.rows()
    timed = any(row.server_cpu for row in found)
    doubt = _doubt_of_bare(found)
    if timed:
        header += ["server CPU", "client CPU", "ratio per server CPU"]
    rows = []
    for row in found:
        if row.variant == BARE:
            verdict = "is 1"
        elif row.variant not in benchmark.goals:
            verdict = "none"
        elif doubt or row.doubt:
            verdict = f"{benchmark.goals[row.variant]}: not judged, {doubt or row.doubt}"
        else:
            goal = benchmark.goals[row.variant]
            verdict = f"{goal}: {'met' if goal.met(row.ratio) else 'MISSED'}"
        cells = [row.variant, f"{row.rate:,.0f}", f"{row.ratio:.2f}"]
        cells += [f"{min(row.ratios):.2f} to {max(row.ratios):.2f}", verdict]
        if timed:
            cells += [f"{row.server_cpu:.0%}", f"{row.client_cpu:.0%}"]
            cells += ["" if row.per_cpu is None else f"{row.per_cpu:.2f}"]
        rows.append(cells)
    rounds = len(benchmark.samples[BARE])
    title = f"{benchmark.title}, {rounds} {'round' if rounds == 1 else 'rounds'}"
    return f"{heading(title)}\n\n{rst_table([header, *rows])}"


def remarks(benchmark: Benchmark) -> list[str]:
    """What makes the numbers doubtful."""
    found = []
    for row in benchmark.rows():
        where = f"{benchmark.name}, {row.variant}"
        if row.disturbed:
            found.append(f"{where}: other processes used the same CPUs in {row.disturbed} of the kept samples")
        if row.client_cpu > CLIENT_ALLOWED:
            found.append(f"{where}: the client took {row.client_cpu:.0%} of a CPU and may be the limit")
        if 0 < row.server_cpu < 0.9:
            found.append(f"{where}: the server used {row.server_cpu:.0%} of a CPU, so something made it wait")
        if max(row.ratios) - min(row.ratios) > 0.2 * row.ratio:
            found.append(f"{where}: single rounds range from {min(row.ratios):.2f} to {max(row.ratios):.2f}")
    return found


def document(benchmarks: list[Benchmark], facts: dict[str, str]) -> str:
    """The whole result as RST."""
    doubts = [remark for benchmark in benchmarks for remark in remarks(benchmark)]
    return page("Sockets against a bare ASGI app", facts, *map(table, benchmarks), *doubtful(doubts))


def as_json(benchmarks: list[Benchmark], facts: dict[str, str]) -> str:
    """Every sample, to compare runs with."""
    found: dict[str, Any] = {"facts": facts, "benchmarks": {}}
    for benchmark in benchmarks:
        found["benchmarks"][benchmark.name] = {
            "unit": benchmark.unit,
            "discarded": benchmark.discarded,
            "goals": {variant: asdict(goal) for variant, goal in benchmark.goals.items()},
            "medians": [asdict(row) for row in benchmark.rows()],
            "samples": {name: [asdict(sample) for sample in each] for name, each in benchmark.samples.items()},
        }
    return json.dumps(found, indent=2) + "\n"


def _doubt_of_bare(rows: list[Row]) -> str | None:
    return next(row.doubt for row in rows if row.variant == BARE)


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _per_cpu(samples: list[Sample]) -> float | None:
    if any(sample.server_cpu == 0 for sample in samples):
        return None
    return _median([sample.rate / sample.server_cpu for sample in samples])


def _ratio(mine: float | None, bare: float | None) -> float | None:
    return None if mine is None or bare is None else mine / bare
