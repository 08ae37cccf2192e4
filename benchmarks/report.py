"""The page of a run: goals, tables and charts."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from asgi_servers import HERE
from goals import GOALS, Goal, Verdict, doubt_of, judge
from results import Results
from tables import heading, number, rst_table
from work import WORK, Work

#: What stands above the tables.
HEAD = HERE / "head.txt"


def files(folder: Path) -> tuple[Path, Path, Path]:
    """The page, the samples, and the folder of the charts."""
    beside = folder / "benchmarks"
    return folder / "benchmarks.rst", beside / "results.json", beside


def write(results: Results, folder: Path) -> None:
    """Write all of it."""
    import charts  # noqa: PLC0415  # it needs matplotlib, which measuring does not

    page, samples, beside = files(folder)
    beside.mkdir(parents=True, exist_ok=True)
    results.save(samples)
    works = [work for work in WORK.values() if any(results.rows(work.name))]
    for work in works:
        charts.draw(work, results, beside / f"{work.name}.svg")
    page.write_text(text_of(results, works))


def text_of(results: Results, works: list[Work]) -> str:
    """The page as RST."""
    verdicts = [judge(goal, results) for goal in measured(GOALS, results)]
    facts = "\n".join(f":{name}: {value}" for name, value in results.facts.items())
    parts = [HEAD.read_text().strip(), facts, heading("Goals"), goals_table(verdicts)]
    for work in works:
        parts += [heading(work.title), table(work, results)]
        parts.append(f".. image:: benchmarks/{work.name}.svg\n   :alt: {work.title}")
    parts += [heading("Commands"), _listed(results.systems)]
    if results.missing:
        parts += [heading("Missing"), _listed(results.missing)]
    if results.failed:
        failed = {f"{work}, {system}, {point}": why for (work, system, point), why in results.failed.items()}
        parts += [heading("Failed"), _listed(failed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def measured(goals: Iterable[Goal], results: Results) -> list[Goal]:
    """Those of whose work there is anything."""
    works = {work for work, _, _ in (*results.samples, *results.failed)}
    return [goal for goal in goals if goal.work in works]


def goals_table(verdicts: list[Verdict]) -> str:
    rows = [["compared", "measured", "single rounds", "goal", "verdict"]]
    for verdict in verdicts:
        spread = f"{_short(min(verdict.singles))} to {_short(max(verdict.singles))}" if verdict.singles else "-"
        ratio = "-" if verdict.ratio is None else _short(verdict.ratio)
        rows.append([verdict.goal.title, ratio, spread, str(verdict.goal), verdict.text])
    return rst_table(rows)


def table(work: Work, results: Results) -> str:
    """Medians and the spread of single rounds, by point; ``*`` where they say nothing about the system alone."""
    rows = list(results.rows(work.name))
    timed = any(sample.cpu for pair in rows for sample in results.of(work.name, *pair))
    header = ["system", *([work.axis] if work.axis else []), work.unit, "single rounds", "to the first"]
    header += [*work.shown.values(), *(["µs of CPU each", "client CPU"] if timed else []), "rounds"]
    lines = [header]
    doubted = set()
    for point in dict.fromkeys(point for _, point in rows):
        names = [name for name, each in rows if each == point]
        first = results.median(work.name, names[0], point)
        for name in names:
            samples = results.of(work.name, name, point)
            rates = [sample.rate for sample in samples]
            doubt = doubt_of(samples)
            doubted.add(doubt)
            rate = statistics.median(rates)
            line = [f"{name} \\*" if doubt else name, *([f"{point:,}"] if work.axis else []), number(rate)]
            line += [f"{number(min(rates))} to {number(max(rates))}", f"{rate / first:.2f}"]
            line += [number(results.median(work.name, name, point, value)) for value in work.shown]
            if timed:
                client = statistics.median(sample.cpu.get("client", 0.0) for sample in samples)
                line += [number(results.median(work.name, name, point, "cpu_each")), f"{client:.0%}"]
            lines.append([*line, str(len(samples))])
    doubts = " or ".join(sorted(filter(None, doubted)))
    return rst_table(lines) + (f"\n\n\\* {doubts}" if doubts else "")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _listed(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: ``{value}``" for name, value in facts.items())
