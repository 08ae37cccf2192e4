"""Events that the layer refuses: their connection is told so, and ended as any other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Group, Message, route
from routechan.asgi import disconnects
from routechan.exceptions import ChannelLayerUnavailable, InvalidContent, MessageTooLarge
from routechan.layers import InMemoryChannelLayer
from routechan.telemetry.counters import counters
from tests.harness import get
from tests.waiting import until

from ..asgi.clients import Client, Open, Request, close, logged
from ..helpers import CANCELLED, KINDS, of_kind
from .helpers import RECEIVE, nothing, serving, working

CONNECT, _, DISCONNECT = ("websocket.connect", RECEIVE, "websocket.disconnect")


class TheirOwn(Exception):
    """An error of a layer of another make."""


class TheirFull(Exception):
    """The ``ChannelFull`` of a layer of another make."""


class TheirEnd(BaseException):
    """Not even an ``Exception``."""


class Layer(InMemoryChannelLayer):
    """Refuses to send to some channels, so many times; and keeps its last wills. Lifetime: test."""

    ChannelFull = TheirFull  # type: ignore[assignment]

    def __init__(self, later: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.refused: dict[str, list[BaseException]] = {}
        self.wills: list[str] = []
        self._later = later

    def refuse(self, channel: str, *errors: BaseException) -> None:
        self.refused[channel] = list(errors)

    def post(self, channel: str, content: Any, *args: Any, **kwargs: Any) -> Any:
        errors = self.refused.get(channel)
        if not errors:
            return super().post(channel, content, *args, **kwargs)
        error = errors.pop(0)
        if self._later:
            return self._refuse_later(error)
        raise error

    async def _refuse_later(self, error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    def last_will(self, channel: str, to: str, content: Any) -> None:
        self.wills.append(channel)

    def forget(self, channel: str) -> None:
        super().forget(channel)
        if channel in self.wills:
            self.wills.remove(channel)


class Seen:
    """Consumers that keep the disconnects, and whether their socket is in the group ``here``. Lifetime: test."""

    def __init__(self) -> None:
        self.disconnects: list[tuple[int | None, int]] = []

    def routing(self) -> list[Any]:
        return [route(CONNECT, self.connect), route(RECEIVE, nothing), route(DISCONNECT, self.disconnect)]

    def connect(self, message: Message) -> None:
        Group("here", channel_layer=message.channel_layer).add(message.reply_channel)
        message.reply_channel.send({"accept": True})

    def disconnect(self, message: Message) -> None:
        self.disconnects.append((message["code"], message["order"]))


ERRORS = {
    "too large": (MessageTooLarge("12 MB"), 1009, 413),
    "no content": (InvalidContent("a lone surrogate"), 1011, 503),
    "type": (TypeError("cannot serialize bytes"), 1011, 503),
    "of their own": (TheirOwn("on purpose"), 1011, 503),
    "full of their own": (TheirFull("full"), 1013, 503),
    "no exception": (TheirEnd("on purpose"), 1011, 503),
    "interrupt": (KeyboardInterrupt("on purpose"), 1011, 503),
    "generator": (GeneratorExit("on purpose"), 1011, 503),
    "cancelled": (asyncio.CancelledError("on purpose"), 1011, 503),
}

each_error = pytest.mark.parametrize(("error", "code", "status"), ERRORS.values(), ids=ERRORS)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full channel, and a disconnect that is owed, are not waited for as long."""
    monkeypatch.setattr("routechan.relay.turns.FULL_PATIENCE", 0.02)
    monkeypatch.setattr(disconnects, "OWED_INTERVAL", 0.02)


async def test_a_frame_over_the_size() -> None:
    """1009, one disconnect, no group that still has the socket; the server serves on."""
    layer, seen, refused = Layer(max_size=1000), Seen(), counters.events_refused
    async with working(layer.sync, *seen.routing()), serving(layer.sync) as application:
        async with Open(application) as client:
            client.send("x" * 2000)
            assert await client.event() == close(1009)
            client.send("crossed the close")
            client.leave(1009)
        await until(lambda: seen.disconnects)
        async with Open(application) as client:
            client.leave(1000)
        await until(lambda: len(seen.disconnects) == 2)
    assert seen.disconnects == [(1009, 2), (1000, 1)]
    assert await layer.group_channels("here") == []
    assert layer.wills == []
    assert counters.events_refused == refused + 1


@each_error
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_a_frame_that_is_refused(
    error: BaseException, code: int, status: int, later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the layer raises, and whenever: a close code that says so, one disconnect, one line in the log."""
    layer, seen = Layer(later), Seen()
    async with working(layer.sync, *seen.routing()), serving(layer.sync) as application:
        async with Open(application, "/chat/") as client:
            layer.refuse(RECEIVE, *[error] * 1000)
            client.send("hello")
            assert await client.event() == close(code)
            client.leave(code)
        await until(lambda: seen.disconnects)
    assert seen.disconnects == [(code, 2)]
    [line] = logged(caplog)
    assert line.startswith(f"An event on {RECEIVE} of '/chat/' cannot reach its consumer, and its connection is closed")


@each_error
async def test_a_connect_that_is_refused(error: BaseException, code: int, status: int) -> None:
    """The handshake is refused at once, and its disconnect comes."""
    layer, seen = Layer(), Seen()
    layer.refuse(CONNECT, *[error] * 1000)
    async with working(layer.sync, *seen.routing()), serving(layer.sync) as application:
        async with Client(application) as client:
            await client.refused()
        await until(lambda: seen.disconnects)
    assert seen.disconnects == [(1006, 1)]


@each_error
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_a_request_that_is_refused(error: BaseException, code: int, status: int, later: bool) -> None:
    """413 or 503, at once."""
    layer = Layer(later)
    layer.refuse("http.request", *[error] * 1000)
    async with serving(layer.sync, relay_http=True) as application:
        assert (await get(application, "/"))[0] == status


async def test_a_request_over_the_size() -> None:
    """413, as for a body over the limit."""
    layer = Layer(max_size=1000)
    async with serving(layer.sync, relay_http=True) as application:
        assert await get(application, "/", "POST", b"x" * 2000) == (413, b"The request is too large.")


async def test_a_request_without_redis() -> None:
    """503 at once: whether a worker has it is not known, but its client need not wait for that."""
    layer = Layer(later=True)
    layer.refuse("http.request", ChannelLayerUnavailable("Redis did not answer"))
    async with serving(layer.sync, relay_http=True) as application:
        assert await get(application, "/") == (503, b"The server is too busy; try again later.")


@each_error
async def test_a_disconnect_that_is_refused(error: BaseException, code: int, status: int) -> None:
    """It is handed in again until it is taken, once; as long, another process would send it for one that dies."""
    layer, seen = Layer(), Seen()
    async with (
        working(layer.sync, *seen.routing()),
        serving(layer.sync, handshake_timeout=20) as application,
        Open(application) as client,
    ):
        full = isinstance(error, TheirFull)
        application._server.consumers.event_timeout = 0.01 if full else 60
        layer.refuse(DISCONNECT, *[error] * (100 if full else 3))
        client.leave(4000)
        await client.over()
        assert len(layer.wills) == 1
        assert await layer.group_channels("here") == []
        application._server.consumers.event_timeout = 60
        await until(lambda: seen.disconnects)
        await until(lambda: layer.wills == [])
    assert seen.disconnects == [(4000, 1)]


async def test_a_disconnect_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of which nobody knows whether it was sent, and that no worker acks, is handed in again."""
    for name in ("SILENCE", "SUSPICION", "CHECK_INTERVAL"):
        monkeypatch.setattr(f"routechan.relay.inflight.{name}", 0.01)
    layer, seen = Layer(later=True), Seen()
    async with working(layer.sync, *seen.routing()), serving(layer.sync) as application:
        async with Open(application) as client:
            layer.refuse(DISCONNECT, ChannelLayerUnavailable("Redis did not answer"))
            client.leave(4000)
        await until(lambda: seen.disconnects)
    assert seen.disconnects == [(4000, 1)]


async def test_a_last_will_of_a_server_that_stops() -> None:
    """A disconnect that could not be handed in by then is left to other processes."""
    layer, seen = Layer(), Seen()
    async with (
        working(layer.sync, *seen.routing()),
        serving(layer.sync) as application,
        Open(application) as client,
    ):
        layer.refuse(DISCONNECT, *[TheirOwn()] * 10_000)
        client.leave(4000)
    assert len(layer.wills) == 1
    assert seen.disconnects == []


# What a worker says of an event that it has taken


@pytest.mark.parametrize("classic", [False, True], ids=["worker", "classic"])
async def test_a_connect_consumer_that_raises(default_layer: Any, classic: bool) -> None:
    """The handshake is refused at once; its disconnect comes."""
    seen = Seen()

    def fail(message: Message) -> None:
        raise LookupError("on purpose")

    routing = [route(CONNECT, fail), *seen.routing()[1:]]
    async with working(default_layer, *routing, classic=classic), serving(default_layer) as application:
        async with Client(application) as client:
            await client.refused()
        await until(lambda: seen.disconnects)
    assert seen.disconnects == [(1006, 1)]


@pytest.mark.parametrize("classic", [False, True], ids=["worker", "classic"])
async def test_a_request_that_raises_or_has_no_route(
    default_layer: Any, classic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """503 at once; one that no route of the worker takes is left to the HTTP application, with its body."""

    def fail(message: Message) -> None:
        raise LookupError("on purpose")

    routing = [route("http.request", fail, path="^/fail/$")]
    async with (
        working(default_layer, *routing, classic=classic),
        serving(default_layer, relay_http=True) as application,
    ):
        assert await get(application, "/fail/") == (503, b"The server failed to answer this request.")
        assert await get(application, "/other/") == (404, b"Nothing here answers HTTP on this path.")
        async with Request(application, "/other/", "POST") as request:
            assert (await request.event())["status"] == 404
            await request.over()
    assert len(logged(caplog)) == 1  # what the consumer raised; the others are nobody's mistake


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, SystemExit, CANCELLED, TheirEnd])
async def test_whatever_a_consumer_of_a_worker_raises(default_layer: Any, kind: str, error: Any) -> None:
    """It is one message's error: the worker, the server and the socket go on, and one disconnect comes."""
    seen = Seen()

    def fail(message: Message) -> Any:
        if message["text"] == "fail":
            raise error("on purpose")
        return [{"text": message["text"]}]

    routing = [route(RECEIVE, of_kind(kind, fail)), *seen.routing()]
    async with working(default_layer, *routing), serving(default_layer) as application:
        async with Open(application) as client:
            for text in ("fail", "go on"):
                client.send(text)
            assert await client.text() == "go on"
            client.leave(4000)
        await until(lambda: seen.disconnects == [(4000, 3)])
    assert default_layer.group_channels("here") == []
