"""A slot of a Cluster that moves key by key is served all the time: sent to, and read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from routechan.layers import RedisChannelLayer
from routechan.layers.redis import connection
from routechan.layers.redis.schema import HASH_TAGS, hash_tag_of
from tests.contract.test_local_delivery import Taker, queue
from tests.redis_servers import ClusterServers
from tests.waiting import stretched

#: Seconds that a message may take while its slot moves.
SOON = 1.5

#: Two channels with the same hash tag, and so in one slot.
ONE, OTHER = [name for name in (f"work{number}" for number in range(100)) if hash_tag_of(name) == HASH_TAGS[0]][:2]


@pytest.fixture(params=["newer", "6.2"])
def pair(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cluster: ClusterServers, prefix: str
) -> Iterator[tuple[RedisChannelLayer, RedisChannelLayer]]:
    """Two processes."""
    if request.param == "6.2":
        monkeypatch.setattr(connection, "NEWER", (99, 0))
    made = [RedisChannelLayer(hosts=cluster.hosts, prefix=prefix) for _ in range(2)]
    yield made[0], made[1]
    for layer in made:
        layer.close()


async def soon(waited: asyncio.Future[object]) -> object:
    return await asyncio.wait_for(waited, stretched(SOON))


async def test_channels_are_read_while_their_slot_moves(
    cluster: ClusterServers, pair: tuple[RedisChannelLayer, RedisChannelLayer]
) -> None:
    """R6: by who waits already, who comes later, who subscribes and who polls; in order."""
    sender, reader = pair
    slot = key_slot(hash_tag_of(ONE).encode())
    waiting = asyncio.ensure_future(reader.receive(ONE))
    taken: list[int] = []
    await sender.send(OTHER, {"n": 0})
    assert await reader.receive(OTHER) == {"n": 0}
    for number in range(3):
        await sender.send(OTHER, {"n": number})  # it is with the old node when the slot begins to move
    source = await asyncio.to_thread(cluster.owner, slot)
    moving = cluster.moving(slot)
    move = await asyncio.to_thread(moving.__enter__)
    try:
        await sender.send(ONE, {"n": 10})
        assert await soon(waiting) == {"n": 10}
        for number in range(3, 6):
            await sender.send(OTHER, {"n": number})
        assert await soon(asyncio.ensure_future(reader.receive(OTHER))) == {"n": 0}
        await asyncio.to_thread(move.keys)
        assert [await soon(asyncio.ensure_future(reader.receive(OTHER))) for _ in range(5)] == [
            {"n": number} for number in range(1, 6)
        ]
        subscription = reader.subscribe([ONE, OTHER], lambda delivery: taken.append(delivery.content["n"]), 5)
        for number in range(4):
            await asyncio.gather(sender.send(ONE, {"n": number}), sender.send(OTHER, {"n": -number}))
        deadline = asyncio.get_running_loop().time() + stretched(SOON)
        while len(taken) < 5 and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        assert len(taken) == 5
        subscription.end()
        await reader.withdraw([ONE, OTHER])
        await asyncio.to_thread(sender.sync.send, ONE, {"n": 99})
        for _ in range(20):
            found = await asyncio.to_thread(reader.sync.receive, [ONE, OTHER])
            if found == (ONE, {"n": 99}):
                break
            await asyncio.sleep(0.05)
        assert found == (ONE, {"n": 99})
    finally:
        await asyncio.to_thread(moving.__exit__, None, None, None)
        await asyncio.to_thread(cluster.move_slot, slot, source)


async def test_sockets_are_reached_while_the_slot_of_their_process_moves(
    cluster: ClusterServers, pair: tuple[RedisChannelLayer, RedisChannelLayer]
) -> None:
    """R6: the mailbox, with its queues and members of groups."""
    sender, server = pair
    taker = Taker()
    server.attach(queue(server), taker)
    await server.group_add("g", queue(server) + "a")
    await sender.send(queue(server) + "a", {"n": 0})
    await taker.reaches(1)
    slot = key_slot(server.process.encode())
    source = await asyncio.to_thread(cluster.owner, slot)
    moving = cluster.moving(slot)
    move = await asyncio.to_thread(moving.__enter__)
    try:
        for number in range(1, 4):
            await sender.send(queue(server) + "a", {"n": number})
            await sender.group_send("g", {"n": number})
        await asyncio.wait_for(taker.reaches(7), stretched(SOON))
        await asyncio.to_thread(move.keys)
        await sender.send(queue(server) + "a", {"n": 4})
        await asyncio.wait_for(taker.reaches(8), stretched(SOON))
    finally:
        await asyncio.to_thread(moving.__exit__, None, None, None)
        await asyncio.to_thread(cluster.move_slot, slot, source)
