"""Several servers and workers, and what others send to their sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.processes import ServerProcess, free_port
from tests.waiting import stretched, until

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
        "DJANGO_SETTINGS_MODULE": "tests.integration.workers.project.settings",
    }
    arguments = ["-m", "tests.integration.workers.project.wsgi", "--port", str(port)]
    with ServerProcess(arguments, port, environment=environment) as site:
        async with sockets(fleet, "/", 3) as everyone:
            await asyncio.to_thread(fleet.run, "-m", "tests.integration.workers.say", "from a shell")
            url = f"http://127.0.0.1:{site.port}/say/from-a-view/"
            assert (await asyncio.to_thread(urllib.request.urlopen, url)).status == 200
            await asyncio.to_thread(fleet.run, "-m", "tests.integration.workers.say", "the end")
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
        await ends(socket)


async def test_streams_of_a_worker(redis_url: str) -> None:
    """Clients of its streams are told with 1012 that it has ended or died; other sockets go on with the next one."""
    with Fleet(redis_url, workers=1) as fleet:
        async with sockets(fleet, "/", 1) as [other]:
            for number, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
                async with sockets(fleet, "/ticks/", 2) as ticks, sockets(fleet, "/aticks/", 2) as aticks:
                    for socket in (*ticks, *aticks):
                        await socket.send("go")
                        assert await hears(socket) == "tick"
                    began = time.monotonic()
                    assert await fleet.restart(0, number) == status
                    for socket in (*ticks, *aticks):
                        await ends(socket)
                        assert socket.close_code == 1012
                    assert time.monotonic() - began < stretched(8)
                await other.send("still here")
                assert await hears(other) == "still here"
                assert fleet.output.count("A worker is gone") == (number == signal.SIGKILL)


async def test_a_server_that_was_stopped_beyond_its_lease(redis_url: str) -> None:
    """Its sockets were disconnected by a worker: when it goes on it closes them, and hands in no event of them."""
    with Fleet(redis_url, servers=2, workers=1) as fleet:
        here, there = fleet.urls("/tell/")
        stopped = fleet.servers[1].process.pid
        async with connect(here) as staying, connect(there) as first, connect(there) as second:
            os.killpg(stopped, signal.SIGSTOP)
            await first.send("while it was away")
            assert [await hears(staying) for _ in range(2)] == ["left with 1006"] * 2
            os.killpg(stopped, signal.SIGCONT)
            for socket in (first, second):
                await ends(socket)
                assert socket.close_code == 1012
            async with connect(there) as again:  # it serves on
                await again.send("the end")
                assert await hears(staying) == "the end"
    assert fleet.output.count("2 are closed with 1012") == 1


async def stands_still(file: Path) -> None:
    """Wait until nothing is written to ``file`` any more."""
    ends = asyncio.get_running_loop().time() + SOON
    while asyncio.get_running_loop().time() < ends:
        before = file.stat().st_size
        await asyncio.sleep(0.3)
        if file.stat().st_size == before:
            return
    raise AssertionError("it goes on")


async def test_a_full_channel_holds_up_sockets(redis_url: str) -> None:
    """A channel that is full for a while costs nothing: the events of each socket wait for room."""
    with Fleet(redis_url, workers=1, environment={"LAYER_OPTIONS": '{"capacity": 1}'}) as fleet:
        async with sockets(fleet, "/", 4) as talking:
            fleet.workers[0].signal(signal.SIGSTOP)
            for socket in talking:
                await socket.send("held up")
            assert all([await silent(socket, 0.1) for socket in talking])
            fleet.workers[0].signal(signal.SIGCONT)
            assert [await hears(socket) for socket in talking] == ["held up"] * 4
    assert fleet.output == ""


async def test_a_channel_that_stays_full(redis_url: str) -> None:
    """Sockets whose events find no room are closed with 1013, new ones are refused; what waits has a limited time."""
    environment = {"LAYER_OPTIONS": '{"capacity": 1}', "EVENT_TIMEOUT": "1.5", "FULL_PATIENCE": "0.7"}
    with Fleet(redis_url, workers=1, environment=environment) as fleet:
        async with sockets(fleet, "/", 4) as talking:
            fleet.workers[0].signal(signal.SIGKILL)
            fleet.workers[0].ended()
            for socket in talking:
                await socket.send("too much")
            await until(lambda: closed(talking) == 3, "all but one, for which there was room, are closed")
            assert {socket.close_code for socket in talking} == {None, 1013}
            with pytest.raises(InvalidStatus):
                await connect(fleet.urls("/")[0], open_timeout=SOON)
            await fleet.says("The event on websocket.receive of '/' was not consumed within 1.5 s", 1)
            assert closed(talking) == 3
            os.killpg(fleet.servers[0].process.pid, signal.SIGKILL)


def closed(talking: list[ClientConnection]) -> int:
    """How many of the sockets the server has closed."""
    return sum(socket.close_code is not None for socket in talking)


async def ends(socket: ClientConnection) -> None:
    """Wait until the socket is closed, perhaps after some messages."""
    with suppress(ConnectionClosed):
        while True:
            await hears(socket)


async def test_a_server_and_a_worker_without_a_setting(redis_url: str, tmp_path: Path) -> None:
    """Unit files of 1.x: a server and ``runworker`` compete for no channel; order holds while the worker restarts."""
    environment = {
        "SESSIONS": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tests.integration.workers.project.settings",
        "CONSUMERS": "inline",
    }
    server = ("-m", "uvicorn", "tests.integration.workers.project.asgi:application", "--log-level", "warning")
    worker = ("-m", "django", "runworker")
    with Fleet(redis_url, workers=1, environment=environment, server=server, worker=worker) as fleet:
        async with sockets(fleet, "/queue/", 1) as [socket]:
            answers: list[tuple[str, str]] = []

            async def answered(count: int) -> None:
                for _ in range(count):
                    number, _, by = (await hears(socket)).partition(" by ")
                    answers.append((number, by))

            async def sends(count: int) -> None:
                for number in range(len(answers), len(answers) + count):
                    await socket.send(str(number))
                await answered(count)

            async def sends_until_answered_by(pid: int) -> None:
                end = asyncio.get_running_loop().time() + SOON
                while str(pid) not in {by for _, by in answers[50:]}:
                    assert asyncio.get_running_loop().time() < end, f"process {pid} answered nothing"
                    await sends(8)

            await sends(50)
            assert {by for _, by in answers} == {str(fleet.workers[0].process.pid)}
            restarting = asyncio.ensure_future(fleet.restart(0))
            await sends_until_answered_by(fleet.servers[0].process.pid)
            assert await restarting == 0
            await sends_until_answered_by(fleet.workers[0].process.pid)
            assert [number for number, _ in answers] == [str(number) for number in range(len(answers))]
        told = fleet.workers[0].output
    assert "They keep the events of sockets, and leave the channels queue to this worker" in told
    assert fleet.output == ""


async def test_enforce_ordering_in_workers(redis_url: str, tmp_path: Path) -> None:
    """Issue 5: code that asks for order, with sessions, gets it from ``runworker`` processes too."""
    environment = {"SESSIONS": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tests.integration.workers.project.settings"}
    server = ("-m", "uvicorn", "tests.integration.workers.project.asgi:application", "--log-level", "warning")
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
