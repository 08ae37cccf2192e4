"""A relaying server: it holds connections, runs no user code, and hands their events to workers.

The next event of a connection leaves when the one before is acked, so events are consumed in order, whichever workers
run them; connections do not wait for each other. Where no ack will come, the connection goes on with its next event.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Coroutine, Iterable
from functools import partial
from typing import Any

from ..concurrency import ends_task, maybe_await
from ..encoding import Content
from ..exceptions import ChannelFull, ChannelLayerUnavailable
from ..interfaces import HTTP_CHANNELS, NOT_ANSWERED, SOCKET_CHANNELS, Outlet, Replies
from ..layers.base import BaseChannelLayer
from ..message import Message
from ..monitor.layers import layers_in_use
from ..routing import Router
from ..telemetry import tracing
from ..telemetry.counters import counters
from . import turns
from .inflight import InFlightEvent, InFlightMonitor, Outcome, held_by, log_without_ack, replies_without_ack
from .protocol import TAG, connection_closed, given_up
from .streams import RunningStreams
from .turns import Destination, Turns

logger = logging.getLogger("routechan")

CONNECT, DISCONNECT = SOCKET_CHANNELS[0], SOCKET_CHANNELS[2]
HTTP_REQUEST, HTTP_DISCONNECT = HTTP_CHANNELS

#: Seconds that an event may take, with its wait for a worker, before its connection goes on without it.
EVENT_TIMEOUT = 60.0

#: Seconds that control messages may take to leave when the server stops.
CONTROL_TIMEOUT = 1.0


class RelayConsumers:
    """Hands events to workers: the ``Consumers`` of a server that runs none itself.

    Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        layer: the workers' layer.
        http: whether requests are relayed too: all of them, or those that a router takes. No router is asked for
            sockets: workers know their routes, and this process may have been started with others.
        event_timeout: seconds that an event may take.
    """

    def __init__(
        self, layer: BaseChannelLayer, *, http: bool | Router = False, event_timeout: float = EVENT_TIMEOUT
    ) -> None:
        self.layer = layer
        self.event_timeout = event_timeout
        self._http = http
        self._full = (ChannelFull, getattr(layer, "ChannelFull", ChannelFull))
        self._number = 0
        self._in_flight: dict[int, InFlightEvent] = {}  # sent, or being sent
        self._destinations: dict[str, Destination] = {}
        #: Those that workers run for connections of this server.
        self.streams = RunningStreams(layer)

    async def start(self, replies: Replies) -> None:
        """Begin to take acks and heartbeats, among the ``replies`` to the server's sockets."""
        self._loop = asyncio.get_running_loop()
        self._reply_to = replies.channel(self._take_control)
        self._control_tasks: set[asyncio.Task[None]] = set()
        self._forget = layers_in_use.add(self.layer, SOCKET_CHANNELS + (HTTP_CHANNELS if self._http else ()))
        self._turns = Turns(self.layer, self._post_again, self._keep_task)
        self.monitor = InFlightMonitor(self.layer, self._in_flight, self._destinations)
        self.monitor.start()
        self.streams.start()

    async def stop(self) -> None:
        """Wait until control messages have left; wait for no more acks."""
        await self.monitor.stop()
        await self.streams.stop()
        if self._control_tasks:
            await asyncio.wait(self._control_tasks, timeout=CONTROL_TIMEOUT)
        for task in tuple(self._control_tasks):  # the layer is away: workers find out by themselves
            task.cancel()
        for event in tuple(self._in_flight.values()):  # their connections were released from them
            self.forget(event)
        for destination in self._destinations.values():
            if destination.timer is not None:
                destination.timer.cancel()
        self._forget()

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether messages on ``channels`` from a connection with this ``content`` are relayed.

        An event stream shares its path with requests: where a router says which of these are relayed, it is asked.
        """
        if all(channel in SOCKET_CHANNELS for channel in channels):
            return "transport" not in content or isinstance(self._http, bool) or self._http.serves(channels, content)
        return self._http if isinstance(self._http, bool) else self._http.serves(channels, content)

    def watches_end(self, content: Content) -> bool:
        """Whether the ``websocket.disconnect`` of a socket matters whose connect has this ``content``: workers know."""
        return True

    def takes(self, channel: str, content: Content) -> bool:
        """Whether the message ``content`` on ``channel`` is relayed."""
        if isinstance(self._http, bool) or channel in SOCKET_CHANNELS:
            return self.serves((channel,), content)
        return self._http.takes(Message(content, channel, self.layer.sync))

    def connection(self, outlet: Outlet) -> RelayedConnection:
        """The taker of a new connection's events, whose replies leave through ``outlet``."""
        return RelayedConnection(self, outlet)

    # Events

    def send(self, channel: str, content: Content, connection: RelayedConnection, *, closed: bool) -> InFlightEvent:
        """Send one event to a worker, or put it into the backlog of its channel.

        An event that finds its channel full, or its workers busy, waits in the backlog, and its connection is not read
        meanwhile. There clients take turns, and as long as any room comes, nobody is refused.

        Args:
            channel: of the event.
            content: of the event.
            connection: of the event.
            closed: its connection is closed. It cannot be told of a refusal, so the event has as much time as any.

        Returns:
            The event; whoever has awaited its outcome, or gives up, calls ``forget``.
        """
        destination = self._destinations.get(channel)
        if destination is None:
            destination = self._destinations[channel] = Destination(channel, holds=channel != DISCONNECT)
        loop = self._loop
        patience = self.event_timeout if closed else turns.FULL_PATIENCE
        self._number += 1
        headers = tracing.headers_to(channel) if tracing.on() else {}
        if (recovery := connection.recovery) is not None:
            recovery.began()
            headers = {**headers, **recovery.headers()}
        outcome = loop.create_future()
        event = InFlightEvent(
            self._number, destination, content, headers, outcome, loop.time(), patience, self._number, connection
        )
        counters.events_relayed += 1
        if destination.backlog or destination.waiting >= destination.window:
            self._turns.hold(event)
        else:
            self._post(event)
        return event

    def forget(self, event: InFlightEvent) -> None:
        """Nobody waits for the outcome of ``event`` any more."""
        counters.events_over += 1
        self._in_flight.pop(event.number, None)
        if event.in_backlog:  # its connection was cancelled
            event.destination.backlog.remove(event)

    def _post(self, event: InFlightEvent) -> None:
        self._in_flight[event.number] = event
        event.destination.waiting += 1
        tag = (self._reply_to, event.number, self.layer.now() + self.event_timeout)
        try:
            pending = self.layer.post(event.destination.channel, event.content, headers={TAG: tag, **event.headers})
        except BaseException as error:  # it is this event's, whichever event's ack made it leave the backlog
            self._posted(event, error)
        else:
            if pending is None:
                self._posted(event, None)
            elif isinstance(pending, asyncio.Future):
                pending.add_done_callback(partial(self._post_done, event))
            else:
                self._keep_task(self._await_post(event, pending))

    async def _await_post(self, event: InFlightEvent, pending: Awaitable[None]) -> None:
        try:
            await pending
        except BaseException as error:  # even one that would stop the event loop is this event's only
            self._posted(event, error)
            if ends_task(error):
                raise
        else:
            self._posted(event, None)

    def _post_done(self, event: InFlightEvent, pending: asyncio.Future[None]) -> None:
        self._posted(event, asyncio.CancelledError() if pending.cancelled() else pending.exception())

    def _posted(self, event: InFlightEvent, error: BaseException | None) -> None:
        if isinstance(error, self._full):
            self._found_full(event, error)
            return
        destination = event.destination
        now = self._loop.time()
        if error is None:
            destination.had_room_at = now
        elif isinstance(error, ChannelLayerUnavailable) and destination.channel != HTTP_REQUEST:
            # If it was lost, the monitor finds out, and logs it.
            event.doubt = error
            logger.info("Whether an event on %s was sent is not known: %s", destination.channel, error)
        else:
            destination.waiting = max(0, destination.waiting - 1)
            self._end(event, error)
            return
        event.heard_at = now
        event.deadline = now + self.event_timeout  # looked at by the monitor: a timer for each would cost more
        if event.probing:
            self._loop.call_soon(self._turns.admit, destination, True)

    # The backlog of a channel that is full, or whose workers are too slow

    def _found_full(self, event: InFlightEvent, full: BaseException) -> None:
        destination = event.destination
        destination.waiting = max(0, destination.waiting - 1)
        if self._in_flight.pop(event.number, None) is None or event.outcome.done():
            return  # nobody waits for it, or is about to stop waiting
        if self._loop.time() - max(event.arrived_at, destination.had_room_at) <= event.patience:
            self._turns.hold(event)
            return
        self._end(event, full)

    def _end(self, event: InFlightEvent, error: BaseException) -> None:
        """End ``event``, which the layer has refused with ``error``; the backlog goes on without it."""
        if not event.outcome.done():
            if not isinstance(error, Exception):
                cause, error = error, RuntimeError(f"the layer raised {error!r}")
                error.__cause__ = cause
            event.outcome.set_exception(error)
        if event.probing:
            self._loop.call_soon(self._turns.admit, event.destination, True)

    def _post_again(self, event: InFlightEvent) -> None:
        self._number += 1
        event.number = self._number
        self._post(event)

    # Control messages

    def tell(self, channel: str, content: Content) -> None:
        """Send ``content`` to workers on ``channel`` without waiting.

        A worker that misses it finds out by itself.
        """
        self._keep_task(self._tell(channel, content))

    def _keep_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._control_tasks.add(task)
        task.add_done_callback(self._control_tasks.discard)

    async def _tell(self, channel: str, content: Content) -> None:
        try:
            await maybe_await(self.layer.post(channel, content))
        except Exception as error:  # of whatever class: a layer of another make has errors of its own
            self.monitor.untold(error, unread=channel == HTTP_DISCONNECT and isinstance(error, self._full))

    def _take_control(self, content: Content) -> None:
        """Take a control message of a worker."""
        number = content.get("ack")
        if number is None:
            self._take_other(content)
            return
        event = self._in_flight.get(number)
        if event is None:
            if "streams" in content:
                self.tell(content["streams"], given_up(self._reply_to, number))
            return
        if "streams" in content:
            event.connection.stream_began(number, content["streams"], event.content.get("order"))
        if not event.outcome.done():
            event.outcome.set_result(Outcome.FAILED if "failed" in content else Outcome.ACKED)
        destination = event.destination
        destination.taken = max(destination.taken, number)
        destination.acked += 1
        if destination.waiting > 0:
            destination.waiting -= 1
        if destination.backlog:
            self._turns.admit(destination)

    def _take_other(self, content: Content) -> None:
        """Take a heartbeat, or that a stream has ended."""
        number = content.get("stream")
        if number is not None:
            cut = bool(content.get("cut"))
            self.streams.ended(number, cut, "failed" in content)
            if cut and number in self._in_flight:  # a worker of 1.x acks when its stream has ended
                self._in_flight[number].connection.interrupt()
            return
        self._take_heartbeat(content.get("heartbeat", ()))
        if "streams" in content:
            self.streams.heard(content["streams"])

    def _take_heartbeat(self, numbers: Iterable[int]) -> None:
        now = self._loop.time()
        for number in numbers:
            event = self._in_flight.get(number)
            if event is not None:
                event.destination.taken = max(event.destination.taken, number)
                event.heard_at = now
                event.suspected_at = None


class RelayedConnection:
    """One connection's events, one at a time. Lifetime: connection.

    Args:
        relay: sends the events.
        outlet: where the connection's replies leave.
    """

    __slots__ = ("_event", "_outlet", "_relay", "_streams_at", "_unknown", "recovery")

    #: See ``interfaces.Events``.
    elsewhere = True

    def __init__(self, relay: RelayConsumers, outlet: Outlet) -> None:
        self._relay = relay
        self._outlet = outlet
        self.recovery = outlet.recovery
        self._event: InFlightEvent | None = None
        # Number of the event -> control channel of its worker, and its place among those of the connection.
        self._streams_at: dict[int, tuple[str, object]] | None = None
        self._unknown = False  # no worker has heard of it, nor will

    async def handle(self, channel: str, content: Content) -> None:
        """Have a worker consume the event ``content`` of ``channel``.

        Returns too when the event is lost or took too long, which is logged.

        Raises:
            ChannelFull: the channel had no room for it for long.
            Exception: whatever else the layer refused it with.
        """
        relay = self._relay
        if self._unknown:
            return
        if channel == HTTP_DISCONNECT:  # nothing comes after it, and workers need not have a route for it
            relay.tell(channel, content)
            return
        event = self._event = relay.send(channel, content, self, closed=self._outlet.closed)
        try:
            outcome = await event.outcome
            if outcome is Outcome.FAILED:
                self._outlet.failed(content.get("order"))
            elif outcome in (Outcome.LATE, Outcome.LOST):
                await self._without_ack(event, outcome)
        finally:
            if not event.released:
                relay.forget(event)
                self._event = None
            if self.recovery is not None:
                self.recovery.flushed()

    @property
    def client(self) -> str:
        """Whose connection it is."""
        return self._outlet.client

    @property
    def handed_over(self) -> bool:
        """Whether the layer has taken the event that was handed in last."""
        return (event := self._event) is None or (event.deadline < math.inf and event.doubt is None)

    @property
    def taken(self) -> bool:
        """Whether a worker has taken the event that was handed in last."""
        return self._event is None or self._event.taken

    def release(self) -> None:
        """Have ``handle`` return, because the connection is gone.

        The event stays in flight until it has its outcome. Only the connect of a socket leaves the backlog at once, and
        then no worker hears of the disconnect: where all come at once, those who wait get the room of those who left.
        """
        event = self._event
        if event is None or event.released or event.outcome.done():
            return
        if event.in_backlog and event.destination.channel == CONNECT:
            self._unknown = True
            event.outcome.set_result(Outcome.WITHDRAWN)
        else:
            event.released = True
            waited, event.outcome = event.outcome, event.outcome.get_loop().create_future()
            event.outcome.add_done_callback(partial(self._over, event))
            waited.set_result(Outcome.RELEASED)

    def _over(self, event: InFlightEvent, outcome: asyncio.Future[Outcome]) -> None:
        """The event that ``handle`` was released from has its ``outcome``, whether or not ``idle`` waits for it."""
        if not outcome.cancelled():
            outcome.exception()  # else asyncio logs it
        self._relay.forget(event)
        self._event = None

    async def idle(self) -> None:
        """Return when an event that ``handle`` was released from has its outcome; the others are waited for there."""
        if (event := self._event) is None:
            return
        try:
            if (outcome := await event.outcome) not in (Outcome.ACKED, Outcome.FAILED):
                await self._without_ack(event, outcome)
        except Exception as error:  # its connection is gone, and cannot be told
            logger.info("An event on %s of a connection that is gone is lost: %s", event.destination.channel, error)

    def waited_long(self) -> None:
        """The event has been waiting for a while: its connection should look whether the client has left."""
        self._outlet.look()

    async def _without_ack(self, event: InFlightEvent, outcome: Outcome) -> None:
        channel, content = event.destination.channel, event.content
        relay, closed = self._relay, self._outlet.closed
        log_without_ack(outcome, channel, content, relay.event_timeout, closed=closed, repeats=relay.monitor.repeats)
        if event.doubt is not None and channel == DISCONNECT:
            raise event.doubt  # it is all that ends the socket for its consumers
        for reply in replies_without_ack(outcome, channel, content):
            await maybe_await(self._outlet.deliver(reply))

    def waits_for(self) -> str:
        """What keeps the event that was handed in last."""
        return NOT_ANSWERED if self._event is None else held_by(self._event, self._relay.monitor.workers)

    def stream_began(self, number: int, streams_at: str, order: object) -> None:
        """The event ``number``, in ``order``, streams from the worker with the control channel ``streams_at``."""
        if self._streams_at is None:
            self._streams_at = {}
        self._streams_at[number] = streams_at, order
        self._relay.streams.began(number, streams_at, self)
        if self._outlet.closed:
            self.end_streams()

    def stream_ended(self, number: int, failed: bool) -> None:
        """The stream of the event ``number`` has ended in its worker; ``failed``: with an error."""
        stream = self._streams_at.pop(number, None) if self._streams_at is not None else None
        if failed and stream is not None:
            self._outlet.failed(stream[1])

    def interrupt(self) -> None:
        """What streamed to the client is gone: a socket is closed with 1012, a response broken off."""
        self._outlet.interrupt()

    def end_streams(self) -> None:
        """Tell the workers that stream to this connection that it is closed."""
        streams, self._streams_at = self._streams_at, None
        if streams:
            for number in streams:
                self._relay.streams.forget(number)
            for channel in {streams_at for streams_at, _ in streams.values()}:
                self._relay.tell(channel, connection_closed(self._outlet.name))
