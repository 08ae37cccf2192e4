"""What a kind of work is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sample import Sample

if TYPE_CHECKING:
    from bench import Bench

#: One sample: of a system, at a point (so many sockets, members, bytes).
Take = Callable[["Bench", str, int], Sample]


@dataclass(frozen=True)
class Work:
    """One kind of work.

    Attributes:
        name: In commands and files.
        title: In the tables; tells what is done.
        unit: Of the rate.
        take: Takes one sample.
        plan: At each point, who does it.
        axis: What a point counts, where there is more than one.
        shown: The values in the table beside the rate, by their headings.
        drawn: The value that the chart shows.
        smoke: The point of a smoke run; without it the smallest.
        every: Whether a smoke run has everybody do it, not only the first.
        layers: Whether channel layers do it, not systems.
    """

    name: str
    title: str
    unit: str
    take: Take
    plan: Mapping[int, tuple[str, ...]]
    axis: str | None = None
    shown: Mapping[str, str] = field(default_factory=dict)
    drawn: str = "rate"
    smoke: int | None = None
    every: bool = False
    layers: bool = False

    def pairs(self) -> list[tuple[str, int]]:
        """Everybody at every point."""
        return [(name, point) for point, names in self.plan.items() for name in names]
