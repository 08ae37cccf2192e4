"""A process that runs consumers: for servers that relay, and of the channels that user code sends to."""

from __future__ import annotations

import asyncio
import collections
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from ..channel_consumers import ChannelConsumers
from ..dispatch import Dispatcher
from ..layers.base import SyncChannelLayer
from ..observe.reports import Presence
from ..runtime import Runtime

logger = logging.getLogger("routechan")

#: Seconds that running consumers have to end in, once the process is told to stop.
DRAIN_TIME = 30.0


class WorkerProcess:
    """Consumers of ``channels`` on one event loop, as an inline server runs them. Lifetime: process.

    ``threads`` bounds the plain consumers that run at a time. ``drain`` is the seconds that what runs has to end in
    after ``stop``. ``ready`` is called on the loop when it begins to take messages. ``routechan.worker.run`` runs it
    until a signal; what it says of itself may be read in any thread.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        layer: SyncChannelLayer,
        channels: Iterable[str],
        *,
        threads: int = 32,
        drain: float = DRAIN_TIME,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self.channels = tuple(channels)
        self.threads = threads
        self.drain = drain
        self._ready = ready
        self._lock = threading.Lock()
        self._stops = 0  # how often it was told to stop
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._consumers: ChannelConsumers | None = None

    async def run(self) -> int:
        """Take and run messages until ``stop``; returns how many consumers were broken off at the end."""
        with self._lock:
            if self._stops:
                return 0
            self._loop = asyncio.get_running_loop()
        runtime = Runtime(self.dispatcher, self.layer, self.threads)
        consumers = self._consumers = ChannelConsumers(runtime, self.layer, limit=self.threads)
        consumers.start(self.channels)
        presence = Presence(self.layer.layer, "worker")
        presence.start()
        logger.info("Listening on channels %s", ", ".join(sorted(self.channels)))
        if self._ready is not None:
            self._ready()
        await self._stopping.wait()
        draining = asyncio.ensure_future(consumers.stop(self.drain))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not draining.done():
            return consumers.running
        await presence.stop()
        await runtime.stop()
        return draining.result()

    def stop(self) -> None:
        """Take no more messages and end when those taken are done. Said a second time: end at once.

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
        """What its consumers run on, as soon as it runs."""
        return self._loop

    @property
    def taking(self) -> bool:
        """Whether it takes messages: not before it runs, and not after ``stop``."""
        return self._consumers is not None and not self._stops

    @property
    def running(self) -> int:
        """How many messages were taken whose consumers have not ended."""
        return 0 if self._consumers is None else self._consumers.running

    def running_on(self) -> Mapping[str, int]:
        """Channel -> how many of its messages are being consumed."""
        return collections.Counter() if self._consumers is None else self._consumers.running_on()

    @property
    def idle_for(self) -> float | None:
        """Seconds since it took a message; None before the first."""
        taken_at = None if self._consumers is None else self._consumers.taken_at
        return None if taken_at is None else time.monotonic() - taken_at
