"""Runs the consumers of messages that come over the layer, in this process.

An event of a server that relays is run as that server would run it: one that asks for another try is repeated in
place, a generator streams beside the connection's later events. The server is told when it is over, and meanwhile,
again and again, that it is being run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence

from .channel_reader import ChannelReader
from .delivery import flush
from .encoding import Content
from .exceptions import ChannelFull, ChannelLayerUnavailable
from .handover import settled
from .layers.base import SyncChannelLayer
from .line import Line
from .message import Message
from .relaying import Mark, mark_of, notes_channel, settled_note, take_mark
from .running import Running
from .runtime import Runtime

logger = logging.getLogger("routechan")

#: Seconds between looks whether the servers of running streams are still there.
SERVERS_LOOKED_AT_EVERY = 5.0


class ChannelConsumers:
    """Lifetime: from ``start`` to ``stop``, on one event loop.

    At most ``limit`` messages are taken and not yet consumed.
    """

    def __init__(self, runtime: Runtime, layer: SyncChannelLayer, *, limit: int) -> None:
        self._runtime = runtime
        self._layer = layer
        self._reader = ChannelReader(layer.layer, self._consume, limit=limit, taken=self._taken)
        self._loop = asyncio.get_running_loop()
        self._running = Running(layer)
        self._streams: dict[str, Line] = {}  # connection -> what streams to it
        self._notes: str | None = None  # where servers tell that a connection is over
        self._watching: asyncio.Task[None] | None = None

    def start(self, channels: Iterable[str]) -> None:
        self._reader.start(channels)

    async def stop(self, within: float | None = None) -> int:
        """Take no more messages, and wait for what is running, ``within`` seconds at most; how many did not end.

        Streams are ended: they have no end of their own to wait for.
        """
        self._end_streams(tuple(self._streams))
        late = await self._reader.stop(within)
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

    async def _consume(self, channel: str, content: Content) -> None:
        mark = take_mark(content)
        if mark is None:
            await self._consume_message(channel, content)
            return
        try:
            await self._consume_event(channel, content, mark)
        finally:
            self._running.remove(mark)

    async def _consume_message(self, channel: str, content: Content) -> None:
        """One that asks for another try goes to the end of its channel."""
        dispatcher = self._runtime.dispatcher
        run = dispatcher.match(Message(content, channel, self._layer))
        if run is None:
            return
        await Line(self._runtime, None).perform(run)
        if run.later and dispatcher.may_retry(run):
            # Sent like any other message, so that a full channel is waited for, and logged.
            run.add(run.message.channel, run.message.content)
            await settled(flush(run))

    async def _consume_event(self, channel: str, content: Content, mark: Mark) -> None:
        connection = str(content.get("reply_channel"))
        if self._runtime.dispatcher.refuses(Message(content, channel, self._layer)):
            await self._tell(connection, {"close": True})
            await self._tell(mark.notes, settled_note(mark.number, None))
            return
        line = Line(self._runtime, _RemoteOutlet(self._layer, connection))
        await settled(line.handle(channel, content))
        await line.idle()
        streams_at = self._keep_streams(connection, line) if line.streams else None
        await self._tell(mark.notes, settled_note(mark.number, streams_at))

    async def _tell(self, notes: str, note: Content) -> None:
        try:
            await settled(self._layer.layer.post(notes, note))
        except (ChannelFull, ChannelLayerUnavailable) as error:  # it finds out by itself, a little later
            logger.warning("A server could not be told of what was run for it: %s", error)

    def _taken(self, channel: str, content: Content) -> None:
        mark = mark_of(content)
        if mark is not None:
            self._running.add(mark)

    # Streams

    def _keep_streams(self, connection: str, line: Line) -> str:
        """Remember what streams to ``connection``; returns where the server tells that it is over."""
        self._streams[connection] = line
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
            line = self._streams.pop(connection, None) if connection is not None else None
            if line is not None:
                line.end_streams()

    async def _watch_servers(self) -> None:
        """A server that died tells nobody that its connections are over."""
        while True:
            await asyncio.sleep(SERVERS_LOOKED_AT_EVERY)
            for connection, line in tuple(self._streams.items()):
                if not line.streams:
                    self._streams.pop(connection, None)
            try:
                gone = [name for name in tuple(self._streams) if not await self._layer.layer.is_served(name)]
            except ChannelLayerUnavailable:
                continue
            self._end_streams(gone)


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
