"""The layer classes of ``asgi_redis`` and ``asgiref`` 1.x, for code that imports, subclasses or calls them.

They have the 1.x face: ``layer.send(channel, content)`` without ``await``. In ``BACKEND`` the old paths stand for our
own classes; a subclass that a project defines is used as it is.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from inspect import signature
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

from routechan.encoding import Content
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import BaseChannelLayer as Layer
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.layers import RedisChannelLayer as Redis
from routechan.layers.base import CapacityRules, Headers
from routechan.layers.redis.hosts import CLUSTER, SENTINEL, Host
from routechan.layers.redis.schema import shard_of

from ..layer import ForwardingLayer, headers_for_target

#: Marks the module as a package, because it is imported as ``asgi_redis``, which has submodules.
__path__: list[str] = []
__version__ = "1.4.3"

#: ``asgi_redis.core`` and its siblings are this module too.
core = local = sentinel = sys.modules[__name__]

Face = TypeVar("Face", bound="OldChannelLayer")

STAT_MESSAGES_COUNT = "messages_count"
STAT_MESSAGES_PENDING = "messages_pending"
STAT_MESSAGES_MAX_AGE = "messages_max_age"
STAT_CHANNEL_FULL = "channel_full_count"

#: The base of every 1.x face, with ``ChannelFull``, ``MessageTooLarge`` and the checks of names.
BaseChannelLayer = SyncChannelLayer


class OldChannelLayer(ForwardingLayer):
    """A layer with the 1.x face, made by calling its class, as in 1.x. Lifetime: process.

    Args:
        *args: Options by position, in the order of ``_positions``.
        **options: Options by name, those of our layer.

    Raises:
        TypeError: There are more positional arguments than positions.
    """

    crosses_processes: ClassVar[bool]
    _made_by: ClassVar[type[Layer]]
    _positions: ClassVar[tuple[str, ...]] = ("expiry", "group_expiry", "capacity", "channel_capacity")

    def __init__(self, *args: Any, **options: Any) -> None:
        if len(args) > len(self._positions):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self._positions)} by position, not {len(args)}")
        made = self._made_by(**dict(zip(self._positions, args, strict=False)), **options)
        super().__init__(made.sync)
        self._take_over_posts(made)

    @classmethod
    def over(cls: type[Face], layer: Layer) -> Face:
        """The 1.x face, of this class, of a ``layer`` that is made already."""
        face = cls.__new__(cls)
        ForwardingLayer.__init__(face, layer.sync)
        return face

    def _take_over_posts(self, made: Layer) -> None:
        # Consumers in the server process call ``post`` of the layer itself. It must not bypass an overridden ``send``.
        if type(self).send is not ForwardingLayer.send:
            made.post = self._post  # type: ignore[method-assign]
        if type(self).send_group is not ForwardingLayer.send_group:
            made.post_group = self._post_group  # type: ignore[method-assign]

    @property
    def sync(self) -> OldChannelLayer:
        """The 1.x face: this layer itself."""
        return self

    def get_capacity(self, channel: str) -> int:
        """How many messages ``channel`` holds."""
        return CapacityRules(self.capacity, self.channel_capacity).of(channel)

    @property
    def named(self) -> object:
        """What texts name: this object if its class is the project's own, else our layer."""
        return self.layer if type(self) in OLD_CLASSES else self

    def _post(
        self, channel: str, content: Content, delay: float = 0.0, *, headers: Headers | None = None
    ) -> Awaitable[None]:
        return asyncio.to_thread(_send, self.send, channel, content, delay, headers)

    def _post_group(
        self, group: str, content: Content, delay: float = 0.0, *, headers: Headers | None = None
    ) -> Awaitable[None]:
        return asyncio.to_thread(_send, self.send_group, group, content, delay, headers)


def _send(send: Callable[..., None], target: str, content: Content, delay: float, headers: Headers | None) -> None:
    """Call ``send`` or ``send_group`` of a project's class, which takes no headers and need not take a delay."""
    token = headers_for_target.set((target, headers) if headers else None)
    try:
        send(target, content, *([delay] if delay else []))
    finally:
        headers_for_target.reset(token)


class ChannelLayer(OldChannelLayer):
    """The layer ``asgiref.inmemory.ChannelLayer``. Lifetime: process.

    A subclass in a module without ``inmemory`` in its name counts as one that crosses processes (LM-12).
    """

    crosses_processes = False
    _made_by = InMemoryChannelLayer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "crosses_processes" not in vars(cls):
            cls.crosses_processes = "inmemory" not in cls.__module__


class RedisChannelLayer(OldChannelLayer):
    """The layer ``asgi_redis.RedisChannelLayer``. Lifetime: process.

    Its ``connection`` is for keys of the project's own; the layer itself has other connections.
    """

    layer: Redis
    crosses_processes = True
    _made_by = Redis

    #: Constants of asgi_redis (3.1). Nothing here reads them.
    blpop_timeout = 5
    global_statistics_expiry = 86400
    channel_statistics_expiry = 3600
    global_stats_key = "#global#"
    _positions: ClassVar[tuple[str, ...]] = (
        "expiry",
        "hosts",
        "prefix",
        "group_expiry",
        "capacity",
        "channel_capacity",
        "symmetric_encryption_keys",
    )

    @property
    def prefix(self) -> str:
        """What the names of the layer's keys begin with."""
        return self.layer.prefix

    @property
    def hosts(self) -> list[Any]:
        """The URL of each server, with its password; for Sentinel the ``(host, port)`` of each Sentinel."""
        if self.layer.hosts[0].kind == SENTINEL:
            return list(self.layer.hosts[0].nodes)
        return [_url(host) for host in self.layer.hosts]

    @property
    def ring_size(self) -> int:
        """The number of shards."""
        return len(self.layer.hosts)

    def consistent_hash(self, value: str) -> int:
        """The number of the shard for ``value``, as ``connection`` takes it (3.4)."""
        return shard_of(value, self.ring_size)

    def connection(self, index: int | None = None) -> Any:
        """A client of redis-py, which connects when it is first used.

        Args:
            index: The number of the shard; None for any.

        Raises:
            ValueError: There is no such shard.
        """
        if index is None:
            index = secrets.randbelow(self.ring_size)
        if not 0 <= index < self.ring_size:
            raise ValueError(f"connection({index}): the layer has {self.ring_size} hosts, numbered from 0")
        return self._connection_list[index]

    @property
    def _connection_list(self) -> list[Any]:
        """A client for each shard, made when first asked for."""
        made: list[Any] | None = self.__dict__.get("_clients")
        if made is None:
            made = self.__dict__["_clients"] = [
                host.cluster_client() if host.kind == CLUSTER else host.client() for host in self.layer.hosts
            ]
        return made


class RedisInTests(ChannelLayer):
    """What stands for a Redis layer in a test: in memory, and made from the same CONFIG. Lifetime: test.

    Args:
        *args: Options by position, as ``RedisChannelLayer`` takes them.
        **options: Options by name; what only Redis has is left out.
    """

    crosses_processes = False
    _positions = RedisChannelLayer._positions

    def __init__(self, *args: Any, **options: Any) -> None:
        named = {**dict(zip(self._positions, args, strict=False)), **options}
        super().__init__(**{name: named[name] for name in signature(InMemoryChannelLayer).parameters if name in named})


def _url(host: Host) -> str:
    """The URL of ``host`` with its credentials, as asgi_redis kept it."""
    user, password = host.options.get("username") or "", host.options.get("password")
    scheme, _, place = host.address.partition("://")
    credentials = f"{quote(user, safe='')}:{quote(str(password), safe='')}@" if password else ""
    return f"{scheme}://{credentials}{place}"


class RedisLocalChannelLayer(RedisChannelLayer):
    """The layer ``asgi_redis.RedisLocalChannelLayer``; here all messages travel through Redis. Lifetime: process."""

    _positions = ("expiry", "prefix", "group_expiry", "capacity", "channel_capacity")


class RedisSentinelChannelLayer(RedisChannelLayer):
    """The layer ``asgi_redis.RedisSentinelChannelLayer``; each of its ``services`` is a shard. Lifetime: process.

    Args:
        *args: Options by position.
        **options: Options by name.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        named = dict(zip(self._positions, args, strict=False))
        super().__init__(**with_sentinels("RedisSentinelChannelLayer()", {**named, **options}))


def with_sentinels(where: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of asgi_redis' Sentinel layer, translated to ours: each of its services is a shard.

    Args:
        where: The name of the options, for errors.
        options: Options of the Sentinel layer of 1.x, or already ours.

    Raises:
        InvalidChannelLayerError: They name no service.
    """
    options = dict(options)
    services = options.pop("services", None)
    options.pop("sentinel_refresh_interval", None)  # the master is looked up for each new connection
    sentinels = options.get("hosts") or [("localhost", 26379)]
    if services is None and all(isinstance(host, Mapping) and "sentinels" in host for host in sentinels):
        return options
    if not isinstance(services, (list, tuple)) or not services or not all(isinstance(name, str) for name in services):
        raise InvalidChannelLayerError(
            f'{where} names no service of Sentinel; write "services": ["mymaster"], or for '
            'routechan.layers.RedisChannelLayer "hosts": [{"sentinels": [("localhost", 26379)], '
            '"master_name": "mymaster"}]'
        )
    options["hosts"] = [{"sentinels": sentinels, "master_name": name} for name in services]
    return options


def old_face(layer: Layer | OldChannelLayer, backend: object) -> SyncChannelLayer:
    """The 1.x face of ``layer``, of the class that 1.x had for it, which can be subclassed and made from CONFIG.

    Args:
        layer: The layer.
        backend: Its BACKEND, which may be the path of an old class.
    """
    if isinstance(layer, InMemoryChannelLayer):
        return (RedisInTests if "Redis" in str(backend) else ChannelLayer).over(layer)
    if isinstance(layer, Redis):
        names = {old.__name__: old for old in OLD_CLASSES if issubclass(old, RedisChannelLayer)}
        return names.get(str(backend).rpartition(".")[2], RedisChannelLayer).over(layer)
    return layer.sync


BaseRedisChannelLayer = RedisChannelLayer


class UnsupportedRedis(Exception):
    """What asgi_redis raised for a Redis that is too old; never raised here."""


OLD_CLASSES = (ChannelLayer, RedisChannelLayer, RedisInTests, RedisLocalChannelLayer, RedisSentinelChannelLayer)
