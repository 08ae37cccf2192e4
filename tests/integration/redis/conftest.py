"""Redis servers in all shapes: those the whole test run shares, and fresh ones for tests that break them.

Tests on the shared ones keep apart by random prefixes, and leave them as they were.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from routechan.layers import RedisChannelLayer
from routechan.layers.redis import layer as layer_module
from tests.redis_servers import ClusterServers, SentinelServers, ShardServers, SingleServer, TLSServer, shared

from .tools import Make, Proxy


@pytest.fixture(scope="session")
def single(pytestconfig: pytest.Config) -> SingleServer:
    return shared(pytestconfig, SingleServer)


@pytest.fixture(scope="session")
def sentinel(pytestconfig: pytest.Config) -> SentinelServers:
    return shared(pytestconfig, SentinelServers)


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> ClusterServers:
    return shared(pytestconfig, ClusterServers)


@pytest.fixture(scope="session")
def shards(pytestconfig: pytest.Config) -> ShardServers:
    return shared(pytestconfig, ShardServers)


@pytest.fixture(scope="session")
def tls(pytestconfig: pytest.Config) -> TLSServer:
    return shared(pytestconfig, TLSServer)


@pytest.fixture
def own_single() -> Iterator[SingleServer]:
    """Its data survives ``kill()`` and ``start()``."""
    with SingleServer(appendonly=True) as servers:
        yield servers


@pytest.fixture
def own_sentinel() -> Iterator[SentinelServers]:
    """One that replaces a dead master within some three seconds."""
    with SentinelServers(down_after=1.0) as servers:
        yield servers


@pytest.fixture
def own_cluster() -> Iterator[ClusterServers]:
    with ClusterServers(node_timeout=1.0, appendonly=True) as servers:
        yield servers


@pytest.fixture(autouse=True)
def closed_layers() -> Iterator[None]:
    """A layer that a test leaves behind would go on to look for its server, and tell the log of other tests."""
    before = set(layer_module._layers)
    yield
    for layer in set(layer_module._layers) - before:
        layer.close()


@pytest.fixture
def prefix() -> str:
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def make(single: SingleServer, prefix: str) -> Iterator[Make]:
    """Layers with one prefix: each is a process to the others."""
    made: list[RedisChannelLayer] = []

    def make(**options: Any) -> RedisChannelLayer:
        made.append(RedisChannelLayer(**{"hosts": single.hosts, "prefix": prefix, **options}))
        return made[-1]

    yield make
    for layer in made:
        layer.close()


@pytest.fixture
def proxy(single: SingleServer) -> Iterator[Proxy]:
    made = Proxy(single.port)
    yield made
    made.close()
