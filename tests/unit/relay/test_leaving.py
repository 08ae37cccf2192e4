"""Sockets that are gone while an event of theirs is in flight: their task ends, and what is left goes on without it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routechan import Message, route
from routechan.app import relay_application
from routechan.asgi import ServerOptions, disconnects
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.relay import inflight
from routechan.telemetry.counters import counters
from tests.waiting import until

from ..asgi.clients import Client, Lifespan, Open, logged
from ..helpers import DEADLINE
from .helpers import SOCKET, accept, relaying, serving, working

CONNECT, RECEIVE, DISCONNECT = "websocket.connect", "websocket.receive", "websocket.disconnect"


@pytest.fixture(autouse=True)
async def quick(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Sockets are looked after soon, and nobody is waited for; no event is left in flight."""
    for module, name in ((inflight, "LOOK_TIME"), (inflight, "CHECK_INTERVAL"), (disconnects, "LEAVE_TIMEOUT")):
        monkeypatch.setattr(module, name, 0.01)
    waiting = counters.events_waiting
    yield
    assert counters.events_waiting == waiting


class Layer(InMemoryChannelLayer):
    """A layer that keeps last wills as those do that other processes see. Lifetime: test."""

    def __init__(self) -> None:
        super().__init__()
        self.wills: dict[str, Any] = {}

    def last_will(self, channel: str, to: str, content: Any) -> None:
        self.wills[channel] = content

    def forget(self, channel: str) -> None:
        super().forget(channel)
        self.wills.pop(channel, None)


class Seen:
    """Consumers that keep which events they got, in order. Lifetime: test."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def routing(self) -> list[Any]:
        return [route(name, self.consume) for name in (CONNECT, RECEIVE, DISCONNECT)]

    def consume(self, message: Message) -> None:
        self.events.append(message.content.get("text") or message.channel_name)
        if message.channel_name == CONNECT:
            accept(message)


async def test_a_client_that_leaves_during_the_handshake() -> None:
    """Its task ends, with no worker there; a worker that comes consumes connect and disconnect, in order."""
    layer, seen = Layer(), Seen()
    async with serving(layer.sync, handshake_timeout=20) as application:
        async with Client(application) as client:
            client.leave(1006)
            await client.over()
        assert [will["order"] for will in layer.wills.values()] == [0]
        async with working(layer.sync, *seen.routing()):
            await until(lambda: len(seen.events) == 2)
            await until(lambda: not layer.wills)
    assert seen.events == [CONNECT, DISCONNECT]


async def test_a_socket_that_others_have_disconnected() -> None:
    """Its server was taken for dead: an event that was in flight then is forgotten when it has its outcome."""
    layer, release = Layer(), threading.Event()

    def hold(message: Message) -> None:
        release.wait(DEADLINE)

    waiting = counters.events_waiting
    worker = working(layer.sync, *SOCKET, route(RECEIVE, hold))
    async with worker, serving(layer.sync) as application, Open(application) as client:
        client.send("hold")
        await until(lambda: counters.events_waiting > waiting)
        sockets = application._server.sockets
        sockets.fence(tuple(sockets._open))
        await client.over()
        release.set()
        await until(lambda: counters.events_waiting == waiting, "nothing is in flight")


async def test_an_event_that_is_released_twice() -> None:
    """Its socket closes, and then its client leaves: it is in flight until its ack, and over once."""
    async with relaying() as relay:
        waiting, connection = counters.events_waiting, relay.connection(1)
        handling = asyncio.create_task(connection.handle(RECEIVE, {"n": 1}))
        assert await relay.take(1) == [1]
        connection.release()
        connection.release()
        await handling
        assert counters.events_waiting == waiting + 1
        relay.ack(1)
        await until(lambda: counters.events_waiting == waiting, "it is over")
        await connection.idle()
        assert counters.events_waiting == waiting


async def test_a_handshake_that_the_server_refuses() -> None:
    """Its task does not wait for the worker that never came."""
    layer, seen = Layer(), Seen()
    async with serving(layer.sync, handshake_timeout=0.05) as application:
        async with Client(application) as client:
            await client.refused()
        async with working(layer.sync, *seen.routing()):
            await until(lambda: len(seen.events) == 2)
    assert seen.events == [CONNECT, DISCONNECT]


async def test_a_client_that_leaves_behind_its_frames() -> None:
    """They are consumed before its disconnect, each once, in order, as soon as a worker comes."""
    layer, seen = Layer(), Seen()
    texts = [f"frame {number}" for number in range(12)]
    async with serving(layer.sync) as application:
        async with working(layer.sync, *SOCKET):
            client = await Open(application).__aenter__()
        for text in texts:
            client.send(text)
        client.leave(4000)
        await client.over()
        async with working(layer.sync, *seen.routing()):
            await until(lambda: DISCONNECT in seen.events)
    assert seen.events == [*texts, DISCONNECT]


async def test_frames_of_a_socket_that_stays() -> None:
    """Those that were read ahead, while one waited for a worker, are consumed in order; so is what comes later."""
    layer, seen = Layer(), Seen()
    async with serving(layer.sync) as application:
        async with working(layer.sync, *SOCKET):
            client = await Open(application).__aenter__()
        for number in range(30):
            client.send(f"frame {number}")
        await until(lambda: client.asked > 10)  # it is reading ahead
        await until(lambda: client.to_application.qsize() <= 30 - 16, "no more than so many")
        assert client.to_application.qsize() > 5
        async with working(layer.sync, *seen.routing()):
            await until(lambda: len(seen.events) == 30)
            client.send("later")
            await until(lambda: len(seen.events) == 31)
            client.leave()
            await client.over()
            await until(lambda: len(seen.events) == 32)
    assert seen.events == [*(f"frame {number}" for number in range(30)), "later", DISCONNECT]


async def test_large_frames_of_a_socket_that_stays() -> None:
    """Where they are large, few of them are read ahead; all are consumed, and so is the disconnect behind them."""
    layer, seen = Layer(), Seen()
    async with serving(layer.sync) as application:
        async with working(layer.sync, *SOCKET):
            client = await Open(application).__aenter__()
        texts = [f"{number} {'x' * 600_000}" for number in range(12)]
        for text in texts:
            client.send(text)
        client.leave()
        await until(lambda: client.to_application.qsize() < 12)
        assert client.to_application.qsize() >= 13 - 3
        async with working(layer.sync, *seen.routing()):
            await client.over()
            await until(lambda: DISCONNECT in seen.events)
            assert client.to_application.empty()
    assert seen.events == [*texts, DISCONNECT]


@pytest.mark.parametrize("posted", [True, False])
async def test_a_server_that_stops_without_workers(posted: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It does not wait for them. What a worker may still find is no last will; what it cannot is one."""
    layer, seen = Layer(), Seen()
    application = relay_application(layer, options=ServerOptions(handshake_timeout=20))
    async with Lifespan(application):
        if posted:
            async with working(layer.sync, *SOCKET):
                client = await Open(application).__aenter__()
        else:
            client = await Client(application).__aenter__()
            await until(lambda: client.asked > 1)
        client.leave(1012)
        await client.over()
    assert (len(layer.wills) == 0) is posted
    assert logged(caplog) == []
    async with working(layer.sync, *seen.routing()):
        await until(lambda: seen.events)
    assert seen.events == [DISCONNECT if posted else CONNECT]


async def test_a_server_that_stops_with_slow_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits as long as they consume what its sockets left, also longer than it waits for none."""
    layer = Layer()
    monkeypatch.setattr(disconnects, "LEAVE_TIMEOUT", 1.0)
    ended: list[int] = []

    async def slowly(message: Message) -> None:
        await asyncio.sleep(0.2 * len(ended))
        ended.append(message["code"])

    application = relay_application(layer)
    async with working(layer.sync, *SOCKET[:1], route(DISCONNECT, slowly), threads=1):
        async with Lifespan(application):
            clients = [await Open(application).__aenter__() for _ in range(6)]
            for client in clients:
                client.leave(1001)
        for client in clients:
            await client.over()
    assert len(ended) == 6
    assert layer.wills == {}


async def test_a_server_that_cancels_without_workers(default_layer: SyncChannelLayer) -> None:
    """The end of a connection that its server cancels waits for no worker either."""
    async with serving(default_layer) as application:
        async with working(default_layer, *SOCKET):
            client = await Open(application).__aenter__()
        client.task.cancel()
        await asyncio.wait_for(asyncio.wait([client.task]), 20)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (CONNECT, "its connection is closed meanwhile"),
        (DISCONNECT, "it may have reached no consumer, and is not sent again"),
    ],
)
async def test_an_event_that_is_too_late(event: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what becomes of its connection."""
    layer = Layer()
    async with serving(layer.sync, event_timeout=0.05) as application, Client(application, "/chat/") as client:
        client.leave()
        await client.over()
        await until(lambda: len(logged(caplog)) == 2)
    assert f"The event on {event} of '/chat/' was not consumed within 0.05 s; {told}" in logged(caplog)


async def test_a_receive_that_raises_while_an_event_waits() -> None:
    """The connection is over, and the server gets its error back."""
    layer = Layer()

    class Broken(Client):
        async def _receive(self) -> dict[str, Any]:
            event = await super()._receive()
            if event["type"] == "broken":
                raise LookupError("on purpose")
            return event

    async with serving(layer.sync, handshake_timeout=20) as application:
        client = await Broken(application).__aenter__()
        client.push({"type": "broken"})
        await asyncio.wait([client.task])
        assert isinstance(client.task.exception(), LookupError)


async def test_many_events_that_are_too_late(caplog: pytest.LogCaptureFixture) -> None:
    """Where no worker runs, clients who come and go do not fill the log: it is a line for each kind of event."""
    waiting = counters.events_waiting
    async with serving(Layer().sync, event_timeout=0.05) as application:
        for _ in range(10):
            async with Client(application, "/chat/") as client:
                client.leave(1006)
                await client.over()
        await until(lambda: counters.events_waiting == waiting)
    assert sum("was not consumed within" in line for line in logged(caplog)) == 2
