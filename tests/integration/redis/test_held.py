"""What a layer has fetched for an event loop that does not take it."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from contextlib import closing
from typing import Any

from routechan.encoding import Serializer, encode_headers
from routechan.layers import RedisChannelLayer
from routechan.layers.envelope import MESSAGE, Envelope
from tests.redis_servers import SingleServer
from tests.waiting import until


def make(single: SingleServer, **options: Any) -> closing[RedisChannelLayer]:
    return closing(RedisChannelLayer(hosts=single.hosts, prefix=secrets.token_hex(6), **options))


def fetched(layer: RedisChannelLayer, *numbers: int) -> None:
    """Let ``layer`` have fetched these messages of ``x``."""
    encode = Serializer().encode
    layer.engine.store.keep(
        [Envelope(MESSAGE, "x", encode({"n": n}), encode_headers({"tag": [n]}), layer.now() + 60, 0) for n in numbers],
        [],
    )


async def test_what_was_fetched_for_a_held_up_loop(single: SingleServer) -> None:
    """Other threads see its headers until it reaches the subscription: so a worker can say that it has it."""
    seen: list[object] = []
    taken: list[dict[str, Any]] = []
    with make(single) as layer:

        def look() -> None:
            layer.sync.send("x", {"n": 1}, headers={"tag": [1]})
            layer.sync.send("y", {"n": 2})
            ends = time.monotonic() + 5
            while not seen and time.monotonic() < ends:
                seen.extend(layer.held_headers())

        subscription = layer.subscribe(["x", "y"], lambda delivery: taken.append(delivery.headers), 5)
        await asyncio.sleep(0.1)
        assert layer.held_headers() == []
        looking = threading.Thread(target=look)
        looking.start()
        looking.join()  # on the event loop's own thread
        assert seen == [{"tag": [1]}]
        while len(taken) < 2:
            await asyncio.sleep(0)
        assert sorted(taken, key=len) == [{}, {"tag": [1]}]
        assert layer.held_headers() == []
        subscription.end()


async def test_what_was_fetched_and_finds_no_slot(single: SingleServer) -> None:
    """Two commands that were on their way at once may fetch more than there are slots: that is held too."""
    taken: list[object] = []
    with make(single) as layer:
        subscription = layer.subscribe(["x"], lambda delivery: taken.append(delivery.content["n"]), 1)
        fetched(layer, 0, 1, 2)
        assert layer.held_headers() == [{"tag": [1]}, {"tag": [2]}, {"tag": [0]}]
        for number in range(3):
            await asyncio.sleep(0.01)
            assert taken == list(range(number + 1))
            subscription.release("x")
        assert layer.held_headers() == []
        subscription.end()


async def test_more_was_given_than_the_channel_holds(single: SingleServer) -> None:
    """A subscription with many slots ends: what it had not taken is withdrawn, and what came after, in order."""
    with make(single, capacity=3) as layer:
        subscription = layer.subscribe(["x"], lambda delivery: None, 100)
        fetched(layer, *range(50))
        subscription.end()
        fetched(layer, 50)
        withdrawn = await layer.withdraw(["x"])
        assert [delivery.content["n"] for delivery in withdrawn] == list(range(51))
        assert [delivery.headers["tag"] for delivery in withdrawn] == [[n] for n in range(51)]


async def test_who_comes_next_is_given_what_was_not_taken(single: SingleServer) -> None:
    """One subscription ends, and another one waits for the same channel: it gets the earlier messages first."""
    taken: list[object] = []
    with make(single) as layer:
        ending = layer.subscribe(["x"], lambda delivery: None, 5)
        fetched(layer, *range(5))
        staying = layer.subscribe(["x"], lambda delivery: taken.append(delivery.content["n"]), 10)
        ending.end()
        fetched(layer, 5)
        await until(lambda: len(taken) >= 6)
        assert taken == list(range(6))
        staying.end()
