"""Snapshots of all processes, and the rates and rows computed from two of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..layers.base import BaseChannelLayer
from ..telemetry.counters import BOUNDS
from .reports import Question


@dataclass(frozen=True)
class Snapshot:
    """The state of a layer and its processes at one time.

    Args:
        at: When it was taken, on the monotonic clock.
        reports: One report for each process that answered (see ``report_of``).
        silent: Names of the processes that did not answer.
        channels: ``channel_statistics`` of every channel that a report names, by channel name.
    """

    at: float
    reports: list[dict[str, Any]]
    silent: list[str]
    channels: dict[str, dict[str, Any]]


class ProcessRow(NamedTuple):
    """One process.

    Args:
        kind: ``"server"`` or ``"worker"``.
        process: Its name on the layer.
        host: The name of its machine.
        pid: Its process id.
        up: Seconds since it started.
        sockets: WebSockets open in it.
        received: Messages it received per second.
        sent: Messages it sent per second.
        running: Consumers that are running.
        waiting: Relayed events without an outcome yet.
        failed: Consumer runs that failed since it started.
        lost: Messages lost since it started.
    """

    kind: str
    process: str
    host: str
    pid: int
    up: float
    sockets: int
    received: float
    sent: float
    running: int
    waiting: int
    failed: int
    lost: int


class ChannelRow(NamedTuple):
    """One channel, as all processes count it together.

    Args:
        name: The channel's name.
        length: Messages waiting in it.
        oldest: Seconds that the oldest of them has waited.
        sent: Messages sent to it per second.
        dropped: Messages dropped so far.
        full: Messages refused so far because it was full.
        expired: Messages that expired unread so far.
    """

    name: str
    length: int
    oldest: float
    sent: float
    dropped: int
    full: int
    expired: int


class GroupRow(NamedTuple):
    """One group, as the processes whose channels are members count it together.

    Args:
        name: The group's name.
        members: How many members it has in these processes.
        processes: How many processes have any.
    """

    name: str
    members: int
    processes: int


class ConsumerRow(NamedTuple):
    """One consumer, in all processes together.

    Args:
        name: The consumer's dotted name.
        calls: Runs that ended per second.
        busy: Seconds of running time per second; above 1 where several runs overlap.
        mean: The mean duration in seconds; None if no run has ended.
        p95: The duration in seconds that 95 % of the runs did not exceed; None if no run has ended.
        running: Runs in progress.
        longest: Seconds that the oldest of these has been running.
        failed: Runs that failed so far.
        runs: Runs that ended so far.
    """

    name: str
    calls: float
    busy: float
    mean: float | None
    p95: float | None
    running: int
    longest: float
    failed: int
    runs: int


async def look(layer: BaseChannelLayer, question: Question, within: float, *, groups: bool = False) -> Snapshot:
    """A snapshot taken now: asks all processes, then the layer about the channels they name.

    Args:
        layer: The layer whose channels are looked up.
        question: An open ``Question`` on the same layer.
        within: Seconds to wait for the processes' answers.
        groups: Whether reports have groups too.
    """
    reports, silent = await question.ask(within, groups=groups)
    names = sorted({name for report in reports for name in report["channels"]})
    found = await asyncio.gather(*(layer.channel_statistics(name) for name in names))
    return Snapshot(time.monotonic(), reports, silent, dict(zip(names, found, strict=True)))


def process_rows(before: Snapshot, after: Snapshot) -> list[ProcessRow]:
    """The processes of ``after``, servers first; rates are those since ``before``."""
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
    """The channels of ``after``, those with the most waiting messages first; rates are those since ``before``."""
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


def group_rows(snapshot: Snapshot) -> list[GroupRow]:
    """The groups that the reports of ``snapshot`` name, those with the most members first."""
    sizes: Counter[str] = Counter()
    processes: Counter[str] = Counter()
    for report in snapshot.reports:
        sizes.update(report.get("groups", {}))
        processes.update(report.get("groups", {}).keys())
    return sorted((GroupRow(name, sizes[name], processes[name]) for name in sizes), key=lambda row: (-row.members, row))


def consumer_rows(before: Snapshot, after: Snapshot) -> list[ConsumerRow]:
    """The consumers of ``after``: those that took the most time since ``before`` first, then by time taken ever."""
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
        # If no run ended since ``before``, or a process has gone, show the figures since its start instead.
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
                sum(figures.buckets),
            )
        )
    return sorted(rows, key=lambda row: (-row.busy, -row.longest, -ever[row.name].seconds, row.name))


def percentile(counts: list[int], part: float) -> float | None:
    """The duration in seconds that ``part`` of the runs did not exceed, interpolated within a bucket.

    Args:
        counts: Runs in each bucket of ``BOUNDS``; the last item counts the longer ones.
        part: A fraction, such as 0.95.

    Returns:
        The duration; the highest bound for runs in the last bucket, None if there are no runs.
    """
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
    """The figures of each consumer, summed over all processes."""
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
    """The increase of ``what`` per second; 0 for a process that is new or has started again."""
    return max(after[what] - before[what], 0) / seconds if before and seconds else 0.0
