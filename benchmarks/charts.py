"""The medians of a work as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from results import Results
from tables import number
from work import Work

#: By how a name begins.
COLOURS = {
    "routechan async": "#2f855a",
    "routechan": "#2b6cb0",
    "bare": "#9aa5b1",
    "Channels 1": "#c05621",
    "Channels 4": "#b7791f",
    "core": "#b7791f",
    "pubsub": "#d69e2e",
    "Node": "#805ad5",
}
OTHER = "#718096"
DOT, GRID = "#1f2933", "#e4e7eb"


def draw(work: Work, results: Results, path: Path) -> None:
    """Write the chart of a work: bars at the point that most have, and lines of those who have more than one."""
    rows = list(results.rows(work.name))
    points = sorted({point for _, point in rows})
    main = max(points, key=lambda point: sum(each == point for _, each in rows))
    names = [name for name, point in rows if point == main]
    several = [name for name in dict.fromkeys(name for name, _ in rows) if sum(name == each for each, _ in rows) > 1]
    heights = [0.8 + 0.26 * len(names), *([4.5] if several else [])]
    figure, panels = pyplot.subplots(
        len(heights), figsize=(9, sum(heights) + 0.6), height_ratios=heights, squeeze=False, layout="constrained"
    )
    _bars(panels[0][0], work, results, names, main)
    if several:
        _lines(panels[1][0], work, results, several)
    for axes in panels[:, 0]:
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(work.title, fontsize=9)
    figure.supxlabel(f"dots: single rounds · {results.facts['cpu']} · {results.facts['python']}", fontsize=7)
    with pyplot.rc_context({"svg.hashsalt": "routechan"}):  # the same picture, the same file
        figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _bars(axes: pyplot.Axes, work: Work, results: Results, names: list[str], point: int) -> None:
    for place, name in enumerate(names):
        median = results.median(work.name, name, point, work.drawn)
        singles = [sample.value(work.drawn) for sample in results.of(work.name, name, point)]
        axes.barh(place, median, height=0.65, color=_colour(name), zorder=2)
        axes.scatter(singles, [place] * len(singles), s=8, color=DOT, alpha=0.6, linewidths=0, zorder=4)
        axes.text(median, place, f"  {number(median)}", va="center", fontsize=7, zorder=4)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel(_label(work) + (f", {point:,} {work.axis}" if work.axis else ""), fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", color=GRID, zorder=0)


def _lines(axes: pyplot.Axes, work: Work, results: Results, names: list[str]) -> None:
    rows = list(results.rows(work.name))
    points = sorted({point for name, point in rows if name in names})
    for place, name in enumerate(names):
        mine = [point for point in points if (name, point) in rows]
        medians = [results.median(work.name, name, point, work.drawn) for point in mine]
        style = ("-", "--", ":", "-.")[place % 4]
        axes.plot(mine, medians, style, color=_colour(name), marker="o", markersize=3, label=name)
        for point in mine:
            singles = [sample.value(work.drawn) for sample in results.of(work.name, name, point)]
            axes.scatter([point] * len(singles), singles, s=6, color=_colour(name), alpha=0.45, linewidths=0)
    if points[-1] > 10:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xticks(points, [f"{point:,}" for point in points])
    axes.minorticks_off()
    axes.set_xlabel(work.axis or "", fontsize=8)
    axes.set_ylabel(_label(work), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(which="major", color=GRID)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def _label(work: Work) -> str:
    return work.shown.get(work.drawn, work.drawn) if work.drawn != "rate" else work.unit


def _colour(name: str) -> str:
    return next((colour for begin, colour in COLOURS.items() if name.startswith(begin)), OTHER)
