"""Two looks at all processes, and what happened between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..layers.base import BaseChannelLayer
from .counters import BOUNDS
from .reports import Question


@dataclass(frozen=True)
class Snapshot:
    """All there was to know at one time: reports of processes, and the statistics of their channels."""

    at: float
    reports: list[dict[str, Any]]
    silent: list[str]
    channels: dict[str, dict[str, Any]]


class ProcessRow(NamedTuple):
    kind: str
    process: str
    host: str
    pid: int
    up: float
    sockets: int
    received: float  # a second, like ``sent``
    sent: float
    running: int
    waiting: int
    failed: int
    lost: int


class ChannelRow(NamedTuple):
    name: str
    length: int
    oldest: float
    sent: float  # a second
    dropped: int
    full: int
    expired: int


class ConsumerRow(NamedTuple):
    name: str
    calls: float  # a second
    busy: float  # seconds of each second, in all processes
    mean: float | None  # seconds, None where no run has ended
    p95: float | None
    running: int
    longest: float
    failed: int


async def look(layer: BaseChannelLayer, question: Question, within: float) -> Snapshot:
    """Ask all processes, and the layer about the channels they name."""
    reports, silent = await question.ask(within)
    names = sorted({name for report in reports for name in report["channels"]})
    found = await asyncio.gather(*(layer.channel_statistics(name) for name in names))
    return Snapshot(time.monotonic(), reports, silent, dict(zip(names, found, strict=True)))


def process_rows(before: Snapshot, after: Snapshot) -> list[ProcessRow]:
    """Servers first."""
    seconds = after.at - before.at
    earlier = {report["member"]: report for report in before.reports}
    rows = [
        ProcessRow(
            report["kind"],
            report["process"],
            report["host"],
            report["pid"],
            report["up"],
            report["sockets"],
            _rate(earlier.get(report["member"]), report, "in", seconds),
            _rate(earlier.get(report["member"]), report, "out", seconds),
            report["running"],
            report["waiting"],
            report["failed"],
            report["lost"],
        )
        for report in after.reports
    ]
    return sorted(rows)


def channel_rows(before: Snapshot, after: Snapshot) -> list[ChannelRow]:
    """The longest first."""
    seconds = after.at - before.at
    rows = [
        ChannelRow(
            name,
            found["messages_pending"],
            found["messages_max_age"],
            _rate(before.channels.get(name), found, "messages_count", seconds),
            found["dropped_count"],
            found["channel_full_count"],
            found["expired_count"],
        )
        for name, found in after.channels.items()
    ]
    return sorted(rows, key=lambda row: (-row.length, -row.sent, row.name))


def consumer_rows(before: Snapshot, after: Snapshot) -> list[ConsumerRow]:
    """Those that took most time since ``before`` first, then those that ever did."""
    seconds = after.at - before.at
    known = {report["member"] for report in before.reports}
    ever = _by_name(after.reports)
    lately = _by_name(report for report in after.reports if report["member"] in known)
    earlier = _by_name(before.reports)
    rows = []
    for name, figures in ever.items():
        now, then = lately.get(name), earlier.get(name)
        counts = [a - b for a, b in zip(now.buckets, then.buckets, strict=True)] if now and then else []
        took = max(now.seconds - then.seconds, 0.0) if now and then else 0.0
        # Where none has ended meanwhile, or a process has gone, what was before is still of interest.
        recent = sum(counts) > 0 and min(counts) >= 0
        shown, spent = (counts, took) if recent else (figures.buckets, figures.seconds)
        calls = sum(shown)
        rows.append(
            ConsumerRow(
                name,
                sum(counts) / seconds if recent else 0.0,
                took / seconds if recent else 0.0,
                spent / calls if calls else None,
                percentile(shown, 0.95),
                figures.running,
                figures.longest,
                figures.failures,
            )
        )
    return sorted(rows, key=lambda row: (-row.busy, -row.longest, -ever[row.name].seconds, row.name))


def percentile(counts: list[int], part: float) -> float | None:
    """The duration that ``part`` of the runs did not exceed, as near as the buckets tell; None without runs."""
    rank = sum(counts) * part
    if not rank:
        return None
    below, lower = 0, 0.0
    for bound, count in zip(BOUNDS, counts[:-1], strict=True):
        if below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below, lower = below + count, bound
    return lower


@dataclass
class _Sum:
    buckets: list[int]
    seconds: float = 0.0
    failures: int = 0
    running: int = 0
    longest: float = 0.0


def _by_name(reports: Iterable[dict[str, Any]]) -> dict[str, _Sum]:
    """The consumers of all processes together."""
    found: dict[str, _Sum] = {}
    for report in reports:
        for name, figures in report["consumers"].items():
            total = found.setdefault(name, _Sum([0] * (len(BOUNDS) + 1)))
            total.buckets = [a + b for a, b in zip(total.buckets, figures["buckets"], strict=True)]
            total.seconds += figures["seconds"]
            total.failures += figures["failures"]
            total.running += figures["running"]
            total.longest = max(total.longest, figures["longest"])
    return found


def _rate(before: dict[str, Any] | None, after: dict[str, Any], what: str, seconds: float) -> float:
    """How much of ``what`` came a second; 0 for what was not there before, or began anew."""
    return max(after[what] - before[what], 0) / seconds if before and seconds else 0.0
