"""What a server that relays knows of its events on their way to workers."""

from __future__ import annotations

import asyncio
import enum
import math

from .encoding import Content


class Outcome(enum.Enum):
    """How an event ended: settled by a worker, lost with one, or given up."""

    SETTLED = enum.auto()
    LOST = enum.auto()
    LATE = enum.auto()


class Destination:
    """A channel that events go to. Lifetime: that of the relay."""

    __slots__ = ("channel", "line", "sent_at", "taken", "timer")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.line: list[Relayed] = []  # those that found it full, in the order they came
        self.timer: asyncio.TimerHandle | None = None  # as long as there is a line
        self.sent_at = 0.0  # when there was room last
        self.taken = 0  # the highest number known to be taken off it


class Relayed:
    """An event on its way. Lifetime: until it is over.

    ``outcome`` raises ``ChannelFull`` where there was no room within ``patience`` seconds, and what ``post`` raises.
    """

    __slots__ = (
        "came",
        "came_at",
        "content",
        "destination",
        "heard",
        "in_line",
        "looks",
        "number",
        "outcome",
        "patience",
        "streams_at",
        "suspected",
        "until",
    )

    def __init__(
        self,
        came: int,
        destination: Destination,
        content: Content,
        outcome: asyncio.Future[Outcome],
        now: float,
        patience: float,
    ) -> None:
        self.came = came
        self.came_at = now
        self.destination = destination
        self.content = content
        self.outcome = outcome
        self.patience = patience
        self.number = came  # a later one each time it is sent again, see ``Unsettled``
        self.in_line = False
        self.looks = False  # whether it tries for those behind it too
        self.until = self.heard = math.inf  # known as soon as it is sent
        self.suspected: float | None = None
        self.streams_at: str | None = None  # who streams to the connection from now on
