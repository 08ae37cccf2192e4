"""``latest`` with clients that do not read, on real servers: a socket, and an event stream."""

from __future__ import annotations

import socket
from typing import Any

from websockets.asyncio.client import connect

from tests.processes import ServerProcess

from .eventsource import EventSource

KINDS = ["uvicorn", "routechan", "hypercorn"]

#: More than the buffers on the way hold, and than may wait for one client.
COUNT = 400


def slow_socket(port: int) -> socket.socket:
    """A connection with little room for what is not read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    made.connect(("127.0.0.1", port))
    made.setblocking(False)
    return made


def check(numbers: list[int]) -> None:
    """A client got the last of each subject, what it got came in order, and much was left out."""
    assert numbers[-2:] == [COUNT - 2, COUNT - 1]
    assert numbers == sorted(numbers)
    assert len(numbers) < COUNT / 2


async def test_a_slow_client(server: ServerProcess) -> None:
    """It stays open, though more was sent than may wait, and in the end it knows the last price of each subject."""
    url = f"ws://127.0.0.1:{server.port}/prices/{server.kind}/"
    slow: dict[str, Any] = {"sock": slow_socket(server.port), "max_queue": 1, "compression": None}
    async with connect(url, **slow) as client, connect(url) as other:
        await other.send(str(COUNT))
        while await other.recv() != "done":
            pass
        texts: list[str] = []
        while "done" not in texts:
            texts.append(str(await client.recv()))
    check([int(text.split()[1]) for text in texts if text != "done"])


async def test_a_quick_client(server: ServerProcess) -> None:
    """It gets each message."""
    async with connect(f"ws://127.0.0.1:{server.port}/prices/quick_{server.kind}/") as client:
        for _ in range(20):
            await client.send("1")
            assert [str(await client.recv()).strip() for _ in range(2)] == ["eth 000000", "done"]


async def test_a_slow_event_stream(server: ServerProcess) -> None:
    """The same on an event stream."""
    path = f"/prices/stream{server.kind}/"
    with EventSource(server.port, path) as page:
        async with connect(f"ws://127.0.0.1:{server.port}{path}") as other:
            await other.send(str(COUNT))
            while await other.recv() != "done":
                pass
        texts: list[str] = []
        while "done" not in texts:
            texts.append(page.hears()[1])
    check([int(text.split()[1]) for text in texts if text != "done"])
