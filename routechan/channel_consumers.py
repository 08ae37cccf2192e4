"""Runs the consumers of messages that come over the layer, in this process.

An event of a server that relays is run as that server would run it: one that asks for another try is repeated in
place, a generator streams beside the connection's later events. The server is told when it is over, and meanwhile,
again and again, that it is being run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from .channel import Channel
from .channel_reader import TAKEN_LIMIT, ChannelReader, Free
from .delivery import flush
from .encoding import Content
from .exceptions import ChannelFull, ChannelLayerUnavailable
from .handover import settled
from .kinds import Kind, kind_of
from .layers.base import SyncChannelLayer
from .line import Line
from .message import Message
from .observe.counters import counters
from .observe.failures import about
from .observe.watched import watched
from .relaying import Mark, mark_of, notes_channel, settled_note, take_mark
from .run import Run
from .running import Running
from .runtime import Runtime

logger = logging.getLogger("routechan")

#: Seconds between looks whether the servers of running streams are still there.
SERVERS_LOOKED_AT_EVERY = 5.0


class ChannelConsumers:
    """Lifetime: from ``start`` to ``stop``, on one event loop.

    At most ``limit`` messages are taken whose consumers need a thread, and have not ended.
    """

    def __init__(self, runtime: Runtime, layer: SyncChannelLayer, *, limit: int) -> None:
        self._runtime = runtime
        self._layer = layer
        self._reader = ChannelReader(layer.layer, self._consume, taken=self._taken)
        self._limit = limit
        self._on_threads: set[str] = set()  # channels that consumers which need a thread may take messages of
        self._loop = asyncio.get_running_loop()
        self._running = Running(layer, layer.layer.held)
        self.taken_at: float | None = None  # when the last message was taken, in the seconds of ``time.monotonic``
        self._streams: dict[str, list[Line]] = {}  # connection -> what streams to it
        self._notes: str | None = None  # where servers tell that a connection is over
        self._watching: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] | None = None

    def start(self, channels: Iterable[str]) -> None:
        self._forget = watched.add(self._layer.layer, channels)
        needs_threads = self._runtime.dispatcher.router.needs_threads
        self._on_threads = {channel for channel in channels if needs_threads(channel)}
        self._reader.start(self._on_threads, limit=self._limit)
        self._reader.start(set(channels) - self._on_threads, limit=TAKEN_LIMIT)

    async def stop(self, within: float | None = None) -> int:
        """Take no more messages, and wait for what is running, ``within`` seconds at most; how many did not end.

        Streams are ended: they have no end of their own to wait for.
        """
        self._end_streams(tuple(self._streams))
        late = await self._reader.stop(within)
        if self._forget is not None:
            self._forget()
        self._running.stop()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._notes is not None:
            await settled(self._layer.layer.detach(self._notes))
        return late

    @property
    def running(self) -> int:
        """How many messages were taken whose consumers have not ended."""
        return self._reader.running

    def running_on(self) -> Counter[str]:
        """Channel -> how many of its messages are being consumed. From any thread."""
        return self._reader.running_on()

    async def _consume(self, channel: str, content: Content, free: Free) -> None:
        if channel not in self._on_threads:
            free = _keep
        mark = take_mark(content)
        if mark is None:
            await self._consume_message(channel, content, free)
            return
        try:
            await self._consume_event(channel, content, mark, free)
        finally:
            self._running.remove(mark)

    async def _consume_message(self, channel: str, content: Content, free: Free) -> None:
        """One that asks for another try goes to the end of its channel."""
        dispatcher = self._runtime.dispatcher
        run = dispatcher.match(Message(content, channel, self._layer))
        if run is None:
            return
        if kind_of(run.consumer) is Kind.ASYNC:  # it needs no thread
            free()
        await Line(self._runtime, None).perform(run)
        if run.later and dispatcher.may_retry(run):
            # Sent like any other message, so that a full channel is waited for, and logged.
            run.add(run.message.channel, run.message.content)
            await settled(flush(run))

    async def _consume_event(self, channel: str, content: Content, mark: Mark, free: Free) -> None:
        if self._layer.layer.now() > mark.until:
            logger.warning(
                "An event on %s of %r is not run: its server has given it up, after waiting for a worker",
                channel,
                content.get("path"),
                extra=about(channel, content),
            )
            return
        connection = str(content.get("reply_channel"))
        if self._runtime.dispatcher.refuses(Message(content, channel, self._layer)):
            await self._tell(connection, {"close": True})
            await self._tell(mark.notes, settled_note(mark.number, None))
            return
        settling = _Settling(self._layer, mark, free)
        line = Line(self._runtime, _RemoteOutlet(self._layer, connection), settling.flush)
        pending = line.handle(channel, content)
        if not line.running:  # on a thread
            free()
        await settled(pending)
        await line.idle()
        if not settling.told:
            streams_at = self._keep_streams(connection, line) if line.streams else None
            await self._tell(mark.notes, settled_note(mark.number, streams_at))

    async def _tell(self, notes: str, note: Content) -> None:
        try:
            await settled(self._layer.layer.post(notes, note))
        except (ChannelFull, ChannelLayerUnavailable) as error:  # it finds out by itself, a little later
            logger.warning("A server could not be told of what was run for it: %s", error, extra=about(notes))

    def _taken(self, channel: str, content: Content) -> None:
        self.taken_at = time.monotonic()
        self._running.start()
        mark = mark_of(content)
        if mark is not None:
            self._running.add(mark)

    # Streams

    def _keep_streams(self, connection: str, line: Line) -> str:
        """Remember what streams to ``connection``; returns where the server tells that it is over."""
        self._streams.setdefault(connection, []).append(line)
        if self._notes is None:
            self._notes = notes_channel(self._layer.layer.process)
            self._layer.layer.attach(self._notes, self._note)
            self._watching = self._loop.create_task(self._watch_servers())
        return self._notes

    def _note(self, channels: Sequence[str], content: Content) -> None:
        """Called by the layer in any thread."""
        self._loop.call_soon_threadsafe(self._end_streams, (content.get("closed"),))

    def _end_streams(self, connections: Iterable[str | None]) -> None:
        for connection in connections:
            for line in self._streams.pop(connection, ()) if connection is not None else ():
                line.end_streams()

    async def _watch_servers(self) -> None:
        """A server that died tells nobody that its connections are over."""
        while True:
            await asyncio.sleep(SERVERS_LOOKED_AT_EVERY)
            streaming = {name: [line for line in lines if line.streams] for name, lines in self._streams.items()}
            self._streams = {name: lines for name, lines in streaming.items() if lines}
            try:
                gone = [name for name in tuple(self._streams) if not await self._layer.layer.is_served(name)]
            except ChannelLayerUnavailable:
                continue
            self._end_streams(gone)


def _keep() -> None:
    """In place of ``free`` where a place is not that of a thread, but bounds what is taken."""


class _Settling:
    """Has the note that an event is settled leave with what its consumer sent. Lifetime: event.

    Behind it, and together with it: the server that waits for the note sends the connection's next event when it
    has come, and a round trip of its own would be one more for each event. What finds its channel full, and is tried
    again, comes after the note. The thread is free from here on: the next message is asked for in the same turn.
    """

    __slots__ = ("_free", "_layer", "_mark", "told")

    def __init__(self, layer: SyncChannelLayer, mark: Mark, free: Free) -> None:
        self._layer = layer
        self._mark = mark
        self._free = free
        self.told = False

    def flush(self, run: Run) -> Awaitable[None] | None:
        """Deliver the outbox; with the note if the run has ended, is not repeated, and does not go on as a stream."""
        if run.closed and not run.later and not self.told:
            self.told = True
            counters.sent -= 1  # a note is none of the messages that are counted
            run.add(Channel(self._mark.notes, channel_layer=self._layer), settled_note(self._mark.number, None))
            self._free()
        return flush(run)


class _RemoteOutlet:
    """A connection that another process holds. Lifetime: event, or that of the streams it started."""

    paced = False

    def __init__(self, layer: SyncChannelLayer, name: str) -> None:
        self._layer = layer.layer
        self.name = name
        self.closed = False

    def deliver(self, content: Content) -> Awaitable[None] | None:
        return self._layer.post(self.name, content)

    async def writable(self) -> None:
        """How fast its client reads is not known here."""
