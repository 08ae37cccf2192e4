"""The channel layer of one process, for development, tests and single-process sites.

Content travels as bytes here too, so that what works on this layer works on the others.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .. import names
from ..encoding import Content, check_content, decode, encode
from ..exceptions import ChannelFull, InvalidContent, InvalidName, WouldBlock
from .base import BaseChannelLayer, Capacities, CapacityRules, Deliver, SyncChannelLayer

#: Seconds a blocking ``receive`` of the sync face waits before it answers ``(None, None)``.
BLOCKING_WAIT = 1.0

#: How many queues have their own statistics; with more, the one counted first is forgotten.
COUNTED_QUEUES = 10_000


class _Stored(NamedTuple):
    number: int
    sent: float
    channel: str
    data: bytes


class _Waiter:
    """Somebody waiting for one message. Lifetime: one ``receive`` call."""

    __slots__ = ("accepts", "queues", "item", "wake")

    def __init__(self, queues: list[str], accepts: str | None, wake: Callable[[], object]) -> None:
        self.queues = queues
        self.accepts = accepts  # a full name, or None for whatever its queues get
        self.item: _Stored | None = None
        self.wake = wake


class _Store:
    """The channels and groups both faces share. Lifetime: layer. Every method takes the lock."""

    def __init__(
        self, expiry: float, group_expiry: float, rules: CapacityRules, clock: Callable[[], float]
    ) -> None:
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.rules = rules
        self.clock = clock
        self.attached: dict[str, Deliver] = {}
        self._lock = threading.RLock()
        self._number = 0
        self._queues: dict[str, deque[_Stored]] = {}
        self._waiters: dict[str, deque[_Waiter]] = {}
        # group -> queue -> channel -> when it was added; by queue, because one deliver serves all its members
        self._groups: dict[str, dict[str, dict[str, float]]] = {}
        self._memberships: dict[str, set[str]] = {}
        self._totals: Counter[str] = Counter()
        self._counts: OrderedDict[str, Counter[str]] = OrderedDict()

    # Messages

    def put(self, channel: str, data: bytes) -> None:
        queue_name = names.queue_name(channel)
        with self._lock:
            self._number += 1
            item = _Stored(self._number, self.clock(), channel, data)
            if not self._give(queue_name, item):
                queue = self._live(queue_name)
                limit = self.rules.of(channel)
                if len(queue) >= limit:
                    self._count(queue_name, "channel_full_count")
                    raise ChannelFull(queue_name, limit)
                queue.append(item)
                self._queues[queue_name] = queue
            self._count(queue_name, "messages_count")

    def take(self, waiter: _Waiter) -> bool:
        """Fill ``waiter`` with a message if one is there, else let it wait."""
        with self._lock:
            # A busy channel must not starve a quiet one (2.3): ask in random order.
            for queue_name in random.sample(waiter.queues, len(waiter.queues)):
                queue = self._live(queue_name)
                for item in queue:
                    if waiter.accepts in (None, item.channel):
                        queue.remove(item)
                        if not queue:
                            del self._queues[queue_name]
                        waiter.item = item
                        return True
            for queue_name in waiter.queues:
                self._waiters.setdefault(queue_name, deque()).append(waiter)
            return False

    def leave(self, waiter: _Waiter, *, put_back: bool) -> None:
        """End a wait. What a cancelled waiter was given goes to the next one, or back to its place (R7)."""
        with self._lock:
            self._forget(waiter)
            if put_back and waiter.item is not None:
                queue_name = names.queue_name(waiter.item.channel)
                if not self._give(queue_name, waiter.item):
                    queue = self._queues.setdefault(queue_name, deque())
                    earlier = sum(item.number < waiter.item.number for item in queue)
                    queue.insert(earlier, waiter.item)

    def _give(self, queue_name: str, item: _Stored) -> bool:
        for waiter in tuple(self._waiters.get(queue_name, ())):
            if waiter.accepts in (None, item.channel):
                self._forget(waiter)
                waiter.item = item
                try:
                    waiter.wake()
                except RuntimeError:  # its event loop was closed while it waited
                    waiter.item = None
                    continue
                return True
        return False

    def _forget(self, waiter: _Waiter) -> None:
        for queue_name in waiter.queues:
            waiting = self._waiters.get(queue_name)
            if waiting is not None and waiter in waiting:
                waiting.remove(waiter)
                if not waiting:
                    del self._waiters[queue_name]

    def _live(self, queue_name: str) -> deque[_Stored]:
        """The queue without what has expired; an empty one is forgotten until something is put."""
        queue = self._queues.get(queue_name)
        if queue is None:
            return deque()
        oldest = self.clock() - self.expiry
        while queue and queue[0].sent < oldest:
            # Nobody reads this member: keep it in no group (43 of the spec's list).
            self.forget(queue.popleft().channel)
            self._count(queue_name, "expired_count")
        if not queue:
            del self._queues[queue_name]
        return queue

    # Groups

    def add(self, group: str, channel: str) -> None:
        with self._lock:
            queue_name = names.queue_name(channel)
            self._groups.setdefault(group, {}).setdefault(queue_name, {})[channel] = self.clock()
            self._memberships.setdefault(channel, set()).add(group)

    def discard(self, group: str, channel: str) -> None:
        with self._lock:
            self._discard(group, channel)

    def _discard(self, group: str, channel: str) -> None:
        groups = self._memberships.get(channel)
        if groups is None or group not in groups:
            return
        groups.remove(group)
        if not groups:
            del self._memberships[channel]
        queue_name = names.queue_name(channel)
        members = self._groups[group][queue_name]
        del members[channel]
        if not members:
            del self._groups[group][queue_name]
            if not self._groups[group]:
                del self._groups[group]

    def members(self, group: str) -> dict[str, list[str]]:
        """Queue -> live members, after those that expired are gone."""
        with self._lock:
            oldest = self.clock() - self.group_expiry
            for queue_name, members in tuple(self._groups.get(group, {}).items()):
                if queue_name in self.attached:
                    continue  # a live socket is never evicted
                self._live(queue_name)
                for channel in [name for name, added in members.items() if added < oldest]:
                    self._discard(group, channel)
            return {queue: list(members) for queue, members in self._groups.get(group, {}).items()}

    def send_group(self, group: str, content: Content) -> None:
        check_content(content)
        queues = self.members(group)
        refused: InvalidContent | None = None
        for queue_name in [name for name in queues if name in self.attached]:
            members = queues.pop(queue_name)
            try:
                self.attached[queue_name](members, content)
            except InvalidContent as error:  # of these members' making: the others still get it
                refused = error
        data = encode(content) if queues else b""
        for queue_name, members in queues.items():
            for channel in members:
                try:
                    self.put(channel, data)
                except ChannelFull:
                    self._count(queue_name, "dropped_count")
        if refused is not None:
            raise refused

    def attach(self, queue_name: str, deliver: Deliver) -> None:
        with self._lock:
            self.attached[queue_name] = deliver

    def detach(self, queue_name: str) -> None:
        with self._lock:
            self.attached.pop(queue_name, None)
            for group, queues in tuple(self._groups.items()):
                for channel in tuple(queues.get(queue_name, ())):
                    self._discard(group, channel)

    def forget(self, channel: str) -> None:
        with self._lock:
            for group in tuple(self._memberships.get(channel, ())):
                self._discard(group, channel)

    def flush(self) -> None:
        with self._lock:
            self._queues.clear()
            self._groups.clear()
            self._memberships.clear()

    # Statistics

    def _count(self, queue_name: str, what: str) -> None:
        with self._lock:
            self._totals[what] += 1
            self._counts.setdefault(queue_name, Counter())[what] += 1
            if len(self._counts) > COUNTED_QUEUES:
                self._counts.popitem(last=False)

    def statistics(self, queue_name: str | None) -> dict[str, Any]:
        with self._lock:
            counted = self._totals if queue_name is None else self._counts.get(queue_name, Counter())
            counts: dict[str, Any] = {
                what: counted[what]
                for what in ("messages_count", "channel_full_count", "dropped_count", "expired_count")
            }
            if queue_name is not None:
                queue = self._live(queue_name)
                counts["messages_pending"] = len(queue)
                counts["messages_max_age"] = self.clock() - queue[0].sent if queue else 0.0
            return counts


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
        self._store = _Store(expiry, group_expiry, CapacityRules(capacity, channel_capacity), clock)
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

        waiter = _Waiter([names.queue_name(channel)], None if channel.endswith("!") else channel, wake)
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

    def forget(self, channel: str) -> None:
        self._store.forget(channel)


class InMemorySyncLayer(SyncChannelLayer):
    """The 1.x face of ``InMemoryChannelLayer``. Lifetime: its layer's."""

    def __init__(self, layer: InMemoryChannelLayer, store: _Store) -> None:
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
        waiter = _Waiter(wanted, None, woken.set)
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


def _item(waiter: _Waiter) -> _Stored:
    if waiter.item is None:
        raise RuntimeError("woken without a message")  # the store fills a waiter before it wakes it
    return waiter.item


def _refuse_on_loop(what: str, twin: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise WouldBlock(f"{what} would block the event loop; write: {twin}")
