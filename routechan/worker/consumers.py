"""The consumers of messages that come over the layer, in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ..concurrency import maybe_await
from ..consumers.connection import Connection, Runtime
from ..inspection import Kind
from ..layers.base import Delivery, SyncChannelLayer
from ..message import Message
from ..monitor.layers import layers_in_use
from ..monitor.unserved import serve
from ..outbox import flush
from ..telemetry.tracing import TRACE
from .events import RelayedEvents
from .heartbeat import Heartbeat
from .prefetch import Prefetcher


class ChannelConsumers:
    """Takes the messages of channels and runs their consumers. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        runtime: runs the consumers.
        layer: the 1.x face of the layer that the channels are on.
        prefetch: how many messages may be taken whose consumers need a thread, and have not ended.
    """

    def __init__(self, runtime: Runtime, layer: SyncChannelLayer, *, prefetch: int) -> None:
        self._runtime = runtime
        self._layer = layer
        self._prefetch = prefetch
        self._prefetcher = Prefetcher(layer.layer)
        self._events = RelayedEvents(runtime, self._prefetcher.release, self._consume_message)
        self._heartbeat = Heartbeat(layer, self._headers, self._events.streaming_for)
        self._on_threads: set[str] = set()  # channels whose messages may go to a consumer that needs a thread
        self._forget: Callable[[], None] | None = None

    def start(self, channels: Iterable[str]) -> None:
        """Get ready to take the messages of ``channels``."""
        needs_threads = self._runtime.dispatcher.router.needs_threads
        self._on_threads = {channel for channel in channels if needs_threads(channel)}
        self._forget = layers_in_use.add(self._layer.layer, channels)
        serve(self._layer.layer)
        self._layer.layer.want_presence(channels)
        self._heartbeat.start()

    def read(self, channels: Iterable[str]) -> None:
        """Begin to take the messages of ``channels``, which are some of those of ``start``."""
        on_threads = self._on_threads.intersection(channels)
        self._prefetcher.start(self._events.consume, on_threads, threads=self._prefetch)
        self._prefetcher.start(self._events.consume, set(channels) - on_threads)

    async def leave(self, channels: Iterable[str]) -> None:
        """Take no more messages of ``channels``, and wait until those that were taken are done."""
        await self._prefetcher.leave(channels)

    async def stop(self, within: float | None = None) -> int:
        """Take no more messages, end the streams, and wait for the other consumers.

        Args:
            within: seconds to wait at most; ten if None.

        Returns:
            How many did not end in time, and were cancelled.
        """
        ending = asyncio.ensure_future(self._events.end_streams())
        late = await self._prefetcher.stop(within)
        await ending
        await self._events.end_streams()  # those that the last events began
        if self._forget is not None:
            self._forget()
        self._heartbeat.stop()
        await self._events.stop()
        return late

    @property
    def in_hand(self) -> int:
        """How many messages were taken whose consumers have not ended.

        From any thread.
        """
        return self._prefetcher.in_hand

    def running_on(self) -> Counter[str]:
        """The number of running consumers by channel.

        From any thread.
        """
        return self._prefetcher.running_on()

    @property
    def taken_at(self) -> float | None:
        """When the last message was taken, in the seconds of ``time.monotonic``; None before the first."""
        return self._prefetcher.taken_at

    def _headers(self) -> list[Mapping[str, Any]]:
        """The headers of all messages that were taken off their channels and are not done.

        From any thread.
        """
        # Those that the layer has fetched come first: from there they move on to the prefetcher, never back.
        return [*self._layer.layer.held_headers(), *self._prefetcher.headers()]

    async def _consume_message(self, delivery: Delivery) -> None:
        """Consume a message that no server waits for; one that asks for another try goes to the end of its channel."""
        dispatcher = self._runtime.dispatcher
        message = Message(delivery.content, delivery.channel, self._layer)
        invocation = dispatcher.match(message, delivery.headers.get(TRACE))
        if invocation is None:
            return
        if invocation.kind is Kind.ASYNC:
            self._prefetcher.release(delivery)
        await Connection(self._runtime).run(invocation)
        if invocation.later and dispatcher.may_retry(invocation):
            # Sent like any other message, so that a full channel is tried again, and logged.
            invocation.add(_PutBack(self._layer, delivery), message.content)
            await maybe_await(flush(invocation))


class _PutBack:
    """An outbox's entry that sends a delivery to the end of its channel, with its headers. Lifetime: message."""

    def __init__(self, layer: SyncChannelLayer, delivery: Delivery) -> None:
        self.name = delivery.channel
        self.channel_layer = layer
        self._headers = delivery.headers

    def send(self, content: dict[str, object], immediately: bool = False) -> None:
        self.channel_layer.send(self.name, content, headers=self._headers)

    def post(self, content: dict[str, object]) -> Awaitable[None] | None:
        return self.channel_layer.layer.post(self.name, content, headers=self._headers)
