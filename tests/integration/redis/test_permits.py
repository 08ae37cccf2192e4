"""Permits that processes take off one count in Redis."""

from __future__ import annotations

import asyncio

import pytest

from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import RedisChannelLayer
from tests.processes import free_port
from tests.redis_servers import ClusterServers, ShardServers, SingleServer

from .tools import Make


def test_one_count_for_all(make: Make, single: SingleServer, prefix: str) -> None:
    """As many as are wanted, until there are no more; another key has its own; forgotten after a while, or a flush."""
    first, second = make(), make()
    assert [layer.permits("a.1", 2, 5, 60.0) for layer in (first, second, first, second)] == [2, 2, 1, 0]
    assert first.permits("a.2", 10, 5, 60.0) == 5
    assert asyncio.run(second.apermits("a.2", 1, 5, 60.0)) == 0
    kept = single.keys(f"{prefix}:permits:*")
    assert len(kept) == 2
    assert all(key.ttl is not None and 0 < key.ttl <= 61 for key in kept.values())
    second.sync.flush()
    assert first.permits("a.1", 2, 5, 60.0) == 2


def test_on_several_servers(cluster: ClusterServers, shards: ShardServers, prefix: str) -> None:
    """Each key has its place."""
    for hosts in (cluster.hosts, shards.hosts):
        layer = RedisChannelLayer(hosts=hosts, prefix=prefix)
        assert [layer.permits(f"key{number}.1", 2, 3, 60.0) for number in range(30)] == [2] * 30
        assert [layer.permits(f"key{number}.1", 2, 3, 60.0) for number in range(30)] == [1] * 30
        layer.sync.flush()
        layer.close()


async def test_where_redis_is_away() -> None:
    """Nobody waits for it longer than for an attempt, not even a consumer."""
    layer = RedisChannelLayer(hosts=[("127.0.0.1", free_port())])
    with pytest.raises(ChannelLayerUnavailable):
        await layer.apermits("a.1", 1, 5, 60.0)
    with pytest.raises(ChannelLayerUnavailable):
        await asyncio.to_thread(layer.permits, "a.1", 1, 5, 60.0)
    layer.close()
