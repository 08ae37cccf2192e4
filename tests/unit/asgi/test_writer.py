"""The bounded send queue of one connection."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Generator
from typing import Any

import pytest

from routechan.asgi.writer import Writer
from tests.waiting import until

from .clients import ticks


class Server:
    """Takes events as a server does, and waits while ``open`` is not set. Lifetime: test."""

    def __init__(self) -> None:
        self.took: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def send(self, event: Any) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.took.append(event)


@pytest.fixture
async def server() -> Server:
    return Server()


def numbered(count: int, first: int = 0) -> list[dict[str, int]]:
    return [{"number": number} for number in range(first, first + count)]


def held(server: Server, count: int) -> Writer:
    """A writer that has been given ``count`` events, none of which the server has taken."""
    writer = Writer(server.send)
    server.open.clear()
    assert all(writer.write(event, capacity=10) for event in numbered(count))
    assert server.took == []
    return writer


async def test_what_the_server_takes_at_once_goes_out_at_once(server: Server) -> None:
    """The event is sent within ``write``, without a task; nothing is queued."""
    writer = Writer(server.send)
    for event in numbered(3):
        assert writer.write(event, capacity=0) is True
    assert server.took == numbered(3)
    assert writer.queue is None


async def test_what_comes_while_the_server_waits_keeps_its_order(server: Server) -> None:
    """RFC 6455 and 6.4: frames and chunks in the order they were sent."""
    writer = held(server, 5)
    server.open.set()
    await writer.flushed()
    assert server.took == numbered(5)
    assert writer.queue is None
    writer.write({"number": 5}, capacity=10)
    assert server.took == numbered(6)


async def test_an_event_that_comes_while_the_queue_drains_goes_behind_it(server: Server) -> None:
    """Order is kept although the server takes events again."""
    writer = held(server, 3)
    server.open.set()
    writer.write({"number": 3}, capacity=10)
    assert server.took == []
    await writer.flushed()
    assert server.took == numbered(4)


async def test_capacity_bounds_what_waits(server: Server) -> None:
    """Beyond it ``write`` says False, and the event is not kept; the one in flight is not counted."""
    writer = Writer(server.send)
    server.open.clear()
    assert [writer.write(event, capacity=2) for event in numbered(5)] == [True, True, True, False, False]
    server.open.set()
    await writer.flushed()
    assert server.took == numbered(3)


async def test_drop_forgets_what_waits(server: Server) -> None:
    """``drop`` returns the number of dropped events; the one that is being sent is finished."""
    assert Writer(server.send).drop() == 0
    writer = held(server, 4)
    assert writer.drop() == 3
    writer.write({"close": True}, capacity=10)
    server.open.set()
    await writer.flushed()
    assert server.took == [{"number": 0}, {"close": True}]


async def test_a_lost_connection_sends_nothing_more(server: Server) -> None:
    """The wait for a client that is gone ends, and so does ``flushed``."""
    writer = held(server, 3)
    flushing = asyncio.create_task(writer.flushed())
    await ticks()
    assert not flushing.done()
    writer.lost()
    await asyncio.wait_for(flushing, 5)
    server.open.set()
    await ticks()
    assert writer.write({"number": 3}, capacity=10) is True
    await ticks()
    assert server.took == []


async def test_a_connection_lost_before_its_first_wait_began(server: Server) -> None:
    """``lost`` in the same tick as the write that has to wait: nobody is left waiting."""
    writer = held(server, 1)
    writer.lost()
    await asyncio.wait_for(writer.flushed(), 5)
    server.open.set()
    await ticks()
    assert server.took == []


@pytest.mark.parametrize("waits", [False, True])
async def test_a_send_that_raises(server: Server, waits: bool) -> None:
    """ASGI 2.4: servers raise when the client has left; the sender does not notice, nothing follows, no wait hangs."""
    writer = held(server, 3) if waits else Writer(server.send)
    flushing = asyncio.create_task(writer.flushed())
    await ticks()
    assert flushing.done() is not waits
    server.error = OSError("gone")
    server.open.set()
    assert writer.write({"number": 3}, capacity=10) is True
    await asyncio.wait_for(flushing, 5)
    server.error = None
    assert writer.write({"number": 4}, capacity=10) is True
    await asyncio.wait_for(writer.flushed(), 5)
    await ticks()
    assert server.took == []


async def test_those_who_give_up_waiting_disturb_nobody(server: Server) -> None:
    """A cancelled ``flushed`` disturbs neither another one nor the queue."""
    writer = held(server, 2)
    first, second = asyncio.create_task(writer.flushed()), asyncio.create_task(writer.flushed())
    await ticks()
    first.cancel()
    await asyncio.wait([first])
    server.open.set()
    await asyncio.wait_for(second, 5)
    assert server.took == numbered(2)


class Awaited:
    """An awaitable that is no coroutine."""

    def __init__(self, waits: Awaitable[None]) -> None:
        self._waits = waits

    def __await__(self) -> Generator[Any, None, None]:
        return self._waits.__await__()


@pytest.mark.parametrize("wrap", [Awaited, asyncio.ensure_future], ids=["object", "task"])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_send_may_return_any_awaitable(server: Server, wrap: Any, waits: bool) -> None:
    """ASGI 3 says awaitable, not coroutine: also one from a compiled server."""
    writer = Writer(lambda event: wrap(server.send(event)))
    if waits:
        server.open.clear()
    for event in numbered(3):
        assert writer.write(event, capacity=10) is True
    server.open.set()
    await until(lambda: len(server.took) == 3)
    await writer.flushed()
    assert server.took == numbered(3)


async def test_a_send_through_a_partial(server: Server) -> None:
    """A middleware may pass on a ``functools.partial``."""
    writer = Writer(functools.partial(server.send))
    writer.write({"number": 0}, capacity=1)
    assert server.took == numbered(1)


async def test_a_send_that_waits_several_times() -> None:
    """The first step is taken in ``write``, the others in a task: bare yields, futures, timers and locks alike."""
    took = []
    lock = asyncio.Lock()

    async def send(event: Any) -> None:
        async with lock:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, int), 5)
            took.append(event)

    writer = Writer(send)
    for event in numbered(3):
        writer.write(event, capacity=10)
    await asyncio.wait_for(writer.flushed(), 5)
    assert took == numbered(3)


async def test_a_send_may_clean_up_when_the_connection_is_lost() -> None:
    """The server's ``send`` sees the cancellation, so it can release what it holds."""
    cleaned = []

    async def send(event: Any) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(event)

    writer = Writer(send)
    writer.write({"number": 0}, capacity=10)
    await ticks()
    writer.lost()
    await until(lambda: cleaned)
    assert cleaned == numbered(1)
