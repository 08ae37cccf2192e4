"""One server of several that does not answer: what goes to the others goes on, on both faces and in housekeeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from routechan.layers import RedisChannelLayer
from routechan.layers.redis.schema import DELAYED, LEASES, hash_tag_of, shard_of
from tests.redis_servers import Network, ShardServers
from tests.waiting import until, wait_until

#: Seconds that a layer waits for the answer of a server that hangs: longer than any test here.
SOCKET_TIMEOUT = 60.0

#: Seconds within which what does not go to that server has to go on.
SOON = 10.0


class Bench:
    """A layer on three servers, over a network to each. Lifetime: test."""

    def __init__(self, networks: list[Network], prefix: str) -> None:
        self.networks = networks
        self.options: dict[str, Any] = {
            "hosts": [f"redis://127.0.0.1:{network.port}" for network in networks],
            "connection_kwargs": {"socket_timeout": SOCKET_TIMEOUT},
            "prefix": prefix,
            "lease": 2.0,
        }
        self.layer = RedisChannelLayer(**self.options)
        #: A channel on each server.
        self.channels = [
            next(name for n in range(100) if shard_of(hash_tag_of(name := f"c{n}"), len(networks)) == shard)
            for shard in range(len(networks))
        ]

    def network_of(self, hash_tag: str) -> Network:
        return self.networks[shard_of(hash_tag, len(self.networks))]

    def take(self, block: bool) -> dict[str, Any] | None:
        """What a receive of all channels gives, which must not wait for the server that hangs."""
        began = time.monotonic()
        _, content = self.layer.sync.receive(list(self.channels), block=block)
        assert time.monotonic() - began < SOON
        return content


@pytest.fixture
def bench(shards: ShardServers, prefix: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        networks = [stack.enter_context(Network(process.port)) for process in shards.processes]
        made = Bench(networks, prefix)
        stack.callback(made.layer.close)
        stack.callback(lambda: [network.drop() for network in networks])
        yield made


@pytest.mark.parametrize("block", [False, True], ids=["looks", "waits"])
@pytest.mark.parametrize("hung", range(3))
def test_a_receive_of_several_channels(bench: Bench, hung: int, block: bool) -> None:
    """Each call looks at the other servers at once, the first one too; what the server has comes when it answers."""
    face = bench.layer.sync
    for name in bench.channels:
        face.send(name, {"its": "first"})
        assert face.receive([name], block=True)[1] == {"its": "first"}
    bench.networks[hung].silence()
    good = [name for number, name in enumerate(bench.channels) if number != hung]
    for n in range(10):
        for name in good:
            face.send(name, {"n": n})
        got: list[Any] = []
        ends = time.monotonic() + SOON
        while len(got) < len(good) and time.monotonic() < ends:
            content = bench.take(block)
            got += [content] if content is not None else []
        assert got == [{"n": n}] * len(good)
    assert bench.take(False) is None
    bench.networks[hung].speak()
    face.send(bench.channels[hung], {"its": "last"})
    wait_until(lambda: bench.take(block) == {"its": "last"}, "it came")
    # Nothing was asked for meanwhile that nobody waits for.
    assert sum(bench.layer.engine.fetcher._asked.values()) <= 3


@pytest.mark.parametrize("prefetch", [1, 8])
async def test_a_subscription(bench: Bench, prefetch: int) -> None:
    """With few slots or many: the channels of the other servers are read on."""
    got: list[Any] = []
    bench.layer.subscribe(bench.channels, lambda delivery: (got.append(delivery.content), delivery.release()), prefetch)
    hung, *good = bench.channels
    for name in bench.channels:
        await bench.layer.send(name, {"n": name})
    await until(lambda: len(got) == 3, "it reads all")
    bench.networks[0].silence()
    for n in range(10):
        for name in good:
            await bench.layer.send(name, {"n": n})
        await until(lambda: got[-2:] == [{"n": n}] * 2, "the others go on", SOON)  # noqa: B023
    bench.networks[0].speak()
    await bench.layer.send(hung, {"its": "last"})
    await until(lambda: got[-1] == {"its": "last"}, "it came")
    assert len(got) == 3 + 2 * 10 + 1


async def test_delayed_messages_while_the_server_of_the_leases_hangs(bench: Bench) -> None:
    """They lie on another server."""
    silent = bench.network_of(LEASES)
    assert silent is not bench.network_of(DELAYED)
    channel = next(name for name in bench.channels if bench.network_of(hash_tag_of(name)) is not silent)
    await bench.layer.new_channel()
    await until(lambda: bench.layer.engine.housekeeping.has_lease, "it has its lease")
    await bench.layer.send(channel, {"n": 1}, 3.0)
    silent.silence()
    assert await asyncio.wait_for(bench.layer.receive(channel), SOON) == {"n": 1}
    silent.speak()


async def test_a_delayed_message_where_the_server_of_the_leases_is_late(bench: Bench, shards: ShardServers) -> None:
    """What was kept on one server is not kept again because another one did not answer."""
    silent = bench.network_of(LEASES)
    channel = next(name for name in bench.channels if bench.network_of(hash_tag_of(name)) is not silent)
    got: list[Any] = []
    bench.layer.subscribe([channel], lambda delivery: (got.append(delivery.content), delivery.release()), 1)
    silent.silence()
    await bench.layer.send(channel, {"n": 1}, 0.2)
    await until(lambda: got, "it came", SOON)
    silent.drop()
    silent.speak()
    await bench.layer.send(channel, {"n": 2}, 0.2)
    await until(lambda: got[-1] == {"n": 2}, "the next one came", SOON)
    assert got == [{"n": 1}, {"n": 2}]


async def test_the_lease_while_the_server_of_delayed_messages_hangs(bench: Bench, shards: ShardServers) -> None:
    """It is renewed, or others would take the process for dead."""
    layer, redis = bench.layer, shards.processes[shard_of(LEASES, 3)].client()
    await layer.new_channel()

    def lease() -> float | None:
        found: float | None = redis.zscore(layer.engine.keys.leases, layer.process)
        return found

    await until(lease, "it has its lease")
    bench.network_of(DELAYED).silence()
    with closing(RedisChannelLayer(**{**bench.options, "hosts": shards.hosts})) as judge:
        await judge.new_channel()
        seen: set[float | None] = set()
        await until(lambda: seen.add(lease()) or len(seen) >= 6, "it was renewed five times", 4 * SOON)
        assert None not in seen
        bench.network_of(DELAYED).speak()
