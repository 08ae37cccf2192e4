"""Sockets and requests of a relaying server, through a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from routechan import ConsumeLater, DenyConnection, Message, route
from routechan.layers import SyncChannelLayer
from routechan.routing import Router, default_routes
from tests.harness import get
from tests.waiting import until

from ..asgi.clients import Client, Open, Request
from ..helpers import of_kind
from .helpers import RECEIVE, SOCKET, accept, aecho, both_workers, echo, nothing, serving, sockets, working


@pytest.mark.parametrize("consumer", [echo, aecho])
async def test_a_socket_through_a_worker(default_layer: SyncChannelLayer, consumer: Any) -> None:
    """design section 3: connect, frames and disconnect are run by the worker, and answered through the layer."""
    seen: list[tuple[str, int, set[str]]] = []

    def disconnect(message: Message) -> None:
        seen.append((message.channel.name, message["order"], set(message.keys())))

    routing = [
        route("websocket.connect", accept),
        route(RECEIVE, consumer),
        route("websocket.disconnect", disconnect),
    ]
    async with working(default_layer, *routing), serving(default_layer) as application:
        async with Open(application) as client:
            for number in range(20):
                client.send(str(number))
            assert [await client.text() for _ in range(20)] == [str(number) for number in range(20)]
        await until(lambda: seen, "the disconnect")
    assert seen == [("websocket.disconnect", 21, {"reply_channel", "path", "code", "order"})]


async def test_order_without_sessions(default_layer: SyncChannelLayer) -> None:
    """design section 3: consumers of random duration on many threads; each connection's events one after another."""
    running: set[str] = set()
    overlapped: list[str] = []

    def slow_echo(message: Message) -> None:
        name = message["reply_channel"]
        if name in running:
            overlapped.append(name)
        running.add(name)
        time.sleep(0.001 * (hash((name, message["order"])) % 5))
        running.discard(name)
        echo(message)

    routing = [*SOCKET, route(RECEIVE, slow_echo)]
    async with (
        working(default_layer, *routing),
        working(default_layer, *routing),
        serving(default_layer) as application,
        sockets(application, 5) as clients,
    ):
        for number in range(20):
            for client in clients:
                client.send(str(number))
        for client in clients:
            assert [await client.text() for _ in range(20)] == [str(number) for number in range(20)]
    assert overlapped == []


@both_workers
async def test_a_socket_that_no_route_serves(
    default_layer: SyncChannelLayer, classic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """RT-32, OB-16: the worker refuses it, with the default consumers in its routing too, and the server hears why."""
    caplog.set_level("INFO", "routechan")
    worker = working(default_layer, route(RECEIVE, echo, path="^/here/$"), defaults=default_routes(), classic=classic)
    async with worker, serving(default_layer) as application:
        async with Client(application, "/elsewhere/") as client:
            await client.refused()
        async with Open(application, "/here/"):
            pass
    assert caplog.text.count("'/elsewhere/' is refused: no route for") == 1
    assert caplog.text.count("'/elsewhere/' is refused by its consumer: no route for") == 1


@both_workers
async def test_what_a_consumer_raises(
    default_layer: SyncChannelLayer, classic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal, an error and ``ConsumeLater`` end, or repeat, an event in the worker; the connection goes on."""
    tries: list[str] = []

    def connect(message: Message) -> None:
        if message["path"] == "/no/":
            raise DenyConnection
        accept(message)

    def receive(message: Message) -> None:
        tries.append(message["text"])
        if message["text"] == "later" and tries.count("later") < 3:
            raise ConsumeLater
        if message["text"] == "wrong":
            raise LookupError("of the consumer")
        echo(message)

    routing = [
        route("websocket.connect", connect),
        route(RECEIVE, receive),
        route("websocket.disconnect", nothing),
    ]
    async with working(default_layer, *routing, classic=classic), serving(default_layer) as application:
        async with Client(application, "/no/") as client:
            await client.refused()
        async with Open(application) as client:
            for text in ("wrong", "later", "good"):
                client.send(text)
            assert [await client.text() for _ in range(2)] == ["later", "good"]
    assert tries == ["wrong", "later", "later", "later", "good"]
    assert "Error in consumer" in caplog.text


@pytest.mark.parametrize("kind", ["stream", "async stream"])
async def test_streams_end_with_their_socket(default_layer: SyncChannelLayer, kind: str) -> None:
    """design section 4: streams run in the worker, beside later events; all end when the socket closes."""
    ended = []

    def stream(message: Message) -> Iterator[dict[str, Any]]:
        try:
            yield {"text": "0"}
            while True:
                time.sleep(0.0005)
                yield {"text": "1"}
        finally:
            ended.append(message["text"])

    routing = [*SOCKET, route(RECEIVE, of_kind(kind, stream), text="^go$"), route(RECEIVE, echo)]
    async with working(default_layer, *routing), serving(default_layer) as application, Open(application) as client:
        for _ in range(2):
            client.send("go")
            while await client.text() != "0":
                pass
        client.send("beside")
        while await client.text() != "beside":
            pass
        assert ended == []
        client.leave()
        await client.over()
        await until(lambda: ended == ["go", "go"], "both streams end")


async def test_requests_through_a_worker(default_layer: SyncChannelLayer) -> None:
    """With ``relay_http`` requests are consumers' work too; else they are the HTTP application's."""

    def view(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": message["path"].encode() + message["body"]})

    async with working(default_layer, route("http.request", view)):
        async with serving(default_layer, relay_http=True) as application:
            assert await get(application, "/page/", "POST", b"body") == (200, b"/page/body")
        async with serving(default_layer) as application:
            assert (await get(application, "/page/"))[0] == 404


async def test_requests_that_a_router_takes(default_layer: SyncChannelLayer) -> None:
    """RT-33: with a router, what its routes take, the body included, goes to workers; the rest is answered here."""
    gone: list[str] = []

    def answer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": b"answered"})

    routes = [
        route("http.request", answer, path="^/routed/$", body="^yes"),
        route("http.disconnect", lambda message: gone.append(message["path"])),
    ]
    async with working(default_layer, *routes), serving(default_layer, relay_http=Router(routes)) as application:
        assert await get(application, "/routed/", "POST", b"yes") == (200, b"answered")
        assert (await get(application, "/routed/", "POST", b"no"))[0] == 404
        assert (await get(application, "/other/", "POST", b"yes"))[0] == 404
        await until(lambda: gone)
    assert gone == ["/routed/"]


@pytest.mark.parametrize("kind", ["stream", "decorated stream"])
async def test_plain_streams_beside_a_worker_with_one_thread(default_layer: SyncChannelLayer, kind: str) -> None:
    """The one thread of a worker is for plain consumers: plain generators stream beside it, several at a time."""

    def stream(message: Message) -> Iterator[dict[str, Any]]:
        yield {"text": "0"}
        while True:
            time.sleep(0.0005)
            yield {"text": "1"}

    routing = [*SOCKET, route(RECEIVE, of_kind(kind, stream), text="^go$"), route(RECEIVE, echo)]
    async with (
        working(default_layer, *routing, threads=1),
        serving(default_layer) as application,
        sockets(application, 3) as clients,
    ):
        for client in clients:
            client.send("go")
            assert await client.text() == "0"
        for client in clients:
            client.send("beside")
            while await client.text() != "beside":
                pass


@pytest.mark.parametrize("kind", ["stream", "async stream"])
async def test_a_response_that_streams_from_a_worker(default_layer: SyncChannelLayer, kind: str) -> None:
    """It goes on past the HTTP timeout, as long as its client is there; then its generator ends."""
    ended: list[bool] = []

    def events(message: Message) -> Iterator[dict[str, Any]]:
        try:
            yield {"status": 200, "content": b"a", "more_content": True}
            while True:
                time.sleep(0.05)
                yield {"content": b"b", "more_content": True}
        finally:
            ended.append(True)

    async with (
        working(default_layer, route("http.request", of_kind(kind, events))),
        serving(default_layer, relay_http=True, http_timeout=1.0) as application,
        Request(application) as request,
    ):
        assert (await request.event())["status"] == 200
        for content in (b"a", *[b"b"] * 24):
            assert (await request.event()) == {"type": "http.response.body", "body": content, "more_body": True}
        request.leave()
        await request.over()
        await until(lambda: ended)
