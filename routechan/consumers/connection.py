"""One connection's events, in order, and the consumers they reach in this process."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter
from types import GeneratorType
from typing import Any

from ..channel import Channel
from ..concurrency import maybe_await
from ..encoding import Content
from ..inspection import Kind, kind_of_unfinished
from ..interfaces import HTTP_CHANNELS, NOT_ANSWERED, SOCKET_CHANNELS, Outlet
from ..layers.base import SyncChannelLayer
from ..message import Message
from ..outbox import Outbox, flush
from ..telemetry.counters import counters
from .dispatch import Dispatcher, Invocation
from .stream import Stream, flush_and_tell
from .threads import SOCKET_STREAMS, STREAM_THREADS, Threads
from .watchdog import Watchdog

#: Seconds before the first repetition after ``ConsumeLater``; each further one waits twice as long.
LATER_DELAY = 0.01
LATER_DELAY_MAX = 1.0

LAST_EVENTS = (SOCKET_CHANNELS[-1], HTTP_CHANNELS[-1])

#: Delivers what a consumer has sent when it has ended: ``outbox.flush``, or something around it.
Flush = Callable[[Invocation], "Awaitable[None] | None"]


class Runtime:
    """The threads and tasks that run consumers. Lifetime: from ``__init__`` on the event loop to ``stop``.

    Args:
        dispatcher: finds and runs the consumers.
        layer: the 1.x face of the layer that their messages belong to.
        threads: how many plain consumers may run at a time.
        stream_threads: how many plain generators may stream beside them.
        socket_streams: how many generators may stream to one socket at a time.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        layer: SyncChannelLayer,
        threads: int,
        stream_threads: int = STREAM_THREADS,
        socket_streams: int = SOCKET_STREAMS,
    ) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self.threads = Threads(threads, stream_threads)
        self.socket_streams = socket_streams
        self.streams: Counter[str] = Counter()  # reply channel -> the number of its streams
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watchdog = Watchdog(self._loop, dispatcher)
        self._watchdog.start()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The task that runs ``coroutine`` beside the connection that asks for it."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel the tasks that are still running, and let the threads end."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.threads.stop()
        self._watchdog.stop()


class _OwnReplyChannel(Channel):
    """The reply channel of a connection of this process. Lifetime: connection.

    When the outbox of one of its consumers is flushed, replies go straight to the connection, past the layer. So do
    immediate sends from a thread to an outlet that is ``paced``, each when the client has taken the one before.
    """

    #: What decorators keep for the connection between its events, of which one is run after another.
    kept: Any = None

    def __init__(self, outlet: Outlet, channel_layer: SyncChannelLayer) -> None:
        super().__init__(outlet.name, channel_layer=channel_layer)
        self.post = self.apost = outlet.deliver  # type: ignore[method-assign]
        self._outlet = outlet
        self.claims = None if outlet.recovery is None else outlet.recovery.claims
        self._read_by_name = False
        self._loop = asyncio.get_running_loop()
        if outlet.paced:
            self._process = os.getpid()

    @property
    def closed(self) -> bool:  # type: ignore[override]
        return self._outlet.closed

    @property
    def changes(self) -> int:  # type: ignore[override]
        return self._outlet.changes

    def changed(self) -> None:
        """Say that what is kept has changed; from any thread."""
        self._outlet.changes += 1

    def _send_now(self, content: Content, delay: float, headers: dict[str, Any] | None = None) -> None:
        if delay or not self._outlet.paced or not self._loop.is_running() or self._process != os.getpid():
            super()._send_now(content, delay, headers)
        else:
            asyncio.run_coroutine_threadsafe(self._send_and_wait(content), self._loop).result()

    async def _send_and_wait(self, content: Content) -> None:
        await maybe_await(self._outlet.deliver(content))
        await self._outlet.writable()


class Connection:
    """Runs the consumers of a connection's events one at a time, in order.

    Lifetime: connection; in a worker, one event.

    Args:
        runtime: runs the consumers.
        outlet: where replies leave; None for a message that came over the layer, whose replies go over it too.
        flush: delivers what a consumer has sent when it has ended. Streams deliver theirs themselves.
        ended: called on the loop, with the connection, when a plain consumer has ended and its sends are delivered.
        reply_channel: that of the message, where there is no outlet and it is none like all others.
        streamed: likewise when a stream has ended and its last sends are on their way, with whether it has failed.
    """

    __slots__ = (
        "_client",
        "_context",
        "_dispatcher",
        "_ended",
        "_flush",
        "_idle",
        "_outlet",
        "_recovery",
        "_reply_channel",
        "_runtime",
        "_streamed",
        "_streams",
        "running",
    )

    elsewhere, handed_over, taken = False, True, True  # see ``interfaces.Events``

    def __init__(
        self,
        runtime: Runtime,
        outlet: Outlet | None = None,
        *,
        flush: Flush = flush,
        ended: Callable[[Connection], object] | None = None,
        streamed: Callable[[Connection, bool], object] | None = None,
        reply_channel: Channel | None = None,
    ) -> None:
        self._runtime = runtime
        self._dispatcher = runtime.dispatcher
        self._outlet = outlet
        self._client = None if outlet is None else outlet.client
        self._reply_channel = reply_channel if outlet is None else _OwnReplyChannel(outlet, runtime.layer)
        self._recovery = None if outlet is None else outlet.recovery
        self._flush = flush if self._recovery is None else partial(flush_and_tell, self._recovery)
        self._ended = ended
        self._streamed = streamed
        self._context: Context | None = None  # that of the last event which went to a thread
        self._idle: asyncio.Future[None] | None = None
        self._streams: set[Stream] | None = None
        #: Whether a plain consumer is running, or what it returned unfinished.
        self.running = False

    def handle(self, channel: str, content: Content, trace: Any = None) -> Awaitable[None] | None:
        """Take one event, to run after those before it.

        Args:
            channel: the channel of the event, such as ``websocket.receive``.
            content: its content, as consumers get it.
            trace: the trace context that came with it over the layer.

        Returns:
            What is awaited before the next event is handed in; None where nothing is to be waited for. A plain
            consumer is not: the next event may be read meanwhile, and waits here.
        """
        if self.running:
            return self._handle_when_idle(channel, content, trace)
        runtime = self._runtime
        message = Message(content, channel, runtime.layer, self._reply_channel)
        invocation = self._dispatcher.match(message, trace)
        if invocation is None:
            return self._unrouted(message)
        if self._recovery is not None:
            self._recovery.began()
        kind = invocation.kind
        if kind is Kind.PLAIN:
            self.running = True
            self._context = copy_context()
            runtime.threads.submit(self._dispatcher.call, invocation, self._called, self._client)
            return None
        if kind is not Kind.ASYNC:
            return self.run(invocation)
        # An outlet's events are handed in by the task of its connection; others by whatever reads the layer.
        return self._run_async(invocation) if self._outlet is None else self._begin_async(invocation)

    def _unrouted(self, message: Message) -> Awaitable[None] | None:
        answer, outbox = self._dispatcher.unrouted(message), Outbox()
        if answer is not None and message.reply_channel is not None:
            outbox.add(message.reply_channel, answer)
        return flush(outbox)

    async def _handle_when_idle(self, channel: str, content: Content, trace: Any) -> None:
        await self.idle()
        await maybe_await(self.handle(channel, content, trace))

    def release(self) -> None:
        """Do nothing: a consumer that runs here is waited for."""

    async def idle(self) -> None:
        """Return when no consumer of this connection is running; streams do not count."""
        while self.running:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    @property
    def streams(self) -> bool:
        """Whether a stream of this connection is running."""
        return bool(self._streams)

    def end_streams(self) -> None:
        """End the streams: the connection is closed."""
        for stream in self._streams or ():
            stream.end()

    def waits_for(self) -> str:
        """What the event that was handed in last is waiting for, as the end of a sentence for the log."""
        threads = self._runtime.threads
        if any(map(self._owns, threads.waiting())):
            return (
                f"its consumer waits for a thread, and all {threads.limit} are held by others: "
                f"{_busiest()}; allow more (THREADS), or write those as async def"
            )
        for figures in tuple(counters.consumers.values()):
            for invocation, began in tuple(figures.running.items()):
                if self._owns(invocation):
                    return f"its consumer {figures.name} is still running, after {perf_counter() - began:.1f} s"
        return NOT_ANSWERED

    def _owns(self, invocation: Invocation) -> bool:
        return self._reply_channel is not None and invocation.message.reply_channel is self._reply_channel

    async def run(self, invocation: Invocation) -> None:
        """Run ``invocation`` of a consumer of any kind and flush what it sent; a stream is started and left running."""
        kind = invocation.kind
        if kind is Kind.PLAIN:
            called: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            def done(_: Invocation, unfinished: Any) -> None:
                if not called.done():
                    called.set_result(unfinished)

            self._runtime.threads.submit(self._dispatcher.call, invocation, done, self._client)
            unfinished = await called
            if unfinished is not None:
                await self._finish(invocation, unfinished)
            await maybe_await(self._flush(invocation))
        elif kind is Kind.ASYNC:
            await maybe_await(self._dispatcher.acall(invocation))
            await maybe_await(self._flush(invocation))
        else:
            await maybe_await(self._stream(invocation, None, kind))
        if invocation.failed:
            self._failed(invocation)

    def _begin_async(self, invocation: Invocation) -> Awaitable[None] | None:
        """Run an async consumer in the task that calls this; most end without waiting for anything."""
        pending = self._dispatcher.acall(invocation)
        if pending is not None:
            return self._end_async(invocation, pending)
        pending = self._flush(invocation)
        if invocation.failed:
            self._failed(invocation)
        return self._repeat(invocation, pending) if invocation.later else pending

    async def _run_async(self, invocation: Invocation) -> None:
        await maybe_await(self._begin_async(invocation))

    async def _end_async(self, invocation: Invocation, running: Awaitable[None]) -> None:
        await running
        pending = self._flush(invocation)
        if invocation.failed:
            self._failed(invocation)
        if pending is not None:
            await pending
        if invocation.later:
            await self._repeat(invocation)

    def _failed(self, invocation: Invocation) -> None:
        """Tell the connection of its failed event, behind what that has sent; a worker's tells its server."""
        if self._outlet is not None:
            self._outlet.failed(invocation.message.content.get("order"))

    def _called(self, invocation: Invocation, unfinished: Any) -> None:
        """On the loop, after a plain consumer: flush, and go on at once where nothing is to be waited for."""
        pending = self._flush(invocation)
        if invocation.failed:
            self._failed(invocation)
        if unfinished is None and not invocation.later:
            if pending is None:
                self._end()
                return
            if isinstance(pending, asyncio.Future):  # no task for that: it would cost more than the flush
                pending.add_done_callback(self._flushed)
                return
        complete = self._complete(invocation, unfinished, pending)
        if self._context is None:
            self._runtime.spawn(complete)
        else:  # we are in the context of the threads
            self._context.run(self._runtime.spawn, complete)

    def _flushed(self, pending: asyncio.Future[None]) -> None:
        self._end()

    async def _complete(self, invocation: Invocation, unfinished: Any, pending: Awaitable[None] | None) -> None:
        try:
            await maybe_await(pending)
            if unfinished is not None:
                await self._finish(invocation, unfinished)
            if invocation.later:
                await self._repeat(invocation)
        finally:
            self._end()

    async def _finish(self, invocation: Invocation, unfinished: Any) -> None:
        """Run what a plain callable returned unfinished: it was a wrapper around a consumer of that kind."""
        kind = kind_of_unfinished(unfinished)
        if kind is Kind.ASYNC:
            await maybe_await(self._dispatcher.acall(invocation, unfinished))
            await maybe_await(self._flush(invocation))
            if invocation.failed:
                self._failed(invocation)
        elif kind is not None:
            await maybe_await(self._stream(invocation, unfinished, kind))

    def _end(self) -> None:
        self.running = False
        if self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None
        if self._ended is not None:
            self._ended(self)

    async def _repeat(self, invocation: Invocation, pending: Awaitable[None] | None = None) -> None:
        """Try an event again in place, after ``pending``: behind later ones, it would reorder the connection."""
        await maybe_await(pending)
        delay = LATER_DELAY
        following: Invocation | None = invocation
        while following is not None and following.later and self._dispatcher.may_retry(following):
            await asyncio.sleep(delay)
            delay = min(delay * 2, LATER_DELAY_MAX)
            message = following.message
            following = self._dispatcher.match(
                Message(message.content, message.channel_name, self._runtime.layer, self._reply_channel),
                invocation.trace,
            )
            if following is not None:
                await self.run(following)
        if following is not None:
            await maybe_await(flush(following))  # what the client is told who waits in vain

    def _stream(self, invocation: Invocation, generator: Any, kind: Kind) -> Awaitable[None] | None:
        """Start a stream, and leave it running; that of the last event is awaited, for nothing ends it later."""
        stream = Stream(self._runtime, self._outlet, invocation, generator)
        if invocation.message.channel_name in LAST_EVENTS:
            return self._run_stream(stream, kind)
        streams, name = self._runtime.streams, str(invocation.message.content.get("reply_channel"))
        if streams[name] >= self._runtime.socket_streams and invocation.message.reply_channel is not None:
            self._refuse_stream(invocation, generator)
            return None
        streams[name] += 1
        stream.task = self._runtime.spawn(self._run_stream(stream, kind))
        if self._streams is None:
            self._streams = set()
        self._streams.add(stream)
        stream.task.add_done_callback(partial(self._stream_ended, stream))
        return None

    def _refuse_stream(self, invocation: Invocation, generator: Any) -> None:
        if isinstance(generator, GeneratorType):
            generator.close()  # an async one that has not begun needs no end
        counters.limited["socket_streams"] += 1
        most = self._runtime.socket_streams
        self._dispatcher.refuse(
            invocation,
            RuntimeError(
                f"{most} generators are streaming to this socket already; have the consumer start one per socket, or "
                'raise ROUTECHAN["SOCKET_STREAMS"] (without Django: the argument socket_streams)'
            ),
        )
        pending = self._flush(invocation)
        if pending is not None:
            self._runtime.spawn(maybe_await(pending))
        self._failed(invocation)

    def _stream_ended(self, stream: Stream, task: asyncio.Task[None]) -> None:
        streams, name = self._runtime.streams, str(stream.invocation.message.content.get("reply_channel"))
        streams[name] -= 1
        if not streams[name]:
            del streams[name]
        if self._streams is not None:
            self._streams.discard(stream)
        if self._streamed is not None:
            self._streamed(self, stream.invocation.failed)

    async def _run_stream(self, stream: Stream, kind: Kind) -> None:
        await (stream.run_on_loop() if kind is Kind.ASYNC_STREAM else stream.run_on_thread())
        if stream.invocation.failed:
            self._failed(stream.invocation)
        if stream.invocation.later:
            await self._repeat(stream.invocation)


def _busiest() -> str:
    """The consumers that most runs of are going on, for the log."""
    running = sorted(((len(figures.running), name) for name, figures in counters.consumers.items()), reverse=True)
    return ", ".join(f"{name} ({count})" for count, name in running[:3] if count) or "none that has begun"
