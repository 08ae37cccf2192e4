"""Turns: which events go to their channel now, and which wait in this process until others have had their turn.

A channel is first in, first out: nobody overtakes what lies there. So where workers take events more slowly than they
come, only a few are left to lie there, about as many as workers take in a moment. The others wait in the backlog, and
clients take turns with what workers take: however many busy sockets one client has, the first event of another waits
for those few, and for one event of each client that waits too.

What lies in a channel is estimated: an event that is sent adds one, an ack says that a worker has taken another one.
Events that workers without acks have taken make the estimate too high. So where it is too high to send, Redis is asked.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from bisect import insort
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..layers.base import BaseChannelLayer

if TYPE_CHECKING:
    from .inflight import InFlightEvent

logger = logging.getLogger("routechan")

#: How many clients' turns are remembered beside those of clients that wait.
KEPT = 100

#: Events of one server that may lie in a channel however slow its workers are.
WAITING = 4

#: Seconds between two estimates of what workers take, and between two questions that brought nothing.
PACE_TIME = 0.1

#: Seconds that a channel may stay full before the connections in its backlog are closed, that workers may take nothing
#: before the backlog goes to the channel all the same, and between two tries that no ack has asked for.
FULL_PATIENCE = 10.0
FULL_INTERVAL = 0.02


@dataclass(slots=True, eq=False)
class Destination:
    """A channel that events go to, with the backlog of those that wait for room or for their turn.

    Lifetime: that of the relay. Times are those of the loop's clock, in seconds.

    Args:
        channel: its name.
        holds: whether events are held back; not if nobody waits for them.
        backlog: the events, in the order of turns.
        timer: tries again, as long as there is a ``backlog``.
        had_room_at: when an event was last sent to the channel.
        taken: the highest number known to be taken off it.
        waiting: how many events of this server seem to lie in it.
        window: how many may.
        acked: how many were acked since the last estimate.
        stalled: whether workers have taken nothing for long, so that nothing is held back.
        asking: whether the layer is being asked how many wait.
        ask_at: when it may be asked again.
        turn: the turn that events are sent in.
        turns: client -> the turn of its next event.
    """

    channel: str
    holds: bool = True
    backlog: list[InFlightEvent] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    had_room_at: float = 0.0
    taken: int = 0
    waiting: int = 0
    window: int = WAITING
    acked: int = 0
    stalled: bool = False
    asking: bool = False
    ask_at: float = 0.0
    turn: int = 0
    turns: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.estimate()

    def put_back(self, event: InFlightEvent) -> None:
        """Put ``event`` into the backlog: behind one of each other client, or in front again if it tried in vain."""
        if event.turn is None:
            if not self.backlog:
                self.turns.clear()
            client = event.connection.client
            event.turn = max(self.turn, self.turns.get(client, 0))
            self.turns[client] = event.turn + 1
            if len(self.turns) > 2 * len(self.backlog) + KEPT:
                self.turns = {each: turn for each, turn in self.turns.items() if turn > self.turn}
        insort(self.backlog, event, key=lambda each: (each.turn, each.position))
        event.in_backlog = True

    def take_first(self) -> InFlightEvent | None:
        """The event whose turn it is and whose connection still waits for it, off the backlog; None where none is."""
        while self.backlog:
            event = self.backlog.pop(0)
            event.in_backlog = False
            if not event.outcome.done():  # else its connection has just been cancelled
                self.turn = max(self.turn, event.turn or 0)
                return event
        return None

    def estimate(self) -> None:
        """Let so many events lie in the channel as workers take in half the time until the next estimate."""
        self.stalled = self.stalled and not self.acked
        self.window = max(WAITING, self.acked // 2) if self.holds and not self.stalled else sys.maxsize
        self.acked = 0


class Turns:
    """Sends the events of the backlogs. Lifetime: that of the relay, on one event loop.

    Args:
        layer: tells how many messages wait in a channel.
        post: sends an event.
        keep: runs a coroutine beside the connections.
    """

    def __init__(
        self,
        layer: BaseChannelLayer,
        post: Callable[[InFlightEvent], object],
        keep: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._layer = layer
        self._post = post
        self._keep = keep
        self._loop = asyncio.get_running_loop()

    def hold(self, event: InFlightEvent) -> None:
        """Have ``event`` wait in the backlog."""
        destination = event.destination
        destination.put_back(event)
        if destination.timer is None:
            destination.timer = self._loop.call_later(FULL_INTERVAL, self._probe, destination)
            if destination.waiting >= destination.window:
                self._ask(destination)

    def admit(self, destination: Destination, probing: bool = False) -> bool:
        """Send the first event of the backlog, if it may lie in the channel.

        Args:
            destination: whose backlog.
            probing: then the next one too, until one finds no room.

        Returns:
            Whether one was sent, as far as is known already.
        """
        if destination.waiting >= destination.window:
            return False
        event = destination.take_first()
        if event is None:
            return False
        event.probing = probing
        self._post(event)
        return not event.in_backlog

    def _probe(self, destination: Destination) -> None:
        """Try whether there is room that no ack tells of: a worker was started, or another server's events ended."""
        destination.timer = None
        if not destination.backlog:
            return
        destination.timer = self._loop.call_later(FULL_INTERVAL, self._probe, destination)
        now = self._loop.time()
        if destination.waiting >= destination.window:
            first = destination.backlog[0]
            if now - max(first.arrived_at, destination.had_room_at) > FULL_PATIENCE:
                destination.stalled = True
                destination.estimate()
            elif now >= destination.ask_at:
                self._ask(destination)
        self.admit(destination, True)

    def _ask(self, destination: Destination) -> None:
        if not destination.asking:
            destination.asking = True
            self._keep(self._count(destination))

    async def _count(self, destination: Destination) -> None:
        """Ask how many events wait in the channel, and send as many more as may."""
        try:
            while destination.backlog and destination.waiting >= destination.window:
                pending = await self._layer.length(destination.channel)
                destination.waiting = min(destination.waiting, pending)
                if not pending and not destination.stalled:
                    destination.window *= 2  # workers are faster than was believed, or there are more of them
                while self.admit(destination):
                    pass
                if pending:
                    break
        except Exception as error:  # of whatever class: a layer of another make has errors of its own
            logger.debug("How many events wait on %s cannot be told now: %s", destination.channel, error)
        finally:
            destination.asking = False
            destination.ask_at = self._loop.time() + PACE_TIME
