"""Where threads are scarce, clients take turns: many busy sockets of one do not keep others waiting."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routechan import Message, route
from routechan.consumers.threads import Threads
from routechan.layers import InMemoryChannelLayer
from tests.waiting import until

from ..asgi.clients import Open
from ..asgi.consumers import accept
from ..helpers import DEADLINE
from ..monitor.helpers import inline


class Gate:
    """A blocking function, of which each call ends when the test says so. Lifetime: test."""

    def __init__(self) -> None:
        self.began: list[Any] = []
        self._ends = threading.Semaphore(0)

    def __call__(self, argument: Any) -> None:
        self.began.append(argument)
        self._ends.acquire(timeout=DEADLINE)

    def end(self, count: int = 1) -> None:
        for _ in range(count):
            self._ends.release()


@pytest.fixture
async def pool() -> AsyncIterator[Threads]:
    """Two threads."""
    made = Threads(2)
    yield made
    made.stop()
    await until(lambda: made._count == 0, "the end of all threads")


async def test_a_new_client_waits_one_turn(pool: Threads) -> None:
    """Of 100 events of one client that wait, as many come first as there are threads, and one more."""
    gate, ended = Gate(), []
    for number in range(100):
        pool.submit(gate, ("busy", number), lambda argument, result: ended.append(argument), "busy")
    await until(lambda: len(gate.began) == 2 and pool._turns)
    pool.submit(gate, ("new", 0), lambda argument, result: ended.append(argument), "new")
    pool.submit(gate, ("other", 0), lambda argument, result: ended.append(argument), "other")
    assert len(pool.waiting()) == 100
    for count in range(1, 8):
        gate.end()
        await until(lambda: len(ended) == count and len(gate.began) == count + 2)  # noqa: B023
    clients = [client for client, _ in gate.began]
    assert clients.index("new") <= 5
    assert clients.index("other") <= 6
    gate.end(200)
    await until(lambda: len(ended) == 102)
    assert sorted(number for client, number in ended if client == "busy") == list(range(100))


async def test_turns_end_with_the_blocking(pool: Threads) -> None:
    """Afterwards work goes straight into the queue again; what is told to stop still runs what it was given."""
    gate, ended = Gate(), []
    for number in range(20):
        pool.submit(gate, number, lambda argument, result: ended.append(argument), str(number % 3))
    await until(lambda: pool._turns)
    assert pool._depth == 2
    gate.end(20)
    await until(lambda: len(ended) == 20)
    pool.submit(lambda argument: None, 20, lambda argument, result: ended.append(argument))
    await until(lambda: len(ended) == 21 and pool._depth == sys.maxsize)
    for number in range(21, 40):
        pool.submit(gate, number, lambda argument, result: ended.append(argument), "a")
    await until(lambda: pool._turns)
    pool.stop()
    gate.end(20)
    await until(lambda: len(ended) == 40)


async def test_a_new_socket_beside_many_busy_ones() -> None:
    """By address, through a whole server: 60 sockets of one client hold all four threads, another connects and is
    answered after a few of their events.
    """
    gate = Gate()

    def busy(message: Message) -> None:
        gate(message["text"])

    def quick(message: Message) -> None:
        message.reply_channel.send({"text": f"behind {len(gate.began)}"})

    routing = [
        route("websocket.connect", accept),
        route("websocket.receive", quick, path="^/quick/$"),
        route("websocket.receive", busy),
    ]
    async with inline(InMemoryChannelLayer(), *routing) as application:
        crowd = [Open(application, client=["192.0.2.1", number]) for number in range(60)]
        for client in crowd:
            await client.__aenter__()
        other = Open(application, "/quick/", client=["192.0.2.2", 1])
        await other.__aenter__()
        for client in crowd:
            client.send("work")
        await until(lambda: len(gate.began) == 4)
        threads = application._consumers._runtime.threads  # type: ignore[attr-defined]
        await until(lambda: threads._turns)
        other.send("hello")
        await until(lambda: "192.0.2.2" in threads._turns)
        answer = asyncio.ensure_future(other.text())
        while not answer.done():
            began = len(gate.began)
            gate.end()
            await until(lambda: answer.done() or len(gate.began) > began)  # noqa: B023
        assert int((await answer).removeprefix("behind ")) <= 12
        gate.end(100)
        for client in [*crowd, other]:
            client.leave()
        for client in [*crowd, other]:
            await client.over()
