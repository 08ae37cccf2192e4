"""What a layer has fetched for an event loop that does not take it."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time

from routechan.layers import RedisChannelLayer


async def test_what_was_fetched_for_a_held_up_loop(redis_url: str) -> None:
    """Other threads see it until ``receive_any`` has returned it: so a worker can say that it has it."""
    layer = RedisChannelLayer(hosts=[redis_url], prefix=secrets.token_hex(6))
    seen: list[object] = []

    def look() -> None:
        layer.sync.send("x", {"n": 1})
        ends = time.monotonic() + 5
        while not seen and time.monotonic() < ends:
            seen.extend(layer.held())

    receiving = asyncio.create_task(layer.receive_any(["x", "y"]))
    await asyncio.sleep(0.1)
    assert layer.held() == []
    looking = threading.Thread(target=look)
    looking.start()
    looking.join()  # on the event loop's own thread
    assert seen == [{"n": 1}]
    assert await receiving == ("x", {"n": 1})
    assert layer.held() == []
    layer.close()
