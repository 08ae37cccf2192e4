"""Streams in workers that end or die: their clients are told, with 1012, and nobody else is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from routechan import Message, route
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import SyncChannelLayer
from routechan.relay.protocol import ack, control_channel, heartbeat, stream_ended, tag_of
from tests.harness import Connection
from tests.waiting import stretched, until

from ..asgi.clients import Open, Request, close, logged
from ..helpers import DEADLINE, of_kind
from .helpers import RECEIVE, SOCKET, both_workers, echo, serving, sockets, working

every_stream = pytest.mark.parametrize("kind", ["stream", "async stream", "decorated stream", "decorated async stream"])


def ticking(message: Message) -> Iterator[dict[str, Any]]:
    while True:
        yield {"text": "tick"}
        time.sleep(0.001)


async def closed(client: Connection) -> dict[str, Any]:
    """What comes behind the last tick."""
    while (event := await client.event()).get("text") == "tick":
        pass
    return event


async def streaming(client: Open) -> None:
    client.send("go")
    assert await client.text() == "tick"


@every_stream
@both_workers
async def test_a_worker_that_ends(default_layer: SyncChannelLayer, kind: str, classic: bool) -> None:
    """It closes the sockets that it streams to with 1012; their disconnect goes to another worker, as all events do."""
    codes: list[int] = []
    routing = [
        *SOCKET[:1],
        route("websocket.disconnect", lambda message: codes.append(message["code"])),
        route(RECEIVE, of_kind(kind, ticking), text="^go$"),
        route(RECEIVE, echo),
    ]
    async with serving(default_layer) as application:
        async with working(default_layer, *routing, classic=classic):
            client = await Open(application).__aenter__()
            await streaming(client)
        assert await closed(client) == close(1012)
        client.leave(1012)
        async with working(default_layer, *routing):
            await client.over()
    assert codes == [1012]


async def test_a_worker_that_ends_while_its_layer_is_away(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in order: the end of its lease says the rest."""

    async def away(queue: str) -> None:
        raise ChannelLayerUnavailable("no Redis")

    async with serving(default_layer) as application:
        with monkeypatch.context() as patched:
            async with working(default_layer, *SOCKET, route(RECEIVE, ticking)):
                client = await Open(application).__aenter__()
                await streaming(client)
                patched.setattr(default_layer.layer, "detach", away)
        assert await closed(client) == close(1012)
        client.leave()
        await client.over()


async def test_only_sockets_with_a_stream_are_closed(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """Several streams are one close; a socket without one, or whose stream has ended, goes on with the next worker."""

    def three(message: Message) -> Iterator[dict[str, Any]]:
        yield from ({"text": "tick"} for _ in range(3))

    routing = [
        *SOCKET,
        route(RECEIVE, of_kind("async stream", ticking), text="^go$"),
        route(RECEIVE, ticking, text="^plain$"),
        route(RECEIVE, three, text="^three$"),
        route(RECEIVE, echo),
    ]
    async with serving(default_layer) as application:
        async with working(default_layer, *routing):
            twice, over, quiet = [await Open(application).__aenter__() for _ in range(3)]
            await streaming(twice)
            twice.send("plain")
            over.send("three")
            assert [await over.text() for _ in range(3)] == ["tick"] * 3
            quiet.send("hello")
            assert await quiet.text() == "hello"
            over.send("done")
            assert await over.text() == "done"
        assert await closed(twice) == close(1012)
        async with working(default_layer, *routing):
            for client in (over, quiet):
                client.send("again")
                assert await client.text() == "again"
            assert over.events() == quiet.events() == []
            for client in (twice, over, quiet):
                client.leave()
                await client.over()
    assert logged(caplog) == []


@pytest.mark.parametrize("kind", ["stream", "async stream"])
async def test_a_stream_that_says_good_bye_itself(default_layer: SyncChannelLayer, kind: str) -> None:
    """What its ``finally`` sends comes first, a close of its own too."""

    def polite(message: Message) -> Iterator[dict[str, Any]]:
        try:
            yield from ticking(message)
        finally:
            message.reply_channel.send({"text": "bye", "close": 4000})

    routing = [*SOCKET, route(RECEIVE, of_kind(kind, polite))]
    async with serving(default_layer) as application:
        async with working(default_layer, *routing):
            client = await Open(application).__aenter__()
            await streaming(client)
        assert (await closed(client))["text"] == "bye"
        assert await client.event() == close(4000)
        async with working(default_layer, *routing):
            client.leave(4000)
            await client.over()


async def test_a_plain_generator_that_sleeps(default_layer: SyncChannelLayer) -> None:
    """Its end is waited for a second; then its client is told, and the worker ends without it."""
    release = threading.Event()

    def sleeping(message: Message) -> Iterator[dict[str, Any]]:
        yield {"text": "tick"}
        release.wait(DEADLINE)
        yield {"text": "late"}

    routing = [*SOCKET, route(RECEIVE, sleeping)]
    async with serving(default_layer) as application:
        async with working(default_layer, *routing):
            client = await Open(application).__aenter__()
            await streaming(client)
            began = time.monotonic()
        assert time.monotonic() - began < stretched(3)
        assert await client.event() == close(1012)
        release.set()
        async with working(default_layer, *routing):
            client.leave(1012)
            await client.over()


async def test_a_stream_that_begins_while_the_worker_drains(default_layer: SyncChannelLayer) -> None:
    """It is closed at once, and its client told."""
    began, release = threading.Event(), threading.Event()

    def late(message: Message) -> Any:
        began.set()
        release.wait(DEADLINE)
        return ticking(message)

    routing = [*SOCKET, route(RECEIVE, late)]
    async with serving(default_layer) as application:
        async with working(default_layer, *routing) as worker:
            client = await Open(application).__aenter__()
            client.send("go")
            await until(began.is_set)
            worker.stop()
            await asyncio.sleep(0.05)
            release.set()
            assert await closed(client) == close(1012)
        async with working(default_layer, *routing):
            client.leave(1012)
            await client.over()


class Stranger:
    """A worker by hand, which acks the event of a socket with a stream. Lifetime: test."""

    def __init__(self, layer: SyncChannelLayer) -> None:
        self.layer = layer
        self.control = control_channel(layer.layer.process)
        self.told: list[Any] = []
        layer.layer.attach(self.control, lambda channels, content: self.told.append(content))

    async def stream(self) -> Any:
        """Take an event and ack it; its tag."""
        while (delivery := self.layer.receive_delivery([RECEIVE])) is None:
            await asyncio.sleep(0.001)
        tag = tag_of(delivery.headers)
        assert tag is not None
        self.layer.send(tag.reply_to, ack(tag.number, self.control))
        return tag


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is suspected, and taken for lost, soon."""
    for name, seconds in (("HEARTBEAT_INTERVAL", 0.02), ("SILENCE", 0.1), ("SUSPICION", 0.1)):
        monkeypatch.setattr(f"routechan.relay.streams.{name}", seconds)


#: A worker for connects and disconnects, beside a stranger.
OTHERS = SOCKET


@pytest.mark.usefixtures("quick")
async def test_a_worker_that_dies(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody says so: its heartbeats stay away. It is told that the sockets are closed, for it may come back."""
    stranger = Stranger(default_layer)
    async with (
        working(default_layer, *OTHERS),
        serving(default_layer) as application,
        sockets(application, 2) as clients,
    ):
        for client in clients:
            client.send("go")
            await stranger.stream()
        for client in clients:
            assert await client.event() == close(1012)
            client.leave(1012)
            await client.over()
    assert len(stranger.told) == 2
    assert logged(caplog) == ["A worker is gone, and with it 2 streams; each client is told to connect again"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["served no more", "unreachable"])
async def test_what_the_layer_says(
    default_layer: SyncChannelLayer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose lease is gone is lost at once; as long as the layer does not answer, nobody is judged."""
    stranger = Stranger(default_layer)
    asked: list[str] = []

    async def is_served(channel: str) -> bool:
        asked.append(channel)
        if fault == "unreachable" and len(asked) < 20:
            raise ChannelLayerUnavailable("no answer")
        return False

    monkeypatch.setattr(default_layer.layer, "is_served", is_served)
    async with working(default_layer, *OTHERS), serving(default_layer) as application, Open(application) as client:
        client.send("go")
        await stranger.stream()
        assert await client.event() == close(1012)
        client.leave(1012)
        await client.over()
    assert len(asked) == (1 if fault == "served no more" else 20)


@pytest.mark.usefixtures("quick")
async def test_heartbeats_keep_streams(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that streams says that it lives, whatever the streams say; a stream that has ended is forgotten."""
    stranger = Stranger(default_layer)
    async with (
        working(default_layer, *OTHERS),
        serving(default_layer) as application,
        Open(application) as client,
        Open(application) as other,
    ):
        client.send("go")
        tag = await stranger.stream()
        other.send("go")
        ended = await stranger.stream()
        default_layer.send(ended.reply_to, stream_ended(ended.number, False))
        for _ in range(40):
            default_layer.send(tag.reply_to, heartbeat([], stranger.control))
            await asyncio.sleep(0.02)
        assert client.events() == other.events() == []
        assert await client.event() == close(1012)
        client.leave(1012)
        await client.over()
        assert await other.nothing(0.3)
    assert [content for content in stranger.told if content.get("closed")] == stranger.told
    assert len(stranger.told) == 1, "of a stream that has ended no worker is told"


async def test_real_heartbeats(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker sends them as long as it streams, to streams that yield nothing for long."""
    slower = min(stretched(1.0), 4.0)  # it always waits so long, so not as long as a very busy machine would need
    monkeypatch.setattr("routechan.relay.streams.SILENCE", 0.6 * slower)
    monkeypatch.setattr("routechan.relay.streams.SUSPICION", 0.3 * slower)
    release = asyncio.Event()

    async def silent(message: Message) -> Any:
        yield {"text": "tick"}
        await release.wait()
        yield {"text": "late"}

    async with (
        working(default_layer, *SOCKET, route(RECEIVE, silent)),
        serving(default_layer) as application,
        Open(application) as client,
    ):
        await streaming(client)
        assert await client.nothing(1.5 * slower)
        release.set()
        assert await client.text() == "late"


def page(message: Message) -> Iterator[dict[str, Any]]:
    yield {"status": 200, "content": b"one", "more_content": True}
    while True:
        yield {"content": b"more", "more_content": True}
        time.sleep(0.001)


@pytest.mark.parametrize("kind", ["stream", "async stream"])
@both_workers
async def test_a_response_that_is_streamed(default_layer: SyncChannelLayer, kind: str, classic: bool) -> None:
    """It stays incomplete, which a client sees: a server breaks the connection off."""
    async with serving(default_layer, relay_http=True) as application:
        async with working(default_layer, route("http.request", of_kind(kind, page)), classic=classic):
            request = await Request(application).__aenter__()
            assert (await request.event())["status"] == 200
            for _ in range(3):
                await request.event()
        await request.over()
    assert all(event["more_body"] for event in request.events())


async def test_a_response_that_has_not_begun(default_layer: SyncChannelLayer) -> None:
    """Its client gets a 503 at once, rather than after the time that requests have."""
    began = asyncio.Event()

    async def page(message: Message) -> Any:
        began.set()
        await asyncio.sleep(3600)
        yield {"status": 200}

    async with (
        serving(default_layer, relay_http=True) as application,
        working(default_layer, route("http.request", page)) as worker,
        Request(application) as request,
    ):
        await asyncio.wait_for(began.wait(), DEADLINE)
        worker.stop()
        assert (await request.event())["status"] == 503
        await request.over()


async def test_a_stream_that_begins_too_late(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Its event was given up, so the server would never say that the socket is closed: it ends at once."""
    release, ended = threading.Event(), threading.Event()

    def endless(message: Message) -> Iterator[dict[str, Any]]:
        try:
            yield from ticking(message)
        finally:
            ended.set()

    def late(message: Message) -> Any:
        release.wait(DEADLINE)
        return endless(message)

    routing = [*SOCKET, route(RECEIVE, late, text="^late$"), route(RECEIVE, echo)]
    async with (
        working(default_layer, *routing),
        serving(default_layer, event_timeout=1.0) as application,
        Open(application) as client,
    ):
        client.send("late")
        await until(lambda: "was not consumed within 1 s" in caplog.text)
        release.set()
        await until(ended.is_set)
        client.send("go on")
        while await client.text() != "go on":
            pass
