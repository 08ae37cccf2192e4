"""Events in flight: what a relaying server knows of those it has sent, and what ends them when no ack comes."""

from __future__ import annotations

import asyncio
import enum
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..concurrency import end_tasks
from ..encoding import Content
from ..exceptions import ChannelLayerUnavailable
from ..inspection import counted
from ..interfaces import FAILED, HTTP_CHANNELS, SOCKET_CHANNELS, first_of, unanswered
from ..layers.base import BaseChannelLayer
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats
from .protocol import HEARTBEAT_INTERVAL, WORKERS
from .streams import Streamed
from .turns import PACE_TIME, Destination

logger = logging.getLogger("routechan")

#: Seconds without a heartbeat after which an event is suspected, and for which the suspicion has to last.
SILENCE = 3 * HEARTBEAT_INTERVAL
SUSPICION = 2 * HEARTBEAT_INTERVAL

#: Seconds between two looks for events that are late or lost.
CHECK_INTERVAL = PACE_TIME

#: Seconds that an event may wait, in flight or in the backlog, before its connection looks whether the client has left
#: meanwhile.
LOOK_TIME = 0.5

#: Seconds that an event may wait in its channel before that is logged. A socket that is not accepted is refused after
#: five by default: the reason should stand before that.
WAITING_TIME = 3.0

#: Seconds between two counts of the workers, while events wait.
COUNT_INTERVAL = 1.0


class Outcome(enum.Enum):
    """How an event ended: acked by a worker, also where its consumer failed, lost with one, or given up as late.

    ``WITHDRAWN`` is that it never was sent, because it was in the backlog when its connection had gone.

    ``RELEASED`` is no end: the task of its connection, which is gone, waits for it no longer.
    """

    ACKED = enum.auto()
    FAILED = enum.auto()
    LOST = enum.auto()
    LATE = enum.auto()
    WITHDRAWN = enum.auto()
    RELEASED = enum.auto()


class Waiting(Streamed, Protocol):
    """A connection that waits for an event. Lifetime: connection."""

    @property
    def client(self) -> str:
        """Whose it is: clients take turns."""

    def waited_long(self) -> None:
        """Its event has been waiting for ``LOOK_TIME``."""


@dataclass(slots=True, eq=False)
class InFlightEvent:
    """An event on its way to a worker, or in the backlog. Lifetime: until nobody waits for its outcome.

    Args:
        number: of the event; a higher one each time it is sent again, see ``InFlightMonitor._suspect``.
        destination: the channel it goes to.
        content: of the event.
        headers: that travel with it, beside the delivery tag.
        outcome: a future of its ``Outcome``. It raises ``ChannelFull`` where there was no room within ``patience``,
            and whatever else ``post`` raises.
        arrived_at: when it came, in seconds of the loop's clock, as all times here.
        patience: seconds that it may wait for room.
        position: its place among all events of the server, in the order they came.
        connection: that it is of, which it may begin to stream to.
        in_backlog: whether it waits for room, or for its turn.
        turn: the turn that it waits for in the backlog; None if it has never been there.
        probing: whether it tries if there is room for those behind it too.
        deadline: when it is given up; known as soon as it is sent.
        heard_at: when it was sent, or the last heartbeat of it came.
        suspected_at: since when it seems to be lost.
        doubt: why nobody knows whether it was sent; None where that is known.
        looked: whether its connection has been told that it waits for long.
        released: whether ``handle`` of its connection has been released from it.
    """

    number: int
    destination: Destination
    content: Content
    headers: dict[str, Any]
    outcome: asyncio.Future[Outcome]
    arrived_at: float
    patience: float
    position: int
    connection: Waiting
    in_backlog: bool = False
    turn: int | None = None
    probing: bool = False
    deadline: float = math.inf
    heard_at: float = math.inf
    suspected_at: float | None = None
    doubt: Exception | None = None
    looked: bool = False
    released: bool = False

    @property
    def taken(self) -> bool:
        """Whether a worker is known to have taken it off its channel."""
        return not self.in_backlog and self.number <= self.destination.taken


class InFlightMonitor:
    """Ends events that no worker will ack: those that are late, and those lost with their worker.

    Lifetime: from ``start`` to ``stop``. Workers repeat heartbeats of the events they run. An event that was taken off
    its channel, and of which no heartbeat comes, is lost with its worker.

    Args:
        layer: tells how many messages wait in a channel.
        events: number -> event, of all that are in flight.
        destinations: channel -> destination, whose backlogs have the others.
    """

    def __init__(
        self,
        layer: BaseChannelLayer,
        events: Mapping[int, InFlightEvent],
        destinations: Mapping[str, Destination],
    ) -> None:
        self._layer = layer
        self._events = events
        self._destinations = destinations
        #: Which lines are written.
        self.repeats = Repeats()
        self._count_at = 0.0  # when workers may be counted again
        #: How many workers there were when an event was last found waiting; None before that.
        self.workers: int | None = None

    def start(self) -> None:
        """Begin to look, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(look()) for look in (self._end_late, self._find_lost)]

    async def stop(self) -> None:
        """Look no more."""
        await end_tasks(*self._tasks)

    def untold(self, error: Exception, *, unread: bool) -> None:
        """Log that workers were not told of the end of a connection.

        Args:
            error: Why.
            unread: Whether it is the full channel of ``http.disconnect``, for which workers need no route.
        """
        more = self.repeats.more(("untold", unread, type(error)))
        if more is not None:
            level = logging.INFO if unread else logging.WARNING
            logger.log(level, "Workers could not be told that a connection is closed: %s%s", error, more)

    async def _end_late(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            now = self._loop.time()
            events = list(self._events.values())
            for destination in self._destinations.values():
                destination.estimate()
                events += destination.backlog
            for event in events:
                if event.outcome.done():
                    continue
                if now > event.deadline:
                    event.outcome.set_result(Outcome.LATE)
                elif not event.looked and now - event.arrived_at > LOOK_TIME:
                    event.looked = True
                    event.connection.waited_long()

    async def _find_lost(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            try:
                await self._look_for_lost()
            except ChannelLayerUnavailable:
                logger.debug("Whether events are lost cannot be told now", exc_info=True)
            except Exception:  # nothing that happens here may end the monitor
                logger.exception("Looking for lost events failed")

    async def _look_for_lost(self) -> None:
        now = self._loop.time()
        silent = [event for event in self._events.values() if now - event.heard_at > SILENCE]
        for destination in {event.destination for event in silent}:
            waiting = await self._layer.length(destination.channel)
            if waiting and self._loop.time() >= self._count_at:
                self.workers = await self._layer.group_count(WORKERS)
                self._count_at = self._loop.time() + COUNT_INTERVAL
            now = self._loop.time()
            for event in silent:
                if event.destination is destination and now - event.heard_at > SILENCE and not event.outcome.done():
                    self._suspect(event, now, waiting)
                    waited = now - event.heard_at
                    # One line for all channels, without the number of looks that came to the same.
                    if event.suspected_at is not None or waited <= WAITING_TIME:
                        continue
                    if self.repeats.more("waiting") is not None:
                        self._tell_waiting(destination.channel, waited, waiting + len(destination.backlog))

    def _tell_waiting(self, channel: str, seconds: float, waiting: int) -> None:
        """Log that no worker takes the events of ``channel``, of which so many are ``waiting``, here or there."""
        logger.error(
            "No worker has taken an event off %s for %.1f s, and it holds %s; %s",
            channel,
            seconds,
            counted(waiting, "event"),
            workers_there(self.workers or 0),
            extra=log_fields(channel),
        )

    def _suspect(self, event: InFlightEvent, now: float, waiting: int) -> None:
        # Channels are FIFO: once an event that was sent later has been taken, this one has been taken too.
        if waiting and event.number > event.destination.taken:
            event.suspected_at = None
        elif event.suspected_at is None:
            event.suspected_at = now
        elif now - event.suspected_at > SUSPICION:
            event.outcome.set_result(Outcome.LOST)


def workers_there(workers: int) -> str:
    """What to do where events are not taken, and so many ``workers`` are there, as the end of a sentence."""
    if not workers:
        return "no worker is running with this layer. Start manage.py runworker, with the same Redis and prefix"
    it = "is running: it is" if workers == 1 else "are running: they are"
    return (
        f"{counted(workers, 'worker')} {it} busy, or without these channels. Give runworker more --threads, or start "
        "more workers"
    )


def held_by(event: InFlightEvent, workers: int | None) -> str:
    """What keeps ``event``, for the log.

    Args:
        event: an event in flight.
        workers: how many there were when an event was last found waiting; None before that.
    """
    channel = event.destination.channel
    if event.in_backlog:
        crowded = event.destination.waiting >= event.destination.window
        why = "behind events that no worker has taken" if crowded else "which is full"
        return (
            f"it waits for room on {channel}, {why}: no worker runs there, or all of them are too slow; start (more) "
            "workers"
        )
    if event.doubt is not None:
        return f"the layer cannot be reached: {event.doubt}"
    if event.deadline == math.inf:
        return "the layer has not taken the event yet; is its server (Redis) up?"
    if not event.taken:
        advice = (
            "does one run (manage.py runworker), on the same layer and with the same prefix?"
            if workers is None
            else workers_there(workers)
        )
        return f"no worker has taken it from {channel}; {advice}"
    return (
        "a worker has taken it, and its consumer has not ended: it is still running, or waits for a thread because "
        "others hold all of them (runworker --threads)"
    )


def replies_without_ack(outcome: Outcome, channel: str, content: Content) -> Iterator[Content]:
    """What the client is told of an event that ended without an ack, on its reply channel.

    Args:
        outcome: How it has ended.
        channel: The channel of the event.
        content: Its content.
    """
    lost = outcome is Outcome.LOST
    none = unanswered(content, "The worker has died." if lost else "No worker was done in time.")
    if none is not None:
        yield none
    if lost and first_of(channel, content):
        yield {FAILED: f"the worker that took {channel} has died"}


def log_without_ack(
    outcome: Outcome, channel: str, content: Content, event_timeout: float, *, closed: bool, repeats: Repeats
) -> None:
    """Log and count an event that ended without an ack.

    What is lost with a worker is a line for each event. What is late is not: where no worker runs, clients decide how
    many events are.

    Args:
        outcome: ``LATE`` or ``LOST``.
        channel: the channel of the event.
        content: its content.
        event_timeout: the seconds it had.
        closed: whether its connection is closed.
        repeats: which lines of late events are written.
    """
    if channel == SOCKET_CHANNELS[2]:
        then = "it may have reached no consumer, and is not sent again"
    elif closed:
        then = "its connection is closed meanwhile"
    elif channel == HTTP_CHANNELS[0]:
        then = "its client waits on for an answer"
    else:
        then = "its connection goes on without it"
    path = content.get("path")
    extra = log_fields(channel, content)
    if outcome is Outcome.LATE:
        counters.events_late += 1
        more = repeats.more(("late", channel, closed))
        if more is not None:
            text = "The event on %s of %r was not consumed within %g s; %s%s"
            logger.error(text, channel, path, event_timeout, then, more, extra=extra)
    else:
        counters.events_lost += 1
        logger.error("The event on %s of %r is lost with the worker that took it; %s", channel, path, then, extra=extra)
