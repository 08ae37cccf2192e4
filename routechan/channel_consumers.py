"""Runs the consumers of messages that come over the layer, in this process.

An event of a server that relays is run as that server would run it: one that asks for another try is repeated in
place, a generator streams beside the connection's later events. The server is told when it is over, and meanwhile,
again and again, that it is being run.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from .channel import Channel
from .channel_reader import TAKEN_LIMIT, ChannelReader, Taken
from .delivery import flush
from .encoding import Content
from .exceptions import ChannelFull, ChannelLayerUnavailable
from .handover import SOCKET_CHANNELS, settled
from .kinds import Kind, kind_of
from .layers.base import SyncChannelLayer
from .line import Line
from .message import Message
from .observe.counters import counters
from .observe.failures import about
from .observe.watched import watched
from .relaying import Mark, notes_channel, settled_note, take_mark
from .run import Run
from .running import Running
from .runtime import Runtime

logger = logging.getLogger("routechan")

CONNECT = SOCKET_CHANNELS[0]

#: Seconds between looks whether the servers of running streams are still there.
SERVERS_LOOKED_AT_EVERY = 5.0


class ChannelConsumers:
    """Lifetime: from ``start`` to ``stop``, on one event loop.

    At most ``limit`` messages are taken whose consumers need a thread, and have not ended.
    """

    def __init__(self, runtime: Runtime, layer: SyncChannelLayer, *, limit: int) -> None:
        self._runtime = runtime
        self._layer = layer
        self._reader = ChannelReader(layer.layer, self._consume, taken=self._taken, ended=self._ended)
        #: The channel where a server takes notes.
        self.notes_to = functools.lru_cache(maxsize=1024)(functools.partial(Channel, channel_layer=layer))
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

    def _consume(self, taken: Taken) -> Awaitable[None] | None:
        return self._consume_message(taken) if taken.mark is None else self._consume_event(taken, taken.mark)

    async def _consume_message(self, taken: Taken) -> None:
        """One that asks for another try goes to the end of its channel."""
        dispatcher = self._runtime.dispatcher
        run = dispatcher.match(Message(taken.content, taken.channel, self._layer))
        if run is None:
            return
        if kind_of(run.consumer) is Kind.ASYNC:  # it needs no thread
            self.free(taken)
        await Line(self._runtime, None).perform(run)
        if run.later and dispatcher.may_retry(run):
            # Sent like any other message, so that a full channel is waited for, and logged.
            run.add(run.message.channel, run.message.content)
            await settled(flush(run))

    def _consume_event(self, taken: Taken, mark: Mark) -> Awaitable[None] | None:
        channel, content = taken.channel, taken.content
        if self._layer.layer.now() > mark.until:
            logger.warning(
                "An event on %s of %r is not run: its server has given it up, after waiting for a worker",
                channel,
                content.get("path"),
                extra=about(channel, content),
            )
            taken.over()
            return None
        if channel == CONNECT and self._runtime.dispatcher.refuses(Message(content, channel, self._layer)):
            return self._refuse(taken, mark)
        event = _Event(self, self._runtime, taken, mark)
        pending = event.handle(channel, content)
        if event.running:  # on a thread; it says itself when it is over
            return None
        self.free(taken)
        return self._await(event, pending)

    async def _refuse(self, taken: Taken, mark: Mark) -> None:
        await self._tell(str(taken.content.get("reply_channel")), {"close": True})
        await self._tell(mark.notes, settled_note(mark.number, None))

    async def _await(self, event: _Event, pending: Awaitable[None] | None) -> None:
        await settled(pending)
        await event.idle()
        await self._settle(event)

    async def _settle(self, event: _Event) -> None:
        """Tell the server, unless the note left with what the consumer sent."""
        if not event.told:
            event.told = True
            streams_at = self._keep_streams(str(event.taken.content.get("reply_channel")), event)
            await self._tell(event.mark.notes, settled_note(event.mark.number, streams_at))

    def ended(self, event: _Event) -> None:
        """What ran on a thread is over, and what came of it."""
        if event.told:
            event.taken.over()
        else:
            self._runtime.spawn(self._settle_and_end(event))

    async def _settle_and_end(self, event: _Event) -> None:
        try:
            await self._settle(event)
        finally:
            event.taken.over()

    def free(self, taken: Taken) -> None:
        """It needs no thread any more: its place is left to another message, where places are those of threads."""
        if taken.channel in self._on_threads and self._reader.may_take_more:
            taken.free()

    async def _tell(self, notes: str, note: Content) -> None:
        try:
            await settled(self._layer.layer.post(notes, note))
        except (ChannelFull, ChannelLayerUnavailable) as error:  # it finds out by itself, a little later
            logger.warning("A server could not be told of what was run for it: %s", error, extra=about(notes))

    def _taken(self, taken: Taken) -> None:
        self.taken_at = time.monotonic()
        self._running.start()
        mark = taken.mark = take_mark(taken.content)
        if mark is not None:
            self._running.add(mark)

    def _ended(self, taken: Taken) -> None:
        if taken.mark is not None:
            self._running.remove(taken.mark)

    # Streams

    def _keep_streams(self, connection: str, line: Line) -> str | None:
        """Remember what streams to ``connection``; returns where the server tells that it is over.

        None where nothing does.
        """
        if not line.streams:
            return None
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


class _Event(Line):
    """An event of a connection that another process holds. Lifetime: event, or that of the streams it started.

    The note that it is settled leaves with what its consumer sent, behind it and together with it: the server that
    waits for the note sends the connection's next event when it has come, and a round trip of its own would be one
    more for each event. What Redis refuses because its channel is full, and is tried again, comes after the note.
    """

    __slots__ = ("_consumers", "mark", "taken", "told")

    def __init__(self, consumers: ChannelConsumers, runtime: Runtime, taken: Taken, mark: Mark) -> None:
        super().__init__(runtime, None)
        self._consumers = consumers
        self.taken = taken
        self.mark = mark
        self.told = False

    def flush(self, run: Run) -> Awaitable[None] | None:
        """Deliver the outbox; with the note if the run has ended, is not repeated, and does not go on as a stream."""
        if run.closed and not run.later and not self.told:
            self.told = True
            counters.sent -= 1  # a note is none of the messages that are counted
            run.add(self._consumers.notes_to(self.mark.notes), settled_note(self.mark.number, None))
            self._consumers.free(self.taken)  # in the same turn as the note, so that both leave together
        return flush(run)

    def _settled(self) -> None:
        super()._settled()
        self._consumers.ended(self)
