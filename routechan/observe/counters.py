"""What this process has done so far.

Counted always, so it has to cost next to nothing: plain ``+=`` on attributes, with no lock. The interpreter switches
threads at calls and at jumps back only, and there is none inside such a statement.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from functools import lru_cache
from time import perf_counter
from typing import Any

from ..describe import name_that_thing

#: Upper bounds of the buckets that durations are sorted into, in seconds; the last bucket takes what is longer.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ConsumerFigures:
    """How often the consumers of one name ran, how long, and how often they failed. Lifetime: process."""

    __slots__ = ("buckets", "failures", "name", "running", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.buckets = [0] * (len(BOUNDS) + 1)  # runs that have ended, by how long they took
        self.seconds = 0.0  # that they took together
        self.failures = 0
        self.running: dict[Any, float] = {}  # run -> when it began (``perf_counter``)

    @property
    def count(self) -> int:
        """How many runs have ended."""
        return sum(self.buckets)

    def add(self, seconds: float) -> None:
        """A run has ended that took so long."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def longest(self) -> float:
        """Seconds that the oldest of the runs has been running for; 0 without any."""
        began = tuple(self.running.values())
        return perf_counter() - min(began) if began else 0.0


class Counters:
    """Everything else, and the consumers by name. Lifetime: process; there is one, ``counters``."""

    def __init__(self) -> None:
        self.sockets_opened = 0
        self.sockets_closed = 0
        self.requests_opened = 0
        self.requests_closed = 0
        self.frames_received = 0  # WebSocket messages from clients
        self.frames_sent = 0  # and to them
        self.frames_dropped = 0  # that a client did not take in time
        self.readers_paused = 0  # how often a client was not read because it did not read
        self.readers_closed = 0  # how many were closed because they did not
        self.received: defaultdict[str, int] = defaultdict(int)  # messages for consumers, by channel
        self.unrouted = 0  # of these, no route took so many
        self.sent = 0  # messages that consumers and others sent, to channels and groups
        self.lost = 0  # of these, could not be delivered
        self.events_relayed = 0  # events of sockets and requests that were handed to workers
        self.events_over = 0  # and of which nobody waits for the outcome any more
        self.events_lost = 0  # with the worker that took them
        self.events_late = 0  # that took too long to wait on
        self.events_refused = 0  # that found no room in their channel
        self.consumers: dict[str, ConsumerFigures] = {}

    @property
    def sockets_open(self) -> int:
        return self.sockets_opened - self.sockets_closed

    @property
    def requests_open(self) -> int:
        return self.requests_opened - self.requests_closed

    @property
    def events_waiting(self) -> int:
        """Relayed events whose outcome is not known yet."""
        return self.events_relayed - self.events_over


counters = Counters()


def figures_of(consumer: Any) -> ConsumerFigures:
    """Where runs of ``consumer`` are counted."""
    try:
        return _known(consumer)
    except TypeError:  # a callable that cannot be hashed
        return _named(consumer)


def _named(consumer: Any) -> ConsumerFigures:
    name = name_that_thing(consumer)
    return counters.consumers.setdefault(name, ConsumerFigures(name))


#: A route of the user's own making may return another function for each message: so many are held at most.
_known = lru_cache(maxsize=256)(_named)
