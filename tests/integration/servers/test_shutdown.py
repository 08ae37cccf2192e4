"""A server that is told to stop closes its sockets with 1012, runs their disconnect consumers once each, and ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

import routechan
from tests.processes import ServerProcess
from tests.redis_servers import SingleServer, shared

from .starting import serving

SOCKETS = 50

#: The server and its arguments, the code clients see, and its exit code.
SERVERS = {
    "uvicorn": (["uvicorn", "shutdown_app"], 1012, -signal.SIGTERM),
    "uvicorn without lifespan": (["uvicorn", "shutdown_app", "--lifespan", "off"], 1012, -signal.SIGTERM),
    "hypercorn": (["hypercorn", "shutdown_app", "--graceful-timeout", "1"], 1012, 0),
    "daphne": (["daphne", "shutdown_app"], 1006, 0),
    "gunicorn": (["gunicorn", "shutdown_app"], 1012, 0),
}

#: Seconds after which daphne has forgotten the handshakes of its sockets; with one of them it fails to stop properly.
DAPHNE_FORGETS = 1.5


class Worker(ServerProcess):
    """A worker of ``shutdown_app``: says when it works."""

    def answers(self) -> bool:
        return "working" in self.output


async def open_sockets(server: ServerProcess) -> list[ClientConnection]:
    """Each has been answered, so that its consumers are known to run."""
    sockets = await asyncio.gather(*(connect(f"ws://127.0.0.1:{server.port}/") for _ in range(SOCKETS)))
    for socket in sockets:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    return list(sockets)


async def stopped(server: ServerProcess, sockets: list[ClientConnection]) -> list[int | None]:
    """Tell the server to stop; the codes its clients see once it has ended, and no new one is let in."""
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*(socket.wait_closed() for socket in sockets))
    with pytest.raises((OSError, InvalidHandshake)):
        await connect(f"ws://127.0.0.1:{server.port}/")
    await asyncio.to_thread(server.process.wait, 20)
    return [socket.close_code for socket in sockets]


def disconnects(log: Path) -> Counter[str]:
    """How often the disconnect consumers saw each code; fails where one ran twice for a socket."""
    lines = log.read_text().split("\n")[:-1]
    assert len(lines) == len({line.split()[0] for line in lines}) == SOCKETS
    return Counter(line.split()[1] for line in lines)


@pytest.mark.parametrize("kind", SERVERS)
async def test_inline(kind: str, tmp_path: Path) -> None:
    """Sockets close with 1012 if the server can send it, each disconnect consumer runs once, no log line is ours."""
    if kind == "hypercorn" and sys.version_info >= (3, 12):
        pytest.skip("it waits for its clients without end on this Python")
    command, code, exit_code = SERVERS[kind]
    log = tmp_path / "log"
    with serving(*command, environment={"LOG": str(log)}) as server:
        sockets = await open_sockets(server)
        if kind == "daphne":
            await asyncio.sleep(DAPHNE_FORGETS)
        assert await stopped(server, sockets) == [code] * SOCKETS
        assert server.process.returncode == exit_code
        assert disconnects(log) == {"1012": SOCKETS}
        # Of all the lines that hypercorn and daphne write, none may come from the library: no record of its logger,
        # and no line of a traceback through its files.
        assert not Path(f"{log}.library").exists()
        assert os.path.dirname(routechan.__file__) + os.sep not in server.output
        assert server.output == "" or not kind.startswith("uvicorn")


async def test_granian(tmp_path: Path) -> None:
    """It sends nothing more once it stops, so clients lose the connection; no disconnect consumer runs twice."""
    log = tmp_path / "log"
    log.touch()
    with serving("granian", "shutdown_app", environment={"LOG": str(log)}) as server:
        sockets = await open_sockets(server)
        assert await stopped(server, sockets) == [1006] * SOCKETS
        assert server.process.returncode == 0
        for _ in range(100):  # its worker ends after it; on a busy machine it is killed before all consumers have run
            if log.read_text().count("\n") >= SOCKETS:
                break
            await asyncio.sleep(0.1)
        lines = log.read_text().split("\n")[:-1]
        assert len({line.split()[0] for line in lines}) == len(lines)
        assert {line.split()[1] for line in lines} <= {"1012", "None"}


async def test_workers(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """The server ends when its workers have acknowledged the disconnects; each ran once."""
    log = tmp_path / "log"
    environment = {
        "LOG": str(log),
        "REDIS": shared(pytestconfig, SingleServer).url,
        "REDIS_PREFIX": secrets.token_hex(6),
    }
    with (
        Worker(["-m", "tests.integration.servers.shutdown_app"], 0, environment=environment),
        serving("uvicorn", "shutdown_app", environment=environment) as server,
    ):
        sockets = await open_sockets(server)
        assert await stopped(server, sockets) == [1012] * SOCKETS
        assert disconnects(log) == {"1012": SOCKETS}, "the server did not wait for its workers"
        assert (server.process.returncode, server.output) == (-signal.SIGTERM, "")
