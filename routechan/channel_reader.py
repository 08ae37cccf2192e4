"""Reads the channels a routing names from the layer, beside the sockets."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from .encoding import Content
from .layers.base import BaseChannelLayer
from .observe.failures import about

logger = logging.getLogger("routechan")

#: Seconds to wait after the layer failed to give a message.
FAULT_DELAY = 1.0

#: Seconds that ``stop`` waits for the consumers that are running.
STOP_TIME = 10.0

Free = Callable[[], object]
Consume = Callable[[str, Content, Free], Awaitable[None]]
Taken = Callable[[str, Content], object]

#: How many wait for messages of one set of channels at a time, each for any of them.
READERS = 32

#: How many messages may be taken and not over, those that have given back their place included.
TAKEN_LIMIT = 1000


class _Place:
    """Room for one message. Lifetime: from before it is taken until it is over, or gives it back."""

    __slots__ = ("_room",)

    def __init__(self, room: asyncio.Semaphore) -> None:
        self._room: asyncio.Semaphore | None = room

    def free(self) -> None:
        """Leave it to another message; said again, nothing."""
        room, self._room = self._room, None
        if room is not None:
            room.release()


class _Message(NamedTuple):
    """One that was taken."""

    channel: str
    content: Content
    place: _Place


class ChannelReader:
    """Lifetime: from the first ``start`` to ``stop``, on one event loop.

    Messages with the same reply channel are consumed one after another, in the order they were sent; others run side
    by side. ``taken`` is called with each as soon as it is taken. ``consume(channel, content, free)`` may call ``free``
    when the message needs its place no longer, and goes on.
    """

    def __init__(self, layer: BaseChannelLayer, consume: Consume, *, taken: Taken | None = None) -> None:
        self._layer = layer
        self._consume = consume
        self._taken = taken
        self._readers: list[asyncio.Task[None]] = []
        self._channels: list[str] = []
        self._running: set[asyncio.Task[None]] = set()
        self._behind: dict[str, deque[_Message]] = {}

    def start(self, channels: Iterable[str], *, limit: int) -> None:
        """Read ``channels``; may be called for several sets of channels, each with a limit of its own.

        At most ``limit`` of their messages hold a place at a time: what cannot be consumed now is left to other
        processes.
        """
        names = sorted(channels)
        self._channels += names
        room = asyncio.Semaphore(limit)  # each waiting reader holds one place
        self._readers += [asyncio.create_task(self._read(names, room)) for _ in range(min(limit, READERS)) if names]

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
        for channel, content in await self._layer.withdraw(self._channels):  # these were taken, too late to be left
            self._take(_Message(channel, content, _Place(asyncio.Semaphore())))
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

    def running_on(self) -> Counter[str]:
        """Channel -> how many of its messages are being consumed. From any thread."""
        return Counter(task.get_name() for task in tuple(self._running))

    async def _cancel(self, late: set[asyncio.Task[None]], within: float) -> None:
        lost = [message for behind in self._behind.values() for message in behind]
        for behind in self._behind.values():
            behind.clear()
        logger.warning(
            "%d consumers did not end within %g s and are cancelled; %d messages behind them are lost; they ran on %s",
            len(late),
            within,
            len(lost),
            ", ".join(sorted(self.running_on())),
        )
        for channel, content, _ in lost:
            logger.error("A message on %s is lost", channel, extra=about(channel, content))
        for task in late:
            task.cancel()
        await asyncio.wait(late)

    async def _read(self, channels: list[str], room: asyncio.Semaphore) -> None:
        while True:
            await room.acquire()
            try:
                channel, content = await self._layer.receive_any(channels)
            except asyncio.CancelledError:
                raise
            except Exception:  # whatever the layer's trouble is, the channels are read again after it
                logger.exception("Reading the channels %s failed; trying again", ", ".join(channels))
                room.release()
                await asyncio.sleep(FAULT_DELAY)
                continue
            self._take(_Message(channel, content, _Place(room)))

    def _take(self, message: _Message) -> None:
        channel, content, _ = message
        if self._taken is not None:
            self._taken(channel, content)
        reply_channel = content.get("reply_channel")
        if isinstance(reply_channel, str):
            behind = self._behind.get(reply_channel)
            if behind is not None:
                behind.append(message)
                return
            self._behind[reply_channel] = deque()
        task = asyncio.create_task(self._run(message), name=channel)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, message: _Message) -> None:
        channel, content, place = message
        reply_channel = content.get("reply_channel")
        behind = self._behind.get(reply_channel) if isinstance(reply_channel, str) else None
        try:
            while True:
                try:
                    await self._consume(channel, content, functools.partial(self._free, place))
                except (Exception, SystemExit, asyncio.CancelledError):  # one message's trouble; those behind it come
                    logger.exception("Consuming a message on %s failed", channel, extra=about(channel, content))
                finally:
                    place.free()
                if not behind:
                    return
                channel, content, place = behind.popleft()
        finally:
            if isinstance(reply_channel, str):
                self._behind.pop(reply_channel, None)

    def _free(self, place: _Place) -> None:
        if len(self._running) < TAKEN_LIMIT:
            place.free()
