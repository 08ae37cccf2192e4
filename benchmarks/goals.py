"""What a run is held to: ratios of medians within the run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import systems
from results import Results
from sample import Sample
from systems import ASYNC, ASYNC_UVICORN, BARE, BARE_OWN, CHANNELS1, PLAIN, PLAIN_UVICORN
from work.connect import CLIENTS
from work.layers import CORE, OURS, PUBSUB, TASKS

#: With fewer rounds a verdict is a hint, and says so.
ENOUGH = 3


@dataclass(frozen=True)
class Goal:
    """A bound on a value of a system, or on its ratio to that of another.

    Attributes:
        title: What is compared.
        work: The name of the work.
        above: System and point whose value it is.
        below: System and point that it is divided by; None where the value itself is bound.
        bound: What the ratio has to be.
        at_least: Whether it may be higher, else lower.
        value: Which value of the samples.
    """

    title: str
    work: str
    above: tuple[str, int]
    below: tuple[str, int] | None
    bound: float
    at_least: bool = True
    value: str = "rate"

    def pairs(self) -> list[tuple[str, int]]:
        """What has to be measured to judge it."""
        return [self.above, *([self.below] if self.below else [])]

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound:,g}"


@dataclass(frozen=True)
class Verdict:
    """What became of a goal: ``ratio`` of the medians and of single rounds, and ``met``, ``MISSED`` or why not."""

    goal: Goal
    ratio: float | None
    singles: tuple[float, ...]
    text: str


def judge(goal: Goal, results: Results) -> Verdict:
    """Compare the medians of a run."""
    above, *below = [results.of(goal.work, *pair) for pair in goal.pairs()]
    for pair, samples in zip(goal.pairs(), [above, *below], strict=True):
        if not samples:
            return Verdict(goal, None, (), f"not judged: {pair[0]}, {results.why_not(goal.work, *pair)}")
    values = [each.value(goal.value) for each in above]
    divisors = [each.value(goal.value) for each in below[0]] if below else [1.0] * len(values)
    singles = tuple(value / divisor for value, divisor in zip(values, divisors, strict=False) if divisor)
    ratio = statistics.median(values) / statistics.median(divisors)
    doubt = doubt_of([*above, *(below[0] if below else ())])
    if doubt:
        return Verdict(goal, ratio, singles, f"not judged: {doubt}")
    met = ratio >= goal.bound if goal.at_least else ratio <= goal.bound
    few = "" if len(singles) >= ENOUGH else f" ({len(singles)} {'round' if len(singles) == 1 else 'rounds'})"
    return Verdict(goal, ratio, singles, ("met" if met else "MISSED") + few)


def doubt_of(samples: list[Sample]) -> str | None:
    """Why samples say nothing."""
    if any(sample.disturbed for sample in samples):
        return "other processes used the CPUs"
    if any(sample.limited for sample in samples):
        return "the client was the limit"
    return None


def _both(
    title: str,
    work: str,
    plain: str,
    async_: str,
    below: str | None,
    bound: float,
    *,
    point: int,
    at_least: bool = True,
    value: str = "rate",
) -> list[Goal]:
    """The same goal for plain and for async consumers."""
    return [
        Goal(f"{title}, {kind}", work, (name, point), (below, point) if below else None, bound, at_least, value)
        for kind, name in (("plain", plain), ("async", async_))
    ]


def _decorated(work: str, decorator: str, bound: float, point: int) -> list[Goal]:
    """Behind a decorator, against the same without."""
    return [
        Goal(
            f"{decorator}, {kind} / no decorator",
            work,
            (f"routechan {kind}, {decorator}", point),
            (f"routechan {kind}, {systems.UNDECORATED}", point),
            bound,
        )
        for kind in systems.KINDS
    ]


def _channels4(kind: str) -> str:
    return f"Channels 4 {kind}, memory"


ONE_THREAD = ", 1 thread"
WORKER_PLAIN, WORKER_ASYNC = "routechan plain, worker", "routechan async, worker"
INLINE_REDIS = "routechan plain, own server, Redis"
USER, FROM_HTTP = "channel_session_user", "channel_session_user_from_http"
AUTH = "Channels 4 async, AuthMiddlewareStack"
GROUP = (10, 100_000)

GOALS: list[Goal] = [
    *_both("Echo: own server / bare on uvicorn", "echo", PLAIN, ASYNC, BARE, 1.25, point=64),
    *_both("Echo: through ASGI / bare, both on uvicorn", "echo", PLAIN_UVICORN, ASYNC_UVICORN, BARE, 0.8, point=64),
    Goal("Echo: bare on our server / on uvicorn", "echo", (BARE_OWN, 64), (BARE, 64), 1.6),
    *_both("Fan-out: own server / bare on uvicorn", "fanout", PLAIN, ASYNC, BARE, 1.8, point=1000),
    *_both(
        "Fan-out: through ASGI / bare, both on uvicorn", "fanout", PLAIN_UVICORN, ASYNC_UVICORN, BARE, 0.95, point=1000
    ),
    Goal("Echo: async / Channels 4 async", "echo", (ASYNC, 64), (_channels4("async"), 64), 6),
    Goal("Echo: plain / Channels 4 sync", "echo", (PLAIN, 64), (_channels4("sync"), 64), 12),
    Goal("Fan-out: async / Channels 4 async", "fanout", (ASYNC, 1000), (_channels4("async"), 1000), 30),
    *_decorated("sessions", USER, 0.7, 64),
    *(
        Goal(
            f"{USER}, {kind}: queries an event",
            "sessions",
            (f"routechan {kind}, {USER}", 64),
            None,
            0.01,
            False,
            "queries",
        )
        for kind in systems.KINDS
    ),
    *_decorated("sessions", "enforce_ordering", 0.9, 64),
    *_both(
        f"Connects: {FROM_HTTP} / AuthMiddlewareStack",
        "connect_sessions",
        f"routechan plain, {FROM_HTTP}",
        f"routechan async, {FROM_HTTP}",
        AUTH,
        2,
        point=CLIENTS,
    ),
    *_both("Connects: own server / bare on uvicorn", "connect", PLAIN, ASYNC, BARE, 1.3, point=CLIENTS),
    *_both("Memory of an idle socket, bytes", "memory", PLAIN, ASYNC, None, 11 * 1024, point=10_000, at_least=False),
    *_both(
        "Latency p99: own server / bare on uvicorn",
        "latency",
        PLAIN,
        ASYNC,
        BARE,
        1,
        point=0,
        at_least=False,
        value="p99",
    ),
    *(
        Goal(
            f"Layer, {TASKS} in flight, {loop}: routechan / {title}",
            f"layer_in_flight_{loop}",
            (OURS, TASKS),
            (peer, TASKS),
            bound,
        )
        for loop in ("uvloop", "asyncio")
        for peer, title, bound in ((CORE, "core", 20), (PUBSUB, "pub/sub", 7))
    ),
    Goal("Layer, group of 1,000: routechan / pub/sub", "layer_members", (OURS, 1000), (PUBSUB, 1000), 2),
    Goal(
        "Redis' time for a group send: 100,000 members / 10",
        "layer_redis_time",
        (OURS, 100_000),
        (OURS, 10),
        1.5,
        False,
        "redis_us",
    ),
    *_both("Echo through one worker / Channels 1.1.8", "echo", WORKER_PLAIN, WORKER_ASYNC, CHANNELS1, 12, point=64),
    *_both(
        "The same, both with --threads 1",
        "echo",
        WORKER_PLAIN + ONE_THREAD,
        WORKER_ASYNC + ONE_THREAD,
        CHANNELS1 + ONE_THREAD,
        4,
        point=64,
    ),
    *_both(
        "Latency p50 of one socket: worker / inline",
        "echo",
        WORKER_PLAIN,
        WORKER_ASYNC,
        INLINE_REDIS,
        2.5,
        point=1,
        at_least=False,
        value="p50",
    ),
    *(
        Goal(
            f"A client that never reads, {kind}: p99 with it / without",
            "slow_reader",
            (name, 1),
            (name, 0),
            1.1,
            False,
            "p99",
        )
        for kind, name in (("plain", PLAIN), ("async", ASYNC))
    ),
]


def judged(work: str) -> set[tuple[str, int]]:
    """Systems and points of a work that goals compare."""
    return {pair for goal in GOALS if goal.work == work for pair in goal.pairs()}
