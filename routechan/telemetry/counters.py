"""Counters of this process: sockets, requests, messages, consumers.

Counting is always on, so it must be cheap: plain ``+=`` on attributes, without a lock. That is safe because the
interpreter switches threads only at calls and at backward jumps, and such a statement contains neither.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from time import perf_counter
from typing import Any

from ..inspection import name_that_thing

#: Upper bounds in seconds of the histogram's buckets; one more bucket takes the longer durations.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


#: The limits whose meeting is counted: the names of their options, see ``docs/limits.rst``.
LIMITS = (
    *("socket_capacity", "socket_bytes", "server_bytes", "frame_bytes", "frame_rate", "body_limit"),
    *("server_sockets", "address_sockets", "handshake_rate", "socket_streams", "socket_failures"),
    *("user_sockets", "consumer_timeout", "channel_bytes", "max_groups", "limit"),
)


class ConsumerFigures:
    """The runs, durations and failures of one consumer. Lifetime: process.

    Args:
        name: The consumer's dotted name; consumers of the same name are counted together.
    """

    __slots__ = ("buckets", "failures", "name", "running", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.buckets = [0] * (len(BOUNDS) + 1)  # finished runs, by duration
        self.seconds = 0.0  # total duration of the finished runs
        self.failures = 0
        self.running: dict[Any, float] = {}  # run -> its start time (``perf_counter``)

    @property
    def count(self) -> int:
        """The number of finished runs."""
        return sum(self.buckets)

    def longest(self) -> float:
        """The seconds that the oldest unfinished run has been running; 0 if none is running."""
        began = tuple(self.running.values())
        return perf_counter() - min(began) if began else 0.0


class Counters:
    """All counters of the process. Lifetime: process; there is one instance, ``counters``."""

    def __init__(self) -> None:
        self.sockets_opened = 0
        self.sockets_closed = 0
        self.requests_opened = 0
        self.requests_closed = 0
        self.frames_received = 0  # WebSocket messages from clients
        self.frames_sent = 0  # WebSocket messages to clients
        self.frames_dropped = 0  # WebSocket messages that a slow client did not take
        self.frames_replaced = 0  # those that another replaced, as the sender had asked with ``latest``
        self.answers_late = 0  # answers of clients to questions that nobody waits for any more
        self.readers_paused = 0  # times reading was paused because the client was slow
        self.readers_closed = 0  # connections closed because the client was slow
        self.received: defaultdict[str, int] = defaultdict(int)  # messages received for consumers, by channel
        self.unrouted = 0  # received messages that matched no route
        self.history_gaps = 0  # times that members of a group missed messages its history no longer had
        self.sent = 0  # messages sent to channels and groups
        self.lost = 0  # messages sent that could not be delivered
        self.events_relayed = 0  # socket and request events handed to workers
        self.events_over = 0  # relayed events that are no longer waited for
        self.events_lost = 0  # relayed events lost because their worker died
        self.events_late = 0  # relayed events whose outcome did not arrive in time
        self.events_refused = 0  # events that could not reach their consumer
        self.limited = dict.fromkeys(LIMITS, 0)  # times a limit was met
        self.consumers: dict[str, ConsumerFigures] = {}

    @property
    def sockets_open(self) -> int:
        """The number of WebSockets that are open, or being opened."""
        return self.sockets_opened - self.sockets_closed

    @property
    def requests_open(self) -> int:
        """The number of requests that a consumer is answering."""
        return self.requests_opened - self.requests_closed

    @property
    def events_waiting(self) -> int:
        """The number of relayed events in flight: their outcome is not known yet."""
        return self.events_relayed - self.events_over


counters = Counters()


def figures_of(consumer: Any) -> ConsumerFigures:
    """The figures that runs of ``consumer`` are counted in."""
    try:
        return _known(consumer)
    except TypeError:  # an unhashable callable
        return _named(consumer)


def _named(consumer: Any) -> ConsumerFigures:
    name = name_that_thing(consumer)
    return counters.consumers.setdefault(name, ConsumerFigures(name))


#: Bounded, because a custom route may return a new function for each message.
_known = lru_cache(maxsize=256)(_named)
