"""The layer classes of ``asgi_redis`` and ``asgiref`` 1.x, for code that imports, subclasses or makes them itself.

They have the 1.x face: ``layer.send(channel, content)`` without ``await``. In ``BACKEND`` the old paths are read as our
own classes; a subclass of the project is used as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from routechan.encoding import Content
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import BaseChannelLayer as Layer
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.layers import RedisChannelLayer as Redis

from ..layer import ForwardingLayer

#: ``asgi_redis`` and ``asgiref`` are packages in which further names are looked for.
__path__: list[str] = []
__version__ = "1.4.3"

#: What every 1.x face is, with ``ChannelFull``, ``MessageTooLarge`` and the checks of names.
BaseChannelLayer = SyncChannelLayer


class OldChannelLayer(ForwardingLayer):
    """A layer made by calling its class, as in 1.x. Lifetime: process."""

    crosses_processes: ClassVar[bool]
    _made_by: ClassVar[type[Layer]]
    _positions: ClassVar[tuple[str, ...]] = ("expiry", "group_expiry", "capacity", "channel_capacity")

    def __init__(self, *args: Any, **options: Any) -> None:
        if len(args) > len(self._positions):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self._positions)} by position, not {len(args)}")
        made = self._made_by(**dict(zip(self._positions, args, strict=False)), **options)
        super().__init__(made.sync)
        # What a consumer of the server process sends is posted to the layer itself: past a method of the project's.
        if type(self).send is not ForwardingLayer.send:
            made.post = self._post  # type: ignore[method-assign]
        if type(self).send_group is not ForwardingLayer.send_group:
            made.post_group = self._post_group  # type: ignore[method-assign]

    @property
    def sync(self) -> OldChannelLayer:
        """Itself: it has the 1.x face."""
        return self

    def _post(self, channel: str, content: Content, delay: float = 0.0) -> Awaitable[None]:
        return asyncio.to_thread(self.send, channel, content, *([delay] if delay else []))

    def _post_group(self, group: str, content: Content, delay: float = 0.0) -> Awaitable[None]:
        return asyncio.to_thread(self.send_group, group, content, *([delay] if delay else []))


class ChannelLayer(OldChannelLayer):
    """``asgiref.inmemory.ChannelLayer``."""

    crosses_processes = False
    _made_by = InMemoryChannelLayer


class RedisChannelLayer(OldChannelLayer):
    """``asgi_redis.RedisChannelLayer``."""

    crosses_processes = True
    _made_by = Redis
    _positions: ClassVar[tuple[str, ...]] = (
        "expiry",
        "hosts",
        "prefix",
        "group_expiry",
        "capacity",
        "channel_capacity",
        "symmetric_encryption_keys",
    )


class RedisLocalChannelLayer(RedisChannelLayer):
    """``asgi_redis.RedisLocalChannelLayer``; here nothing stays on one machine."""

    _positions = ("expiry", "prefix", "group_expiry", "capacity", "channel_capacity")


class RedisSentinelChannelLayer(RedisChannelLayer):
    """``asgi_redis.RedisSentinelChannelLayer``; each of its ``services`` is a shard."""

    def __init__(self, *args: Any, **options: Any) -> None:
        named = dict(zip(self._positions, args, strict=False))
        super().__init__(**with_sentinels("RedisSentinelChannelLayer()", {**named, **options}))


def with_sentinels(where: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of asgi_redis' Sentinel layer as ours: each of its services is a shard."""
    options = dict(options)
    services = options.pop("services", None)
    options.pop("sentinel_refresh_interval", None)  # we ask whenever a connection is made
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


BaseRedisChannelLayer = RedisChannelLayer

OLD_CLASSES = (ChannelLayer, RedisChannelLayer, RedisLocalChannelLayer, RedisSentinelChannelLayer)
