"""An event stream is a socket to its consumers, and an ``EventSource`` to its page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import routechan
from routechan import DenyConnection, Group, Message, route
from routechan.app import relay_application
from routechan.asgi import ServerOptions, event_stream, websocket
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from tests.waiting import until

from ...harness import get
from ..relay.helpers import working
from .clients import Lifespan, Request, logged, ticks
from .conftest import Serve
from .consumers import SOCKET, Log, accept, echo, join
from .pages import Page

Heard = list[dict[str, Any]]

CHAT = [route("websocket.connect", accept), route("websocket.receive", echo)]


async def other(scope: Any, receive: Any, send: Any) -> None:
    """The application for requests that no route takes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a view's"})


@asynccontextmanager
async def serving(layer: SyncChannelLayer, kind: str, routing: list[Any]) -> AsyncIterator[Any]:
    """An application whose consumers run in it, or in a worker."""
    if kind == "inline":
        application = routechan.application(routing, layer.layer)
        async with Lifespan(application):
            yield application
    else:
        async with working(layer, *routing):
            application = relay_application(layer.layer)
            async with Lifespan(application):
                yield application


@pytest.mark.parametrize("kind", ["inline", "workers"])
async def test_the_life_of_a_stream(default_layer: SyncChannelLayer, kind: str) -> None:
    """Connect, receive, group, close and disconnect go to the consumers of sockets, in order."""
    log: list[tuple[str, Any]] = []

    def connect(message: Message) -> None:
        log.append(("connect", message["transport"]))
        join(message)

    def receive(message: Message) -> None:
        log.append((message["text"], message["order"]))
        if message["text"] == "bye":
            message.reply_channel.send({"close": 4000})
        else:
            Group("all").send({"text": message["text"]})

    def disconnect(message: Message) -> None:
        log.append(("disconnect", message["code"]))

    routing = [route(*pair) for pair in zip(SOCKET, (connect, receive, disconnect), strict=True)]
    async with serving(default_layer, kind, routing) as application, Page(application, "/chat/") as page:
        headers = await page.open()
        assert headers[b"content-type"] == b"text/event-stream"
        assert headers[b"x-accel-buffering"] == b"no"
        for number in range(5):
            await page.say(str(number))
            assert await page.heard() == ("message", str(number))
        await page.say("bye")
        assert await page.heard() == ("close", "4000")
        await page.over()
        await until(lambda: len(log) == 8)
        assert (await page.post(b"late")).status == 410
    expected = [("connect", "sse"), *((str(number), number + 1) for number in range(5)), ("bye", 6)]
    assert log == [*expected, ("disconnect", 4000)]


@pytest.mark.parametrize("kind", ["inline", "workers"])
async def test_a_page_that_leaves(default_layer: SyncChannelLayer, kind: str) -> None:
    """What it posted before is consumed, then ``websocket.disconnect`` with 1006."""
    log = Log({"accept": True})
    async with serving(default_layer, kind, [route(SOCKET, log.consume)]) as application, Page(application) as page:
        await page.open()
        await page.say("last words")
        page.leave()
        await page.over()
        await until(lambda: log.orders() == [("connect", 0), ("receive", 1), ("disconnect", 2)])
        assert log.last["code"] == 1006


async def test_what_events_hold(serve: Serve) -> None:
    """Each line of a text is a line of data, whatever ends it; bytes come in base64; nothing begins another event."""

    def say(message: Message) -> None:
        accept(message)
        for text in ("one\ntwo", "é😀", "a\r\n\r\nevent: close\rdata: 1"):
            message.reply_channel.send({"text": text})
        message.reply_channel.send({"bytes": b"\0\xff"})

    async with Page(await serve([route("websocket.connect", say)])) as page:
        await page.open()
        heard = [await page.heard() for _ in range(4)]
    assert heard == [
        ("message", "one\ntwo"),
        ("message", "é😀"),
        ("message", "a\n\nevent: close\ndata: 1"),
        ("bytes", "AP8="),
    ]


def deny(message: Message) -> None:
    raise DenyConnection


@pytest.mark.parametrize(
    ("headers", "options", "status"),
    [
        ([], {"server_sockets": 1}, 503),
        ([(b"origin", b"https://evil.example")], {}, 403),
        ([(b"sec-fetch-site", b"cross-site")], {}, 403),
        ([(b"sec-fetch-site", b"same-site")], {}, 403),
    ],
)
async def test_streams_that_are_refused(serve: Serve, headers: Any, options: Any, status: int) -> None:
    """Origins and limits are those of sockets; no consumer sees a stream that they refuse."""
    log = Log({"accept": True})
    application = await serve([route(SOCKET, log.consume, path="^/all/$"), *CHAT], **options)
    async with Page(application) as first:
        await first.open()
        async with Page(application, "/all/", headers) as page:
            assert (await page.event())["status"] == status
            await page.over()
    assert log.seen == []


async def test_a_consumer_refuses(serve: Serve) -> None:
    """``DenyConnection`` is a 403, and so is a stream that no consumer accepts in time."""
    application = await serve(
        [route("websocket.connect", deny, path="^/deny/$"), route("websocket.connect", lambda message: None)],
        handshake_timeout=0.05,
    )
    for path in ("/deny/", "/silent/"):
        async with Page(application, path) as page:
            assert (await page.event())["status"] == 403
            assert (await page.event())["body"] == b""
            await page.over()


async def test_pages_of_other_origins(serve: Serve) -> None:
    """An allowed page of another origin may read its stream, with its cookies."""
    application = await serve(CHAT, allowed_origins=["example.com"])
    origin = (b"origin", b"https://example.com")
    async with Page(application, "/", [origin, (b"sec-fetch-site", b"cross-site")]) as page:
        headers = await page.open()
        answer = await page.post(b"bytes", origin)
    for told in (headers, answer.headers):
        assert told[b"access-control-allow-origin"] == b"https://example.com"
        assert told[b"access-control-allow-credentials"] == b"true"
        assert told[b"vary"] == b"Origin"


async def test_what_is_no_stream(serve: Serve) -> None:
    """Other methods, other ``Accept`` headers and paths without routes for sockets are answered as before."""
    application = await serve([route("websocket.connect", accept, path="^/chat/$")], other, event_streams=True)
    assert (await get(application, "/chat/"))[1] == b"a view's"
    for method, path, accepted in (
        ("HEAD", "/chat/", b"text/event-stream"),
        ("GET", "/chat/", b"*/*"),
        ("GET", "/chat/", b"text/html, text/event-streams"),
        ("GET", "/other/", b"text/event-stream"),
    ):
        async with Request(application, path, method, headers=[(b"accept", accepted)]) as request:
            await request.event()
            assert (await request.event())["body"] == b"a view's"
    async with Page(application, "/chat/", [(b"accept", b"text/html, Text/Event-Stream; q=0.9")]) as page:
        await page.open()


async def test_requests_come_first(serve: Serve) -> None:
    """An ``http.request`` consumer that takes the path may stream events of its own."""

    def stream(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": b"data: mine\n\n"})

    routing = [route("http.request", stream, path="^/mine/$"), *CHAT]
    async with Page(await serve(routing), "/mine/") as page:
        await page.event()
        assert (await page.event())["body"] == b"data: mine\n\n"


@pytest.mark.parametrize("kind", ["inline", "workers"])
@pytest.mark.parametrize("wanted", [None, False, True])
async def test_another_application(default_layer: SyncChannelLayer, kind: str, wanted: bool | None) -> None:
    """Where one answers HTTP, it goes on to answer such requests, unless ``event_streams`` is set."""
    options = ServerOptions(event_streams=wanted)
    async with working(default_layer, *CHAT):
        application = (
            routechan.application(CHAT, default_layer.layer, http=other, options=options)
            if kind == "inline"
            else relay_application(default_layer.layer, http=other, options=options)
        )
        async with Lifespan(application), Page(application) as page:
            if wanted:
                await page.open()
            else:
                await page.event()
                assert (await page.event())["body"] == b"a view's"


async def test_a_relay_asks_its_router(default_layer: SyncChannelLayer) -> None:
    """A relaying server of a project knows which paths have sockets: the other streams are views'."""
    router = routechan.routing.Router([route("websocket.connect", accept, path="^/chat/$")])
    options = ServerOptions(event_streams=True)
    application = relay_application(default_layer.layer, http=other, options=options, relay_http=router)
    async with working(default_layer, *CHAT), Lifespan(application):
        async with Page(application, "/chat/") as page:
            await page.open()
        async with Page(application, "/events/") as page:
            await page.event()
            assert (await page.event())["body"] == b"a view's"


async def test_a_page_that_does_not_read(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """It is closed with 1013 once more waits for it than may, as a socket is."""
    log = Log({"accept": True})
    application = await serve([route(SOCKET, log.consume)], socket_capacity=3)
    async with Page(application) as page:
        await page.open()
        page.reads.clear()
        for number in range(5):
            await routechan.Channel(log.last["reply_channel"]).asend({"text": str(number)})
        page.reads.set()
        heard = await page.heard()
        assert heard == ("message", "0")
        assert await page.heard() == ("close", "1013")
        await page.over()
    assert log.last["code"] == 1013
    assert "does not read: it is closed with 1013" in "".join(logged(caplog))


async def test_a_page_that_takes_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its request ends all the same; the log says what remains, and advises no protocol for WebSockets."""
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT", 0.05)
    log = Log({"accept": True})
    application = await serve([route(SOCKET, log.consume)], socket_capacity=1)
    async with Page(application) as page:
        await page.open()
        page.reads.clear()
        for number in range(3):
            await routechan.Channel(log.last["reply_channel"]).asend({"text": str(number)})
        await page.over()
    told = "".join(logged(caplog))
    assert "does not even take its close" in told
    assert "--ws" not in told


async def test_comments_keep_it_open(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent stream has a comment from time to time; none is added to what a page does not read."""
    monkeypatch.setattr(event_stream, "KEEPALIVE_INTERVAL", 0.01)
    async with Page(await serve(CHAT)) as page:
        await page.open()
        comment = {"type": "http.response.body", "body": b":\n\n", "more_body": True}
        assert [await page.event() for _ in range(2)] == [comment] * 2
        page.reads.clear()
        await until(lambda: page.held_up)
        await asyncio.sleep(0.05)
        assert page.held_up == 1
        page.reads.set()
        await page.say("goes on")
        while (event := await page.event()) == comment:
            pass
        assert event["body"] == b"data: goes on\n\n"


async def test_a_process_that_is_told_to_stop(serve: Serve) -> None:
    """ASGI servers wait for responses before they say so: streams end at the signal, with 1012, new ones too."""
    log = Log({"accept": True})
    application = await serve([route(SOCKET, log.consume)])
    async with Page(application) as page:
        await page.open()
        application._server._stop_soon()  # type: ignore[union-attr]
        assert await page.heard() == ("close", "1012")
        await page.over()
        assert log.last["code"] == 1012
    async with Page(application) as late:
        await late.open()
        assert await late.heard() == ("close", "1012")
        await late.over()


async def test_a_stop_that_is_spread(serve: Serve) -> None:
    """Each stream is ended at its own moment, within the drain time, and its page told how long to wait."""
    application = await serve([route("websocket.connect", accept)], drain_time=0.3)
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(Page(application)) for _ in range(20)]
        for page in pages:
            await page.open()
        ended: list[float] = []

        async def wait(page: Page) -> None:
            name, seconds = await page.heard()
            assert name == "retry"
            assert page.retry == pytest.approx(float(seconds) * 1000, abs=1)
            assert await page.heard() == ("close", "1012")
            ended.append(asyncio.get_running_loop().time())

        application._server._stop_soon()  # type: ignore[union-attr]
        await asyncio.gather(*map(wait, pages))
    assert ended[-1] - ended[0] > 0.1
    waits = {page.retry for page in pages}
    assert all(wait is not None and 0 <= wait <= 300 for wait in waits)
    assert len(waits) > 5


async def test_a_server_that_stops(default_layer: SyncChannelLayer) -> None:
    """Streams that are open still are closed with 1012."""
    application = routechan.application(CHAT, default_layer.layer)
    async with Lifespan(application):
        page = await Page(application).__aenter__()
        await page.open()
    assert await page.heard() == ("close", "1012")
    await page.over()


async def test_what_the_server_raises(serve: Serve) -> None:
    """An error of ``receive`` ends the stream, whose consumers are told, and is raised."""
    log = Log({"accept": True})
    page = Page(await serve([route(SOCKET, log.consume)]))

    async def receive() -> dict[str, Any]:
        await until(lambda: log.seen)
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        await page.application(page.scope, receive, page._take)
    await ticks()
    assert [entry["channel"] for entry in log.seen] == ["websocket.connect", "websocket.disconnect"]


# Coming back


async def told(page: Page) -> tuple[str, str, str]:
    """Type, id and data of the next event."""
    event = await page.event()
    lines = dict(line.split(": ", 1) for line in event["body"].decode().removesuffix("\n\n").split("\n"))
    return lines.get("event", "message"), lines.get("id", ""), lines["data"]


@pytest.mark.parametrize("kind", ["inline", "workers"])
async def test_a_page_that_comes_back(kind: str) -> None:
    """Messages of a group with a history have an id, which brings back what was missed, or the news of a gap."""
    layer = InMemoryChannelLayer(history={"all": {"size": 3, "seconds": 60}})

    queries = []

    def connect(message: Message) -> None:
        queries.append(message["query_string"])
        message.reply_channel.send({"accept": True})
        Group("all", channel_layer=layer).add(message.reply_channel)

    routing = [
        route("websocket.connect", connect),
        route("websocket.receive", echo),
        route("websocket.disconnect", lambda message: None),
    ]
    async with serving(layer.sync, kind, routing) as application:
        async with Page(application) as page:
            await page.open()
            word, id, data = await told(page)
            assert (word, data) == ("joined", "joined")
            await page.post(b"hello")
            assert await told(page) == ("message", "", "hello")
            await layer.group_send("all", {"bytes": b"one"})
            word, id, data = await told(page)
            assert (word, bool(id), data) == ("bytes", True, "b25l")
        await layer.group_send("all", {"text": "two\nthree"})
        by_itself = {"headers": [(b"last-event-id", id.encode())], "query_string": b"a=1&lastEventId=older&b=2"}
        made_anew = {"query_string": b"a=1&lastEventId=" + id.encode() + b"&b=2"}
        for scope in (by_itself, made_anew):
            async with Page(application, **scope) as page:
                await page.open()
                assert (await page.event())["body"].endswith(b"\ndata: two\ndata: three\n\n")
                word, id, data = await told(page)
                assert (word, bool(id), data) == ("recovered", True, "recovered")
        assert queries == [b"", b"a=1&b=2", b"a=1&b=2"]
        for _ in range(5):
            await layer.group_send("all", {"text": "more"})
        async with Page(application, headers=[(b"last-event-id", id.encode())]) as page:
            await page.open()
            assert (await told(page))[0] == "gap"


async def test_no_ids_where_no_group_keeps_a_history(serve: Serve) -> None:
    """The stream is byte for byte what it was, whatever the page comes back with."""
    application = await serve([route("websocket.connect", join)])
    async with Page(application, headers=[(b"last-event-id", b"abc")]) as page:
        await page.open()
        Group("all").send({"text": "hello"})
        assert (await page.event())["body"] == b"data: hello\n\n"
