"""A worker process: consumers for relaying servers, and of the channels that user code sends to."""

from __future__ import annotations

import asyncio
import collections
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any

from ..consumers.connection import Runtime
from ..consumers.dispatch import Dispatcher
from ..consumers.threads import SOCKET_STREAMS, STREAM_THREADS
from ..layers.base import SyncChannelLayer
from ..monitor.reports import Responder
from ..monitor.unread import UnreadChannels
from ..sending.asking import leave
from .announcements import Announcer, Deference
from .consumers import ChannelConsumers

logger = logging.getLogger("routechan")

#: Seconds that running consumers have to end in, once the process is told to stop.
DRAIN_TIME = 30.0


class WorkerProcess:
    """The consumers of some channels on one event loop, run as an inline server runs them. Lifetime: process.

    ``routechan.worker.run`` runs it until a signal. Its properties may be read in any thread.

    Args:
        dispatcher: finds and runs the consumers.
        layer: the 1.x face of the layer.
        channels: the names of the channels whose messages are taken.
        threads: how many plain consumers may run at a time.
        stream_threads: how many plain generators may stream beside them.
        socket_streams: how many generators may stream to one socket at a time.
        drain: seconds that running consumers have to end in after ``stop``.
        ready: called on the loop when messages are taken from now on.
        yields: leave channels to other workers as long as these read them, as an inline server does.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        layer: SyncChannelLayer,
        channels: Iterable[str],
        *,
        threads: int = 32,
        stream_threads: int = STREAM_THREADS,
        socket_streams: int = SOCKET_STREAMS,
        drain: float = DRAIN_TIME,
        ready: Callable[[], object] | None = None,
        yields: bool = False,
    ) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self.channels = tuple(channels)
        self.threads = threads
        self.stream_threads = stream_threads
        self.socket_streams = socket_streams
        self.drain = drain
        self._ready = ready
        self._yields = yields
        self._lock = threading.Lock()
        self._stops = 0  # how often it was told to stop
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._consumers: ChannelConsumers | None = None
        self._taking = False

    async def run(self) -> int:
        """Take and consume messages until ``stop``.

        Returns:
            How many consumers did not end within the drain time, and were broken off.
        """
        with self._lock:
            if self._stops:
                return 0
            self._loop = asyncio.get_running_loop()
        runtime = Runtime(self.dispatcher, self.layer, self.threads, self.stream_threads, self.socket_streams)
        consumers = self._consumers = ChannelConsumers(runtime, self.layer, prefetch=self.threads)
        consumers.start(self.channels)
        responder = Responder(self.layer.layer, "worker")
        responder.start()
        unread = UnreadChannels(self.layer.layer)
        unread.start()
        layer = self.layer.layer
        announcer = Announcer(layer, self.channels, read=consumers.read)
        deference = Deference(layer, self.channels, read=consumers.read, leave=consumers.leave, inline=False)
        await self._unless_stopped(deference.start() if self._yields else announcer.start())
        self._taking = True
        logger.info("Listening on channels %s", ", ".join(sorted(self.channels)))
        if self._ready is not None:
            self._ready()
        await self._stopping.wait()
        await unread.stop()
        await deference.stop()
        draining = asyncio.ensure_future(consumers.stop(self.drain))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not draining.done():
            return consumers.in_hand
        await asyncio.gather(announcer.stop(), responder.stop())
        await runtime.stop()
        await leave(self.layer.layer)
        return draining.result()

    async def _unless_stopped(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run ``coroutine`` until it ends, or the process is told to stop."""
        running, stopping = asyncio.ensure_future(coroutine), asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, stopping):
            task.cancel()
        await asyncio.wait([running, stopping])
        if not running.cancelled():
            running.result()

    def stop(self) -> None:
        """Take no more messages, and end when those taken are done; called a second time, end at once.

        From any thread.
        """
        with self._lock:
            self._stops += 1
            loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopping.set()
        if self._stops > 1:
            self._hurry.set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of its consumers, as soon as it runs."""
        return self._loop

    @property
    def taking(self) -> bool:
        """Whether it takes messages, which it does from ``run`` to ``stop``."""
        return self._taking and not self._stops

    @property
    def running(self) -> int:
        """How many messages were taken whose consumers have not ended."""
        return 0 if self._consumers is None else self._consumers.in_hand

    def running_on(self) -> Mapping[str, int]:
        """The number of running consumers by channel."""
        return collections.Counter() if self._consumers is None else self._consumers.running_on()

    @property
    def idle_for(self) -> float | None:
        """Seconds since it last took a message; None before the first."""
        taken_at = None if self._consumers is None else self._consumers.taken_at
        return None if taken_at is None else time.monotonic() - taken_at
