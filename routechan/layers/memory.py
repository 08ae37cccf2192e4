"""The channel layer of one process, for development, tests and single-process sites.

Content travels as bytes here too, so that what works on this layer works on the others.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from .. import names
from ..encoding import Content, decode, encode
from ..exceptions import InvalidName, WouldBlock
from .base import BaseChannelLayer, Capacities, CapacityRules, Deliver, SyncChannelLayer
from .store import Store, Stored, Waiter

#: Seconds a blocking ``receive`` of the sync face waits before it answers ``(None, None)``.
BLOCKING_WAIT = 1.0


class InMemoryChannelLayer(BaseChannelLayer):
    """Channels and groups in the memory of this process. Lifetime: process.

    ``expiry`` and ``group_expiry`` are seconds (fractions allowed), ``capacity`` is messages per queue,
    ``channel_capacity`` maps globs or compiled patterns to other capacities.
    """

    crosses_processes = False

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.capacity = capacity
        self.channel_capacity = channel_capacity
        self._store = Store(expiry, group_expiry, CapacityRules(capacity, channel_capacity), clock)
        self._sync = InMemorySyncLayer(self, self._store)
        self._process = names.random_part(8)

    @property
    def sync(self) -> SyncChannelLayer:
        return self._sync

    def post(self, channel: str, content: Content) -> None:
        # Memory never makes anyone wait, so both faces are one call.
        self._sync.send(channel, content)

    def post_group(self, group: str, content: Content) -> None:
        self._sync.send_group(group, content)

    async def receive(self, channel: str) -> Content:
        names.check_channel_name(channel)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def woken() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            loop.call_soon_threadsafe(woken)

        waiter = Waiter([names.queue_name(channel)], None if channel.endswith("!") else channel, wake)
        if not self._store.take(waiter):
            try:
                await future
            except BaseException:
                self._store.leave(waiter, put_back=True)
                raise
        return decode(_item(waiter).data)

    async def new_channel(self, prefix: str = "specific") -> str:
        return names.check_channel_name(f"{prefix.rstrip('.')}.{self._process}!{names.random_part(12)}")

    async def group_add(self, group: str, channel: str) -> None:
        self._sync.group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._sync.group_discard(group, channel)

    async def group_channels(self, group: str) -> list[str]:
        return self._sync.group_channels(group)

    async def flush(self) -> None:
        self._store.flush()

    def attach(self, queue: str, deliver: Deliver) -> None:
        self._store.attach(queue, deliver)

    def detach(self, queue: str) -> None:
        self._store.detach(queue)

    def count_dropped(self, channel: str, messages: int) -> None:
        self._store.count_dropped(channel, messages)

    def forget(self, channel: str) -> None:
        self._store.forget(channel)


class InMemorySyncLayer(SyncChannelLayer):
    """The 1.x face of ``InMemoryChannelLayer``. Lifetime: its layer's."""

    def __init__(self, layer: InMemoryChannelLayer, store: Store) -> None:
        self.layer = layer
        self._store = store
        self.expiry = layer.expiry
        self.group_expiry = layer.group_expiry
        self.capacity = layer.capacity
        self.channel_capacity = layer.channel_capacity

    def send(self, channel: str, content: Content) -> None:
        deliver = self._store.attached.get(names.queue_name(names.check_channel_name(channel)))
        if deliver is not None:
            deliver((channel,), content)
        else:
            self._store.put(channel, encode(content))

    def send_group(self, group: str, content: Content) -> None:
        self._store.send_group(names.check_group_name(group), content)

    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        wanted = [names.check_receive_name(name) for name in channels]
        woken = threading.Event()
        waiter = Waiter(wanted, None, woken.set)
        if not self._store.take(waiter):
            try:
                if block and wanted:
                    _refuse_on_loop("receive(block=True)", "await layer.receive(channel)")
                    woken.wait(BLOCKING_WAIT)
            except BaseException:
                self._store.leave(waiter, put_back=True)
                raise
            self._store.leave(waiter, put_back=False)
        if waiter.item is None:
            return None, None
        return waiter.item.channel, decode(waiter.item.data)

    def new_channel(self, pattern: str) -> str:
        if not isinstance(pattern, str) or not pattern.endswith("?"):
            raise InvalidName(f"new_channel takes a pattern that ends in '?', such as 'reply?', not {pattern!r}")
        return names.check_channel_name(pattern + names.random_part(12))

    def group_add(self, group: str, channel: str) -> None:
        self._store.add(names.check_group_name(group), names.check_channel_name(channel))

    def group_discard(self, group: str, channel: str) -> None:
        self._store.discard(names.check_group_name(group), names.check_channel_name(channel))

    def group_channels(self, group: str) -> list[str]:
        members = self._store.members(names.check_group_name(group))
        return [channel for channels in members.values() for channel in channels]

    def flush(self) -> None:
        self._store.flush()

    def global_statistics(self) -> dict[str, Any]:
        return self._store.statistics(None)

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        return self._store.statistics(names.queue_name(names.check_channel_name(channel)))


def _item(waiter: Waiter) -> Stored:
    if waiter.item is None:
        raise RuntimeError("woken without a message")  # the store fills a waiter before it wakes it
    return waiter.item


def _refuse_on_loop(what: str, twin: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise WouldBlock(f"{what} would block the event loop; write: {twin}")
