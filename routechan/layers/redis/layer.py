"""The Redis channel layer, for several processes: both faces of it."""

from __future__ import annotations

import atexit
import functools
import os
import re
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ... import names
from ...encoding import MAX_SIZE, Content, Serializer
from ...exceptions import ChannelLayerUnavailable, InvalidName
from ..envelope import Deliver, Headers
from ..faces import StoreChannelLayer, StoreSyncLayer
from ..following import Follower
from ..history import History, HistoryRules, check_number
from ..leased import Leased
from ..options import CHANNEL_BYTES, MAX_GROUPS, NOW, Capacities, check_seconds
from ..permits import Permitting
from ..presence import LINGER, PRESENCE_CHANNELS
from ..receiver import Receiver
from ..statistics import Counts
from .cipher import make_cipher
from .commands.script import PATIENCE
from .connection import RedisClock
from .engine import Engine
from .hosts import parse_hosts, refuse_unknown
from .topology import make_topology
from .wire import SealedWire, Wire

#: Seconds a blocking ``receive`` of the 1.x face waits before it gives up.
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
    "channel_bytes",
    "max_groups",
    "history",
    "linger",
    "lease",
    "send_timeout",
)


class RedisChannelLayer(StoreChannelLayer, Leased, Permitting):
    """Channels and groups in Redis 6.2 or later. Lifetime: process.

    All processes need the same options. A forked child goes on with connections of its own.

    Args:
        hosts: where Redis is, see ``routechan.layers.redis.hosts``.
        prefix: begins all keys.
        expiry: seconds that an unread message lives; fractions are allowed.
        group_expiry: seconds that a membership lives after its latest add.
        capacity: messages that a queue holds.
        channel_capacity: other capacities, by glob or compiled pattern; the mailboxes of server processes hold 10,000
            unless a pattern says otherwise.
        symmetric_encryption_keys: the first encrypts messages, each decrypts them.
        connection_kwargs: options of redis-py, for each of ``hosts``.
        max_size: bytes of encoded content that a message has at most.
        channel_bytes: bytes that wait in a queue, above which it takes no more large messages; None for any number.
        max_groups: groups that one socket, or other channel of a process, may be a member of; None for any number.
        history: which groups keep a history, by glob or compiled pattern: how many messages (``size``), for how many
            ``seconds``.
        linger: seconds for which somebody who is present may be without a socket before that is a ``group.leave``.
        lease: seconds after which a process that gave no sign is taken for dead.
        send_timeout: seconds that code which is no consumer waits for Redis: a view, a task, a command. With 0 it gives
            up at once where Redis is known to be away, and after a second where that is not known yet.
        clock: the server's time; for tests.

    Raises:
        InvalidChannelLayerError: there is no such option, or it has no such value.
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
        channel_bytes: int | None = CHANNEL_BYTES,
        max_groups: int | None = MAX_GROUPS,
        history: Mapping[str | re.Pattern[str], Mapping[str, Any]] | None = None,
        linger: float = LINGER,
        lease: float = 15.0,
        send_timeout: float = PATIENCE,
        clock: RedisClock | None = None,
        **unknown: object,
    ) -> None:
        refuse_unknown(unknown, OPTIONS)
        check_seconds(expiry=expiry, group_expiry=group_expiry, lease=lease)
        check_seconds(or_zero=True, send_timeout=send_timeout, linger=linger)
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.capacity = capacity
        self.channel_capacity = channel_capacity
        self.prefix = prefix
        self.lease = lease
        self._rules = HistoryRules(history)
        self.hosts = parse_hosts(hosts, connection_kwargs)
        cipher = make_cipher(symmetric_encryption_keys)
        self._make_engine = partial(
            Engine,
            prefix=prefix,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            channel_bytes=channel_bytes,
            max_groups=max_groups,
            serializer=Serializer(max_size),
            wire=SealedWire(cipher, prefix, expiry) if cipher is not None else Wire(),
            lease=lease,
            send_timeout=send_timeout,
            mark=names.layer_mark(f"{prefix} {sorted(map(str, self.hosts))}"),
            clock=clock or RedisClock(),
            history=self._rules,
            linger=linger,
        )
        self._start()
        self._sync = RedisSyncLayer(self)
        _remember(self)

    def _start(self) -> None:
        self._engine = self._make_engine(make_topology(self.hosts))
        self._receiver = Receiver(self._engine.store, self._engine, self._engine.opener, BLOCKING_WAIT)

    def __str__(self) -> str:
        return f"{type(self).__name__}(hosts=[{', '.join(map(str, self.hosts))}])"

    @property
    def process(self) -> str:  # type: ignore[override]
        """The name of this process on the layer; another one in a forked child."""
        return self._engine.process

    @property
    def engine(self) -> Engine:
        """The engine, which both faces call; another one in a forked child."""
        return self._engine

    @property
    def receiver(self) -> Receiver:
        return self._receiver

    @property
    def counts(self) -> Counts:
        return self._engine.counts

    @property
    def sync(self) -> RedisSyncLayer:
        return self._sync

    def post(
        self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None
    ) -> Awaitable[None] | None:
        operation = self._engine.send(channel, content, delay, headers)
        return None if operation is None else self._engine.post(operation)

    def post_group(
        self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None
    ) -> Awaitable[None] | None:
        return self._engine.post_group(group, content, delay, headers)

    async def send(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        operation = self._engine.send(channel, content, delay, headers)
        if operation is not None:
            await self._engine.ask(operation)

    async def group_send(
        self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None
    ) -> None:
        await self._engine.post_group(group, content, delay, headers, waits=True)

    async def check_foreign(self, channel: str, queue: str) -> None:
        owned = await self._engine.ask(self._engine.leases.is_owned(queue))
        if not owned and self._engine.marks.is_foreign(queue):
            raise names.foreign(channel)
        if owned:
            raise InvalidName(
                f"{channel!r} belongs to another process, which reads it; here it would be stolen from it"
            )

    def now(self) -> float:
        return self._engine.now()

    async def new_channel(self, prefix: str = "specific") -> str:
        name = names.new_channel(prefix, self._engine.process)
        lease = self._engine.serve(names.queue_name(name))
        if lease is not None:
            with suppress(ChannelLayerUnavailable):  # the lease is taken as soon as Redis is reachable
                await self._engine.ask(lease)
        return name

    async def group_add(self, group: str, channel: str) -> None:
        await self._engine.ask(self._engine.members.add(*_checked(group, channel)))

    async def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        check_number("last", last)
        return await self._engine.ask(self._engine.members.catch_up(*_checked(group, channel), last, since))

    async def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        return await self._engine.ask(self._engine.members.history(names.check_group_name(group), limit, since))

    async def group_introduce(self, group: str, channel: str, who: Content) -> None:
        await self._engine.ask(self._engine.members.introduce(*_checked(group, channel), who))

    async def group_present(self, group: str) -> list[Content]:
        return await self._engine.ask(self._engine.members.present(names.check_group_name(group)))

    def want_presence(self, channels: Iterable[str]) -> None:
        if not PRESENCE_CHANNELS.isdisjoint(channels):
            self._engine.housekeeping.start()
            self._engine.people.want(channels)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._engine.ask(self._engine.members.discard(*_checked(group, channel)))

    async def group_channels(self, group: str) -> list[str]:
        return await self._engine.ask(self._engine.members.channels(names.check_group_name(group)))

    async def group_count(self, group: str) -> int:
        return await self._engine.ask(self._engine.members.count(names.check_group_name(group)))

    async def length(self, channel: str) -> int:
        queue = names.queue_name(names.check_channel_name(channel))
        return (
            await self._engine.ask(self._engine.counting.length(queue))
            + self._engine.store.pending(self._engine.store.queue_of(channel))[0]
        )

    def permits(self, key: str, wanted: int, most: int, lasts: float) -> int:
        return self._engine.call(self._engine.counting.permits(key, wanted, most, lasts), 0.0)

    async def apermits(self, key: str, wanted: int, most: int, lasts: float) -> int:
        return await self._engine.post(self._engine.counting.permits(key, wanted, most, lasts), 0.0)

    async def flush(self) -> None:
        await self._engine.ask(self._engine.flush())

    async def global_statistics(self) -> dict[str, Any]:
        return await self._engine.ask(self._engine.counting.statistics(None))

    async def channel_statistics(self, channel: str) -> dict[str, Any]:
        return await self._engine.ask(self._engine.channel_statistics(names.check_channel_name(channel)))

    def local_groups(self, most: int) -> dict[str, int]:
        return self._engine.store.group_sizes(most)

    def hurry(self) -> None:
        self._engine.patience.hurry()

    def close(self) -> None:
        self._engine.close()

    def attach(self, queue: str, deliver: Deliver) -> None:
        self._engine.attach(queue, deliver)

    def keeps_history(self, group: str) -> bool:
        return self._rules.of(group) is not None

    @property
    def longest_history(self) -> float:
        return self._rules.longest

    def follow(self, queue: str, follower: Follower) -> None:
        self._engine.store.followers[queue] = follower

    def detach(self, queue: str) -> Awaitable[None] | None:
        return self._engine.ask(self._engine.detach(queue))

    async def is_served(self, channel: str) -> bool:
        queue = names.queue_name(channel)
        if self._engine.store.is_own(queue):
            return queue in self._engine.store.attached
        return await self._engine.ask(self._engine.leases.is_owned(queue))

    def forget(self, channel: str) -> None:
        self._engine.forget(channel)

    def last_will(self, channel: str, to: str, content: Content) -> None:
        self._engine.last_will(channel, names.check_channel_name(to), content)

    def on_cleared_away(self, call: Callable[[Collection[str]], object]) -> None:
        self._engine.housekeeping.on_cleared_away(call)

    async def prove_life(self) -> None:
        self._engine.housekeeping.learn(await self._engine.ask(self._engine.housekeeping.renewal()))

    def after_fork(self) -> None:
        """Start again in a forked child, with a new name, connections and threads; the parent goes on with its own."""
        self._engine.abandon()
        self._start()


class RedisSyncLayer(StoreSyncLayer[RedisChannelLayer]):
    """The 1.x face of ``RedisChannelLayer``. Lifetime: its layer's."""

    def send(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        operation = self.layer.engine.send(channel, content, delay, headers)
        if operation is not None:
            self.layer.engine.call(operation)

    def send_group(self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        self.layer.engine.call_group(group, content, delay, headers)

    def group_add(self, group: str, channel: str) -> None:
        self.layer.engine.call(self.layer.engine.members.add(*_checked(group, channel)))

    def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        check_number("last", last)
        return self.layer.engine.call(self.layer.engine.members.catch_up(*_checked(group, channel), last, since))

    def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        return self.layer.engine.call(self.layer.engine.members.history(names.check_group_name(group), limit, since))

    def group_introduce(self, group: str, channel: str, who: Content) -> None:
        self.layer.engine.call(self.layer.engine.members.introduce(*_checked(group, channel), who))

    def group_present(self, group: str) -> list[Content]:
        return self.layer.engine.call(self.layer.engine.members.present(names.check_group_name(group)))

    def group_discard(self, group: str, channel: str) -> None:
        self.layer.engine.call(self.layer.engine.members.discard(*_checked(group, channel)))

    def group_channels(self, group: str) -> list[str]:
        return self.layer.engine.call(self.layer.engine.members.channels(names.check_group_name(group)))

    def group_count(self, group: str) -> int:
        return self.layer.engine.call(self.layer.engine.members.count(names.check_group_name(group)))

    def flush(self) -> None:
        self.layer.engine.call(self.layer.engine.flush())

    def global_statistics(self) -> dict[str, Any]:
        return self.layer.engine.call(self.layer.engine.counting.statistics(None))

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        return self.layer.engine.call(self.layer.engine.channel_statistics(names.check_channel_name(channel)))


def _checked(group: str, channel: str) -> tuple[str, str]:
    return names.check_group_name(group), names.check_channel_name(channel)


_layers: weakref.WeakSet[RedisChannelLayer] = weakref.WeakSet()


def _remember(layer: RedisChannelLayer) -> None:
    """Arrange that ``layer`` survives a fork, and is closed when the process ends."""
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
