"""The end of a server: what it left open is closed with 1012, and every disconnect consumer runs, once."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import nullcontext
from typing import Any

import pytest

import routechan
from routechan import Message, route
from routechan.asgi import server as server_module
from routechan.asgi import websocket as websocket_module
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from .clients import Client, Lifespan, Open, Request, close, logged
from .conftest import Serve
from .consumers import accept

RESTART = close(1012)


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
            route("websocket.connect", accept, path="^/$"),
            route("websocket.receive", self.areceive, path="^/$"),
            route("websocket.connect", self.silent, path="^/undecided/$"),
            route("websocket.disconnect", {"plain": self.disconnect, "async": self.adisconnect}[disconnect]),
        ]

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
    """Lifespan's shutdown closes them with 1012 and waits for their disconnect consumers."""
    log = Log()
    log.go.set()
    application = routechan.application(log.routing(disconnect), default_layer.layer)
    async with Lifespan(application):
        clients = [await Open(application).__aenter__() for _ in range(5)]
    assert log.codes == [1012] * 5
    for client in clients:
        assert client.events() == [RESTART]
        await client.over()


async def test_the_layer_hears_of_it_first(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers that wait for a layer which is away would keep the server."""
    told: list[list[int | None]] = []
    log = Log()
    monkeypatch.setattr(default_layer.layer, "hurry", lambda: told.append(list(log.codes)))
    application = routechan.application(log.routing(), default_layer.layer)
    async with Lifespan(application):
        client = await Open(application).__aenter__()
        assert told == []
    assert (told, log.codes) == ([[]], [1012])
    await client.over()


async def test_a_socket_that_is_not_open_yet(default_layer: SyncChannelLayer) -> None:
    """6.11: it is refused, and its disconnect says 1006."""
    log = Log()
    application = routechan.application(log.routing(), default_layer.layer)
    async with Lifespan(application):
        client = await Client(application, "/undecided/").__aenter__()
        await log.began.wait()
    assert client.events() == [close(1000)]
    assert log.codes == [1006]
    await client.over()


async def test_a_socket_that_is_being_closed(default_layer: SyncChannelLayer) -> None:
    """A client that does not answer our close is not waited for; its disconnect has the code of the close."""
    log = Log()
    application = routechan.application(log.routing(), default_layer.layer)
    async with Lifespan(application):
        client = await Open(application).__aenter__()
        [name] = application._server.sockets._open
        default_layer.send(name, {"close": 4000})
        await until(lambda: client.events() == [close(4000)])
    assert log.codes == [4000]
    await client.over()


async def test_new_sockets_are_refused_meanwhile(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is stopping takes no new socket, and says so."""
    log = Log()
    application = routechan.application(log.routing("async"), default_layer.layer)
    async with Lifespan(application) as lifespan:
        client = await Open(application).__aenter__()
        lifespan.push({"type": "lifespan.shutdown"})
        await log.began.wait()
        late = await Client(application).__aenter__()
        assert await late.event() == close(1000)
        await late.over()
        assert logged(caplog) == ["WebSocket '/' is refused: the server is stopping"]
        log.go.set()
        await client.over()
    assert log.ended == ["disconnect"]


async def test_a_disconnect_that_hangs(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for it is bounded, and logged."""
    monkeypatch.setattr(server_module, "STOP_TIMEOUT", 0.05)
    log = Log()
    application = routechan.application(log.routing("async"), default_layer.layer)
    async with Lifespan(application):
        client = await Open(application).__aenter__()
    assert log.codes == [1012]
    assert logged(caplog) == ["1 connection did not end within 0.05 s, and had to be abandoned"]
    log.go.set()
    await client.over()


async def opened(serve: Serve, disconnect: str = "plain", kind: type[Open] = Open) -> tuple[Log, Open]:
    """The consumers of an application, and an open socket of it that nothing disconnects after the test."""
    log = Log()
    return log, await kind(await serve(log.routing(disconnect))).__aenter__()


@pytest.mark.parametrize("busy", [False, True])
async def test_a_server_that_cancels_its_connections(serve: Serve, busy: bool) -> None:
    """As hypercorn and daphne stop: 1012, and the disconnect consumer; an async consumer is cancelled before it."""
    log, client = await opened(serve)
    if busy:
        client.send("wait")
        await log.began.wait()
    client.task.cancel()
    await client.over()
    assert log.ended == (["cancelled"] if busy else [])
    assert client.events() == [RESTART]
    assert log.codes == [1012]


@pytest.mark.parametrize(("first", "code"), [("leave", 1001), ("cancel", 1012)])
async def test_a_connection_cancelled_while_it_disconnects(serve: Serve, first: str, code: int) -> None:
    """A disconnect consumer that has begun is not run again, nor waited for, however it came to run."""
    log, client = await opened(serve, "async")
    if first == "leave":
        client.leave(1001)
    else:
        client.task.cancel()
    await log.began.wait()
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError) if first == "cancel" else nullcontext():
        await client.over()
    assert log.codes == [code]
    assert log.ended == []


async def test_a_cancelled_connection_that_hangs(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for it is bounded, and logged."""
    monkeypatch.setattr(websocket_module, "CANCEL_TIMEOUT", 0.05)
    _, client = await opened(serve, "async")
    client.task.cancel()
    await client.over()
    assert logged(caplog) == [
        "The websocket.disconnect of '/' was not finished within 0.05 s; the server ends without it"
    ]


class Daphne(Open):
    """A server that cannot send 1012."""

    async def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.close":
            raise ValueError("invalid close code 1012")
        await super()._take(event)


async def test_a_server_that_cannot_send_the_code(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """daphne raises on 1012: that is no line in the log for each of a thousand sockets, and the disconnect runs."""
    log, client = await opened(serve, kind=Daphne)
    client.task.cancel()
    await client.over()
    assert log.codes == [1012]
    assert logged(caplog, logging.INFO) == []


async def test_a_request_at_the_end(default_layer: SyncChannelLayer) -> None:
    """A request whose consumer never answers does not hold the server up."""
    application = routechan.application([route("http.request", lambda message: None)], default_layer.layer)
    async with Lifespan(application):
        request = await Request(application).__aenter__()
        await until(lambda: application._server is not None and len(application._server.responses))
    await request.over()


@pytest.mark.parametrize("answers", [True, False])
async def test_a_layer_that_is_away_at_the_end(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """The server stops all the same, soon, and one line says what is left to others."""
    monkeypatch.setattr(server_module, "DETACH_TIMEOUT", 20.0 if answers else 0.01)

    async def detach(queue: str) -> None:
        if answers:
            raise ChannelLayerUnavailable("no Redis")
        await asyncio.sleep(60)

    monkeypatch.setattr(default_layer.layer, "detach", detach)
    async with Lifespan(routechan.application([], default_layer.layer)):
        pass
    why = "no Redis" if answers else "it has not answered for 0.01 s"
    [line] = logged(caplog)
    assert line.startswith(f"The server stops while its layer is away ({why}). Others will end what its sockets had")
