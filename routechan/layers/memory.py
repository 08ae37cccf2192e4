"""The channel layer of one process, for development, tests and single-process sites.

Content travels as bytes here too, so that what works on this layer works on the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from .. import names
from ..encoding import Content, check_content
from ..exceptions import ChannelFull
from .base import (
    FULL_DELAY,
    NOW,
    BaseChannelLayer,
    Capacities,
    CapacityRules,
    Deliver,
    Subscription,
    SyncChannelLayer,
    Take,
    check_delay,
    check_seconds,
)
from .delays import Delays
from .parcel import Parcel
from .serializer import MAX_SIZE, Serializer
from .statistics import Counts
from .store import Store, channels_of
from .subscription import StoreSubscription
from .waiting import LoopWaiter, Stored, ThreadWaiter, refuse_on_loop

#: Seconds a blocking ``receive`` of the sync face waits before it answers ``(None, None)``.
BLOCKING_WAIT = 1.0


class InMemoryChannelLayer(BaseChannelLayer):
    """Channels and groups in the memory of this process. Lifetime: process.

    ``expiry`` and ``group_expiry`` are seconds (fractions allowed), ``capacity`` is messages per queue,
    ``channel_capacity`` maps globs or compiled patterns to other capacities, ``max_size`` is bytes per message.
    """

    crosses_processes = False

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        *,
        max_size: int = MAX_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_seconds(expiry=expiry, group_expiry=group_expiry)
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.capacity = capacity
        self.channel_capacity = channel_capacity
        self.process = names.random_part(10)
        rules = CapacityRules(capacity, channel_capacity)
        self._store = Store(self.process, expiry, group_expiry, rules, clock, Counts())
        self._sync = InMemorySyncLayer(self, self._store, Serializer(max_size))

    @property
    def sync(self) -> SyncChannelLayer:
        return self._sync

    def post(self, channel: str, content: Content, delay: float = NOW) -> None:
        # Memory never makes anyone wait, so both faces are one call.
        self._sync.send(channel, content, delay)

    def post_group(self, group: str, content: Content, delay: float = NOW) -> None:
        self._sync.send_group(group, content, delay)

    async def receive(self, channel: str) -> Content:
        waiter = LoopWaiter((self._store.queue_of(channel),), channel)
        if not self._store.take(waiter):
            await self._store.wait(waiter)
        return self._sync.decode(waiter.received())

    def subscribe(self, channels: Iterable[str], take: Take, room: int) -> Subscription:
        queues = [self._store.check_shared(names.check_receive_name(name)) for name in channels]
        return StoreSubscription(self._store, queues, take, room, decode=self._sync.decode)

    async def new_channel(self, prefix: str = "specific") -> str:
        return names.new_channel(prefix, self.process)

    async def group_add(self, group: str, channel: str) -> None:
        self._sync.group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._sync.group_discard(group, channel)

    async def group_channels(self, group: str) -> list[str]:
        return self._sync.group_channels(group)

    async def group_count(self, group: str) -> int:
        return self._sync.group_count(group)

    async def flush(self) -> None:
        self._sync.flush()

    async def global_statistics(self) -> dict[str, Any]:
        return self._sync.global_statistics()

    async def channel_statistics(self, channel: str) -> dict[str, Any]:
        return self._sync.channel_statistics(channel)

    def close(self) -> None:
        self._sync.flush()

    def attach(self, queue: str, deliver: Deliver) -> None:
        self._store.attach(queue, deliver)

    def detach(self, queue: str) -> None:
        self._store.detach(queue)

    async def is_served(self, channel: str) -> bool:
        return names.queue_name(channel) in self._store.attached

    def count_dropped(self, channel: str, messages: int) -> None:
        self._store.counts.add(names.queue_name(channel), "dropped_count", messages)

    def forget(self, channel: str) -> None:
        self._store.forget(channel)

    def last_will(self, channel: str, to: str, content: Content) -> None:
        """Nobody is left to read it when the only process has died."""


class InMemorySyncLayer(SyncChannelLayer):
    """The 1.x face of ``InMemoryChannelLayer``. Lifetime: its layer's."""

    def __init__(self, layer: InMemoryChannelLayer, store: Store, serializer: Serializer) -> None:
        self.layer = layer
        self._store = store
        self._serializer = serializer
        self._delays = Delays()
        self.expiry = layer.expiry
        self.group_expiry = layer.group_expiry
        self.capacity = layer.capacity
        self.channel_capacity = layer.channel_capacity

    def send(self, channel: str, content: Content, delay: float = NOW) -> None:
        deliver = self._store.attached.get(names.queue_name(names.check_channel_name(channel)))
        if check_delay(delay):
            self._send_later(channel, self._serializer.encode(content), delay)
        elif deliver is not None:
            deliver((channel,), content)
        else:
            self._store.put(channel, self._serializer.encode(content))

    def _send_later(self, channel: str, data: bytes, delay: float) -> None:
        def due() -> None:
            try:
                self.send(channel, self._serializer.decode(data))
            except ChannelFull:
                self._send_later(channel, data, FULL_DELAY)

        self._delays.call_later(delay, due)

    def send_group(self, group: str, content: Content, delay: float = NOW) -> None:
        names.check_group_name(group)
        check_content(content)
        parcel = Parcel(self._serializer, content=content)
        if check_delay(delay):
            later = Parcel(self._serializer, data=parcel.data)
            self._delays.call_later(delay, lambda: self._store.deliver(group, later))
        else:
            self._store.deliver(group, parcel)

    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        waiter = ThreadWaiter([self._store.check_shared(names.check_receive_name(name)) for name in channels])
        if not self._store.take(waiter):
            try:
                if block and waiter.queues:
                    refuse_on_loop("receive(block=True)", "await layer.receive(channel)")
                    waiter.woken.wait(BLOCKING_WAIT)
            except BaseException:
                self._store.leave(waiter, put_back=True)
                raise
            self._store.leave(waiter, put_back=False)
        if waiter.item is None:
            return None, None
        return waiter.item.channel, self._serializer.decode(waiter.item.data)

    def group_add(self, group: str, channel: str) -> None:
        self._store.add(names.check_group_name(group), names.check_channel_name(channel))

    def group_discard(self, group: str, channel: str) -> None:
        self._store.discard(names.check_group_name(group), names.check_channel_name(channel))

    def group_channels(self, group: str) -> list[str]:
        return list(channels_of(self._store.members(names.check_group_name(group))))

    def group_count(self, group: str) -> int:
        return len(self.group_channels(group))

    def flush(self) -> None:
        self._delays.clear()
        self._store.flush()

    def global_statistics(self) -> dict[str, Any]:
        return dict(self._store.counts.of(None))

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        queue = self._store.queue_of(channel)
        pending, age = self._store.pending(queue)
        counts = self._store.counts.of(names.queue_name(channel))
        return {**counts, "messages_pending": pending, "messages_max_age": age}

    def decode(self, item: Stored) -> Content:
        return self._serializer.decode(item.data)
