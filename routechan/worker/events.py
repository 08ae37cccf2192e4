"""The events of relaying servers: consume each as its server would, and ack it.

An event that asks for another try is repeated in place, and a generator streams beside the connection's later events.
The ack leaves with what the consumer sent, behind it in the same command: the server sends the connection's next event
when the ack has come, and a round trip of its own would be one more for each event. What Redis refuses because its
channel is full, and is tried again, comes after the ack.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from ..channel import Channel
from ..concurrency import end_tasks, maybe_await
from ..consumers.connection import Connection, Runtime
from ..consumers.dispatch import Invocation
from ..consumers.stream import STREAM_END_TIME
from ..encoding import Content
from ..exceptions import ChannelFull, ChannelLayerUnavailable
from ..interfaces import SOCKET_CHANNELS
from ..layers.base import BaseChannelLayer, Delivery
from ..layers.claims import CLAIMS, Claims
from ..message import Message, claiming
from ..outbox import flush
from ..relay.protocol import DeliveryTag, ack, control_channel, stream_ended, tag_of
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats
from ..telemetry.tracing import TRACE

logger = logging.getLogger("routechan")

#: Seconds that the layer may take to be told that no more control messages are taken.
LEAVE_TIMEOUT = 2.0

CONNECT = SOCKET_CHANNELS[0]

#: Seconds between looks whether the servers of running streams are still there.
SERVER_CHECK_INTERVAL = 5.0


class RelayedEvents:
    """Consumes deliveries with a delivery tag. Lifetime: that of the worker's consumers, until ``stop``.

    Args:
        runtime: runs the consumers.
        release: gives back the prefetch slot of a delivery that needs no thread any more.
        consume_message: consumes a delivery without a tag, which no server waits for.
    """

    def __init__(
        self,
        runtime: Runtime,
        release: Callable[[Delivery], object],
        consume_message: Callable[[Delivery], Awaitable[None]],
    ) -> None:
        self._runtime = runtime
        self._repeats = Repeats()
        self._layer: BaseChannelLayer = runtime.layer.layer
        self.release = release
        self._consume_message = consume_message
        self._loop = asyncio.get_running_loop()
        #: The ``Channel`` of a server's acks, by name.
        self.ack_channel = functools.lru_cache(maxsize=1024)(functools.partial(Channel, channel_layer=runtime.layer))
        self._streams: dict[str, list[_Event]] = {}  # reply channel -> the events that stream to it
        self._control: str | None = None  # where servers say that a connection is closed
        self._checking: asyncio.Task[None] | None = None
        self._ending = False
        self._all_ended: asyncio.Future[None] | None = None

    def consume(self, delivery: Delivery) -> Awaitable[None] | None:
        """Consume ``delivery``: a server's event if it has a tag.

        Returns:
            What is awaited for its end; None where ``delivery.done`` is called at its end.
        """
        tag = tag_of(delivery.headers)
        if tag is None:
            return self._consume_message(delivery)
        channel, content = delivery.channel, delivery.content
        if self._layer.now() > tag.deadline:
            more = self._repeats.more(channel)
            if more is not None:
                logger.warning(
                    "An event on %s of %r is not run: its server has given it up, after waiting for a worker%s",
                    channel,
                    content.get("path"),
                    more,
                    extra=log_fields(channel, content),
                )
            delivery.done()
            return None
        runtime = self._runtime
        if channel == CONNECT:
            refusal = runtime.dispatcher.refusal(Message(content, channel, runtime.layer))
            if refusal is not None:
                return self._refuse(content, tag, refusal)
        event = _Event(self, delivery, tag)
        claimed = delivery.headers.get(CLAIMS)
        reply_channel = None if claimed is None else claiming(content, runtime.layer, Claims.of_header(claimed))
        connection = Connection(
            runtime, flush=event.flush, ended=event.ended, streamed=event.streamed, reply_channel=reply_channel
        )
        pending = connection.handle(channel, content, delivery.headers.get(TRACE))
        if connection.running:  # on a thread, whose end ``_Event.ended`` is told of
            return None
        self.release(delivery)
        return self._wait(event, connection, pending)

    async def stop(self) -> None:
        """Listen to servers no more."""
        if self._checking is not None:
            await end_tasks(self._checking)
        if self._control is not None:
            with suppress(ChannelLayerUnavailable, asyncio.TimeoutError):  # the end of its lease says so too
                await asyncio.wait_for(maybe_await(self._layer.detach(self._control)), LEAVE_TIMEOUT)

    async def _refuse(self, content: Content, tag: DeliveryTag, refusal: Content) -> None:
        await self._post(str(content.get("reply_channel")), refusal)
        await self._post(tag.reply_to, ack(tag.number))

    async def _wait(self, event: _Event, connection: Connection, pending: Awaitable[None] | None) -> None:
        await maybe_await(pending)
        await connection.idle()
        await self._ack(event, connection)

    def ended(self, event: _Event, connection: Connection) -> None:
        """Finish ``event``: its consumer, which ran on a thread for ``connection``, has ended and its sends are out."""
        if event.acked:
            event.delivery.done()
        else:
            self._runtime.spawn(self._ack_and_end(event, connection))

    async def _ack_and_end(self, event: _Event, connection: Connection) -> None:
        try:
            await self._ack(event, connection)
        finally:
            event.delivery.done()

    async def _ack(self, event: _Event, connection: Connection) -> None:
        """Ack ``event``, unless the ack left with what its consumer sent."""
        if not event.acked:
            event.acked = True
            streams_at = self._keep_streams(event, connection)
            await self._post(event.tag.reply_to, ack(event.tag.number, streams_at, failed=event.failed))

    async def _post(self, channel: str, content: Content) -> None:
        try:
            await maybe_await(self._layer.post(channel, content))
        except (ChannelFull, ChannelLayerUnavailable) as error:  # the server finds out by itself, a little later
            logger.warning("A server could not be told of an event's end: %s", error, extra=log_fields(channel))

    # Streams

    async def end_streams(self) -> None:
        """End all streams, because this worker ends: they have no end of their own to wait for.

        Servers are told, and tell the clients: behind what each stream sends last, but not later than
        ``STREAM_END_TIME``. A stream that begins afterwards is ended too; call this again to wait for it.
        """
        self._ending = True
        for event in self._streaming():
            event.cut()
        if self._streams:
            self._all_ended = self._loop.create_future()
            await asyncio.wait([self._all_ended], timeout=STREAM_END_TIME)
        left = self._streaming()
        self._streams.clear()
        for event in left:  # their generators go on to their next step, or to the end of the process
            await self._tell_ended(event)

    def streaming_for(self) -> tuple[str | None, set[str]]:
        """The control channel of this worker, and the ``reply_to`` of each server that it streams for.

        From any thread.
        """
        return self._control, {event.tag.reply_to for event in self._streaming()}

    def _streaming(self) -> list[_Event]:
        return [event for found in tuple(self._streams.values()) for event in tuple(found)]

    def streamed(self, event: _Event) -> None:
        """The stream of ``event`` has ended, and what it sent last is on its way."""
        reply_channel = event.reply_channel
        if event in self._streams.get(reply_channel, ()):  # else its connection is closed, which the server knows
            self._runtime.spawn(self._end_stream(event, reply_channel))

    async def _end_stream(self, event: _Event, reply_channel: str) -> None:
        await self._tell_ended(event)
        found = self._streams.get(reply_channel, [])
        if event in found:
            found.remove(event)
            if not found:
                del self._streams[reply_channel]
        if not self._streams and self._all_ended is not None and not self._all_ended.done():
            self._all_ended.set_result(None)

    async def _tell_ended(self, event: _Event) -> None:
        await self._post(event.tag.reply_to, stream_ended(event.tag.number, event.is_cut, failed=event.failed))

    def _keep_streams(self, event: _Event, connection: Connection) -> str | None:
        """Where the server is to say that the connection is closed; None where nothing streams to it."""
        if not connection.streams:
            return None
        event.connection = connection
        self._streams.setdefault(event.reply_channel, []).append(event)
        if self._ending:
            event.cut()
        if self._control is None:
            self._control = control_channel(self._layer.process)
            self._layer.attach(self._control, self._take_control)
            self._checking = self._loop.create_task(self._check_servers())
        return self._control

    def _take_control(self, channels: Sequence[str], content: Content) -> None:
        """Called by the layer in any thread."""
        self._loop.call_soon_threadsafe(self._controlled, content)

    def _controlled(self, content: Content) -> None:
        self._end_streams((content.get("closed"),))
        for event in self._streaming() if "given_up" in content else ():
            if list(event.tag[:2]) == list(content["given_up"]):
                event.end_stream()

    def _end_streams(self, reply_channels: Iterable[str | None]) -> None:
        for reply_channel in reply_channels:
            for event in self._streams.pop(reply_channel, ()) if reply_channel is not None else ():
                event.end_stream()

    async def _check_servers(self) -> None:
        """A server that died tells nobody that its connections are closed."""
        while True:
            await asyncio.sleep(SERVER_CHECK_INTERVAL)
            try:
                gone = [name for name in tuple(self._streams) if not await self._layer.is_served(name)]
            except ChannelLayerUnavailable:
                continue
            self._end_streams(gone)


class _Event:
    """One event being consumed. Lifetime: event, or that of the streams it started."""

    __slots__ = ("_events", "acked", "connection", "delivery", "failed", "is_cut", "tag")

    def __init__(self, events: RelayedEvents, delivery: Delivery, tag: DeliveryTag) -> None:
        self._events = events
        self.delivery = delivery
        self.tag = tag
        self.acked = False
        self.connection: Connection | None = None  # that it streams to
        self.is_cut = False  # its stream ends with this worker
        self.failed = False  # its stream has

    @property
    def reply_channel(self) -> str:
        return str(self.delivery.content.get("reply_channel"))

    def cut(self) -> None:
        """End the stream, because this worker ends."""
        self.is_cut = True
        self.end_stream()

    def end_stream(self) -> None:
        """End the stream, if there is one."""
        if self.connection is not None:
            self.connection.end_streams()

    def streamed(self, connection: Connection, failed: bool) -> None:
        """The stream has ended, and may have ``failed``."""
        self.failed = failed
        self._events.streamed(self)

    def flush(self, invocation: Invocation) -> Awaitable[None] | None:
        """Deliver the outbox; with the ack if the event ends with this invocation, and no stream goes on."""
        if invocation.closed and not invocation.later and not self.acked:
            self.acked = True
            counters.sent -= 1  # an ack is none of the messages that are counted
            acked = ack(self.tag.number, failed=invocation.failed)
            invocation.add(self._events.ack_channel(self.tag.reply_to), acked)
            self._events.release(self.delivery)  # in the same turn of the loop as the ack, so that both leave together
        return flush(invocation)

    def ended(self, connection: Connection) -> None:
        """The consumer has ended, which ran on a thread."""
        self._events.ended(self, connection)
