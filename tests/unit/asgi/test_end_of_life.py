"""The end of a socket, whatever is raised by its consumers, its layer and its server: one disconnect, nothing left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from routechan import ConsumeLater, Group, Message, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..helpers import CANCELLED, KINDS, of_kind
from .clients import Client, Open, Request, logged
from .conftest import Serve
from .consumers import Log


class TheirEnd(BaseException):
    """Not even an ``Exception``."""


ERRORS = [LookupError, GeneratorExit, KeyboardInterrupt, SystemExit, CANCELLED, TheirEnd]

each_error = pytest.mark.parametrize("error", ERRORS)


class Seen(Log):
    """Consumers that accept, and are in a group as long as they live. Lifetime: test."""

    def __init__(self) -> None:
        super().__init__({"accept": True})

    def consume(self, message: Message) -> None:
        if message.channel_name == "websocket.connect":
            Group("here").add(message.reply_channel)
        super().consume(message)

    def ended(self) -> list[Any]:
        return [entry["code"] for entry in self.of("websocket.disconnect")]


@each_error
@pytest.mark.parametrize("kind", [*KINDS, "decorated async", "decorated stream", "decorated async stream"])
async def test_a_consumer_that_raises(
    serve: Serve, default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, kind: str, error: Any
) -> None:
    """It is one message's error, whatever it is: logged once; the socket goes on, and has one disconnect at its end."""

    def fail(message: Message) -> Iterator[dict[str, Any]]:
        if message["text"] == "fail":
            raise error("on purpose")
        yield {"text": message["text"]}

    seen = Seen()
    application = await serve([route("websocket.receive", of_kind(kind, fail)), *seen.routing()])
    async with Open(application) as client:
        client.send("fail")
        client.send("go on")
        assert await client.text() == "go on"
        client.leave(4000)
    assert seen.ended() == [4000]
    assert default_layer.group_channels("here") == []
    await until(lambda: logged(caplog))
    assert [line.split(" ")[:3] for line in logged(caplog)] == [["Error", "in", "consumer"]]


@each_error
@pytest.mark.parametrize("kind", KINDS)
async def test_a_connect_consumer_that_raises(serve: Serve, kind: str, error: Any) -> None:
    """The handshake is refused at once; its disconnect has 1006."""

    def fail(message: Message) -> Iterator[dict[str, Any]]:
        raise error("on purpose")
        yield {}

    seen = Seen()
    application = await serve([route("websocket.connect", of_kind(kind, fail)), *seen.routing()])
    async with Client(application) as client:
        await client.refused()
    assert seen.ended() == [1006]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connect_consumer_that_raises_after_it_has_accepted(serve: Serve, kind: str) -> None:
    """The socket stays open: what a consumer sent before it failed is sent."""

    def fail(message: Message) -> Iterator[dict[str, Any]]:
        yield {"accept": True}
        raise LookupError("on purpose")

    async with Open(await serve([route("websocket.connect", of_kind(kind, fail))])) as client:
        assert await client.nothing()


async def test_a_connect_that_asks_for_another_try_too_often(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused when it has had all its tries."""
    monkeypatch.setattr("routechan.consumers.connection.LATER_DELAY_MAX", 0.001)

    def later(message: Message) -> None:
        raise ConsumeLater

    async with Client(await serve([route("websocket.connect", later)], handshake_timeout=30)) as client:
        await client.refused()


async def test_a_connect_that_cannot_be_routed(serve: Serve) -> None:
    """A route object of the project's own that raises: the handshake is refused at once."""

    class Broken:
        def match(self, message: Message) -> Any:
            raise TheirEnd("on purpose")

        def channel_names(self) -> set[str]:
            return {"websocket.connect"}

    async with Client(await serve([Broken()], handshake_timeout=30)) as client:
        await client.refused()


@each_error
@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_whose_consumer_raises(serve: Serve, kind: str, error: Any) -> None:
    """It is answered at once, and followed by its disconnect."""

    def fail(message: Message) -> Iterator[dict[str, Any]]:
        raise error("on purpose")
        yield {}

    log = Log()
    application = await serve([route("http.request", of_kind(kind, fail)), *log.routing()])
    async with Request(application) as request:
        assert (await request.event())["status"] == 503
        await request.over()
    assert len(log.of("http.disconnect")) == 1


# The server


class Raising(Client):
    """A client of a server whose ``send`` or ``receive`` raises from some event on. Lifetime: test."""

    def __init__(self, application: Any, error: BaseException, on: str, later: bool = False) -> None:
        super().__init__(application)
        self.error, self.on, self.later = error, on, later

    async def _receive(self) -> dict[str, Any]:
        event = await super()._receive()
        if event["type"] == self.on:
            raise self.error
        return event

    async def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == self.on:
            if self.later:
                await asyncio.sleep(0)
            raise self.error
        await super()._take(event)


async def say(message: Message) -> None:
    await message.reply_channel.asend({"text": "hello"})


SERVER_ERRORS = [
    OSError("gone"),
    RuntimeError("on purpose"),
    GeneratorExit("on purpose"),
    SystemExit("on purpose"),
    KeyboardInterrupt("on purpose"),
    TheirEnd("on purpose"),
]


@pytest.mark.parametrize("error", SERVER_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_a_server_whose_send_raises(
    serve: Serve,
    default_layer: SyncChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    later: bool,
) -> None:
    """The socket is over: one disconnect, with 1006 where the server says nothing of its own."""
    monkeypatch.setattr("routechan.asgi.websocket.CLOSE_TIMEOUT", 0.05)
    seen = Seen()

    application = await serve([route("websocket.receive", say), *seen.routing()])
    async with Raising(application, error, "websocket.send", later) as client:
        await client.accepted()
        client.send("hello")
        await until(lambda: seen.ended() == [1006])
    assert default_layer.group_channels("here") == []


class Disconnected(RuntimeError):
    """What daphne raises, by its name."""


#: What uvicorn raises where it has closed the socket itself, because of what the client sent.
CLOSED = RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")


@pytest.mark.parametrize(
    "error", [OSError("gone"), Disconnected("gone"), CLOSED], ids=lambda error: type(error).__name__
)
async def test_what_a_server_says_after_its_send_raised(
    serve: Serve, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """ASGI: the client has left, the disconnect with its code follows, and that is nothing to warn of."""
    seen = Seen()
    application = await serve([route("websocket.receive", say), *seen.routing()])
    async with Raising(application, error, "websocket.send") as client:
        await client.accepted()
        client.send("hello")
        client.leave(4001)
    assert seen.ended() == [4001]
    assert not caplog.records


@pytest.mark.parametrize("error", SERVER_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("on", ["http.response.start", "http.response.body"])
async def test_a_request_whose_send_raises(serve: Serve, error: BaseException, later: bool, on: str) -> None:
    """The request is over: its stream ends, and its disconnect comes."""
    log, ended = Log(), []

    async def endless(message: Message) -> Any:
        try:
            yield {"status": 200, "more_content": True}
            while True:
                yield {"content": b"a", "more_content": True}
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    application = await serve([route("http.request", endless), *log.routing()])
    request = Request(application)

    async def send(event: dict[str, Any]) -> None:
        if later:
            await asyncio.sleep(0)
        if event["type"] == on:
            raise error

    await asyncio.wait_for(application(request.scope, request.to_application.get, send), 20)
    await until(lambda: ended)
    assert len(log.of("http.disconnect")) == 1


@pytest.mark.parametrize("error", [*SERVER_ERRORS, CANCELLED], ids=str)
async def test_a_server_whose_receive_raises(serve: Serve, default_layer: SyncChannelLayer, error: Any) -> None:
    """The server gets its error back, when the disconnect has been run."""
    seen, raised = Seen(), []
    error = error() if isinstance(error, type) else error
    served = await serve(seen.routing())

    async def application(*given: Any) -> None:
        try:
            await served(*given)
        except BaseException as came:
            raised.append(came)

    async with Raising(application, error, "websocket.receive") as client:
        await client.accepted()
        client.send("hello")
        await client.over()
    assert seen.ended() == [1006]
    assert raised == [error]
    assert default_layer.group_channels("here") == []


async def test_a_receive_that_raises_during_a_request(serve: Serve) -> None:
    """The request is over, its disconnect is run, and the server gets its error back."""
    log, raised = Log(), []
    served = await serve(log.routing())
    events = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if events:
            return events.pop()
        raise KeyboardInterrupt("on purpose")

    request = Request(served)
    try:
        await served(request.scope, receive, request.from_application.put)
    except KeyboardInterrupt as error:
        raised.append(error)
    assert len(raised) == 1
    assert len(log.of("http.disconnect")) == 1


async def test_a_connection_that_is_closed_from_outside(
    serve: Serve, default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be awaited in a coroutine that its server drops: its disconnect is run all the same, soon."""
    monkeypatch.setattr("routechan.asgi.disconnects.OWED_INTERVAL", 0.01)
    seen = Seen()
    application = await serve(seen.routing())
    client = Client(application)
    client.push({"type": "websocket.connect"})
    serving = application(client.scope, client._receive, client._take)
    serving.send(None)  # it waits in ``receive`` for what comes after the connect
    await client.accepted()
    serving.close()
    assert len(application._server.sockets) == 0
    assert default_layer.group_channels("here") == []
    await until(lambda: seen.ended() == [1006])


async def test_a_connection_that_is_cancelled_while_it_connects(serve: Serve) -> None:
    """6.11: its disconnect has order 1, as that of any socket without a frame."""
    seen, began = Seen(), asyncio.Event()

    async def connect(message: Message) -> None:
        began.set()
        await asyncio.sleep(60)

    client = Client(await serve([route("websocket.connect", connect), *seen.routing()]))
    await client.__aenter__()
    await began.wait()
    client.task.cancel()
    await client.over()
    assert seen.orders() == [("disconnect", 1)]


# The layer of an inline server


@pytest.mark.parametrize("error", [TheirEnd("on purpose"), ConnectionError("on purpose")], ids=["own", "gone"])
async def test_a_layer_that_keeps_no_last_will(
    serve: Serve, default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """A socket whose end nobody would be told of is refused."""

    def refuse(*args: Any) -> None:
        raise error

    seen = Seen()
    monkeypatch.setattr(default_layer.layer, "last_will", refuse)
    async with Client(await serve(seen.routing())) as client:
        await client.refused()
    assert seen.ended() == [1006]


async def test_a_layer_that_cannot_forget(
    serve: Serve, default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends all the same, and the server's end does not wait for it."""

    def refuse(name: str) -> None:
        raise LookupError("on purpose")

    seen = Seen()
    application = await serve(seen.routing())
    monkeypatch.setattr(default_layer.layer, "forget", refuse)
    async with Open(application) as client:
        client.leave(4000)
    assert seen.ended() == [4000]
    assert len(application._server.sockets) == 0
