"""Consumers elsewhere: a server process that runs no user code hands its events to workers.

The next event of a connection leaves when the one before is settled, so they are run in order, whichever workers
run them; connections do not wait for each other. Where an event turns out to be ``unsettled``, its connection goes on
with the next one.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
from collections.abc import Iterable
from functools import partial

from .encoding import Content
from .exceptions import ChannelFull, ChannelLayerUnavailable
from .handover import HTTP_CHANNELS, SOCKET_CHANNELS, Outlet, Replies, settled
from .layers.base import BaseChannelLayer
from .message import Message
from .observe import tracing
from .observe.counters import counters
from .observe.failures import about
from .observe.watched import watched
from .relayed import Destination, Outcome, Relayed
from .relaying import closed_note, marked
from .routing import Router
from .unsettled import Unsettled, log_unsettled

logger = logging.getLogger("routechan")

HTTP_DISCONNECT = HTTP_CHANNELS[1]

#: Seconds that an event may take, with its wait for a worker, before its connection goes on without it.
EVENT_TIMEOUT = 60.0

#: Seconds that a channel stays full before the connections it holds up are closed, and between attempts that nobody
#: has asked for.
FULL_PATIENCE = 10.0
FULL_INTERVAL = 0.02

#: What a connection is told whose events find no room: WebSocket close code 1013 ("try again later"), HTTP 503.
TOO_BUSY: dict[str, Content] = {
    "websocket": {"close": 1013},
    "http": {"status": 503, "content": b"The server is too busy; try again later."},
}


class RelayConsumers:
    """Hands the events of one server process to workers. Lifetime: from ``start`` to ``stop``, on one event loop.

    ``http``: requests are relayed too, all of them or those that a router takes. For sockets no router is asked:
    workers know their routes, and this process may have been started with others. ``event_timeout`` is seconds.
    """

    def __init__(
        self, layer: BaseChannelLayer, *, http: bool | Router = False, event_timeout: float = EVENT_TIMEOUT
    ) -> None:
        self.layer = layer
        self.event_timeout = event_timeout
        self._http = http
        self._number = 0
        self._relayed: dict[int, Relayed] = {}  # sent, or being sent
        self._destinations: dict[str, Destination] = {}

    async def start(self, replies: Replies) -> None:
        self._loop = asyncio.get_running_loop()
        self._notes = replies.channel(self._note)
        self._telling: set[asyncio.Task[None]] = set()
        self._forget = watched.add(self.layer, SOCKET_CHANNELS + (HTTP_CHANNELS if self._http else ()))
        self._unsettled = Unsettled(self.layer, self._relayed)
        self._unsettled.start()

    async def stop(self) -> None:
        await self._unsettled.stop()
        if self._telling:
            await asyncio.wait(self._telling)
        for destination in self._destinations.values():
            if destination.timer is not None:
                destination.timer.cancel()
        self._forget()

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether messages on ``channels`` are relayed from where ``content`` came."""
        if all(channel in SOCKET_CHANNELS for channel in channels):
            return True
        return self._http if isinstance(self._http, bool) else self._http.serves(channels, content)

    def takes(self, channel: str, content: Content) -> bool:
        """Whether this message is relayed."""
        if isinstance(self._http, bool) or channel in SOCKET_CHANNELS:
            return self.serves((channel,), content)
        return self._http.takes(Message(content, channel, self.layer.sync))

    def line(self, outlet: Outlet) -> RelayLine:
        """What takes the events of a new connection, in order."""
        return RelayLine(self, outlet)

    def send(self, channel: str, content: Content, *, closed: bool) -> Relayed:
        """Send a worker one event. Who has awaited its outcome, or does not any more, says that it is ``over``.

        Events that find their channel full wait in line, and their connections are not read meanwhile: so it is not
        by chance who gets the room that there is, and as long as there is some for anybody, nobody is refused.
        One of a ``closed`` connection, which nobody can be told of, has as much time as any event.
        """
        destination = self._destinations.get(channel)
        if destination is None:
            destination = self._destinations[channel] = Destination(channel)
        loop = self._loop
        patience = self.event_timeout if closed else FULL_PATIENCE
        self._number += 1
        event = Relayed(self._number, destination, content, loop.create_future(), loop.time(), patience)
        counters.events_relayed += 1
        if destination.line:
            self._stand(event)
        else:
            self._post(event)
        return event

    def over(self, event: Relayed) -> None:
        """Nobody waits for ``event`` any more."""
        counters.events_over += 1
        self._relayed.pop(event.number, None)
        if event.in_line:  # its connection was cancelled
            event.destination.line.remove(event)

    def _post(self, event: Relayed) -> None:
        self._relayed[event.number] = event
        mark = (self._notes, event.number, self.layer.now() + self.event_timeout)
        try:
            pending = self.layer.post(event.destination.channel, marked(event.content, mark))
        except Exception as error:  # it is the event's, whoever has made it leave the line
            self._posted(event, error)
        else:
            if pending is None:
                self._posted(event, None)
            else:
                asyncio.ensure_future(pending).add_done_callback(partial(self._post_done, event))

    def _post_done(self, event: Relayed, pending: asyncio.Future[None]) -> None:
        self._posted(event, None if pending.cancelled() else pending.exception())

    def _posted(self, event: Relayed, error: BaseException | None) -> None:
        if isinstance(error, ChannelFull):
            self._found_full(event, error)
            return
        destination = event.destination
        now = self._loop.time()
        if error is None:
            destination.sent_at = now
        elif isinstance(error, ChannelLayerUnavailable):
            # If it was lost, that is logged when it is known.
            logger.info("Whether an event on %s was sent is not known: %s", destination.channel, error)
        else:
            if not event.outcome.done():
                event.outcome.set_exception(error)
            return
        event.heard = now
        event.until = now + self.event_timeout  # see ``Unsettled``: a timer for each would cost more
        if event.looks:
            self._loop.call_soon(self._admit, destination, True)

    # Where a channel is full

    def _found_full(self, event: Relayed, full: ChannelFull) -> None:
        destination = event.destination
        if self._relayed.pop(event.number, None) is None or event.outcome.done():
            return  # it is over, or about to be
        if self._loop.time() - max(event.came_at, destination.sent_at) <= event.patience:
            self._stand(event)
            return
        event.outcome.set_exception(full)
        if event.looks:
            self._loop.call_soon(self._admit, destination, True)

    def _stand(self, event: Relayed) -> None:
        """In line: behind those that came before it, which is in front again if it has tried again in vain."""
        destination = event.destination
        bisect.insort(destination.line, event, key=_came)
        event.in_line = True
        if destination.timer is None:
            destination.timer = self._loop.call_later(FULL_INTERVAL, self._look, destination)

    def _look(self, destination: Destination) -> None:
        """Try whether there is room that no note has told of: a worker was started, or another server's events end."""
        destination.timer = self._loop.call_later(FULL_INTERVAL, self._look, destination) if destination.line else None
        self._admit(destination, True)

    def _admit(self, destination: Destination, looks: bool) -> None:
        """The first in line tries again; where it ``looks``, the next one after it, until one finds no room."""
        while destination.line:
            event = destination.line.pop(0)
            event.in_line = False
            if not event.outcome.done():  # else its connection has just been cancelled
                event.looks = looks
                self._number += 1
                event.number = self._number
                self._post(event)
                break

    # Notes

    def tell(self, channel: str, note: Content) -> None:
        """Send a worker what need not be settled. One that misses a note finds out by itself."""
        task = self._loop.create_task(self._tell(channel, note))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, channel: str, note: Content) -> None:
        try:
            await settled(self.layer.post(channel, note))
        except (ChannelFull, ChannelLayerUnavailable) as error:
            logger.warning("Workers could not be told that a connection is over: %s", error)

    def _note(self, content: Content) -> None:
        number = content.get("settled")
        if number is None:
            self._are_running(content.get("running", ()))
            return
        event = self._relayed.get(number)
        if event is None:
            return
        if not event.outcome.done():
            event.streams_at = content.get("streams")
            event.outcome.set_result(Outcome.SETTLED)
        destination = event.destination
        destination.taken = max(destination.taken, number)
        if destination.line:
            self._admit(destination, False)

    def _are_running(self, numbers: Iterable[int]) -> None:
        now = self._loop.time()
        for number in numbers:
            event = self._relayed.get(number)
            if event is not None:
                event.destination.taken = max(event.destination.taken, number)
                event.heard = now
                event.suspected = None


def _came(event: Relayed) -> int:
    return event.came


def _traced(channel: str, content: Content) -> Content:
    """``content`` with the trace of the connection's task, if there is one."""
    if not tracing.on():
        return content
    with tracing.Sending(channel, content) as carrying:
        return carrying


class RelayLine:
    """One connection's events, one at a time. Lifetime: connection."""

    __slots__ = ("_outlet", "_relay", "_streams_at")

    def __init__(self, relay: RelayConsumers, outlet: Outlet) -> None:
        self._relay = relay
        self._outlet = outlet
        self._streams_at: set[str] | None = None

    async def handle(self, channel: str, content: Content) -> None:
        """Have one event run. Returns too when it is lost, took too long, or found no room: that is logged."""
        relay = self._relay
        if channel == HTTP_DISCONNECT:  # nothing comes after it, and workers need not have a route for it
            relay.tell(channel, content)
            return
        event = relay.send(channel, _traced(channel, content), closed=self._outlet.closed)
        try:
            outcome = await event.outcome
            if outcome is not Outcome.SETTLED:
                log_unsettled(outcome, channel, content, relay.event_timeout)
        except ChannelFull as full:
            await self._refuse(channel, content, full)
        finally:
            relay.over(event)
        if event.streams_at is not None:
            self._keep(event.streams_at)

    async def _refuse(self, channel: str, content: Content, full: ChannelFull) -> None:
        counters.events_refused += 1
        logger.error(
            "%s; an event of %s is lost, and its connection told so",
            full,
            self._outlet.name,
            extra=about(channel, content),
        )
        await settled(self._outlet.deliver(TOO_BUSY[channel.partition(".")[0]]))

    def _keep(self, streams_at: str) -> None:
        if self._streams_at is None:
            self._streams_at = set()
        self._streams_at.add(streams_at)
        if self._outlet.closed:
            self.end_streams()

    async def idle(self) -> None:
        """Nothing runs here: each event is awaited by who hands it in."""

    def end_streams(self) -> None:
        """The connection is closed: tell who streams to it."""
        streams_at, self._streams_at = self._streams_at, None
        for channel in streams_at or ():
            self._relay.tell(channel, closed_note(self._outlet.name))
