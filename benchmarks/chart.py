"""The ratios to bare as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from results import BARE, Benchmark

COLOURS = {BARE: "#9aa5b1", "sync": "#2b6cb0", "async": "#2f855a", "channels4": "#b7791f"}

#: The width of a bar in a panel of three.
WIDTH = 1.25
GOAL = "#c53030"


def draw(benchmarks: list[Benchmark], facts: dict[str, str], path: Path) -> None:
    """One panel for each benchmark: bars are medians, dots single rounds, a dashed line is the goal of its bar."""
    bars = max(len(benchmark.samples) for benchmark in benchmarks)
    figure, panels = pyplot.subplots(
        1, len(benchmarks), figsize=(WIDTH * bars * len(benchmarks) + 0.4, 4.8), squeeze=False, layout="constrained"
    )
    for axes, benchmark in zip(panels[0], benchmarks, strict=True):
        _panel(axes, benchmark)
    panels[0][0].set_ylabel("ratio to the bare ASGI app")
    figure.suptitle("routechan against a bare ASGI app on uvicorn")
    figure.supxlabel(
        f"dots: single rounds · {facts['cpu']} · {facts['python']} · uvicorn {facts.get('uvicorn', '?')}",
        fontsize=8,
        color="#52606d",
    )
    figure.savefig(path)
    pyplot.close(figure)


def _panel(axes: pyplot.Axes, benchmark: Benchmark) -> None:
    goals = benchmark.goals
    rows = benchmark.rows()
    highest = max([*(goal.bound for goal in goals.values()), *(max(row.ratios) for row in rows)])
    for place, row in enumerate(rows):
        colour = COLOURS.get(row.variant.partition(",")[0], "#718096")
        axes.bar(place, row.ratio, width=0.62, color=colour, zorder=2)
        axes.scatter([place] * len(row.ratios), row.ratios, s=9, color="#1f2933", alpha=0.6, zorder=4, linewidths=0)
        axes.text(
            place, 0.03 * highest, f"{row.ratio:.2f}", ha="center", va="bottom", fontsize=12, color="white", zorder=4
        )
        if row.variant in goals:
            bound = goals[row.variant].bound
            axes.plot([place - 0.42, place + 0.42], [bound, bound], color=GOAL, linestyle="--", linewidth=1.4, zorder=5)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylim(0, highest * 1.08)
    axes.set_xticks(range(len(rows)), [f"{row.variant.replace(', ', chr(10))}\n{row.rate:,.0f}" for row in rows])
    doubt = next((row.doubt for row in rows if row.doubt), None)
    second = f"NOT JUDGED: {doubt}" if doubt else f"({benchmark.unit} below each bar; dashed: the goal)"
    axes.set_title(f"{benchmark.title}\n{second}", fontsize=10, color=GOAL if doubt else "black")
    axes.grid(axis="y", color="#e4e7eb", zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
