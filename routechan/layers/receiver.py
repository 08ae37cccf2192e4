"""Receiving: deliveries, as their receivers get them, and how the layers that have a store take them out of it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Protocol

from .. import names
from ..concurrency import LoopQueue, refuse_on_loop
from ..encoding import Content, Serializer, decode_headers
from ..exceptions import ChannelLayerUnavailable
from .envelope import Envelope
from .losses import Losses
from .options import share_of
from .store import Store
from .waiters import LoopWaiter, Subscriber, ThreadWaiter


class Subscription(Protocol):
    """The result of ``BaseChannelLayer.subscribe``, for its event loop only. Lifetime: until ``end``."""

    def release(self, channel: str) -> None:
        """Give back the prefetch slot of a message of ``channel``, so that one more message may come."""

    def end(self) -> None:
        """Take no more messages.

        Messages on their way to this subscription are left to other readers here, and to ``withdraw``.
        """


class Delivery:
    """One message on its way to a consumer. Lifetime: until ``done``. Only for one event loop or thread.

    Deliveries are compared and hashed by identity.

    Args:
        channel: the full name of the channel it was sent to.
        content: the content, a dict of this receiver's own.
        headers: what travelled beside the content; empty where nothing did.
        subscription: whose prefetch slot the message holds, if any.
    """

    __slots__ = ("_subscription", "channel", "content", "headers", "on_done")

    def __init__(
        self,
        channel: str,
        content: Content,
        headers: dict[str, Any],
        subscription: Subscription | None = None,
    ) -> None:
        self.channel = channel
        self.content = content
        self.headers = headers
        self._subscription = subscription
        #: Called once by ``done``, with this delivery.
        self.on_done: Callable[[Delivery], object] | None = None

    def hold(self, subscription: Subscription) -> None:
        """Hold a prefetch slot of ``subscription`` from now on."""
        self._subscription = subscription

    def release(self) -> None:
        """Release the prefetch slot, so that the subscription may take another message; idempotent."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.release(self.channel)

    def done(self) -> None:
        """Release the slot of the message, which is consumed, and call ``on_done``; idempotent."""
        self.release()
        on_done, self.on_done = self.on_done, None
        if on_done is not None:
            on_done(self)


#: Takes the messages of a subscription.
Take = Callable[[Delivery], object]


class Opener:
    """Opens envelopes. Lifetime: layer. Thread-safe.

    Args:
        serializer: bytes to content.
        losses: where messages are counted and logged that cannot be read.
    """

    def __init__(self, serializer: Serializer, losses: Losses) -> None:
        self._serializer = serializer
        self._losses = losses

    def content_of(self, envelope: Envelope) -> Content | None:
        """The content of ``envelope`` as a new dict, or None for a message that cannot be read, which is lost."""
        try:
            return self._serializer.decode(envelope.body)
        except ValueError as error:
            self._losses.add(envelope.name, error)
            return None

    def open(self, envelope: Envelope, subscription: Subscription | None = None) -> Delivery | None:
        """A delivery with a new content dict, or None for a message that cannot be read, which is lost.

        Args:
            envelope: a message to a channel.
            subscription: whose prefetch slot it holds, if any.
        """
        try:
            content = self._serializer.decode(envelope.body)
            headers = decode_headers(envelope.headers) if envelope.headers else {}
        except ValueError as error:
            self._losses.add(envelope.name, error)
            return None
        return Delivery(envelope.name, content, headers, subscription)


class Source(ABC):
    """Where a store gets messages that this process did not put there. Lifetime: layer. Thread-safe.

    A reader that waits in the store announces that here.
    """

    #: Whether messages in the store were fetched: then no other process gets them.
    fetches: ClassVar[bool] = True

    @abstractmethod
    def demand(self, queue: str) -> None:
        """Fetch one message of ``queue``, because one more waiter waits for it.

        Raises:
            ChannelLayerUnavailable: the layer was closed.
        """

    @abstractmethod
    def demand_any(self, queues: Sequence[str]) -> None:
        """Fetch messages of any of ``queues``, because a waiter waits for one or more.

        Raises:
            ChannelLayerUnavailable: the layer was closed.
        """

    @abstractmethod
    def fetch(self, waiter: ThreadWaiter, block: bool) -> None:
        """Give ``waiter``, which waits already, a message if there is one; with ``block`` let it wait on if not."""

    @abstractmethod
    def no_demand(self, queues: Iterable[str]) -> None:
        """Note that a waiter for ``queues`` has stopped waiting."""

    @abstractmethod
    def release(self, queues: Iterable[str]) -> None:
        """Leave ``queues`` without waiters to other processes; return when no message of them is on its way here."""

    @abstractmethod
    def withdraw(self, queues: Sequence[str]) -> None:
        """Leave ``queues``, which have no waiters, to other processes.

        Return when no message of them is on its way here, or when that takes too long.
        """


class NoSource(Source):
    """The source of a store that holds all there is. Lifetime: layer."""

    fetches = False

    def demand(self, queue: str) -> None: ...

    def demand_any(self, queues: Sequence[str]) -> None: ...

    def fetch(self, waiter: ThreadWaiter, block: bool) -> None: ...

    def no_demand(self, queues: Iterable[str]) -> None: ...

    def release(self, queues: Iterable[str]) -> None: ...

    def withdraw(self, queues: Sequence[str]) -> None: ...


class StoreSubscription(Subscriber):
    """A subscription to queues of a store. Lifetime: until ``end``, on one event loop.

    Args:
        store: where messages wait.
        source: where more of them come from.
        opener: makes deliveries.
        queues: names of queues.
        take: called with each delivery.
        prefetch: how many slots there are.
    """

    __slots__ = ("_arrived", "_held", "_opener", "_source", "_store", "_take", "ended")

    def __init__(
        self, store: Store, source: Source, opener: Opener, queues: Sequence[str], take: Take, prefetch: int
    ) -> None:
        self.queues = list(dict.fromkeys(queues))
        self.item = None
        self.slots = prefetch
        self.share = share_of(prefetch, len(self.queues))
        self._held = dict.fromkeys(self.queues, 0)
        self._store = store
        self._source = source
        self._opener = opener
        self._take = take
        self._arrived = LoopQueue(asyncio.get_running_loop(), self._open)
        self.ended = False
        self._ask(tuple(self.queues))

    def release(self, channel: str) -> None:
        """Give back the slot of a message of ``channel``, and ask for messages again where there was no room."""
        queues = self._store.widen(self, names.queue_name(channel))
        if queues and not self.ended:
            with suppress(ChannelLayerUnavailable):  # a closed layer has no messages
                self._ask(queues)

    def end(self) -> None:
        """Take no more messages, and leave those on their way to other readers."""
        self.ended = True
        self._store.leave(self, put_back=True)
        self._source.no_demand(self.queues)

    def held(self) -> Sequence[Envelope]:
        """The messages that were given to it and have not reached ``take``; callable from any thread."""
        return self._arrived.waiting()

    def give(self, item: Envelope) -> bool:
        self._arrived.put(item)
        queue = names.queue_name(item.name)
        self.slots -= 1
        self._held[queue] += 1
        if self.queues[-1] != queue:
            self.queues.remove(queue)
            self.queues.append(queue)
        return self.slots > 0

    def room(self, queue: str) -> int:
        """How many messages of ``queue`` it takes now."""
        return min(self.slots, self.share - self._held[queue])

    def vacate(self, queue: str) -> Sequence[str]:
        """The queues that have room again, and had none, when the slot of a message of ``queue`` is freed."""
        full, room = not self.slots, self.room(queue)
        self.slots += 1
        self._held[queue] -= 1
        return tuple(self.queues) if full else () if room else (queue,)

    def give_back(self) -> list[Envelope]:
        return self._arrived.clear()

    def _ask(self, queues: Sequence[str]) -> None:
        if self._store.subscribe(self):
            self._source.demand_any(queues)

    def _open(self, item: Envelope) -> None:
        delivery = self._opener.open(item, self)
        if delivery is None:
            self.release(item.name)
        else:
            self._take(delivery)


class Receiver:
    """Hands the messages of a store to waiters. Lifetime: layer, in one process. Thread-safe.

    Args:
        store: where messages wait.
        source: where more of them come from.
        opener: makes deliveries.
        blocking_wait: seconds after which a blocking ``receive_delivery`` gives up.
    """

    def __init__(self, store: Store, source: Source, opener: Opener, blocking_wait: float) -> None:
        self._store = store
        self._source = source
        self._opener = opener
        self._blocking_wait = blocking_wait
        self._subscriptions: list[StoreSubscription] = []

    # A wait on an event loop, in three calls: one coroutine around them would cost more than all three.

    def queue_of(self, channel: str) -> str:
        """The queue of ``channel``; ``InvalidName`` for a bad name."""
        return self._store.queue_of(channel)

    def begin(self, queue: str, channel: str) -> LoopWaiter:
        """A waiter that has the next message of ``channel``, or waits for it on the running event loop.

        Args:
            queue: the queue of the channel.
            channel: a full channel name.

        Raises:
            ChannelLayerUnavailable: the layer was closed.
        """
        waiter = LoopWaiter((queue,), channel)
        if not self._store.take(waiter):
            try:
                self._source.demand(queue)
            except BaseException:
                self.give_up(waiter)
                raise
        return waiter

    def give_up(self, waiter: LoopWaiter) -> None:
        """End the wait of ``waiter``, which was cancelled; its message goes to other readers (R7)."""
        self._store.leave(waiter, put_back=True)
        self._source.no_demand(waiter.queues)

    def content_of(self, waiter: LoopWaiter) -> Content | None:
        """The content that was given to ``waiter``; None for a message that cannot be read."""
        return self._opener.content_of(waiter.received())

    def receive_delivery(self, channels: Iterable[str], block: bool) -> Delivery | None:
        """The result of ``SyncChannelLayer.receive_delivery`` for ``channels`` and ``block``."""
        store, source = self._store, self._source
        queues = self._shared(channels)
        if not queues:
            return None
        if block:
            refuse_on_loop("receive(block=True)", "await layer.receive(channel)")
        else:
            source.release(queues)
        while True:
            waiter = ThreadWaiter(queues)
            if not store.take(waiter):
                try:
                    source.fetch(waiter, block)
                    if waiter.item is None and block:
                        waiter.woken.wait(self._blocking_wait)
                except BaseException:
                    store.leave(waiter, put_back=True)
                    source.no_demand(queues)
                    raise
                store.leave(waiter, put_back=False)
                if waiter.item is None:
                    if block:
                        source.no_demand(queues)
                    return None
            delivery = self._opener.open(waiter.received())
            if delivery is not None:
                return delivery

    def subscribe(self, channels: Iterable[str], take: Take, prefetch: int) -> StoreSubscription:
        """The result of ``BaseChannelLayer.subscribe`` for ``channels``, ``take`` and ``prefetch``."""
        queues = self._shared(channels)
        subscription = StoreSubscription(self._store, self._source, self._opener, queues, take, prefetch)
        self._subscriptions = [each for each in self._subscriptions if not each.ended] + [subscription]
        return subscription

    def held_headers(self) -> list[dict[str, Any]]:
        """The result of ``BaseChannelLayer.held_headers``."""
        held = self._store.fetched() if self._source.fetches else []
        for subscription in self._subscriptions:
            held += subscription.held()
        found: list[dict[str, Any]] = []
        for envelope in held:
            if envelope.headers:
                with suppress(ValueError):  # the consumer's receive reports it
                    found.append(decode_headers(envelope.headers))
        return found

    async def withdraw(self, channels: Iterable[str]) -> list[Delivery]:
        """The result of ``BaseChannelLayer.withdraw`` for ``channels``."""
        queues = tuple(map(names.check_receive_name, channels))
        if not self._source.fetches:
            return []
        await asyncio.to_thread(self._source.withdraw, queues)
        found: list[Delivery] = []
        while True:
            waiter = LoopWaiter(queues)
            if not self._store.take(waiter):
                self._store.leave(waiter, put_back=False)
                return found
            delivery = self._opener.open(waiter.received())
            if delivery is not None:
                found.append(delivery)

    def _shared(self, channels: Iterable[str]) -> list[str]:
        return [self._store.check_shared(names.check_receive_name(name)) for name in channels]
