"""Samples of several kinds of work, the goals they are held to, and the tables of both."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from calm import OTHER_ALLOWED, Taken
from results import Goal
from tables import doubtful, heading, number, page, rst_table

BUSY = "the machine was busy"


class Sample(Taken, Protocol):
    """One window of work; a dataclass."""

    @property
    def rate(self) -> float: ...


@dataclass(frozen=True)
class LayerSample:
    """One window of a layer.

    ``redis_us`` is Redis' own time per group send, ``lost`` what did not arrive within the patience.
    """

    rate: float
    redis_cpu: float
    worker_cpu: float
    other_cpu: float
    connections: int
    lost: int = 0
    redis_us: float = 0.0
    commands: dict[str, float] = field(default_factory=dict)

    @property
    def disturbed(self) -> bool:
        return self.other_cpu > OTHER_ALLOWED


@dataclass
class Measure:
    """One kind of work. ``samples[variant][point]``, a point being so many members, processes or bytes."""

    name: str
    title: str
    unit: str
    axis: str | None = None
    samples: dict[str, dict[int, list[Any]]] = field(default_factory=dict)
    failed: dict[str, dict[int, str]] = field(default_factory=dict)
    discarded: int = 0

    def add(self, variant: str, point: int, sample: Sample) -> None:
        self.samples.setdefault(variant, {}).setdefault(point, []).append(sample)

    def fail(self, variant: str, point: int, why: str) -> None:
        self.failed.setdefault(variant, {})[point] = why

    def of(self, variant: str, point: int) -> list[Any]:
        """Nothing where it failed in any round."""
        if point in self.failed.get(variant, {}):
            return []
        return self.samples.get(variant, {}).get(point, [])

    def median(self, variant: str, point: int, value: str = "rate") -> float:
        return statistics.median(getattr(sample, value) for sample in self.of(variant, point))


@dataclass(frozen=True)
class Ratio:
    """``value`` of a variant at a point, by that of another; ``goal`` is None where it is only shown."""

    title: str
    measure: Measure
    above: tuple[str, int]
    below: tuple[str, int]
    goal: Goal | None
    value: str = "rate"

    def facts(self) -> dict[str, Any]:
        """Its row, and its entry in the JSON."""
        above, below = self.measure.of(*self.above), self.measure.of(*self.below)
        bound = str(self.goal) if self.goal else "none"
        if not above or not below:
            missing = self.above if not above else self.below
            why = self.measure.failed.get(missing[0], {}).get(missing[1], "not measured")
            return {"title": self.title, "ratio": None, "goal": bound, "verdict": f"missing: {missing[0]}, {why}"}
        singles = [
            getattr(mine, self.value) / getattr(other, self.value) for mine, other in zip(above, below, strict=False)
        ]
        ratio = self.measure.median(*self.above, self.value) / self.measure.median(*self.below, self.value)
        if self.goal is None:
            verdict = "none"
        elif any(sample.disturbed for sample in [*above, *below]):
            verdict = f"not judged, {BUSY}"
        else:
            verdict = "met" if self.goal.met(ratio) else "MISSED"
        return {"title": self.title, "ratio": ratio, "singles": singles, "goal": bound, "verdict": verdict}


def document(
    title: str,
    measures: Sequence[Measure],
    ratios: Sequence[Ratio],
    facts: dict[str, str],
    table: Callable[[Measure], str],
) -> str:
    """The whole result as RST."""
    parts = [heading("Goals"), _ratios(ratios)]
    for measure in measures:
        parts += [heading(measure.title), table(measure)]
    return page(title, facts, *parts, *doubtful([remark for measure in measures for remark in remarks(measure)]))


def remarks(measure: Measure) -> list[str]:
    """What failed, was lost, or makes the numbers doubtful."""
    found = []
    for variant, points in measure.failed.items():
        for point, why in points.items():
            found.append(f"{_where(measure, variant, point)}: failed, {why}")
    for variant, points in measure.samples.items():
        for point in points:
            samples = measure.of(variant, point)
            where = _where(measure, variant, point)
            disturbed = sum(sample.disturbed for sample in samples)
            if disturbed:
                found.append(f"{where}: other processes used the CPUs in {disturbed} of {len(samples)} samples")
            rates = [sample.rate for sample in samples]
            if rates and max(rates) - min(rates) > 0.3 * statistics.median(rates):
                found.append(f"{where}: single rounds range from {number(min(rates))} to {number(max(rates))}")
    return found


def as_json(measures: Sequence[Measure], ratios: Sequence[Ratio], facts: dict[str, str]) -> str:
    """Every sample, to compare runs with."""
    found: dict[str, Any] = {"facts": facts, "goals": [ratio.facts() for ratio in ratios], "measures": {}}
    for measure in measures:
        found["measures"][measure.name] = {
            "unit": measure.unit,
            "axis": measure.axis,
            "discarded": measure.discarded,
            "failed": measure.failed,
            "samples": {
                variant: {str(point): [asdict(sample) for sample in samples] for point, samples in points.items()}
                for variant, points in measure.samples.items()
            },
        }
    return json.dumps(found, indent=1) + "\n"


def _ratios(ratios: Sequence[Ratio]) -> str:
    rows = [["compared", "ratio", "of single rounds", "goal"]]
    for ratio in ratios:
        facts = ratio.facts()
        spread = f"{min(facts['singles']):.2f} to {max(facts['singles']):.2f}" if facts["ratio"] else "-"
        goal = facts["goal"] if facts["verdict"] == "none" else f"{facts['goal']}: {facts['verdict']}"
        rows.append([facts["title"], f"{facts['ratio']:.2f}" if facts["ratio"] else "-", spread, goal])
    return rst_table(rows)


def layer_table(measure: Measure) -> str:
    """The medians of ``LayerSample``."""
    header = ["layer", measure.unit, "connections", "CPU: processes", "CPU: Redis"]
    timed = any(sample.commands for points in measure.samples.values() for each in points.values() for sample in each)
    if measure.axis:
        header.insert(1, measure.axis)
    if timed:
        header += ["Redis µs/send", "lost"]
    rows = [header]
    for variant, points in measure.samples.items():
        for point in sorted(points):
            samples = measure.of(variant, point)
            if not samples:
                continue
            row = [variant, number(measure.median(variant, point))]
            if measure.axis:
                row.insert(1, f"{point:,}")
            row += [f"{measure.median(variant, point, 'connections'):.0f}"]
            row += [f"{measure.median(variant, point, value):.0%}" for value in ("worker_cpu", "redis_cpu")]
            if timed:
                row += [number(measure.median(variant, point, "redis_us")), f"{sum(each.lost for each in samples):,}"]
            rows.append(row)
    return rst_table(rows)


def _where(measure: Measure, variant: str, point: int) -> str:
    return f"{measure.name}, {variant}" + (f", {point:,} {measure.axis}" if measure.axis else "")
