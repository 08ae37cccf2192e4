"""The two faces of the layers that keep a store."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from .. import names
from ..concurrency import maybe_await
from ..encoding import Content
from .base import BaseChannelLayer, SyncChannelLayer
from .envelope import Headers
from .options import NOW
from .receiver import Delivery, Receiver, Subscription, Take
from .statistics import Counts

L = TypeVar("L", bound="StoreChannelLayer")


class StoreChannelLayer(BaseChannelLayer):
    """The async face of a layer with a ``Store``. Lifetime: process.

    Receivers are woken, and do not poll. A sender calls what is attached itself. Memberships of attached queues live as
    long as these are attached. A subclass has ``post``, ``post_group``, ``attach``, ``detach`` and ``is_served`` of its
    own.
    """

    @property
    @abstractmethod
    def receiver(self) -> Receiver:
        """The receiver, which gives messages to waiters."""

    @property
    @abstractmethod
    def counts(self) -> Counts:
        """The counts of this process."""

    async def send(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        pending = self.post(channel, content, delay, headers=headers)
        if pending is not None:
            await pending

    async def group_send(
        self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None
    ) -> None:
        await maybe_await(self.post_group(group, content, delay, headers=headers))

    async def poll(self, channels: Sequence[str]) -> Delivery | None:
        """As ``BaseChannelLayer.poll``, but for channels that ``new_channel`` made: they are waited for."""
        return await asyncio.to_thread(self.sync.receive_delivery, channels)

    async def receive(self, channel: str) -> Content:
        receiver = self.receiver
        queue = receiver.queue_of(channel)
        if queue.endswith("!"):
            await self.check_foreign(channel, queue)
        while True:
            waiter = receiver.begin(queue, channel)
            if waiter.item is None:
                try:
                    await waiter.future
                except BaseException:
                    receiver.give_up(waiter)
                    raise
            content = receiver.content_of(waiter)
            if content is not None:
                return content

    async def check_foreign(self, channel: str, queue: str) -> None:
        """Raise ``InvalidName`` if another process reads ``queue``, the queue of ``channel``."""

    def subscribe(self, channels: Iterable[str], take: Take, prefetch: int) -> Subscription:
        return self.receiver.subscribe(channels, take, prefetch)

    def held_headers(self) -> list[dict[str, Any]]:
        return self.receiver.held_headers()

    async def withdraw(self, channels: Iterable[str]) -> list[Delivery]:
        return await self.receiver.withdraw(channels)

    def count_dropped(self, channel: str, messages: int) -> None:
        self.counts.add(names.queue_name(channel), "dropped_count", messages)


class StoreSyncLayer(SyncChannelLayer, Generic[L]):
    """The 1.x face of ``layer``, a layer with a ``Store``. Lifetime: its layer's."""

    layer: L

    def __init__(self, layer: L) -> None:
        self.layer = layer
        self.expiry = layer.expiry
        self.group_expiry = layer.group_expiry
        self.capacity = layer.capacity
        self.channel_capacity = layer.channel_capacity

    def receive_delivery(self, channels: Iterable[str], block: bool = False) -> Delivery | None:
        return self.layer.receiver.receive_delivery(channels, block)
