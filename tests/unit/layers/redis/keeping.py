"""Housekeeping without a thread, on a clock that the test moves."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from routechan.encoding import LazyContent
from routechan.exceptions import ChannelFull, ChannelLayerUnavailable
from routechan.layers.envelope import Envelope
from routechan.layers.redis.commands.leases import Renewal
from routechan.layers.redis.connection import Reconnections
from routechan.layers.redis.housekeeping import Housekeeping
from routechan.layers.redis.judge import Look
from routechan.layers.statistics import Counts

LEASE = 15.0
GROUP_EXPIRY = 300.0

#: All memberships of the process are written again, or those in use.
RESTORED, REFRESHED = ("rejoin", "all"), ("rejoin", "live")


class FakeOperations:
    """Names instead of operations: ``what(...)`` is ``(what, *arguments)``. Lifetime: test."""

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        return lambda *arguments: (name, *arguments)


class FakeStore:
    """The memberships of a process. Lifetime: test."""

    def __init__(self, done: list[Any]) -> None:
        self.done = done
        self.ended: list[tuple[str, str]] = []
        self.attached: dict[str, Any] = {}

    def is_own(self, queue: str) -> bool:
        return False

    def purge(self) -> None:
        self.done.append("purge")

    def memberships(self, live: bool) -> str:
        return "live" if live else "all"

    def take_ended(self) -> list[tuple[str, str]]:
        ended, self.ended = self.ended, []
        return ended


def make(driver: Any, store: Any, **options: Any) -> Housekeeping:
    operations: Any = FakeOperations()
    serializer: Any = None
    tails: Any = SimpleNamespace(interval=math.inf, look=lambda: None)

    def group_send(group: str, content: LazyContent, headers: bytes) -> tuple[Any, Callable[[], object]]:
        return operations.send(group, content.data, headers), lambda: None

    people: Any = SimpleNamespace(
        tell_wanted=lambda: None,
        write_again=lambda: None,
        do_again=lambda: None,
        cleared=lambda channels: None,
        clear_away="and who reads its channels",
        left=lambda group, channel: None,
    )
    return Housekeeping(
        driver, store, serializer, operations, group_send, operations, tails, people, operations, operations, **options
    )


class Bench:
    """Housekeeping without a thread, ``tick`` by ``tick``; also its driver. Lifetime: test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.done: list[Any] = []
        self.kept = True
        self.cleared: float | None = None
        self.told: frozenset[str] = frozenset()
        #: The leases of other processes, as a look at Redis finds them.
        self.leases: Callable[[], dict[str, float]] = dict
        self.delayed: list[Envelope] = []
        self.coming: float | None = None
        self.unavailable = False
        self.hung: set[str] = set()
        self.left: list[tuple[Any, Any]] = []
        self.renewal_takes = self.look_takes = 0.0
        self.store = FakeStore(self.done)
        self.counts = Counts()
        self.reconnections = Reconnections()
        clock: Any = SimpleNamespace(now=lambda: self.now + 5_000)
        self.housekeeping = make(
            self,
            self.store,
            counts=self.counts,
            clock=clock,
            reconnections=self.reconnections,
            lease=LEASE,
            group_expiry=GROUP_EXPIRY,
        )
        # As ``start`` does, but for the thread.
        self.housekeeping._thread = threading.Thread()
        self.housekeeping._judge_at = self.now
        self.housekeeping._look_at = self.now

    def result_of(self, operation: Any) -> Any:
        """What the driver gives the callback of an operation."""
        name, *arguments = operation
        if name == "due":
            self.done.append("look")
            due, self.delayed = self.delayed, []
            return due, self.coming
        if name == "look_around":
            self.done.append("look around")
            asked = self.now
            self.now += self.look_takes
            return Look(asked, self.now, self.now + 5_000, self.leases())
        if name == "claim":
            self.done.append("claim")
            return list(arguments[0])
        self.done.append((name, *arguments))
        if name == "renew":
            self.now += self.renewal_takes
            return Renewal(self.kept, self.cleared, self.told)
        return 2

    def start(self, operation: Any, callback: Any = None) -> None:
        if operation[0] in self.hung:
            self.left.append((operation, callback))
        elif self.unavailable:
            error = ChannelLayerUnavailable("away")
            if callback is not None:
                callback(None, error)
            raise error
        elif operation[0] != "send":
            result = self.result_of(operation)
            if callback is not None:
                callback(result, None)
        elif operation[2] == "bad":
            callback(None, LookupError("sending it failed"))
        elif operation[2] == "full":
            callback(None, ChannelFull("full", 1))
        else:
            self.done.append(("send", operation[2]))
            callback(None, None)

    def answer(self) -> None:
        """A server that hung answers."""
        self.hung = set()
        left, self.left = self.left, []
        for operation, callback in left:
            self.start(operation, callback)

    start_along = start

    def tick(self, after: float = 0.0) -> list[Any]:
        """What one round does, so many seconds after the last."""
        self.now += after
        self.done.clear()
        self.housekeeping._tick()
        return list(self.done)

    def times(self, what: Any, seconds: float, step: float = 0.5) -> list[float]:
        """When a round does ``what``, in the next so many seconds."""
        began, found = self.now, []
        while self.now < began + seconds:
            if what in [done if isinstance(done, str) else done[0] for done in self.tick(step)]:
                found.append(self.now - began)
        return found
