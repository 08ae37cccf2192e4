"""Takes the messages of the channels a routing names, as long as there is room for them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable

from .encoding import Content
from .layers.base import BaseChannelLayer, Subscription
from .observe.failures import about
from .relaying import Mark

logger = logging.getLogger("routechan")

#: Seconds that ``stop`` waits for the consumers that are running.
STOP_TIME = 10.0

#: How many messages may be taken and not over, those that have given back their place included.
TAKEN_LIMIT = 1000


class Taken:
    """A message that was taken off its channel. Lifetime: until it is over. Only for the event loop.

    ``mark`` is that of an event for whose outcome a server waits.
    """

    __slots__ = ("_reader", "_subscription", "channel", "content", "mark")

    def __init__(
        self, reader: ChannelReader, channel: str, content: Content, subscription: Subscription | None
    ) -> None:
        self._reader = reader
        self._subscription = subscription
        self.channel = channel
        self.content = content
        self.mark: Mark | None = None

    def free(self) -> None:
        """Leave its place to another message; said again, nothing."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.free()

    def over(self) -> None:
        """It is consumed."""
        self._reader.over(self)


#: Returns what is awaited for the end of a message, or None: then ``over`` is called at its end.
Consume = Callable[[Taken], "Awaitable[None] | None"]


class ChannelReader:
    """Lifetime: from the first ``start`` to ``stop``, on one event loop.

    Messages with the same reply channel are consumed one after another, in the order they were sent; others run side
    by side. ``taken`` is called with each as soon as it is taken, ``ended`` when it is over. A message may be told to
    ``free`` its place before that.
    """

    def __init__(
        self,
        layer: BaseChannelLayer,
        consume: Consume,
        *,
        taken: Callable[[Taken], object],
        ended: Callable[[Taken], object],
    ) -> None:
        self._layer = layer
        self._consume = consume
        self._taken = taken
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._subscriptions: list[Subscription] = []
        self._channels: list[str] = []
        self._running: dict[Taken, asyncio.Task[None] | None] = {}
        self._behind: dict[str, deque[Taken] | None] = {}  # reply channel of what is running -> what waits for its end
        self._idle: asyncio.Future[None] | None = None
        self._given_up = False

    def start(self, channels: Iterable[str], *, limit: int) -> None:
        """Read ``channels``; may be called for several sets of channels, each with a limit of its own.

        At most ``limit`` of their messages hold a place at a time: what cannot be consumed now is left to other
        processes.
        """
        names = sorted(channels)
        if not names:
            return

        def take(channel: str, content: Content) -> None:
            self._take(Taken(self, channel, content, subscription))

        subscription = self._layer.subscribe(names, take, limit)
        self._subscriptions.append(subscription)
        self._channels += names

    async def stop(self, within: float | None = None) -> int:
        """Take no more messages, and wait for those that are being consumed, ``within`` seconds at most.

        Returns how many did not end.
        """
        within = STOP_TIME if within is None else within
        for subscription in self._subscriptions:
            subscription.end()
        for channel, content in await self._layer.withdraw(self._channels):  # these were taken, too late to be left
            self._take(Taken(self, channel, content, None))
        if self._running:
            self._idle = self._loop.create_future()
            await asyncio.wait([self._idle], timeout=within)
        late = len(self._running)
        if late:
            await self._cancel(within)
        return late

    @property
    def running(self) -> int:
        """How many messages were taken and not yet consumed. From any thread."""
        return len(self._running) + sum(len(behind) for behind in tuple(self._behind.values()) if behind)

    @property
    def may_take_more(self) -> bool:
        """Whether there is room for messages beside those that keep their places."""
        return len(self._running) < TAKEN_LIMIT

    def running_on(self) -> Counter[str]:
        """Channel -> how many of its messages are being consumed. From any thread."""
        return Counter(taken.channel for taken in tuple(self._running))

    async def _cancel(self, within: float) -> None:
        """Those that hold a thread end when it does, or with the process."""
        self._given_up = True
        lost = [taken for behind in self._behind.values() for taken in behind or ()]
        self._behind.clear()
        logger.warning(
            "%d consumers did not end within %g s and are cancelled; %d messages behind them are lost; they ran on %s",
            len(self._running),
            within,
            len(lost),
            ", ".join(sorted(self.running_on())),
        )
        for taken in lost:
            _log_loss(taken)
        tasks = [task for task in self._running.values() if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _take(self, taken: Taken) -> None:
        self._taken(taken)
        reply_channel = taken.content.get("reply_channel")
        if isinstance(reply_channel, str):
            if reply_channel in self._behind:
                behind = self._behind[reply_channel]
                if behind is None:
                    behind = self._behind[reply_channel] = deque()
                behind.append(taken)
                return
            self._behind[reply_channel] = None
        self._running[taken] = None
        self._start(taken)

    def _start(self, taken: Taken) -> None:
        if self._given_up:
            _log_loss(taken)
            taken.over()
            return
        try:
            pending = self._consume(taken)
        except Exception:
            _log_failure(taken)
            taken.over()
        else:
            if pending is not None:
                self._running[taken] = self._loop.create_task(self._run(taken, pending))

    async def _run(self, taken: Taken, pending: Awaitable[None]) -> None:
        try:
            await pending
        except (Exception, SystemExit, asyncio.CancelledError):  # one message's trouble; those behind it come
            _log_failure(taken)
        finally:
            taken.over()

    def over(self, taken: Taken) -> None:
        """It is consumed: its place is free, and what waits behind it is next; said again, nothing."""
        if taken not in self._running:
            return
        del self._running[taken]
        self._ended(taken)
        taken.free()
        reply_channel = taken.content.get("reply_channel")
        if isinstance(reply_channel, str):
            behind = self._behind.get(reply_channel)
            if behind:
                following = behind.popleft()
                self._running[following] = None
                self._loop.call_soon(self._start, following)  # not at once: there may be a thousand
            else:
                self._behind.pop(reply_channel, None)
        if self._idle is not None and not self._running and not self._idle.done():
            self._idle.set_result(None)


def _log_loss(taken: Taken) -> None:
    logger.error("A message on %s is lost", taken.channel, extra=about(taken.channel, taken.content))


def _log_failure(taken: Taken) -> None:
    logger.exception("Consuming a message on %s failed", taken.channel, extra=about(taken.channel, taken.content))
