"""Many messages over many sockets: all arrive, in order, none twice; a client that never reads holds up nobody."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.integration.servers.test_sockets import url
from tests.processes import ServerProcess

pytestmark = pytest.mark.slow

#: Without gunicorn, inside which uvicorn serves.
KINDS = ("uvicorn", "daphne", "hypercorn", "granian")

SOCKETS = 100
MESSAGES = 100


@pytest.mark.parametrize("path", ["/echo/", "/aecho/"])
async def test_ten_thousand_messages(server: ServerProcess, path: str) -> None:
    """10,000 messages over 100 sockets come back complete, in order and once each, from both kinds of consumer."""

    async def converse(number: int) -> list[object]:
        async with connect(url(server, path), compression=None) as socket:
            for message in range(MESSAGES):
                await socket.send(f"{number}:{message}")
            answers: list[object] = [await socket.recv() for _ in range(MESSAGES)]
            await socket.close()
            answers += [late async for late in socket]
            return answers

    conversations = await asyncio.gather(*map(converse, range(SOCKETS)))
    for number, answers in enumerate(conversations):
        assert answers == [f"{number}:{message}" for message in range(MESSAGES)]


async def read_to_the_end(socket: ClientConnection) -> int:
    """How many messages come before the socket is closed."""
    received = 0
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
            received += 1
    return received


async def test_a_client_that_never_reads(server: ServerProcess) -> None:
    """It is closed with 1013 and logged once; the others of its group get everything meanwhile."""
    if server.kind == "daphne":
        pytest.skip("daphne takes every event at once, so the size of its own buffer is all there is")
    text = "x" * 100_000
    sends = 400  # well beyond socket_capacity=200 and what the kernel buffers
    # The client library stops reading at its queue's limit, and then TCP fills up.
    async with connect(url(server, "/room/slow/"), max_queue=1, compression=None) as slow:
        async with connect(url(server, "/room/slow/"), compression=None) as reader:
            for number in range(sends):
                await reader.send(f"{number}:{text}")
                assert await reader.recv() == f"{number}:{text}"
        server.wait_until(lambda: "does not read" in server.output, "the slow client is logged")
        received = await read_to_the_end(slow)
        assert slow.close_code == 1013
    assert 0 < received < sends
    assert server.output.count("does not read") == 1
