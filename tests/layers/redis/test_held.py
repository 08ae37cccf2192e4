"""What a layer has fetched for an event loop that does not take it."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time

from routechan.layers import RedisChannelLayer
from routechan.layers.serializer import Serializer
from tests.redis_servers import SingleServer


async def test_what_was_fetched_for_a_held_up_loop(single: SingleServer) -> None:
    """Other threads see it until it reaches the subscription: so a worker can say that it has it."""
    layer = RedisChannelLayer(hosts=single.hosts, prefix=secrets.token_hex(6))
    seen: list[object] = []

    def look() -> None:
        layer.sync.send("x", {"n": 1})
        ends = time.monotonic() + 5
        while not seen and time.monotonic() < ends:
            seen.extend(layer.held())

    taken: list[object] = []
    subscription = layer.subscribe(["x", "y"], lambda channel, content: taken.append((channel, content)), 5)
    await asyncio.sleep(0.1)
    assert layer.held() == []
    looking = threading.Thread(target=look)
    looking.start()
    looking.join()  # on the event loop's own thread
    assert seen == [{"n": 1}]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert taken == [("x", {"n": 1})]
    assert layer.held() == []
    subscription.end()
    layer.close()


async def test_what_was_fetched_and_finds_no_room(single: SingleServer) -> None:
    """Two commands that were on their way at once may fetch more than there is room for: that is held too."""
    layer = RedisChannelLayer(hosts=single.hosts, prefix=secrets.token_hex(6))
    taken: list[object] = []
    subscription = layer.subscribe(["x"], lambda channel, content: taken.append(content), 1)
    body = Serializer().encode
    layer.engine.store.keep([("x", body({"n": number}), layer.now() + 60) for number in range(3)], [])
    assert layer.held() == [{"n": 1}, {"n": 2}, {"n": 0}]
    for number in range(3):
        await asyncio.sleep(0.01)
        assert taken == [{"n": each} for each in range(number + 1)]
        subscription.free()
    assert layer.held() == []
    subscription.end()
    layer.close()


async def test_more_was_given_than_the_channel_holds(single: SingleServer) -> None:
    """A subscription with much room ends: what it had not taken is withdrawn, and what came after, in order."""
    layer = RedisChannelLayer(hosts=single.hosts, prefix=secrets.token_hex(6), capacity=3)
    body = Serializer().encode
    subscription = layer.subscribe(["x"], lambda channel, content: None, 100)
    store = layer.engine.store
    store.keep([("x", body({"n": number}), layer.now() + 60) for number in range(50)], [])
    subscription.end()
    store.keep([("x", body({"n": 50}), layer.now() + 60)], [])
    assert [content["n"] for _, content in await layer.withdraw(["x"])] == list(range(51))
    layer.close()


async def test_who_comes_next_is_given_what_was_not_taken(single: SingleServer) -> None:
    """One subscription ends, and another one waits for the same channel: it gets the earlier messages first."""
    layer = RedisChannelLayer(hosts=single.hosts, prefix=secrets.token_hex(6))
    body = Serializer().encode
    taken: list[object] = []
    ending = layer.subscribe(["x"], lambda channel, content: None, 5)
    layer.engine.store.keep([("x", body({"n": number}), layer.now() + 60) for number in range(5)], [])
    staying = layer.subscribe(["x"], lambda channel, content: taken.append(content["n"]), 10)
    ending.end()
    layer.engine.store.keep([("x", body({"n": 5}), layer.now() + 60)], [])
    await asyncio.sleep(0.05)
    assert taken == list(range(6))
    staying.end()
    layer.close()
