"""Questions between clients and consumers in other processes: each answer comes back to the process that has asked."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.waiting import stretched

from .fleet import Fleet

V1 = [Subprotocol("routechan.v1")]


async def hears(socket: ClientConnection) -> str:
    return str(await asyncio.wait_for(socket.recv(), stretched(20)))


async def test_workers_ask_and_answer(fleet: Fleet) -> None:
    """Several workers ask several sockets at a time, of two servers."""
    workers: set[str] = set()

    async def talk(url: str) -> None:
        async with connect(url, subprotocols=V1) as socket:
            for number in range(1, 11):
                await socket.send("\nsure?")
                assert await hears(socket) == f"!ask {number}\nsure?"
                await socket.send(f"!answer {number}\n{id(socket)} {number}")
                answer, _, worker = (await hears(socket)).partition(" to ")
                assert answer == f"\n{id(socket)} {number}"
                workers.add(worker)
        async with connect(url, subprotocols=V1) as socket:
            for number in range(20):
                await socket.send(f"!ask {number}\nwho?")
                line, _, worker = (await hears(socket)).partition("\n")
                assert line == f"!answer {number}"
                workers.add(worker)

    await asyncio.gather(*(talk(url) for url in fleet.urls("/ask/") for _ in range(5)))
    assert 1 <= len(workers) <= 3


async def test_a_socket_of_another_server(fleet: Fleet) -> None:
    """A consumer of one socket asks the client of another by the name of its reply channel."""
    first, second = fleet.urls("/another/")
    async with connect(first, subprotocols=V1) as one, connect(second, subprotocols=V1) as other:
        await other.send("\n")
        name = (await hears(other)).strip()
        await one.send(f"\nask {name}")
        assert await hears(other) == "!ask 1\nfrom another"
        await other.send("!answer 1\nyes")
        assert await hears(one) == "\n{'text': 'yes'}"
