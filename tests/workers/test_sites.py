"""Several servers and workers, and what others send to their sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.processes import ServerProcess, free_port

from .fleet import Fleet

SOON = 10.0


@asynccontextmanager
async def sockets(fleet: Fleet, path: str, each: int) -> AsyncIterator[list[ClientConnection]]:
    """``each`` for every server."""
    async with AsyncExitStack() as opened:
        yield [await opened.enter_async_context(connect(url)) for url in fleet.urls(path) for _ in range(each)]


async def hears(socket: ClientConnection) -> str:
    return str(await asyncio.wait_for(socket.recv(), SOON))


async def silent(socket: ClientConnection, seconds: float) -> bool:
    try:
        await asyncio.wait_for(socket.recv(), seconds)
    except asyncio.TimeoutError:
        return True
    return False


async def test_a_message_from_a_shell_and_from_a_view(fleet: Fleet, tmp_path: Path) -> None:
    """Issue 5: two servers, three workers; what a script and a WSGI view send reaches every socket once, in order."""
    port = free_port()
    environment = {
        **fleet.environment,
        "SESSIONS": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tests.workers.project.settings",
    }
    arguments = ["-m", "tests.workers.project.wsgi", "--port", str(port)]
    with ServerProcess(arguments, port, environment=environment) as site:
        async with sockets(fleet, "/", 3) as everyone:
            await asyncio.to_thread(fleet.run, "-m", "tests.workers.say", "from a shell")
            url = f"http://127.0.0.1:{site.port}/say/from-a-view/"
            assert (await asyncio.to_thread(urllib.request.urlopen, url)).status == 200
            await asyncio.to_thread(fleet.run, "-m", "tests.workers.say", "the end")
            for socket in everyone:
                assert [await hears(socket) for _ in range(3)] == ["from a shell", "from-a-view", "the end"]


async def test_work_is_done_once(fleet: Fleet) -> None:
    """Custom channels and delayed sends are served by one of three workers each, and all of them serve."""
    async with sockets(fleet, "/work/", 1) as both:
        texts = [f"{kind}{number}" for number in range(20) for kind in ("", "later ")]
        for text in texts:
            await both[0].send(text)
        heard = [[(await hears(socket)).rpartition(" by ") for _ in texts] for socket in both]
        for each in heard:
            assert sorted(text for text, _, _ in each) == sorted(texts)
            assert len({by for _, _, by in each}) > 1
            assert {by for _, _, by in each} <= {str(worker.process.pid) for worker in fleet.workers}
        assert await silent(both[1], 1.2), "every process has looked for delayed sends again by then"


@pytest.mark.parametrize("path", ["/ticks/", "/aticks/"])
async def test_streams_end_with_their_socket(fleet: Fleet, path: str) -> None:
    """design section 4: a stream runs in a worker until its socket closes."""
    ticks = Path(fleet.environment["TICKS"])
    async with connect(fleet.urls(path)[0]) as socket:
        await socket.send("go")
        assert [await hears(socket) for _ in range(3)] == ["tick"] * 3
    await stands_still(ticks)


async def test_streams_end_with_their_server(fleet: Fleet) -> None:
    """Nobody tells a worker that a server was killed: it finds out."""
    ticks = Path(fleet.environment["TICKS"])
    with Fleet("", servers=1, workers=0, environment=fleet.environment) as other:
        socket = await connect(other.urls("/ticks/")[0])
        await socket.send("go")
        assert await hears(socket) == "tick"
        os.killpg(other.servers[0].process.pid, signal.SIGKILL)
        await stands_still(ticks)
        assert await was_closed(socket)


async def stands_still(file: Path) -> None:
    """Wait until nothing is written to ``file`` any more."""
    ends = asyncio.get_running_loop().time() + SOON
    while asyncio.get_running_loop().time() < ends:
        before = file.stat().st_size
        await asyncio.sleep(0.3)
        if file.stat().st_size == before:
            return
    raise AssertionError("it goes on")


async def test_too_much_and_too_long(redis_url: str) -> None:
    """A full channel holds up sockets, and closes them with 1013 when it stays full; an event has its time."""
    environment = {"LAYER_OPTIONS": '{"capacity": 1}', "EVENT_TIMEOUT": "1.5", "FULL_PATIENCE": "0.7"}
    with Fleet(redis_url, workers=1, environment=environment) as fleet:
        async with sockets(fleet, "/", 1) as [_], AsyncExitStack() as opened:
            talking = [await opened.enter_async_context(connect(fleet.urls(f"/{name}/")[0])) for name in "abcd"]
            fleet.workers[0].signal(signal.SIGSTOP)
            for socket in talking:
                await socket.send("held up")
            await asyncio.sleep(0.4)
            fleet.workers[0].signal(signal.SIGCONT)
            assert [await hears(socket) for socket in talking] == ["held up"] * 4
            assert fleet.output == ""

            fleet.workers[0].signal(signal.SIGSTOP)
            for socket in talking:
                await socket.send("lost")
                await asyncio.sleep(0.1)  # the worker is given the first one alone, and asks for no other
            await fleet.says("is full", 2)
            with pytest.raises(InvalidStatus):
                await connect(fleet.urls("/e/")[0], open_timeout=SOON)
            await fleet.says("was not settled within 1.5 s", 1)
            codes = []
            for socket in talking:
                if await was_closed(socket):
                    codes.append(socket.close_code)
            assert codes == [1013, 1013]
            for process in (*fleet.servers, *fleet.workers):
                os.killpg(process.process.pid, signal.SIGKILL)
    assert "The event on websocket.receive of '/" in fleet.output


async def was_closed(socket: ClientConnection) -> bool:
    """Whether it was closed, perhaps after some messages."""
    try:
        while not await silent(socket, 0.1):
            pass
    except ConnectionClosed:
        return True
    return False


async def test_enforce_ordering_in_workers(redis_url: str, tmp_path: Path) -> None:
    """Issue 5: code that asks for order, with sessions, gets it from ``runworker`` processes too."""
    environment = {"SESSIONS": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tests.workers.project.settings"}
    server = ("-m", "uvicorn", "tests.workers.project.asgi:application", "--log-level", "warning")
    worker = ("-m", "django", "runworker", "--threads", "2")
    with Fleet(redis_url, environment=environment, server=server, worker=worker) as fleet:
        async with sockets(fleet, "/", 1) as [_], AsyncExitStack() as opened:
            talking = [await opened.enter_async_context(connect(fleet.urls("/")[0])) for _ in range(3)]
            letters = "abcdef"
            for letter in letters:
                for socket in talking:
                    await socket.send(letter)
            for socket in talking:
                assert [await hears(socket) for _ in letters] == [letters[: n + 1] for n in range(len(letters))]
    assert fleet.output == ""
