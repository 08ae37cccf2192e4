"""The end of a server: what it left open is closed with 1012, and every disconnect consumer runs, once."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

import routechan
from routechan import Message, route
from routechan.asgi import server as server_module
from routechan.asgi import websocket as websocket_module
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..harness import Connection
from .clients import Client, Lifespan, logged
from .conftest import Serve

RESTART = {"type": "websocket.close", "code": 1012}


class Log:
    """Consumers that keep the disconnects; each kind waits for ``go`` with a text of ``wait``. Lifetime: test."""

    def __init__(self) -> None:
        self.codes: list[int | None] = []
        self.began = asyncio.Event()
        self.ended: list[str] = []
        self.go = asyncio.Event()
        self.thread_goes = threading.Event()
        self._loop = asyncio.get_running_loop()

    def routing(self, disconnect: str = "plain") -> list[Any]:
        return [
            route("websocket.connect", self.connect, path="^/$"),
            route("websocket.receive", self.areceive, path="^/$"),
            route("websocket.connect", self.silent, path="^/undecided/$"),
            route("websocket.disconnect", {"plain": self.disconnect, "async": self.adisconnect}[disconnect]),
        ]

    def connect(self, message: Message) -> None:
        message.reply_channel.send({"accept": True})  # type: ignore[union-attr]

    def silent(self, message: Message) -> None:
        self._loop.call_soon_threadsafe(self.began.set)

    async def areceive(self, message: Message) -> None:
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    def disconnect(self, message: Message) -> None:
        self.codes.append(message["code"])

    async def adisconnect(self, message: Message) -> None:
        self.codes.append(message["code"])
        self.began.set()
        await self.go.wait()
        self.ended.append("disconnect")


@pytest.mark.parametrize("disconnect", ["plain", "async"])
async def test_a_server_that_stops_with_open_sockets(default_layer: SyncChannelLayer, disconnect: str) -> None:
    """issue 5: lifespan's shutdown closes them with 1012 and waits for their disconnect consumers."""
    log = Log()
    log.go.set()
    application = routechan.application(log.routing(disconnect), default_layer.layer)
    async with Lifespan(application):
        clients = [await Client(application).__aenter__() for _ in range(5)]
        for client in clients:
            await client.open()
    assert log.codes == [1012] * 5
    for client in clients:
        assert client.events() == [RESTART]
        await client.over()


async def test_a_socket_that_is_not_open_yet(default_layer: SyncChannelLayer) -> None:
    """6.11: it is refused, and its disconnect says 1006."""
    log = Log()
    application = routechan.application(log.routing(), default_layer.layer)
    async with Lifespan(application):
        client = await Client(application, "/undecided/").__aenter__()
        await log.began.wait()
    assert client.events() == [{"type": "websocket.close", "code": 1000}]
    assert log.codes == [1006]
    await client.over()


async def test_a_socket_that_is_being_closed(default_layer: SyncChannelLayer) -> None:
    """A client that does not answer our close is not waited for, and keeps the code it was closed with."""
    log = Log()
    application = routechan.application(log.routing(), default_layer.layer)
    async with Lifespan(application):
        client = await (await Client(application).__aenter__()).open()
        server = application._server
        assert server is not None
        [name] = server.sockets._open
        default_layer.send(name, {"close": 4000})
        await until(lambda: client.events() == [{"type": "websocket.close", "code": 4000}])
    assert log.codes == [4000]
    await client.over()


async def test_new_sockets_are_refused_meanwhile(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """issue 5: a server that is stopping takes no new socket, and says so."""
    log = Log()
    application = routechan.application(log.routing("async"), default_layer.layer)
    async with Lifespan(application) as lifespan:
        client = await (await Client(application).__aenter__()).open()
        lifespan.push({"type": "lifespan.shutdown"})
        await log.began.wait()
        late = await Client(application).__aenter__()
        assert await late.event() == {"type": "websocket.close", "code": 1000}
        await late.over()
        assert logged(caplog) == ["WebSocket '/' is refused: the server is stopping"]
        log.go.set()
        await client.over()
    assert log.ended == ["disconnect"]


async def test_a_disconnect_that_hangs(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """issue 5: bounded in time, and logged."""
    monkeypatch.setattr(server_module, "STOP_TIME", 0.05)
    log = Log()
    application = routechan.application(log.routing("async"), default_layer.layer)
    async with Lifespan(application):
        client = await (await Client(application).__aenter__()).open()
    assert log.codes == [1012]
    assert logged(caplog) == ["1 connections did not end within 0.05 s, and are left to themselves"]
    log.go.set()
    await client.over()


async def test_a_server_that_cancels_its_connections(serve: Serve) -> None:
    """As hypercorn and daphne stop: 1012, the disconnect consumer, and an end that daphne waits for."""
    log = Log()
    client = await (await Client(await serve(log.routing())).__aenter__()).open()
    client.task.cancel()
    await client.over()
    assert client.events() == [RESTART]
    assert log.codes == [1012]


async def test_a_connection_cancelled_while_a_consumer_runs(serve: Serve) -> None:
    """An async consumer is cancelled with it, and the disconnect comes after it."""
    log = Log()
    client = await (await Client(await serve(log.routing())).__aenter__()).open()
    client.send("wait")
    await log.began.wait()
    client.task.cancel()
    await client.over()
    assert log.ended == ["cancelled"]
    assert client.events() == [RESTART]
    assert log.codes == [1012]


async def test_a_connection_cancelled_while_it_disconnects(serve: Serve) -> None:
    """A disconnect consumer that has begun is not run again, nor waited for: the server's patience is over."""
    log = Log()
    client = await (await Client(await serve(log.routing("async"))).__aenter__()).open()
    client.leave(1001)
    await log.began.wait()
    client.task.cancel()
    await client.over()
    assert log.codes == [1001]
    assert log.ended == []


async def test_a_connection_cancelled_twice(serve: Serve) -> None:
    """Who cancels once more does not want to wait."""
    log = Log()
    client = await (await Client(await serve(log.routing("async"))).__aenter__()).open()
    client.task.cancel()
    await log.began.wait()
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.over()
    assert log.codes == [1012]
    assert log.ended == []


async def test_a_cancelled_connection_that_hangs(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """issue 5: bounded in time, and logged."""
    monkeypatch.setattr(websocket_module, "CANCELLED_TIME", 0.05)
    log = Log()
    client = await (await Client(await serve(log.routing("async"))).__aenter__()).open()
    client.task.cancel()
    await client.over()
    assert logged(caplog) == [
        "The websocket.disconnect of '/' was not settled within 0.05 s; the server ends without it"
    ]


async def test_a_server_that_cannot_send_the_code(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """daphne raises on 1012: that is no line in the log for each of a thousand sockets, and the disconnect runs."""
    log = Log()
    application = await serve(log.routing())
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    accepted = asyncio.Event()

    async def send(event: Any) -> None:
        if event["type"] == "websocket.close":
            raise ValueError("invalid close code 1012")
        accepted.set()

    events.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    running = asyncio.create_task(application(scope, events.get, send))
    await accepted.wait()
    running.cancel()
    await asyncio.wait_for(running, 5)
    assert log.codes == [1012]
    assert logged(caplog, logging.INFO) == []


async def test_a_request_at_the_end(default_layer: SyncChannelLayer) -> None:
    """A request whose consumer never answers does not hold the server up."""

    def consume(message: Message) -> None:
        """Never answers."""

    application = routechan.application([route("http.request", consume)], default_layer.layer)
    async with Lifespan(application):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        request = await Connection(application, scope).__aenter__()
        request.push({"type": "http.request", "body": b""})
        await until(lambda: application._server is not None and len(application._server.responses))
    await asyncio.wait_for(request.task, 5)
