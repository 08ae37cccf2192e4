"""Several processes that share an address."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from routechan import cli, route
from routechan.layers import RedisChannelLayer
from tests.integration.servers.eventsource import EventSource
from tests.waiting import stretched, until

from ...processes import ServerProcess, free_port
from ...redis_servers import SingleServer, shared
from ..asgi.consumers import accept, echo
from ..monitor.helpers import working


async def test_several_processes(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """They share the address; one that dies is started again, and all are replaced one by one while clients come."""
    redis = shared(pytestconfig, SingleServer)
    prefix = secrets.token_hex(6)
    layer = RedisChannelLayer(hosts=[redis.url], prefix=prefix)
    port = free_port()
    words = (
        f"serve --redis {redis.url} --prefix {prefix} --port {port} --allow-origin * --processes 2 --graceful-timeout 5"
    )
    ready = re.compile(r"Server process \d \(pid (\d+)\) is ready")

    async def opened() -> Any:
        """A socket that works. A process that is told to stop may close one at any point of this."""
        while True:
            try:
                socket = await connect(f"ws://127.0.0.1:{port}/")
                await socket.send("hello")
                assert await socket.recv() == "hello"
            except InvalidStatus as refused:
                if refused.response.status_code != 503:
                    raise
            except (InvalidMessage, ConnectionClosed):
                continue
            else:
                return socket

    async def asks(count: int) -> list[Any]:
        return await asyncio.gather(*(opened() for _ in range(count)))

    with ServerProcess(["-m", "routechan", *words.split()], port) as server:
        routing = [route("websocket.connect", accept), route("websocket.receive", echo)]
        async with working(layer, *routing, threads=4):
            await until(lambda: len(ready.findall(server.output)) == 2)
            sockets = await asks(20)
            os.kill(int(ready.findall(server.output)[0]), signal.SIGKILL)
            await until(lambda: len(ready.findall(server.output)) == 3)
            sockets += await asks(10)
            server.process.send_signal(signal.SIGHUP)
            while len(ready.findall(server.output)) < 5:
                sockets += await asks(1)
            assert len(set(ready.findall(server.output))) == 5
            sockets += await asks(5)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*(socket.wait_closed() for socket in sockets))
            await asyncio.to_thread(server.process.wait, 20)
        assert server.process.returncode == 0, server.output
        # Perhaps none was in the process that was killed.
        assert {socket.close_code for socket in sockets} <= {1006, 1012}
        assert sockets[-1].close_code == 1012
        assert "Traceback" not in server.output
    layer.close()


async def test_processes_that_are_replaced_one_by_one_with_a_drain(pytestconfig: pytest.Config) -> None:
    """Each client that speaks ``routechan.v1``, and each event stream, is told how long to wait, and then closed."""
    redis, prefix, port = shared(pytestconfig, SingleServer), secrets.token_hex(6), free_port()
    layer = RedisChannelLayer(hosts=[redis.url], prefix=prefix)
    words = f"serve --redis {redis.url} --prefix {prefix} --port {port} --allow-origin * --processes 2 --drain 0.5"
    ready = re.compile(r"Server process . \(pid (\d+)\) is ready")
    with ServerProcess(["-m", "routechan", *words.split()], port) as server:
        async with working(layer, route("websocket.connect", accept), route("websocket.receive", echo), threads=4):
            await until(lambda: len(ready.findall(server.output)) == 2)
            url = f"ws://127.0.0.1:{port}/"
            sockets = [await connect(url, subprotocols=[Subprotocol("routechan.v1")]) for _ in range(10)]
            page = EventSource(port, "/")
            await asyncio.to_thread(page.__enter__)  # the worker runs on this loop
            server.process.send_signal(signal.SIGHUP)
            for socket in sockets:
                word, seconds = str(await asyncio.wait_for(socket.recv(), stretched(20))).split()
                assert word == "!retry"
                assert 0 <= float(seconds) <= 0.5
                await socket.wait_closed()
                assert socket.close_code == 1012
            name, waits = await asyncio.to_thread(page.hears)
            assert (name, 0 <= float(waits) <= 0.5) == ("retry", True)
            assert await asyncio.to_thread(page.hears) == ("close", "1012")
            page.__exit__(None, None, None)
            await until(lambda: len(ready.findall(server.output)) == 4)
        assert "Traceback" not in server.output
    layer.close()


async def test_several_processes_that_are_all_signalled(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """As Ctrl-C does, and service managers: sockets are closed with 1012, and nothing is said of errors."""
    redis = shared(pytestconfig, SingleServer)
    prefix, path = secrets.token_hex(6), tmp_path / "socket"
    layer = RedisChannelLayer(hosts=[redis.url], prefix=prefix)
    words = f"serve --redis {redis.url} --prefix {prefix} --uds {path} --allow-origin * --processes 2"
    server = ServerProcess(["-m", "routechan", *words.split()], 0)
    server.answers = lambda: len(re.findall(r"Server process . \(pid \d+\) is ready", server.output)) == 2  # type: ignore[method-assign]
    with server:
        async with working(layer, route("websocket.connect", accept)):
            sockets = [await unix_connect(str(path), "ws://localhost/") for _ in range(6)]
            pids = [int(pid) for pid in re.findall(r"\(pid (\d+)\) is ready", server.output)]
            for pid in [*pids, server.process.pid, *pids]:
                os.kill(pid, signal.SIGINT)
            await asyncio.gather(*(socket.wait_closed() for socket in sockets))
            await asyncio.to_thread(server.process.wait, 20)
        assert server.process.returncode == 0, server.output
        assert {socket.close_code for socket in sockets} == {1012}
        assert "Traceback" not in server.output
        assert not path.exists()
    layer.close()


def test_several_processes_on_an_address_that_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = f"serve --redis redis://127.0.0.1:1 --port {port} --allow-origin * --processes 2"
        assert cli.main(words.split()) == 1
    assert f"There is no serving on 127.0.0.1:{port}: " in caplog.text
    assert "ddress already in use" in caplog.text
