"""Samples that no other process has disturbed."""

from __future__ import annotations

import time
from collections.abc import Callable

import machine
from sample import OTHERS_ALLOWED, Sample


def wait_for_calm(cpus: list[int], patience: float) -> None:
    """Return when other processes leave the CPUs alone, or after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before, since = machine.busy_seconds(cpus), time.monotonic()
        time.sleep(0.3)
        if (machine.busy_seconds(cpus) - before) / (time.monotonic() - since) <= OTHERS_ALLOWED:
            return


def undisturbed(
    take: Callable[[], Sample],
    tell: Callable[[Sample, bool], object],
    *,
    cpus: list[int],
    patience: float,
    retakes: int,
) -> tuple[Sample, int]:
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
