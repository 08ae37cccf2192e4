"""Refused handshakes: what the server was waiting for, and what the client is told with ``debug``."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import routechan
from routechan import DenyConnection, Message, route
from routechan.asgi import ServerOptions
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..helpers import KINDS, of_kind
from .clients import Client, Lifespan, Request, close, logged
from .conftest import Serve
from .consumers import Log

NO_ROUTE = "no route for websocket.connect, websocket.receive, websocket.disconnect matches this path"
HTTP_RESPONSE = {"extensions": {"websocket.http.response": {}}}


@pytest.mark.parametrize("kind", ["plain", "async", "decorated async"])
async def test_a_consumer_that_is_running(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """It is named, and for how long it has been running."""
    go_on, hang = threading.Event(), asyncio.Event()

    def plain(message: Message) -> None:
        go_on.wait(20)

    async def asynchronous(message: Message) -> None:
        await hang.wait()

    def decorated(message: Message) -> Any:
        return asynchronous(message)

    consumer = {"plain": plain, "async": asynchronous, "decorated async": decorated}[kind]
    async with Client(await serve([route("websocket.connect", consumer)], handshake_timeout=0.5)) as client:
        assert await client.event() == close(1000)
        go_on.set()
        hang.set()
    [line] = logged(caplog)
    assert line.startswith("WebSocket '/' is refused: it was not accepted within 0.5 s: its consumer ")
    assert f"{consumer.__name__} is still running, after " in line


@pytest.mark.usefixtures("every_line")
async def test_threads_that_others_hold(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """What holds them is named, and how to have more."""
    go_on = threading.Event()

    def holding(message: Message) -> None:
        go_on.wait(20)

    application = routechan.application(
        [route("websocket.connect", holding, path="^/hold/$"), route("websocket.connect", Log().consume)],
        default_layer.layer,
        options=ServerOptions(handshake_timeout=0.5),
        threads=2,
    )
    async with (
        Lifespan(application),
        Client(application, "/hold/"),
        Client(application, "/hold/"),
        Client(application, "/waits/") as client,
    ):
        assert await client.event() == close(1000)
        go_on.set()
    [line] = [line for line in logged(caplog) if "/waits/" in line]
    assert "its consumer waits for a thread, and all 2 are held by others: " in line
    assert "holding (2); allow more (THREADS), or write those as async def" in line


@pytest.mark.parametrize("kind", KINDS)
async def test_a_consumer_that_says_nothing(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """It has ended, and has to send an acceptance."""
    consumer = of_kind(kind, lambda message: None)
    async with Client(await serve([route("websocket.connect", consumer)], handshake_timeout=0.5)) as client:
        await client.refused()
    [line] = logged(caplog)
    assert "its consumer has ended without an answer; that of websocket.connect has to send " in line


@pytest.mark.usefixtures("every_line")
async def test_a_request_that_waits_for_a_thread(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of a request that was not answered in time says the same."""
    go_on = threading.Event()

    def holding(message: Message) -> None:
        go_on.wait(20)
        message.reply_channel.send({"status": 200})

    application = routechan.application(
        [route("http.request", holding)], default_layer.layer, options=ServerOptions(http_timeout=0.5), threads=1
    )
    async with Lifespan(application), Request(application, "/first/"), Request(application, "/second/") as request:
        assert (await request.event())["status"] == 503
        go_on.set()
    await until(lambda: len(logged(caplog)) == 2)
    assert "is still running" in next(line for line in logged(caplog) if "/first/" in line)
    assert "its consumer waits for a thread" in next(line for line in logged(caplog) if "/second/" in line)


# What the client is told


def deny(message: Message) -> None:
    raise DenyConnection


def fail(message: Message) -> None:
    raise LookupError("on purpose")


ROUTING = [
    route("websocket.connect", deny, path="^/deny/$"),
    route("websocket.connect", fail, path="^/fail/$"),
    route("websocket.connect", Log().consume, path="^/silent/$"),
]

REASONS = {
    "/deny/": "The consumer refused this socket.",
    "/fail/": f"{__name__}.fail raised LookupError('on purpose')",
    "/silent/": "it was not accepted within 0.5 s: its consumer has ended without an answer; ",
    "/nowhere/": NO_ROUTE,
}


@pytest.mark.parametrize(("path", "reason"), REASONS.items())
async def test_the_reason_in_the_body(serve: Serve, path: str, reason: str) -> None:
    """With ``debug``, where the server can answer a handshake with a response: a 403 whose body says why."""
    application = await serve(ROUTING, debug=True, handshake_timeout=0.5)
    async with Client(application, path, **HTTP_RESPONSE) as client:
        start, body = await client.event(), await client.event()
        client.leave(1006)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert body["type"] == "websocket.http.response.body"
    assert body["body"].decode().startswith(reason)
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]


@pytest.mark.parametrize(("path", "reason"), REASONS.items())
async def test_the_reason_of_the_close(serve: Serve, path: str, reason: str) -> None:
    """With ``debug``, where it cannot: the reason of the close, as long as one may be. No socket opens for it."""
    application = await serve(ROUTING, debug=True, handshake_timeout=0.5)
    async with Client(application, path) as client:
        event = await client.event()
        client.leave(1006)
    assert {**event, "reason": ""} == {**close(1000), "reason": ""}
    assert event["reason"] == reason[:120] or event["reason"].startswith(reason)
    assert len(event["reason"].encode()) <= 123


@pytest.mark.parametrize("path", REASONS)
async def test_without_debug(serve: Serve, path: str) -> None:
    """The client is told nothing, and sees a 403."""
    async with Client(await serve(ROUTING, handshake_timeout=0.5), path, **HTTP_RESPONSE) as client:
        await client.refused()


async def test_a_consumer_that_refuses_many(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Clients who are refused again and again do not fill the log."""
    caplog.set_level("INFO", "routechan")
    application = await serve([route("websocket.connect", Log({"accept": False}).consume)])
    for _ in range(20):
        async with Client(application) as client:
            await client.refused()
    assert caplog.text.count("WebSocket '/' is refused by its consumer") == 1
