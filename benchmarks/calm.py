"""Samples that no other process has disturbed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import machine

#: The share of a CPU that others may take.
OTHER_ALLOWED = 0.08


class Taken(Protocol):
    """One sample, of whatever kind."""

    @property
    def disturbed(self) -> bool:
        """Whether other processes took CPU that was meant for it."""


T = TypeVar("T", bound=Taken)


def wait_for_calm(cpus: list[int], patience: float) -> None:
    """Return when other processes leave the CPUs alone, or after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before, since = machine.busy_seconds(cpus), time.monotonic()
        time.sleep(0.5)
        if (machine.busy_seconds(cpus) - before) / (time.monotonic() - since) <= OTHER_ALLOWED:
            return


def undisturbed(
    take: Callable[[], T], tell: Callable[[T, bool], object], *, cpus: list[int], patience: float, retakes: int
) -> tuple[T, int]:
    """A sample, and how many were discarded: one that others disturbed is taken again, ``retakes`` times at most.

    ``tell(sample, again)`` is called with each.
    """
    for left in range(retakes, -1, -1):
        wait_for_calm(cpus, patience)
        sample = take()
        again = sample.disturbed and left > 0
        tell(sample, again)
        if not again:
            break
    return sample, retakes - left
