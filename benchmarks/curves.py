"""Rates of layers over members, processes and message size as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from comparison import Measure
from matplotlib import pyplot

COLOURS = {"routechan": "#2b6cb0", "core": "#b7791f", "pubsub": "#2f855a"}
LABELS = {"core": "channels_redis core", "pubsub": "channels_redis pub/sub"}


def draw(panels: list[tuple[Measure, str, str]], facts: dict[str, str], path: Path) -> None:
    """One panel for each ``(measure, value, label of the value)``: lines join medians, dots are single rounds."""
    columns = 2
    rows = -(-len(panels) // columns)
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(5.4 * columns, 4.2 * rows + 0.4), squeeze=False, layout="constrained"
    )
    axes = [each for row in grid for each in row]
    for place, (measure, value, label) in zip(axes, panels, strict=False):
        _panel(place, measure, value, label)
    for unused in axes[len(panels) :]:
        unused.set_visible(False)
    axes[0].legend(frameon=False, fontsize=9)
    figure.suptitle("Channel layers on one Redis server")
    figure.supxlabel(
        f"dots: single rounds · {facts['cpu']} · {facts['python']} · Redis {facts['Redis']}",
        fontsize=8,
        color="#52606d",
    )
    figure.savefig(path)
    pyplot.close(figure)


def _panel(axes: pyplot.Axes, measure: Measure, value: str, label: str) -> None:
    everywhere: set[int] = set()
    for variant in measure.samples:
        points = [point for point in sorted(measure.samples[variant]) if measure.of(variant, point)]
        everywhere.update(points)
        medians = [measure.median(variant, point, value) for point in points]
        colour = COLOURS.get(variant, "#718096")
        axes.plot(points, medians, color=colour, marker="o", markersize=4, label=LABELS.get(variant, variant))
        for point in points:
            single = [getattr(sample, value) for sample in measure.of(variant, point)]
            axes.scatter([point] * len(single), single, s=8, color=colour, alpha=0.45, linewidths=0)
    ticks = sorted(everywhere)
    if ticks and ticks[-1] > 10:
        axes.set_xscale("log")
    else:
        axes.set_xticks(ticks)
    axes.set_yscale("log")
    axes.set_xlabel(measure.axis or "")
    axes.set_ylabel(label)
    axes.set_title(measure.title, fontsize=10)
    axes.grid(which="major", color="#e4e7eb")
    axes.spines[["top", "right"]].set_visible(False)
