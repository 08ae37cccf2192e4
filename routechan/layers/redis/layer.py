"""The channel layer of several processes: both faces of it."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import weakref
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ... import names
from ...encoding import Content, check_content
from ...exceptions import ChannelLayerUnavailable, InvalidName
from ..base import (
    NOW,
    BaseChannelLayer,
    Capacities,
    Deliver,
    Subscription,
    SyncChannelLayer,
    Take,
    check_delay,
    check_seconds,
)
from ..serializer import MAX_SIZE, Serializer
from ..subscription import StoreSubscription
from ..waiting import LoopWaiter, ThreadWaiter, refuse_on_loop
from .clock import RedisClock
from .engine import Engine
from .hosts import parse_hosts, refuse_unknown
from .topology import make_topology

#: Seconds a blocking ``receive`` of the sync face waits before it answers ``(None, None)``.
BLOCKING_WAIT = 5.0

OPTIONS = (
    "hosts",
    "prefix",
    "expiry",
    "group_expiry",
    "capacity",
    "channel_capacity",
    "symmetric_encryption_keys",
    "connection_kwargs",
    "max_size",
    "lease",
)


class RedisChannelLayer(BaseChannelLayer):
    """Channels and groups in Redis 6.2 or later. Lifetime: process; a forked child goes on with connections of its own.

    ``hosts``: see ``routechan.layers.redis.hosts``; ``connection_kwargs`` are redis-py's, for each of them.
    ``prefix`` begins all keys. ``expiry`` and ``group_expiry`` are seconds (fractions allowed). ``capacity`` is
    messages per queue, ``channel_capacity`` maps globs or compiled patterns to other capacities; the mailboxes of
    server processes hold 10,000 unless a pattern says otherwise. ``max_size`` is bytes per message.
    ``symmetric_encryption_keys``: the first encrypts content, each decrypts. ``lease`` is the seconds after which a
    process that gave no sign is taken for dead. All processes need the same values.
    """

    crosses_processes = True

    def __init__(
        self,
        hosts: Any = None,
        prefix: str = "routechan",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        connection_kwargs: Mapping[str, Any] | None = None,
        *,
        max_size: int = MAX_SIZE,
        lease: float = 15.0,
        clock: RedisClock | None = None,
        **unknown: object,
    ) -> None:
        refuse_unknown(unknown, OPTIONS)
        check_seconds(expiry=expiry, group_expiry=group_expiry, lease=lease)
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.capacity = capacity
        self.channel_capacity = channel_capacity
        self._hosts = parse_hosts(hosts, connection_kwargs)
        self._make_engine = partial(
            Engine,
            prefix=prefix,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            serializer=Serializer(max_size, symmetric_encryption_keys),
            lease=lease,
            clock=clock or RedisClock(),
        )
        self._engine = self._make_engine(make_topology(self._hosts))
        self._subscriptions: set[StoreSubscription] = set()
        self._sync = RedisSyncLayer(self)
        _watch(self)

    def __str__(self) -> str:
        return f"{type(self).__name__}(hosts=[{', '.join(map(str, self._hosts))}])"

    @property
    def process(self) -> str:  # type: ignore[override]
        return self._engine.process

    @property
    def engine(self) -> Engine:
        """What both faces work with; another one in a forked child."""
        return self._engine

    @property
    def sync(self) -> SyncChannelLayer:
        return self._sync

    def post(self, channel: str, content: Content, delay: float = NOW) -> Awaitable[None] | None:
        names.check_channel_name(channel)
        make = self._engine.send(channel, content, check_delay(delay))
        return None if make is None else self._engine.pipe.post(make)

    def post_group(self, group: str, content: Content, delay: float = NOW) -> Awaitable[None] | None:
        names.check_group_name(group)
        check_content(content)
        engine = self._engine
        if check_delay(delay):
            return engine.pipe.post(engine.group_send_later(group, content, delay))
        parcel = engine.parcel(content)
        sent = engine.pipe.post(engine.group_send(group, parcel), prelude=True)
        engine.store.deliver(group, parcel)
        return sent

    async def receive(self, channel: str) -> Content:
        engine = self._engine
        queue = engine.store.queue_of(channel)
        if queue.endswith("!") and await engine.pipe.post(partial(engine.operations.is_owned, queue)):
            raise InvalidName(
                f"{channel!r} belongs to another process, which reads it; here it would be stolen from it"
            )
        while True:
            waiter = LoopWaiter((queue,), channel)
            if not engine.store.take(waiter):
                try:
                    engine.demand(queue)
                    await waiter.future
                except BaseException:
                    engine.store.leave(waiter, put_back=True)
                    engine.fetcher.no_demand((queue,))
                    raise
            content = engine.decode(waiter.received())
            if content is not None:
                return content

    def subscribe(self, channels: Iterable[str], take: Take, room: int) -> Subscription:
        engine = self._engine
        queues = [engine.store.check_shared(names.check_receive_name(name)) for name in channels]
        subscription = StoreSubscription(
            engine.store,
            queues,
            take,
            room,
            decode=engine.decode,
            demand=engine.fetcher.demand_any,
            given_up=self._given_up,
        )
        self._subscriptions.add(subscription)
        return subscription

    def _given_up(self, subscription: StoreSubscription) -> None:
        self._subscriptions.discard(subscription)
        self._engine.fetcher.no_demand(subscription.queues)

    def now(self) -> float:
        return self._engine.now()

    def held(self) -> list[Content]:
        engine = self._engine
        items = engine.store.fetched()
        for subscription in tuple(self._subscriptions):
            items += subscription.held()
        return [content for content in map(engine.look_at, items) if content is not None]

    async def withdraw(self, channels: Iterable[str]) -> list[tuple[str, Content]]:
        engine = self._engine
        queues = tuple(map(names.check_receive_name, channels))
        await asyncio.to_thread(engine.fetcher.withdraw, queues)
        found: list[tuple[str, Content]] = []
        while True:
            waiter = LoopWaiter(queues)
            if not engine.store.take(waiter):
                engine.store.leave(waiter, put_back=False)
                return found
            item = waiter.received()
            content = engine.decode(item)
            if content is not None:
                found.append((item.channel, content))

    async def new_channel(self, prefix: str = "specific") -> str:
        engine = self._engine
        name = names.new_channel(prefix, engine.process)
        make = engine.serve(names.queue_name(name))
        if make is not None:
            with suppress(ChannelLayerUnavailable):  # the lease is taken as soon as Redis is there
                await engine.pipe.post(make)
        return name

    async def group_add(self, group: str, channel: str) -> None:
        engine = self._engine
        make, prelude = engine.group_add(names.check_group_name(group), names.check_channel_name(channel))
        await engine.pipe.post(make, prelude=prelude, joins=True)

    async def group_discard(self, group: str, channel: str) -> None:
        engine = self._engine
        make, prelude = engine.group_discard(names.check_group_name(group), names.check_channel_name(channel))
        await engine.pipe.post(make, prelude=prelude, joins=True)

    async def group_channels(self, group: str) -> list[str]:
        engine = self._engine
        others = await engine.pipe.post(
            partial(engine.operations.group_channels, names.check_group_name(group)), prelude=True
        )
        return engine.own_members(group) + others

    async def group_count(self, group: str) -> int:
        engine = self._engine
        others = await engine.pipe.post(
            partial(engine.operations.group_count, names.check_group_name(group)), prelude=True
        )
        return len(engine.own_members(group)) + others

    async def flush(self) -> None:
        engine = self._engine
        for make in engine.flush():
            await engine.pipe.post(make, joins=True)

    async def global_statistics(self) -> dict[str, Any]:
        return await self._engine.pipe.post(partial(self._engine.operations.statistics, None))

    async def channel_statistics(self, channel: str) -> dict[str, Any]:
        engine = self._engine
        queue = names.queue_name(names.check_channel_name(channel))
        return engine.statistics(channel, await engine.pipe.post(partial(engine.operations.statistics, queue)))

    def close(self) -> None:
        self._engine.close()

    def attach(self, queue: str, deliver: Deliver) -> None:
        self._engine.attach(queue, deliver)

    def detach(self, queue: str) -> Awaitable[None] | None:
        return self._engine.pipe.post(self._engine.detach(queue), joins=True)

    async def is_served(self, channel: str) -> bool:
        engine, queue = self._engine, names.queue_name(channel)
        if engine.store.is_own(queue):
            return queue in engine.store.attached
        return await engine.pipe.post(partial(engine.operations.is_owned, queue))

    def count_dropped(self, channel: str, messages: int) -> None:
        self._engine.counts.add(names.queue_name(channel), "dropped_count", messages)

    def forget(self, channel: str) -> None:
        self._engine.forget(channel)

    def last_will(self, channel: str, to: str, content: Content) -> None:
        self._engine.last_will(channel, names.check_channel_name(to), content)

    def after_fork(self) -> None:
        """In the child: connections, a name and threads of its own; the parent goes on with its own."""
        self._engine.abandon()
        self._subscriptions.clear()
        self._engine = self._make_engine(make_topology(self._hosts))


class RedisSyncLayer(SyncChannelLayer):
    """The 1.x face of ``RedisChannelLayer``. Lifetime: its layer's."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self.layer: RedisChannelLayer = layer
        self.expiry = layer.expiry
        self.group_expiry = layer.group_expiry
        self.capacity = layer.capacity
        self.channel_capacity = layer.channel_capacity

    def send(self, channel: str, content: Content, delay: float = NOW) -> None:
        engine = self.layer.engine
        names.check_channel_name(channel)
        make = engine.send(channel, content, check_delay(delay))
        if make is not None:
            engine.pipe.call(make)

    def send_group(self, group: str, content: Content, delay: float = NOW) -> None:
        names.check_group_name(group)
        check_content(content)
        engine = self.layer.engine
        if check_delay(delay):
            engine.pipe.call(engine.group_send_later(group, content, delay))
            return
        engine.group_send_now(group, engine.parcel(content))

    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        engine = self.layer.engine
        queues = [engine.store.check_shared(names.check_receive_name(name)) for name in channels]
        if not queues:
            return None, None
        if block:
            refuse_on_loop("receive(block=True)", "await layer.receive(channel)")
        else:
            engine.fetcher.release(queues)
        while True:
            waiter = ThreadWaiter(queues)
            if not engine.store.take(waiter):
                try:
                    engine.fetch(waiter, block)
                    if waiter.item is None and block:
                        waiter.woken.wait(BLOCKING_WAIT)
                except BaseException:
                    engine.store.leave(waiter, put_back=True)
                    engine.fetcher.no_demand(queues)
                    raise
                engine.store.leave(waiter, put_back=False)
                if waiter.item is None:
                    if block:
                        engine.fetcher.no_demand(queues)
                    return None, None
            item = waiter.received()
            content = engine.decode(item)
            if content is not None:
                return item.channel, content

    def group_add(self, group: str, channel: str) -> None:
        engine = self.layer.engine
        make, prelude = engine.group_add(names.check_group_name(group), names.check_channel_name(channel))
        engine.pipe.call(make, prelude=prelude, joins=True)

    def group_discard(self, group: str, channel: str) -> None:
        engine = self.layer.engine
        make, prelude = engine.group_discard(names.check_group_name(group), names.check_channel_name(channel))
        engine.pipe.call(make, prelude=prelude, joins=True)

    def group_channels(self, group: str) -> list[str]:
        engine = self.layer.engine
        others = engine.pipe.call(
            partial(engine.operations.group_channels, names.check_group_name(group)), prelude=True
        )
        return engine.own_members(group) + others

    def group_count(self, group: str) -> int:
        engine = self.layer.engine
        others = engine.pipe.call(partial(engine.operations.group_count, names.check_group_name(group)), prelude=True)
        return len(engine.own_members(group)) + others

    def flush(self) -> None:
        engine = self.layer.engine
        for make in engine.flush():
            engine.pipe.call(make, joins=True)

    def global_statistics(self) -> dict[str, Any]:
        return self.layer.engine.pipe.call(partial(self.layer.engine.operations.statistics, None))

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        engine = self.layer.engine
        queue = names.queue_name(names.check_channel_name(channel))
        return engine.statistics(channel, engine.pipe.call(partial(engine.operations.statistics, queue)))


_layers: weakref.WeakSet[RedisChannelLayer] = weakref.WeakSet()


def _watch(layer: RedisChannelLayer) -> None:
    """See to it that ``layer`` survives a fork, and is closed when the process ends."""
    _register()
    _layers.add(layer)


@functools.cache
def _register() -> None:
    atexit.register(_close_all)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for layer in tuple(_layers):
        layer.after_fork()


def _close_all() -> None:
    for layer in tuple(_layers):
        layer.close()
