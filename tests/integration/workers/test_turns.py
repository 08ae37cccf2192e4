"""Many busy sockets of one client, and one socket of another, before a worker with one thread."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection, connect

from .fleet import Fleet

BUSY, ROUNDS = 60, 5


@pytest.mark.skipif(sys.platform != "linux", reason="one machine with several addresses")
async def test_a_new_client_waits_for_few(redis_url: str) -> None:
    """Its event is consumed among the next few, not behind one of each busy socket."""
    answered = 0

    async def busy(socket: ClientConnection) -> None:
        nonlocal answered
        while True:
            await socket.send("0")
            assert await socket.recv() == "0"
            answered += 1

    with Fleet(redis_url, workers=1, threads=1) as fleet:
        [url] = fleet.urls("/slow/")
        async with AsyncExitStack() as opened:
            sockets = [await opened.enter_async_context(connect(url, local_addr=("127.0.0.2", 0))) for _ in range(BUSY)]
            new = await opened.enter_async_context(connect(url, local_addr=("127.0.0.3", 0)))
            going = [asyncio.create_task(busy(socket)) for socket in sockets]
            waited = []
            for _ in range(ROUNDS):
                while answered < 2 * BUSY * (len(waited) + 1):
                    await asyncio.sleep(0.01)
                before = answered
                await new.send("0")
                assert await new.recv() == "0"
                waited.append(answered - before)
            for task in going:
                task.cancel()
            await asyncio.wait(going)
    assert sorted(waited)[ROUNDS // 2] < BUSY // 2, waited
