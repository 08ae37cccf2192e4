"""The layers that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: redis-py 8 gives up after 5 s by default, as long as channels_redis waits for a message: then each idle ``receive``
#: raises. They are measured without that trouble.
PEER_OPTIONS = {"socket_timeout": 60}


def routechan(url: str) -> Any:
    from routechan.layers import RedisChannelLayer  # noqa: PLC0415 - a process loads the one library it measures

    return RedisChannelLayer(hosts=[url])


def core(url: str) -> Any:
    from channels_redis.core import RedisChannelLayer  # noqa: PLC0415

    return RedisChannelLayer(hosts=[{"address": url, **PEER_OPTIONS}])


def pubsub(url: str) -> Any:
    from channels_redis.pubsub import RedisPubSubChannelLayer  # noqa: PLC0415

    return RedisPubSubChannelLayer(hosts=[{"address": url, **PEER_OPTIONS}])


MAKERS: dict[str, Callable[[str], Any]] = {"routechan": routechan, "core": core, "pubsub": pubsub}
