"""Consumers here, in the server process.

An async consumer runs in its connection's own task, a plain one on a thread, a generator beside the
later events of its connection. One connection's events never overlap and never reorder. The channels
the routing names are read from the layer too, so that ``Channel("thumbnail").send(...)`` works with nothing
else started.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any, Protocol

from .channel import Channel
from .channel_reader import ChannelReader
from .dispatch import Dispatcher, Kind, Run, kind_of
from .encoding import Content
from .layers.base import SyncChannelLayer
from .message import Message
from .threads import Threads

#: Seconds before the first repetition after ``ConsumeLater``; each further one waits twice as long.
LATER_DELAY = 0.01
LATER_DELAY_MAX = 1.0


class Outlet(Protocol):
    """Where a connection's replies leave: what a stream waits for and is ended by."""

    name: str
    closed: bool

    def deliver(self, content: Content) -> None:
        """Take a message of the reply channel ``name``, on the event loop."""

    async def writable(self) -> None:
        """Return when what was sent has left, or the connection is closed."""


class _OwnReplyChannel(Channel):
    """The reply channel of a connection of this process. Lifetime: connection.

    What consumers of the connection send to it goes straight to the connection when the outbox is flushed.
    """

    def __init__(self, outlet: Outlet, channel_layer: SyncChannelLayer) -> None:
        super().__init__(outlet.name, channel_layer=channel_layer)
        self.post = outlet.deliver  # type: ignore[method-assign]


class InlineConsumers:
    """Runs the consumers of one server process. Lifetime: from ``start`` to ``stop``, on one event loop.

    ``threads`` bounds the threads for plain consumers, and separately those for plain generators.
    """

    def __init__(self, dispatcher: Dispatcher, layer: SyncChannelLayer, *, threads: int = 32) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self._thread_limit = threads
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader = ChannelReader(layer.layer, self._consume, limit=threads)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.threads = Threads(self._thread_limit)
        self._reader.start(self.dispatcher.router.channels)

    async def stop(self) -> None:
        await self._reader.stop()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.threads.stop()

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether a consumer of the routing could take messages on ``channels`` from where ``content`` came."""
        return self.dispatcher.router.serves(channels, content)

    def line(self, outlet: Outlet) -> Line:
        """What takes the events of a new connection, in order."""
        return Line(self, outlet)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _consume(self, channel: str, content: Content) -> None:
        """A message that came over the layer; one that asks for another try goes to the end of its channel."""
        line = Line(self, None)
        run = self.dispatcher.match(Message(content, channel, self.layer))
        if run is not None:
            await line.perform(run)
            if run.later and self.dispatcher.may_retry(run):
                await self._put_back(run)

    async def _put_back(self, run: Run) -> None:
        # As a send of its own, so that a full channel is waited for, and logged, like any other.
        run.add(run.message.channel, run.message.content)
        pending = self.dispatcher.flush(run)
        if pending is not None:
            await pending


class Line:
    """One connection's events, one at a time. Lifetime: connection."""

    __slots__ = ("_consumers", "_dispatcher", "_idle", "_outlet", "_reply_channel", "_running", "_streams")

    def __init__(self, consumers: InlineConsumers, outlet: Outlet | None) -> None:
        self._consumers = consumers
        self._dispatcher = consumers.dispatcher
        self._outlet = outlet
        self._reply_channel = None if outlet is None else _OwnReplyChannel(outlet, consumers.layer)
        self._running = False
        self._idle: asyncio.Future[None] | None = None
        self._streams: set[asyncio.Task[None]] | None = None

    def handle(self, channel: str, content: Content) -> Awaitable[None] | None:
        """Take one event, to run after those before it; what is returned is awaited before the next.

        While a plain consumer runs nothing is returned: the caller reads the next event meanwhile, and
        that one waits here.
        """
        if self._running:
            return self._handle_after(channel, content)
        consumers = self._consumers
        run = self._dispatcher.match(Message(content, channel, consumers.layer, self._reply_channel))
        if run is None:
            return None
        kind = kind_of(run.consumer)
        if kind is Kind.PLAIN:
            self._running = True
            consumers.threads.submit(self._dispatcher.call, run, self._called)
            return None
        if kind is Kind.ASYNC:
            return self._dispatcher.acall(run, later=self._repeat)
        return self.perform(run)

    async def _handle_after(self, channel: str, content: Content) -> None:
        await self.idle()
        pending = self.handle(channel, content)
        if pending is not None:
            await pending

    async def idle(self) -> None:
        """Return when no event of this connection is running (streams aside)."""
        while self._running:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def end_streams(self) -> None:
        """The connection is closed: end what streams to it."""
        for task in self._streams or ():
            task.cancel()

    def _called(self, run: Run, result: Any) -> None:
        """On the loop, after a plain consumer: flush, and go on at once where nothing is to be waited for."""
        pending = self._dispatcher.flush(run)
        if pending is None and result is None and not run.later:
            self._settled()
        else:
            self._consumers.spawn(self._finish(run, result, pending))

    async def _finish(self, run: Run, result: Any, pending: Awaitable[None] | None) -> None:
        try:
            if pending is not None:
                await pending
            if result is not None:
                await self._go_on(run, result)
            if run.later:
                await self._repeat(run)
        finally:
            self._settled()

    def _settled(self) -> None:
        self._running = False
        if self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None

    async def _repeat(self, run: Run) -> None:
        """Try an event again in place: going behind later ones would reorder the connection."""
        consumers = self._consumers
        delay = LATER_DELAY
        next_run: Run | None = run
        while next_run is not None and next_run.later and self._dispatcher.may_retry(next_run):
            await asyncio.sleep(delay)
            delay = min(delay * 2, LATER_DELAY_MAX)
            message = next_run.message
            next_run = self._dispatcher.match(
                Message(message.content, message.channel_name, consumers.layer, self._reply_channel)
            )
            if next_run is not None:
                await self.perform(next_run)

    async def perform(self, run: Run) -> None:
        """Run a consumer of any kind once and flush what it sent; a stream is started and left running."""
        consumers = self._consumers
        kind = kind_of(run.consumer)
        if kind is Kind.PLAIN:
            called: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            def done(_: Run, result: Any) -> None:
                if not called.done():
                    called.set_result(result)

            consumers.threads.submit(self._dispatcher.call, run, done)
            result = await called
            if result is not None:
                await self._go_on(run, result)
            pending = self._dispatcher.flush(run)
            if pending is not None:
                await pending
        elif kind is Kind.ASYNC:
            await self._dispatcher.acall(run)
        else:
            self._start_stream(run, None, kind)

    async def _go_on(self, run: Run, result: Any) -> None:
        """A plain callable returned a coroutine or a generator: it was a wrapper around a consumer of that kind."""
        if inspect.iscoroutine(result):
            await self._dispatcher.acall(run, result)
        else:
            self._start_stream(run, result, Kind.ASYNC_STREAM if inspect.isasyncgen(result) else Kind.STREAM)

    # Streams

    def _start_stream(self, run: Run, generator: Any, kind: Kind) -> None:
        stream = self._stream if kind is Kind.ASYNC_STREAM else self._stream_on_thread
        task = self._consumers.spawn(stream(run, generator))
        if self._streams is None:
            self._streams = set()
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _stream(self, run: Run, generator: Any) -> None:
        dispatcher = self._dispatcher

        async def emit() -> bool:
            pending = dispatcher.flush(run)
            if pending is not None:
                await pending
            return await self._wanted()

        try:
            await dispatcher.aiterate(run, generator, emit)
        finally:
            self._flush_soon(run)
        if run.later:
            await self._repeat(run)

    async def _stream_on_thread(self, run: Run, generator: Any) -> None:
        """A plain generator on a thread of its own; after each step the loop delivers and says when to go on."""
        dispatcher = self._dispatcher
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[bool] = asyncio.Queue()
        go_on = threading.Semaphore(0)
        wanted = True

        def emit() -> bool:
            if wanted:
                loop.call_soon_threadsafe(steps.put_nowait, True)
                go_on.acquire()
            return wanted

        def iterate() -> None:
            try:
                dispatcher.iterate(run, generator, emit)
            finally:
                with contextlib.suppress(RuntimeError):  # the server may be gone by now, and its loop closed
                    loop.call_soon_threadsafe(self._flush_soon, run)
                    loop.call_soon_threadsafe(steps.put_nowait, False)

        try:
            self._consumers.threads.dedicate(iterate, f"routechan-stream {run}")
        except RuntimeError as error:  # too many stream already
            dispatcher.refuse(run, error)
            return
        try:
            while await steps.get():
                pending = dispatcher.flush(run)
                if pending is not None:
                    await pending
                wanted = await self._wanted()
                go_on.release()
        finally:
            wanted = False  # cancelled: the generator is closed at its next step
            go_on.release()
        if run.later:
            await self._repeat(run)

    def _flush_soon(self, run: Run) -> None:
        """Deliver what a stream sent at its end, which may be after its connection's."""
        pending = self._dispatcher.flush(run)
        if pending is not None:
            self._consumers.spawn(_awaited(pending))

    async def _wanted(self) -> bool:
        """Wait until the connection has taken what was streamed; whether it wants more."""
        if self._outlet is None:  # the message came over the layer, and so the replies go over it
            return True
        await self._outlet.writable()
        return not self._outlet.closed


async def _awaited(pending: Awaitable[None]) -> None:
    await pending
