"""The back ends the contract runs on; a new layer is one more class in ``BACKENDS``.

Items in docstrings of the contract (``item 16``) are those of ``layers-and-protocol`` section 5.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import pytest

from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, RedisChannelLayer, SyncChannelLayer
from routechan.layers.redis import connection
from routechan.layers.redis.connection import RedisClock

from ..redis_servers import ClusterServers, SentinelServers, Servers, ShardServers, SingleServer, TLSServer, shared


class Backend(Protocol):
    """Where layers of one kind come from, and how time passes for them. Lifetime: test."""

    def make(self, **options: Any) -> BaseChannelLayer:
        """A layer that shares nothing with other ones."""

    def elapse(self, seconds: float) -> None:
        """Let so much time pass for the layers."""

    def hold(self) -> None:
        """Let no other time pass from now on, however long the machine takes."""

    def go_on(self) -> None:
        """Let time pass again."""

    def close(self) -> None:
        """Close the layers that were made."""


class MemoryBackend:
    """Layers in memory, on a clock that the test moves. Lifetime: test."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.now = 1000.0

    def make(self, **options: Any) -> BaseChannelLayer:
        return InMemoryChannelLayer(clock=lambda: self.now, **options)

    def elapse(self, seconds: float) -> None:
        self.now += seconds

    def hold(self) -> None:
        """No other time passes here."""

    def go_on(self) -> None:
        """No other time passes here."""

    def close(self) -> None:
        """Nothing is open."""


class ShiftedClock(RedisClock):
    """Redis' clock, moved ahead by the test, and held where that asks for it."""

    ahead = 0.0
    held: float | None = None

    def now(self) -> float:
        return (super().now() if self.held is None else self.held) + self.ahead


class RedisBackend:
    """Layers on servers that all tests share; each layer has a prefix of its own. Lifetime: test."""

    servers: ClassVar[type[Servers]] = SingleServer

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.hosts = shared(request.config, self.servers).hosts
        self.clock = ShiftedClock()
        self._made: list[RedisChannelLayer] = []

    def make(self, **options: Any) -> RedisChannelLayer:
        options.setdefault("prefix", f"test-{secrets.token_hex(6)}")
        layer = RedisChannelLayer(hosts=self.hosts, clock=self.clock, **options)
        self._made.append(layer)
        return layer

    def elapse(self, seconds: float) -> None:
        self.clock.ahead += seconds

    def hold(self) -> None:
        self.clock.held = RedisClock.now(self.clock)

    def go_on(self) -> None:
        self.clock.held = None

    def close(self) -> None:
        for layer in self._made:
            layer.close()


class OldRedisBackend(RedisBackend):
    """A server that is asked nothing a Redis 6.2 does not know."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__(request)
        request.getfixturevalue("monkeypatch").setattr(connection, "NEWER", (99, 0))


class SentinelBackend(RedisBackend):
    servers = SentinelServers


class ClusterBackend(RedisBackend):
    servers = ClusterServers


class ShardsBackend(RedisBackend):
    servers = ShardServers


class TLSBackend(RedisBackend):
    servers = TLSServer


BACKENDS = {
    "memory": MemoryBackend,
    "redis": RedisBackend,
    "redis-6.2": OldRedisBackend,
    "sentinel": SentinelBackend,
    "cluster": ClusterBackend,
    "shards": ShardsBackend,
    "tls": TLSBackend,
}


#: What a quick pass tries; the others differ in where commands go, and hardly with Python or Django.
QUICK = ("memory", "redis")


@pytest.fixture(
    params=[
        pytest.param(kind, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, kind in BACKENDS.items()
    ]
)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One back end after the other."""
    made: Backend = request.param(request)
    yield made
    made.close()


@pytest.fixture
def layer(backend: Backend) -> BaseChannelLayer:
    """The async face of a fresh layer with default options."""
    return backend.make()


@pytest.fixture
def face(layer: BaseChannelLayer) -> SyncChannelLayer:
    """The 1.x face of ``layer``."""
    return layer.sync
