"""Clocks, order, capacity, and nothing twice (R2, R3, R4 of ``layers-and-protocol`` 8.2)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

import pytest

from routechan import exceptions
from routechan.exceptions import ChannelFull
from routechan.layers import RedisChannelLayer
from routechan.layers.redis.connection import time_of
from routechan.layers.redis.schema import hash_tag_of, shard_of
from routechan.layers.redis.wire import expires_of
from tests.contract.reading import SOON, contents, everything
from tests.redis_servers import ShardServers, SingleServer, shared

from .tools import Make, Shifted, key_of

# R2


async def test_no_message_comes_twice_whatever_happens_to_connections(make: Make, single: SingleServer) -> None:
    """R2 (C1, C2): three processes read one channel with several readers each, while connections are cut."""
    own_prefix = "test-cut"
    with SingleServer() as alone:
        layers = [make(hosts=alone.hosts, prefix=own_prefix, capacity=1000) for _ in range(4)]
        sender, readers = layers[0], layers[1:]
        got: list[int] = []

        async def read(layer: RedisChannelLayer) -> None:
            while True:
                got.append((await layer.receive("busy"))["number"])

        tasks = [asyncio.create_task(read(layer)) for layer in readers for _ in range(3)]
        sent: set[int] = set()
        for number in range(300):
            if number % 60 == 30:
                await asyncio.to_thread(alone.drop_connections)
            with contextlib.suppress(exceptions.ChannelLayerUnavailable):
                await sender.send("busy", {"number": number})
                sent.add(number)
        await sender.send("busy", {"number": -1})
        deadline = time.monotonic() + SOON
        while (-1 not in got or len(got) < len(sent)) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert max(Counter(got).values()) == 1
        assert len(sent) > 200
        # What was popped on a connection that was cut at that moment is lost; that is little.
        assert len(sent - set(got)) <= 30


# R3


@pytest.mark.parametrize("wrong", [-3600.0, 3600.0])
@pytest.mark.parametrize("reads", [False, True], ids=["the sender's clock", "the reader's clock"])
def test_the_clock_is_the_servers(make: Make, wrong: float, reads: bool) -> None:
    """R3: a machine whose clock is wrong by an hour neither loses messages nor keeps them, from the first on."""
    for channel, expiry, seconds, found in (("read", 60.0, 0.0, ("read", {})), ("expires", 0.4, 0.5, (None, None))):
        mistaken, right = make(clock=Shifted(wrong), expiry=expiry), make(clock=Shifted(), expiry=expiry)
        sender, reader = (right, mistaken) if reads else (mistaken, right)
        sender.sync.send(channel, {})
        time.sleep(seconds)  # the message's own time
        assert reader.sync.receive([channel]) == found


@pytest.mark.parametrize("wrong", [-3600.0, 3600.0])
def test_memberships_and_delays_use_the_servers_clock(make: Make, wrong: float) -> None:
    """R3: likewise what is first done by a process whose clock is wrong."""
    mistaken, right = make(clock=Shifted(wrong), group_expiry=60), make(group_expiry=60)
    mistaken.sync.group_add("group", "plain")
    assert right.sync.group_channels("group") == ["plain"]
    later = make(clock=Shifted(wrong))
    later.sync.send("delayed", {"a": 1}, delay=0.1)
    assert right.sync.receive(["delayed"], block=True) == ("delayed", {"a": 1})


def test_expiry_is_kept_to_the_millisecond(make: Make, single: SingleServer) -> None:
    """R3 (A9, C11): fractions are neither rounded nor refused, in messages, memberships and keys."""
    layer = make(expiry=30.25, group_expiry=60.75)
    began = time_of(single.client().execute_command("TIME"))
    layer.sync.send("channel", {})
    layer.sync.group_add("group", "channel")
    stamp = expires_of(single.client().lindex(key_of(layer, "channel"), 0))
    score = single.client().zscore(layer.engine.keys.group("group"), "channel")
    left = single.client().pttl(key_of(layer, "channel")) / 1000
    took = time_of(single.client().execute_command("TIME")) - began
    # A process takes the clock to be at the earliest that the server may have meant.
    assert -0.2 <= stamp - 30.25 - began <= took + 0.001
    assert -0.2 <= score - 60.75 - began <= took + 0.001
    assert 0 <= 61.5 - left <= took + 0.2


def test_order_is_that_of_the_server(make: Make) -> None:
    """R3 (C9): of processes whose clocks differ, as their sends were made."""
    faces = [make(clock=Shifted(wrong)).sync for wrong in (0, 3600, -3600)]
    for face in faces:
        face.send("warm-up", {})
    for number in range(12):
        faces[number % 3].send("channel", {"number": number})
    assert [content["number"] for content in contents(faces[0], "channel")] == list(range(12))


# R4


def test_expired_messages_are_no_part_of_the_capacity(make: Make, single: SingleServer) -> None:
    """R4 (A2): a queue full of what nobody read takes as many new ones as an empty one, and no more."""
    clock = Shifted()
    layer = make(clock=clock, expiry=10, capacity=5)
    for number in range(5):
        layer.sync.send("channel", {"number": number})
        clock.ahead += 1
    clock.ahead += 7.5  # the first three have expired
    for number in (5, 6, 7):
        layer.sync.send("channel", {"number": number})
    with pytest.raises(ChannelFull):
        layer.sync.send("channel", {"number": 8})
    assert single.client().llen(key_of(layer, "channel")) == 5
    assert [content["number"] for content in contents(layer.sync, "channel")] == [3, 4, 5, 6, 7]


def test_the_channels_of_a_process_are_one_queue(make: Make, single: SingleServer) -> None:
    """R4: the name up to ``!`` is what is stored, counted and hashed."""
    layer = make(capacity=2)
    layer.sync.send("process!a", {})
    layer.sync.send("process!b", {})
    with pytest.raises(ChannelFull, match="process!"):
        layer.sync.send("process!c", {})
    assert single.client().llen(key_of(layer, "process!")) == 2


def test_a_queue_is_on_the_shard_of_its_hash(make: Make, pytestconfig: pytest.Config, prefix: str) -> None:
    """R4, item 103 (C6): direct sends, group sends and reads agree."""
    shards = shared(pytestconfig, ShardServers)
    layer = make(hosts=shards.hosts)
    queues = [f"queue{number}" for number in range(30)] + [f"process{number}!" for number in range(30)]
    for queue in queues:
        layer.sync.send(queue + "a" if queue.endswith("!") else queue, {})
    for number, client in enumerate(shards.clients()):
        found = {key.decode().rsplit(":", 1)[1] for key in client.scan_iter(f"{prefix}:queue:*")}
        assert found == {queue for queue in queues if shard_of(hash_tag_of(queue), 3) == number}
        assert found
    assert len(everything(layer.sync, *queues)) == 60
