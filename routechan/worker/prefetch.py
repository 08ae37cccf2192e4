"""Prefetch: take messages off channels as long as there is room for them, and hand them on in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..inspection import counted
from ..layers.base import BaseChannelLayer, Delivery, Subscription
from ..telemetry.log_fields import log_fields

logger = logging.getLogger("routechan")

#: Seconds that ``stop`` waits for the consumers that are running.
STOP_TIME = 10.0

#: How many deliveries may be unfinished at a time, those that have released their prefetch slot included.
MAX_IN_HAND = 1000

#: Returns what is awaited for the end of a delivery; or None, where ``Delivery.done`` is called at its end.
Consume = Callable[[Delivery], "Awaitable[None] | None"]


class Prefetcher:
    """Takes messages off the channels of a routing. Lifetime: from ``start`` to ``stop``, on one event loop.

    Deliveries with the same reply channel are consumed one after another, in the order they were sent; others run side
    by side.

    Args:
        layer: that the channels are on.
    """

    def __init__(self, layer: BaseChannelLayer) -> None:
        self._layer = layer
        self._loop = asyncio.get_running_loop()
        self._subscriptions: list[tuple[Subscription, frozenset[str], int]] = []  # with its channels and its prefetch
        self._channels: list[str] = []  # those that were left too
        self._on_threads: set[str] = set()  # channels whose slots are threads
        self._running: dict[Delivery, asyncio.Task[None] | None] = {}
        #: Reply channel of what is running -> the deliveries behind it.
        self._behind: dict[str, deque[Delivery] | None] = {}
        self._idle: asyncio.Future[None] | None = None
        self._one_done: asyncio.Future[None] | None = None
        self._given_up = False
        #: When the last message was taken, in the seconds of ``time.monotonic``; None before the first.
        self.taken_at: float | None = None

    def start(self, consume: Consume, channels: Iterable[str], *, threads: int | None = None) -> None:
        """Take the messages of ``channels``; called again, of more channels.

        Args:
            consume: called with each delivery when its turn comes; the same each time.
            channels: names of channels.
            threads: how many of their deliveries may hold a slot at a time, where each slot is a thread. What cannot be
                consumed now is left to other processes. None where no threads are needed: then ``MAX_IN_HAND``.
        """
        self._consume = consume
        names = frozenset(channels)
        if threads is not None:
            self._on_threads |= names
        self._subscribe(names, MAX_IN_HAND if threads is None else threads)

    def _subscribe(self, names: frozenset[str], prefetch: int) -> None:
        if names:
            subscription = self._layer.subscribe(sorted(names), self._take, prefetch)
            self._subscriptions.append((subscription, names, prefetch))
            self._channels = sorted({*self._channels, *names})

    def release(self, delivery: Delivery) -> None:
        """Give back the slot of ``delivery``, which needs no thread any more, if its slot is one and there is room."""
        if delivery.channel in self._on_threads and len(self._running) < MAX_IN_HAND:
            delivery.release()

    async def leave(self, channels: Iterable[str]) -> None:
        """Take no more messages of ``channels``, and wait until those that were taken are done."""
        left = frozenset(channels)
        ended = [each for each in self._subscriptions if each[1] & left]
        self._subscriptions = [each for each in self._subscriptions if not each[1] & left]
        for subscription, names, prefetch in ended:
            subscription.end()
            self._subscribe(names - left, prefetch)
        for delivery in await self._layer.withdraw(sorted(left)):  # taken off while we unsubscribed
            self._take(delivery)
        while any(delivery.channel in left for delivery in self._deliveries()):
            self._one_done = self._loop.create_future()
            await self._one_done

    async def stop(self, within: float | None = None) -> int:
        """Take no more messages, and wait for the consumers that are running.

        Args:
            within: seconds to wait at most; ``STOP_TIME`` if None.

        Returns:
            How many did not end in time, and were cancelled.
        """
        within = STOP_TIME if within is None else within
        for subscription, _, _ in self._subscriptions:
            subscription.end()
        for delivery in await self._layer.withdraw(self._channels):  # taken off while we unsubscribed
            self._take(delivery)
        if self._running:
            self._idle = self._loop.create_future()
            await asyncio.wait([self._idle], timeout=within)
        late = len(self._running)
        if late:
            await self._cancel(within)
        return late

    @property
    def in_hand(self) -> int:
        """How many deliveries have been taken and are not done.

        From any thread.
        """
        return len(self._running) + sum(len(behind) for behind in tuple(self._behind.values()) if behind)

    def headers(self) -> list[dict[str, Any]]:
        """The headers of the deliveries that are not done.

        From any thread.
        """
        return [delivery.headers for delivery in self._deliveries() if delivery.headers]

    def _deliveries(self) -> list[Delivery]:
        """The deliveries that are not done.

        From any thread.
        """
        behind = [delivery for behind in tuple(self._behind.values()) for delivery in tuple(behind or ())]
        return [*behind, *tuple(self._running)]

    def running_on(self) -> Counter[str]:
        """The number of running consumers by channel.

        From any thread.
        """
        return Counter(delivery.channel for delivery in tuple(self._running))

    async def _cancel(self, within: float) -> None:
        """Cancel what is running.

        A consumer on a thread ends when it returns, or with the process.
        """
        self._given_up = True
        lost = [delivery for behind in self._behind.values() for delivery in behind or ()]
        self._behind.clear()
        logger.warning(
            "%s did not end within %g s and had to be cancelled, with the loss of %s behind; on %s",
            counted(len(self._running), "consumer"),
            within,
            counted(len(lost), "message"),
            ", ".join(sorted(self.running_on())),
        )
        for delivery in lost:
            _log_lost(delivery)
        tasks = [task for task in self._running.values() if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _take(self, delivery: Delivery) -> None:
        delivery.on_done = self._ended
        self.taken_at = time.monotonic()
        reply_channel = delivery.content.get("reply_channel")
        if isinstance(reply_channel, str):
            if reply_channel in self._behind:
                behind = self._behind[reply_channel]
                if behind is None:
                    behind = self._behind[reply_channel] = deque()
                behind.append(delivery)
                return
            self._behind[reply_channel] = None
        self._running[delivery] = None
        self._start(delivery)

    def _start(self, delivery: Delivery) -> None:
        if self._given_up:
            _log_lost(delivery)
            delivery.done()
            return
        try:
            pending = self._consume(delivery)
        except Exception:
            _log_failure(delivery)
            delivery.done()
        else:
            if pending is not None:
                self._running[delivery] = self._loop.create_task(self._run(delivery, pending))

    async def _run(self, delivery: Delivery, pending: Awaitable[None]) -> None:
        try:
            await pending
        except (Exception, SystemExit, asyncio.CancelledError):  # it costs one message; those behind it come
            _log_failure(delivery)
        finally:
            delivery.done()

    def _ended(self, delivery: Delivery) -> None:
        """``delivery`` is done: what comes after it on its reply channel is next."""
        del self._running[delivery]
        reply_channel = delivery.content.get("reply_channel")
        if isinstance(reply_channel, str):
            behind = self._behind.get(reply_channel)
            if behind:
                following = behind.popleft()
                self._running[following] = None
                self._loop.call_soon(self._start, following)  # not at once: there may be a thousand
            else:
                self._behind.pop(reply_channel, None)
        if self._one_done is not None and not self._one_done.done():
            self._one_done.set_result(None)
        if self._idle is not None and not self._running and not self._idle.done():
            self._idle.set_result(None)


def _log_lost(delivery: Delivery) -> None:
    logger.error("A message on %s is lost", delivery.channel, extra=log_fields(delivery.channel, delivery.content))


def _log_failure(delivery: Delivery) -> None:
    logger.exception(
        "Consuming a message on %s failed", delivery.channel, extra=log_fields(delivery.channel, delivery.content)
    )
