"""One connection's events and the consumers they reach, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from .channel import Channel
from .delivery import flush
from .encoding import Content
from .handover import Outlet, settled
from .kinds import Kind, kind_of, kind_of_work
from .layers.base import SyncChannelLayer
from .message import Message
from .run import Run
from .runtime import Runtime
from .stream import Stream

#: Seconds before the first repetition after ``ConsumeLater``; each further one waits twice as long.
LATER_DELAY = 0.01
LATER_DELAY_MAX = 1.0


class _OwnReplyChannel(Channel):
    """The reply channel of a connection of this process. Lifetime: connection.

    What consumers of the connection send to it goes straight to the connection when the outbox is flushed; to one
    that is ``paced`` also what they send immediately from their thread, each when it has taken the one before.
    """

    def __init__(self, outlet: Outlet, channel_layer: SyncChannelLayer) -> None:
        super().__init__(outlet.name, channel_layer=channel_layer)
        self.post = outlet.deliver  # type: ignore[method-assign]
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()

    @property
    def closed(self) -> bool:  # type: ignore[override]
        return self._outlet.closed

    def _send_now(self, content: Content, delay: float) -> None:
        if delay or not self._outlet.paced or not self._loop.is_running():
            super()._send_now(content, delay)
        else:
            asyncio.run_coroutine_threadsafe(self._send_and_wait(content), self._loop).result()

    async def _send_and_wait(self, content: Content) -> None:
        await settled(self._outlet.deliver(content))
        await self._outlet.writable()


class Line:
    """One connection's events, one at a time. Lifetime: connection."""

    __slots__ = ("_dispatcher", "_idle", "_outlet", "_reply_channel", "_running", "_runtime", "_streams")

    def __init__(self, runtime: Runtime, outlet: Outlet | None) -> None:
        self._runtime = runtime
        self._dispatcher = runtime.dispatcher
        self._outlet = outlet  # None for a message that came over the layer: its replies go over it too
        self._reply_channel = None if outlet is None else _OwnReplyChannel(outlet, runtime.layer)
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
        runtime = self._runtime
        run = self._dispatcher.match(Message(content, channel, runtime.layer, self._reply_channel))
        if run is None:
            return None
        kind = kind_of(run.consumer)
        if kind is Kind.PLAIN:
            self._running = True
            runtime.threads.submit(self._dispatcher.call, run, self._called)
            return None
        if kind is Kind.ASYNC:
            return self._dispatcher.acall(run, later=self._repeat, flush=self.flush)
        return self.perform(run)

    async def _handle_after(self, channel: str, content: Content) -> None:
        await self.idle()
        await settled(self.handle(channel, content))

    async def idle(self) -> None:
        """Return when no event of this connection is running (streams aside)."""
        while self._running:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def flush(self, run: Run) -> Awaitable[None] | None:
        """Deliver what a run of a consumer has sent; streams deliver theirs themselves."""
        return flush(run)

    @property
    def running(self) -> bool:
        """Whether a plain consumer runs, or what it gave back."""
        return self._running

    @property
    def streams(self) -> bool:
        """Whether anything streams to this connection."""
        return bool(self._streams)

    def end_streams(self) -> None:
        """The connection is closed: end what streams to it."""
        for task in self._streams or ():
            task.cancel()

    def _called(self, run: Run, result: Any) -> None:
        """On the loop, after a plain consumer: flush, and go on at once where nothing is to be waited for."""
        pending = self.flush(run)
        if result is None and not run.later:
            if pending is None:
                self._settled()
                return
            if isinstance(pending, asyncio.Future):  # no task for that: it would cost more than the flush
                pending.add_done_callback(self._flushed)
                return
        self._runtime.spawn(self._finish(run, result, pending))

    def _flushed(self, pending: asyncio.Future[None]) -> None:
        self._settled()

    async def _finish(self, run: Run, result: Any, pending: Awaitable[None] | None) -> None:
        try:
            await settled(pending)
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
        delay = LATER_DELAY
        next_run: Run | None = run
        while next_run is not None and next_run.later and self._dispatcher.may_retry(next_run):
            await asyncio.sleep(delay)
            delay = min(delay * 2, LATER_DELAY_MAX)
            message = next_run.message
            next_run = self._dispatcher.match(
                Message(message.content, message.channel_name, self._runtime.layer, self._reply_channel)
            )
            if next_run is not None:
                await self.perform(next_run)

    async def perform(self, run: Run) -> None:
        """Run a consumer of any kind once and flush what it sent; a stream is started and left running."""
        kind = kind_of(run.consumer)
        if kind is Kind.PLAIN:
            called: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            def done(_: Run, result: Any) -> None:
                if not called.done():
                    called.set_result(result)

            self._runtime.threads.submit(self._dispatcher.call, run, done)
            result = await called
            if result is not None:
                await self._go_on(run, result)
            await settled(self.flush(run))
        elif kind is Kind.ASYNC:
            await self._dispatcher.acall(run, flush=self.flush)
        else:
            self._start_stream(run, None, kind)

    async def _go_on(self, run: Run, result: Any) -> None:
        """A plain callable returned a coroutine or a generator: it was a wrapper around a consumer of that kind."""
        kind = kind_of_work(result)
        if kind is Kind.ASYNC:
            await self._dispatcher.acall(run, result, flush=self.flush)
        else:
            self._start_stream(run, result, kind)

    def _start_stream(self, run: Run, generator: Any, kind: Kind) -> None:
        task = self._runtime.spawn(self._stream(Stream(self._runtime, self._outlet, run, generator), kind))
        if self._streams is None:
            self._streams = set()
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _stream(self, stream: Stream, kind: Kind) -> None:
        await (stream.on_the_loop() if kind is Kind.ASYNC_STREAM else stream.on_a_thread())
        if stream.run.later:
            await self._repeat(stream.run)
