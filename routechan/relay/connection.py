"""One connection of a relaying server: its events go to workers, one at a time."""

from __future__ import annotations

import logging
import math
from typing import Protocol

from ..concurrency import maybe_await
from ..encoding import Content
from ..interfaces import FAILED, HTTP_CHANNELS, NOT_ANSWERED, SOCKET_CHANNELS, Outlet, first_of
from .inflight import InFlightEvent, Outcome, log_without_ack, workers_there
from .protocol import connection_closed
from .streams import RunningStreams

logger = logging.getLogger("routechan")

HTTP_DISCONNECT = HTTP_CHANNELS[1]
DISCONNECT = SOCKET_CHANNELS[2]


class Relay(Protocol):
    """What sends the events of all connections: ``RelayConsumers``. Lifetime: that of the server."""

    event_timeout: float
    streams: RunningStreams

    @property
    def workers(self) -> int | None:
        """How many workers there were when an event was last found waiting; None before that."""

    def send(self, channel: str, content: Content, connection: RelayedConnection, *, closed: bool) -> InFlightEvent:
        """Send one event to a worker.

        Args:
            channel: of the event.
            content: of the event.
            connection: of the event.
            closed: its connection is closed.

        Returns:
            The event, whose outcome is awaited.
        """

    def forget(self, event: InFlightEvent) -> None:
        """Nobody waits for the outcome of ``event`` any more."""

    def tell(self, channel: str, content: Content) -> None:
        """Send the control message ``content`` to ``channel`` without waiting."""


class RelayedConnection:
    """One connection's events, one at a time. Lifetime: connection.

    Args:
        relay: sends the events.
        outlet: where the connection's replies leave.
    """

    __slots__ = ("_event", "_outlet", "_relay", "_streams_at")

    #: See ``Events``.
    elsewhere = True

    def __init__(self, relay: Relay, outlet: Outlet) -> None:
        self._relay = relay
        self._outlet = outlet
        self._event: InFlightEvent | None = None
        self._streams_at: dict[int, str] | None = None  # number of the event -> control channel of its worker

    async def handle(self, channel: str, content: Content) -> None:
        """Have a worker consume the event ``content`` of ``channel``.

        Returns too when the event is lost or took too long, which is logged.

        Raises:
            ChannelFull: the channel had no room for it for long.
            Exception: whatever else the layer refused it with.
        """
        relay = self._relay
        if channel == HTTP_DISCONNECT:  # nothing comes after it, and workers need not have a route for it
            relay.tell(channel, content)
            return
        event = self._event = relay.send(channel, content, self, closed=self._outlet.closed)
        outcome = None
        try:
            outcome = await event.outcome
            if outcome is Outcome.FAILED:
                self._outlet.failed(content.get("order"))
            elif outcome is not Outcome.ACKED and outcome is not Outcome.RELEASED:
                await self._without_ack(event, outcome)
        finally:
            if outcome is not Outcome.RELEASED:
                relay.forget(event)
                self._event = None

    @property
    def handed_over(self) -> bool:
        """Whether the layer has taken the event that was handed in last."""
        event = self._event
        return event is None or (event.deadline < math.inf and event.doubt is None)

    def release(self) -> None:
        """Have ``handle`` return, because the connection is gone.

        The event stays in flight until ``idle`` has returned.
        """
        event = self._event
        if event is not None and not event.outcome.done():
            waited, event.outcome = event.outcome, event.outcome.get_loop().create_future()
            waited.set_result(Outcome.RELEASED)

    async def idle(self) -> None:
        """Return when an event that ``handle`` was released from has its outcome; the others are waited for there."""
        event = self._event
        if event is None:
            return
        try:
            outcome = await event.outcome
            if outcome not in (Outcome.ACKED, Outcome.FAILED):
                await self._without_ack(event, outcome)
        except Exception as error:  # its connection is gone, and cannot be told
            logger.info("An event on %s of a connection that is gone is lost: %s", event.destination.channel, error)
        finally:
            self._relay.forget(event)
            self._event = None

    def waited_long(self) -> None:
        """The event has been in flight for a while: its connection should look whether the client has left."""
        self._outlet.look()

    async def _without_ack(self, event: InFlightEvent, outcome: Outcome) -> None:
        channel, content = event.destination.channel, event.content
        log_without_ack(outcome, channel, content, self._relay.event_timeout, closed=self._outlet.closed)
        if event.doubt is not None and channel == DISCONNECT:
            raise event.doubt  # it is all that ends the socket for its consumers
        if outcome is Outcome.LOST and first_of(channel, content):
            await maybe_await(self._outlet.deliver({FAILED: f"the worker that took {channel} has died"}))

    def waits_for(self) -> str:
        """What keeps the event that was handed in last."""
        event = self._event
        if event is None:
            return NOT_ANSWERED
        channel = event.destination.channel
        if event.in_backlog:
            return (
                f"it waits for room on {channel}, which is full: no worker runs there, or all of them are too slow; "
                "start (more) workers"
            )
        if event.doubt is not None:
            return f"the layer cannot be reached: {event.doubt}"
        if event.deadline == math.inf:
            return "the layer has not taken the event yet; is its server (Redis) up?"
        if event.number > event.destination.taken:
            workers = self._relay.workers
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

    def stream_began(self, number: int, streams_at: str) -> None:
        """The event ``number`` streams from the worker with the control channel ``streams_at``."""
        if self._streams_at is None:
            self._streams_at = {}
        self._streams_at[number] = streams_at
        self._relay.streams.began(number, streams_at, self)
        if self._outlet.closed:
            self.end_streams()

    def stream_ended(self, number: int) -> None:
        """The stream of the event ``number`` has ended in its worker."""
        if self._streams_at is not None:
            self._streams_at.pop(number, None)

    def interrupt(self) -> None:
        """What streamed to the client is gone: a socket is closed with 1012, a response broken off."""
        self._outlet.interrupt()

    def end_streams(self) -> None:
        """Tell the workers that stream to this connection that it is closed."""
        streams_at, self._streams_at = self._streams_at, None
        if streams_at:
            for number in streams_at:
                self._relay.streams.forget(number)
            for channel in set(streams_at.values()):
                self._relay.tell(channel, connection_closed(self._outlet.name))
