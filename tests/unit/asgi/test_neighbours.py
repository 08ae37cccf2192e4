"""A layer in memory that several processes of one server serve is warned of."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from routechan.asgi import neighbours
from routechan.asgi.neighbours import Neighbours, addresses
from routechan.layers import InMemoryChannelLayer
from tests.processes import ROOT
from tests.waiting import until

from .clients import logged

#: A process that inherits the sockets of its parent, as the workers of a server do, and says what it logs.
CHILD = """
import asyncio, logging, sys
from routechan.asgi import neighbours
from routechan.layers import InMemoryChannelLayer

async def main():
    neighbours.STARTING_TIME = 0
    looks = neighbours.Neighbours(InMemoryChannelLayer())
    looks.start()
    await asyncio.sleep(0.1)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    looks.stop()

logging.basicConfig(stream=sys.stdout, format="%(message)s", level="WARNING")
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "STARTING_TIME", 0)


def child(listener: socket.socket) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD],
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def test_two_processes_on_one_address(caplog: pytest.LogCaptureFixture) -> None:
    """The second one says it, with the first one's id; when the first has ended, nobody is in the way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with child(listener) as first:
            assert first.stdout is not None
            assert first.stdin is not None
            assert await asyncio.to_thread(first.stdout.readline) == "ready\n"
            second = Neighbours(InMemoryChannelLayer())
            second.start()
            await until(lambda: logged(caplog))
            with child(listener) as silent:  # it has been said
                assert await asyncio.to_thread(silent.communicate) == ("ready\n", None)
            second.stop()
            first.stdin.close()
            assert await asyncio.to_thread(first.wait) == 0
        third = Neighbours(InMemoryChannelLayer())
        third.start()
        await asyncio.sleep(0.1)
        third.stop()
    [line] = logged(caplog)
    assert line.startswith(f"Another process (pid {first.pid}) serves 127.0.0.1:{port} too, and the channel layer ")
    assert line.endswith("use routechan.layers.RedisChannelLayer")


async def test_other_addresses_and_layers(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that listen elsewhere are none of ours, and a layer that crosses processes may have any number."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as theirs:
        with child(theirs) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert await asyncio.to_thread(other.stdout.readline) == "ready\n"
            theirs.close()
            looks = Neighbours(InMemoryChannelLayer())
            looks.start()
            await asyncio.sleep(0.1)
            looks.stop()
            other.stdin.close()
        monkeypatch.setattr(InMemoryChannelLayer, "crosses_processes", True)
        with child(listener) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert await asyncio.to_thread(other.stdout.readline) == "ready\n"
            looks = Neighbours(InMemoryChannelLayer())
            looks.start()
            await asyncio.sleep(0.1)
            looks.stop()
            other.stdin.close()
    assert logged(caplog) == []


def test_addresses(tmp_path: object) -> None:
    """Those of listening sockets, not of connections; paths of Unix sockets too."""
    path = f"{tmp_path}/socket"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX) as unix,
        socket.create_connection(listener.getsockname()),
    ):
        unix.bind(path)
        assert path not in addresses()
        unix.listen()
        found = list(addresses())
        assert path in found
        assert found.count(f"127.0.0.1:{listener.getsockname()[1]}") == 1


async def test_no_place_for_locks(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file can be written, nothing can be told, and nothing is said."""
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")
    with socket.create_server(("127.0.0.1", 0)):
        looks = Neighbours(InMemoryChannelLayer())
        looks.start()
        await asyncio.sleep(0.05)
        looks.stop()
    assert logged(caplog) == []
