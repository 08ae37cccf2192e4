"""Two server processes share their groups, channels and dead over Redis."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.processes import ServerProcess
from tests.redis_servers import SingleServer, shared

from .starting import serving

SOON = 10.0


@pytest.fixture
def servers(pytestconfig: pytest.Config) -> Iterator[list[ServerProcess]]:
    """Two of them, with the application of ``redis_app.py``."""
    redis = shared(pytestconfig, SingleServer)
    environment = {"REDIS": redis.url, "REDIS_PREFIX": secrets.token_hex(6)}
    with (
        serving("uvicorn", "redis_app", environment=environment) as first,
        serving("uvicorn", "redis_app", environment=environment) as second,
    ):
        yield [first, second]


async def join(server: ServerProcess) -> ClientConnection:
    return await connect(f"ws://127.0.0.1:{server.port}/")


async def hears(socket: ClientConnection) -> str:
    return str(await asyncio.wait_for(socket.recv(), SOON))


async def test_a_group_spans_processes(servers: list[ServerProcess]) -> None:
    """Members in every process get every message, in the order it was sent."""
    sockets = [await join(server) for server in servers for _ in range(3)]
    for number in range(50):
        await sockets[0].send(str(number))
    for socket in sockets:
        assert [await hears(socket) for _ in range(50)] == [str(number) for number in range(50)]
    await asyncio.gather(*(socket.close() for socket in sockets))


async def test_closing_a_group(servers: list[ServerProcess]) -> None:
    """Members of every process are closed with the code, behind what was sent before; but for the one left out."""
    sockets = [await join(server) for server in servers for _ in range(2)]
    await sockets[0].send("goodbye")
    await sockets[0].send("close 4003")
    for socket in sockets[1:]:
        assert await hears(socket) == "goodbye"
        with pytest.raises(ConnectionClosed):
            await hears(socket)
        assert socket.close_code == 4003
    assert [await hears(sockets[0]) for _ in range(4)] == ["goodbye", *["left with 4003"] * 3]
    await sockets[0].close()


async def test_a_channel_of_ones_own_is_consumed_once(servers: list[ServerProcess]) -> None:
    """1.2: both processes read ``work``; each message goes to one of them."""
    sockets = [await join(server) for server in servers]
    for number in range(20):
        await sockets[number % 2].send(f"work {number}")
    for socket in sockets:
        heard = [await hears(socket) for _ in range(20)]
        assert sorted(text.partition(": work ")[2] for text in heard) == sorted(map(str, range(20)))
    await sockets[0].send("the end")
    assert [await hears(socket) for socket in sockets] == ["the end"] * 2
    await asyncio.gather(*(socket.close() for socket in sockets))


async def test_a_delayed_message_reaches_both_once(servers: list[ServerProcess]) -> None:
    """A delayed message is delivered once, although several processes look for due ones."""
    sockets = [await join(server) for server in servers]
    await sockets[0].send("later")
    assert [await hears(socket) for socket in sockets] == ["later"] * 2
    await asyncio.sleep(1.2)  # every process has looked again by then
    await sockets[0].send("the end")
    assert [await hears(socket) for socket in sockets] == ["the end"] * 2
    await asyncio.gather(*(socket.close() for socket in sockets))


async def test_the_sockets_of_a_killed_process_are_disconnected_by_the_other(servers: list[ServerProcess]) -> None:
    """The disconnect consumer runs once for each dead socket, and they are in no group any more."""
    staying = await join(servers[0])
    for _ in range(3):
        await join(servers[1])
    os.killpg(servers[1].process.pid, signal.SIGKILL)
    assert [await hears(staying) for _ in range(3)] == ["left with 1006"] * 3
    await staying.send("the end")
    assert await hears(staying) == "the end"
    await staying.close()


async def test_a_process_that_ends_in_order_disconnects_its_own(servers: list[ServerProcess]) -> None:
    """Its disconnect consumers run once, in the process itself."""
    staying, leaving = await join(servers[0]), await join(servers[1])
    servers[1].stop()
    assert "left with" in await hears(staying)
    await asyncio.sleep(3.0)  # longer than the lease
    await staying.send("the end")
    assert await hears(staying) == "the end"
    assert "is gone" not in servers[0].output
    await staying.close()
    await leaving.close()


async def test_a_process_that_was_stopped_beyond_its_lease(servers: list[ServerProcess]) -> None:
    """Others disconnected its sockets: when it goes on it closes them, takes no event of them, and disconnects none."""
    staying = await join(servers[0])
    away = [await join(servers[1]) for _ in range(3)]
    os.killpg(servers[1].process.pid, signal.SIGSTOP)
    for socket in away[:2]:
        await socket.send("while it was away")
    assert [await hears(staying) for _ in range(3)] == ["left with 1006"] * 3
    late = asyncio.create_task(join(servers[1]))
    os.killpg(servers[1].process.pid, signal.SIGCONT)
    for socket in away:
        await asyncio.wait_for(socket.wait_closed(), SOON)
        assert socket.close_code == 1012
    await (await asyncio.wait_for(late, SOON)).send("the end")  # it serves on
    assert await hears(staying) == "the end"
    assert "3 are closed with 1012" in servers[1].output
    await staying.close()
    await late.result().close()


async def test_a_process_that_was_stopped_for_less(servers: list[ServerProcess]) -> None:
    """Its sockets go on."""
    staying, away = await join(servers[0]), await join(servers[1])
    os.killpg(servers[1].process.pid, signal.SIGSTOP)
    await away.send("while it was away")
    await asyncio.sleep(1.1)  # more than half of the lease, from where on it asks whether others took it for dead
    os.killpg(servers[1].process.pid, signal.SIGCONT)
    assert await hears(staying) == "while it was away"
    await asyncio.gather(staying.close(), away.close())
