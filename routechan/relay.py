"""Consumers elsewhere: a server process that runs no user code hands its events to workers.

The next event of a connection leaves when the one before is settled, so they are run in order, whichever workers
run them; connections do not wait for each other. Workers say again and again what they are running. An event that
was taken, and that nobody says to be running, is lost with its worker: the connection goes on with the next one.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
from collections.abc import Awaitable, Iterable, Sequence

from .encoding import Content
from .exceptions import ChannelFull, ChannelLayerUnavailable
from .handover import HTTP_CHANNELS, SOCKET_CHANNELS, Outlet, settled
from .layers.base import BaseChannelLayer
from .message import Message
from .observe import tracing
from .observe.counters import counters
from .observe.failures import about
from .observe.watched import watched
from .relaying import SAID_EVERY, Mark, closed_note, marked, notes_channel
from .routing import Router

logger = logging.getLogger("routechan")

HTTP_DISCONNECT = HTTP_CHANNELS[1]

#: Seconds that an event may take, with its wait for a worker, before its connection goes on without it.
EVENT_TIMEOUT = 60.0

#: Seconds that a channel stays full before the connections it holds up are closed, and between attempts.
FULL_PATIENCE = 10.0
FULL_INTERVAL = 0.02

#: Seconds without a word about an event after which it may be lost, and for which that has to hold.
SILENCE = 3 * SAID_EVERY
SUSPICION = 2 * SAID_EVERY

#: Seconds between looks for lost events.
LOOKED_AT_EVERY = 0.1

#: What a connection is told whose events find no room: WebSocket close code 1013 ("try again later"), HTTP 503.
TOO_BUSY: dict[str, Content] = {
    "websocket": {"close": 1013},
    "http": {"status": 503, "content": b"The server is too busy; try again later."},
}


class _Outcome(enum.Enum):
    SETTLED = enum.auto()
    LOST = enum.auto()
    LATE = enum.auto()


class _Relayed:
    """An event on its way. Lifetime: until it is settled."""

    __slots__ = ("channel", "heard", "number", "outcome", "suspected", "until")

    def __init__(self, number: int, channel: str, outcome: asyncio.Future[_Outcome], now: float) -> None:
        self.number = number
        self.channel = channel
        self.outcome = outcome
        self.until = math.inf  # known as soon as it is sent
        self.heard = now
        self.suspected: float | None = None


class _Room:
    """A channel that events go to. Lifetime: that of the relay."""

    __slots__ = ("line", "sent_at")

    def __init__(self) -> None:
        self.line = asyncio.Lock()  # who waits for room
        self.sent_at = 0.0  # when there was room last


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
        self._relayed: dict[int, _Relayed] = {}
        self._rooms: dict[str, _Room] = {}
        self._taken: dict[str, int] = {}  # channel -> the highest number known to be taken off it

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._notes = notes_channel(self.layer.process)
        self._streams: dict[int, str] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self.layer.attach(self._notes, self._note)
        self._forget = watched.add(self.layer, SOCKET_CHANNELS + (HTTP_CHANNELS if self._http else ()))
        self._watching = [self._loop.create_task(watch()) for watch in (self._end_late, self._find_lost)]

    async def stop(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.wait([*self._watching, *self._telling])
        self._forget()
        try:
            await settled(self.layer.detach(self._notes))
        except ChannelLayerUnavailable as error:
            logger.warning("The layer did not take notice that %s has ended: %s", self._notes, error)

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

    async def relay(self, channel: str, content: Content, outlet: Outlet) -> str | None:
        """Have one event run; returns who streams to the connection from now on, if anybody does.

        Returns too when the event is lost, took too long, or found no room: that is logged.
        """
        self._number += 1
        number = self._number
        event = _Relayed(number, channel, self._loop.create_future(), self._loop.time())
        self._relayed[number] = event
        counters.events_relayed += 1
        try:
            if await self._send(event, _traced(channel, content), outlet):
                await self._outcome(event, content)
        finally:
            del self._relayed[number]
            counters.events_over += 1
        return self._streams.pop(number, None)

    async def _send(self, event: _Relayed, content: Content, outlet: Outlet) -> bool:
        """Whether the event is on its way; False, logged and told, where its channel stays full.

        Events that find it full wait in line, and their connections are not read meanwhile: so it is not by chance
        who gets the room that there is, and as long as there is some for anybody, nobody is refused.
        """
        began = self._loop.time()
        room = self._rooms.get(event.channel)
        if room is None:
            room = self._rooms[event.channel] = _Room()
        if not room.line.locked() and await self._post(event, content, room) is None:
            return True
        patience = FULL_PATIENCE if not outlet.closed else self.event_timeout
        async with room.line:
            while True:
                full = await self._post(event, content, room)
                if full is None:
                    return True
                if self._loop.time() - max(began, room.sent_at) > patience:
                    break
                await asyncio.sleep(FULL_INTERVAL)
        counters.events_refused += 1
        logger.error(
            "%s; an event of %s is lost, and its connection told so",
            full,
            outlet.name,
            extra=about(event.channel, content),
        )
        await settled(outlet.deliver(TOO_BUSY[event.channel.partition(".")[0]]))
        return False

    async def _post(self, event: _Relayed, content: Content, room: _Room) -> ChannelFull | None:
        mark = Mark(self._notes, event.number, self.layer.now() + self.event_timeout)
        try:
            await settled(self.layer.post(event.channel, marked(content, mark)))
        except ChannelFull as full:
            return full
        except ChannelLayerUnavailable as error:
            # If it was lost, that is logged when it is known.
            logger.info("Whether an event on %s was sent is not known: %s", event.channel, error)
        event.heard = room.sent_at = self._loop.time()
        return None

    async def _outcome(self, event: _Relayed, content: Content) -> None:
        event.until = self._loop.time() + self.event_timeout  # see _end_late: a timer for each would cost more
        outcome = await event.outcome
        if outcome is _Outcome.LATE:
            counters.events_late += 1
            logger.error(
                "The event on %s of %r was not settled within %g s; its connection goes on without it",
                event.channel,
                content.get("path"),
                self.event_timeout,
                extra=about(event.channel, content),
            )
        elif outcome is _Outcome.LOST:
            counters.events_lost += 1
            logger.error(
                "The event on %s of %r is lost with the worker that took it; its connection goes on",
                event.channel,
                content.get("path"),
                extra=about(event.channel, content),
            )

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

    def _note(self, channels: Sequence[str], content: Content) -> None:
        """Called by the layer in any thread."""
        self._loop.call_soon_threadsafe(self._take_note, content)

    def _take_note(self, content: Content) -> None:
        number = content.get("settled")
        if number is not None:
            event = self._relayed.get(number)
            if event is not None and not event.outcome.done():
                if "streams" in content:
                    self._streams[number] = content["streams"]
                self._was_taken(event)
                event.outcome.set_result(_Outcome.SETTLED)
            return
        now = self._loop.time()
        for number in content.get("running", ()):
            event = self._relayed.get(number)
            if event is not None:
                self._was_taken(event)
                event.heard = now
                event.suspected = None

    def _was_taken(self, event: _Relayed) -> None:
        self._taken[event.channel] = max(event.number, self._taken.get(event.channel, 0))

    # What is not settled

    async def _end_late(self) -> None:
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY)
            now = self._loop.time()
            for event in self._relayed.values():
                if now > event.until and not event.outcome.done():
                    event.outcome.set_result(_Outcome.LATE)

    async def _find_lost(self) -> None:
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY)
            try:
                await self._look_for_losses()
            except ChannelLayerUnavailable:
                logger.debug("Whether events are lost cannot be told now", exc_info=True)
            except Exception:  # nothing that happens here may end the watch
                logger.exception("Looking for lost events failed")

    async def _look_for_losses(self) -> None:
        now = self._loop.time()
        silent = [event for event in self._relayed.values() if now - event.heard > SILENCE]
        for channel in {event.channel for event in silent}:
            waiting = (await self.layer.channel_statistics(channel))["messages_pending"]
            now = self._loop.time()
            for event in silent:
                if event.channel == channel and now - event.heard > SILENCE and not event.outcome.done():
                    self._suspect(event, now, waiting)

    def _suspect(self, event: _Relayed, now: float, waiting: int) -> None:
        # Channels are FIFO: what was sent after it and has been taken tells that it was taken too.
        if waiting and event.number > self._taken.get(event.channel, 0):
            event.suspected = None
        elif event.suspected is None:
            event.suspected = now
        elif now - event.suspected > SUSPICION:
            event.outcome.set_result(_Outcome.LOST)


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

    def handle(self, channel: str, content: Content) -> Awaitable[None] | None:
        """Take one event; what is returned is awaited before the next."""
        return self._handle(channel, content)

    async def _handle(self, channel: str, content: Content) -> None:
        if channel == HTTP_DISCONNECT:  # nothing comes after it, and workers need not have a route for it
            self._relay.tell(channel, content)
            return
        streams_at = await self._relay.relay(channel, content, self._outlet)
        if streams_at is not None:
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
