"""Reads the channels a routing names from the layer, beside the sockets."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from .encoding import Content
from .layers.base import BaseChannelLayer

logger = logging.getLogger("routechan")

#: Seconds to wait after the layer failed to give a message.
FAULT_DELAY = 1.0

#: Seconds that ``stop`` waits for the consumers that are running.
STOP_TIME = 10.0

Consume = Callable[[str, Content], Awaitable[None]]
Taken = Callable[[str, Content], object]


#: How many wait for messages at a time, each for any of the channels.
READERS = 32


class ChannelReader:
    """Lifetime: from ``start`` to ``stop``, on one event loop.

    At most ``limit`` messages are taken and not yet consumed: what cannot be consumed now is left to other processes.
    Messages with the same reply channel are consumed one after another, in the order they were sent; others run side
    by side. ``taken`` is called with each as soon as it is taken.
    """

    def __init__(self, layer: BaseChannelLayer, consume: Consume, *, limit: int, taken: Taken | None = None) -> None:
        self._layer = layer
        self._consume = consume
        self._limit = limit
        self._taken = taken
        self._readers: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._behind: dict[str, deque[tuple[str, Content]]] = {}

    def start(self, channels: Iterable[str]) -> None:
        names = sorted(channels)
        self._room = asyncio.Semaphore(self._limit)  # each waiting reader holds one place
        self._readers = [asyncio.create_task(self._read(names)) for _ in range(min(self._limit, READERS)) if names]

    async def stop(self, within: float | None = None) -> int:
        """Take no more messages, and wait for those that are being consumed, ``within`` seconds at most.

        Returns how many had to be cancelled.
        """
        within = STOP_TIME if within is None else within
        for task in self._readers:
            task.cancel()
        if self._readers:
            await asyncio.wait(self._readers)
        self._readers = []
        late: set[asyncio.Task[None]] = set()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=within)
            if late:
                await self._cancel(late, within)
        return len(late)

    @property
    def running(self) -> int:
        """How many messages were taken and not yet consumed."""
        return len(self._running) + sum(map(len, self._behind.values()))

    async def _cancel(self, late: set[asyncio.Task[None]], within: float) -> None:
        lost = sum(map(len, self._behind.values()))
        for behind in self._behind.values():
            behind.clear()
        logger.warning(
            "%d consumers did not end within %g s and are cancelled; %d messages behind them are lost",
            len(late),
            within,
            lost,
        )
        for task in late:
            task.cancel()
        await asyncio.wait(late)

    async def _read(self, channels: list[str]) -> None:
        while True:
            await self._room.acquire()
            try:
                channel, content = await self._layer.receive_any(channels)
            except asyncio.CancelledError:
                raise
            except Exception:  # whatever the layer's trouble is, the channels are read again after it
                logger.exception("Reading the channels %s failed; trying again", ", ".join(channels))
                self._room.release()
                await asyncio.sleep(FAULT_DELAY)
                continue
            self._take(channel, content)

    def _take(self, channel: str, content: Content) -> None:
        if self._taken is not None:
            self._taken(channel, content)
        reply_channel = content.get("reply_channel")
        if isinstance(reply_channel, str):
            behind = self._behind.get(reply_channel)
            if behind is not None:
                behind.append((channel, content))
                return
            self._behind[reply_channel] = deque()
        task = asyncio.create_task(self._run(channel, content))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, channel: str, content: Content) -> None:
        reply_channel = content.get("reply_channel")
        behind = self._behind.get(reply_channel) if isinstance(reply_channel, str) else None
        try:
            while True:
                try:
                    await self._consume(channel, content)
                except (
                    Exception,
                    SystemExit,
                    asyncio.CancelledError,
                ):  # one message's trouble; those behind it come next
                    logger.exception("Consuming a message on %s failed", channel)
                finally:
                    self._room.release()
                if not behind:
                    return
                channel, content = behind.popleft()
        finally:
            if isinstance(reply_channel, str):
                self._behind.pop(reply_channel, None)
