"""A process that runs consumers: for servers that relay, and of the channels that user code sends to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from ..channel_consumers import ChannelConsumers
from ..dispatch import Dispatcher
from ..layers.base import SyncChannelLayer
from ..runtime import Runtime

logger = logging.getLogger("routechan")

#: Seconds that running consumers have to end in, once the process is told to stop.
DRAIN_TIME = 30.0


class WorkerProcess:
    """Consumers of ``channels`` on one event loop, as an inline server runs them. Lifetime: process.

    ``threads`` bounds what is run at a time. ``ready`` is called when it begins to take messages.
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
        self.drain = drain
        self._threads = threads
        self._ready = ready
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Take and run messages until ``stop``; returns how many consumers were broken off at the end."""
        runtime = Runtime(self.dispatcher, self.layer, self._threads)
        consumers = ChannelConsumers(runtime, self.layer, limit=self._threads)
        consumers.start(self.channels)
        logger.info("Listening on channels %s", ", ".join(self.channels))
        if self._ready is not None:
            self._ready()
        await self._stopping.wait()
        draining = asyncio.ensure_future(consumers.stop(self.drain))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not draining.done():
            return consumers.running
        await runtime.stop()
        return draining.result()

    def stop(self) -> None:
        """Take no more messages and end when those taken are done. Said a second time: end at once.

        Only on the event loop's own thread.
        """
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
