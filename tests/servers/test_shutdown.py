"""A server that is told to stop closes its sockets with 1012, runs their disconnect consumers once each, and ends."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from tests.processes import ServerProcess, free_port
from tests.redis_servers import SingleServer, shared

APPLICATION = "tests.servers.shutdown_app:app"
SOCKETS = 50
UVICORN = ["-m", "uvicorn", APPLICATION, "--ws", "websockets-sansio", "--port", "PORT", "--log-level", "warning"]
HYPERCORN = ["-m", "hypercorn", APPLICATION, "-b", "127.0.0.1:PORT", "--graceful-timeout", "1"]
DAPHNE = ["-m", "daphne", APPLICATION, "-p", "PORT", "-v", "0"]

#: How each is started, the code clients see, and its exit code.
SERVERS = {
    "uvicorn": (UVICORN, 1012, -signal.SIGTERM),
    "uvicorn without lifespan": ([*UVICORN, "--lifespan", "off"], 1012, -signal.SIGTERM),
    "hypercorn": (HYPERCORN, 1012, 0),
    "daphne": (DAPHNE, 1006, 0),
}

#: Seconds after which daphne has forgotten the handshakes of its sockets; with one of them it fails to stop properly.
DAPHNE_FORGETS = 1.5


class Worker(ServerProcess):
    """A worker of ``shutdown_app``: says when it works."""

    def answers(self) -> bool:
        return "working" in self.output


@contextmanager
def serving(command: list[str], environment: dict[str, str]) -> Iterator[ServerProcess]:
    port = free_port()
    arguments = [argument.replace("PORT", str(port)) for argument in command]
    with ServerProcess(arguments, port, environment=environment) as server:
        yield server


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
    """issue: 1012 where the server can send it, each disconnect consumer once, and a quick end without complaints."""
    if kind == "hypercorn" and sys.version_info >= (3, 12):
        pytest.skip("it waits for its clients without end on this Python")
    command, code, exit_code = SERVERS[kind]
    log = tmp_path / "log"
    with serving(command, {"LOG": str(log)}) as server:
        sockets = await open_sockets(server)
        if kind == "daphne":
            await asyncio.sleep(DAPHNE_FORGETS)
        assert await stopped(server, sockets) == [code] * SOCKETS
        assert server.process.returncode == exit_code
        assert disconnects(log) == {"1012": SOCKETS}
        # Of all the lines that hypercorn and daphne write, none may be ours.
        assert not re.search(r"routechan|refused an event|not settled|did not end", server.output)
        assert server.output == "" or not kind.startswith("uvicorn")


async def test_workers(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """issue: the server ends when its workers have settled the disconnects, each run once."""
    log = tmp_path / "log"
    environment = {
        "LOG": str(log),
        "REDIS": shared(pytestconfig, SingleServer).url,
        "REDIS_PREFIX": secrets.token_hex(6),
    }
    with (
        Worker(["-m", "tests.servers.shutdown_app"], 0, environment=environment),
        serving(UVICORN, environment) as server,
    ):
        sockets = await open_sockets(server)
        assert await stopped(server, sockets) == [1012] * SOCKETS
        assert disconnects(log) == {"1012": SOCKETS}, "the server did not wait for its workers"
        assert (server.process.returncode, server.output) == (-signal.SIGTERM, "")
