"""``ViewConsumer``: the project's views as a consumer of ``http.request``."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import pytest
from django.http import HttpResponse
from django.test import override_settings

import routechan
from routechan import Channel, route
from routechan.asgi import Application, ServerOptions
from routechan.exceptions import ChannelFull
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer, channel_layers
from routechan_django.handler import AsgiHandler, ViewConsumer
from tests.harness import Connection, get
from tests.unit.asgi.clients import Lifespan
from tests.waiting import until

from .helpers import http_request
from .views import events

HERE = "tests.unit.django.views"


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    events.clear()
    with override_settings(ROOT_URLCONF=HERE, MIDDLEWARE=[f"{HERE}.Recording"]):
        yield


def received(layer: SyncChannelLayer, channel: str = "reply") -> list[Any]:
    return list(iter(lambda: layer.receive([channel])[1], None))


# As a callable


def test_it_answers_at_once(default_layer: SyncChannelLayer) -> None:
    """HT-40: to the reply channel, each message as it comes, without an end of the consumer."""
    ViewConsumer()(http_request("/stream/?parts=3", default_layer))
    contents = received(default_layer)
    assert [content.get("content") for content in contents] == [b"0,", b"1,", b"2,", None]
    assert contents[0]["status"] == 200


def test_middleware_is_loaded_once() -> None:
    """HT-40, HT-42: when the consumer is made, not for each message; the handler is that of its class."""
    loaded: list[Any] = []

    class Handler(AsgiHandler):
        def load_middleware(self, is_async: bool = False) -> None:
            loaded.append(self)
            super().load_middleware(is_async)

    class Consumer(ViewConsumer):
        handler_class = Handler

    assert ViewConsumer.handler_class is AsgiHandler
    with channel_layers.override("default", InMemoryChannelLayer().sync) as layer:
        consumer = Consumer()
        assert loaded == [consumer.handler]
        for _ in range(2):
            consumer(http_request("/hello/", layer))
    assert len(loaded) == 1


def test_many_threads_share_it(default_layer: SyncChannelLayer) -> None:
    """HT-42: one instance serves them all at a time."""
    consumer = ViewConsumer()

    def ask(name: str) -> None:
        for _ in range(10):
            consumer(http_request(f"/{name}/hello/", default_layer, root_path=f"/{name}", reply_channel=name))

    threads = [threading.Thread(target=ask, args=(f"n{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(5):
        assert [content["content"] for content in received(default_layer, f"n{number}")] == [b"hello /hello/"] * 10


def test_it_takes_the_message_only(default_layer: SyncChannelLayer) -> None:
    """HT-41: a route with named groups fails."""
    with pytest.raises(TypeError, match="room"):
        ViewConsumer()(http_request("/hello/", default_layer), room="x")  # type: ignore[call-arg]


def test_a_message_without_reply_channel(default_layer: SyncChannelLayer) -> None:
    """HT-40: there is nobody to answer to, and the error says so; the response is closed."""
    with pytest.raises(TypeError, match="has none"):
        ViewConsumer()(http_request("/stream/?parts=3", default_layer, reply_channel=None))
    assert events[-1] == "closed"


def test_a_full_reply_channel_is_waited_for() -> None:
    """HT-40: nothing of the response is lost; the reader sees it whole, in order."""
    with channel_layers.override("default", InMemoryChannelLayer(capacity=5).sync) as layer:
        thread = threading.Thread(target=ViewConsumer(), args=(http_request("/stream/?parts=12", layer),))
        thread.start()
        contents: list[Any] = []
        while not contents or contents[-1]["more_content"]:
            content = layer.receive(["reply"], block=True)[1]
            assert content is not None
            contents.append(content)
        thread.join()
    assert b"".join(content.get("content", b"") for content in contents) == b"0,1,2,3,4,5,6,7,8,9,10,11,"


def test_a_client_that_vanished(caplog: pytest.LogCaptureFixture) -> None:
    """OB-32: a reply channel that stays full holds the worker for a while, not for ever; logged, response closed."""

    class Impatient(ViewConsumer):
        full_timeout = 0.1

    assert ViewConsumer.full_timeout == 60
    with channel_layers.override("default", InMemoryChannelLayer(capacity=5).sync) as layer:
        Impatient()(http_request("/stream/?parts=1000", layer))
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == "reply stayed full for 0.1 s; the response to '/stream/' is given up"
    assert events[-1] == "closed"


def test_a_layer_of_another_make(default_layer: SyncChannelLayer) -> None:
    """HT-40: its own ``ChannelFull`` is known; other errors end the response, which is closed."""

    class Full(Exception):
        pass

    layer = mock.Mock(spec=["ChannelFull", "send"], ChannelFull=Full)
    layer.send.side_effect = [Full, None, ChannelFull, LookupError]
    with pytest.raises(LookupError):
        ViewConsumer()(http_request("/stream/?parts=10", layer))
    contents = [call.args[1]["content"] for call in layer.send.call_args_list]
    assert contents == [b"0,", b"0,", b"1,", b"1,"]
    assert events[-1] == "closed"


def test_a_later_response(default_layer: SyncChannelLayer) -> None:
    """HT-28: nothing is sent."""
    with override_settings(MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"]):
        ViewConsumer()(http_request("/later/", default_layer))
    assert received(default_layer) == []


# Behind a server


@asynccontextmanager
async def served(
    layer: SyncChannelLayer, *routes: Any, threads: int = 32, **options: Any
) -> AsyncIterator[Application]:
    """An application whose ``http.request`` goes to a ``ViewConsumer``."""
    application = routechan.application(
        [*routes, route("http.request", ViewConsumer())],
        layer.layer,
        options=ServerOptions(**options),
        threads=threads,
    )
    async with Lifespan(application):
        yield application


class Request(Connection):
    """A GET whose client takes an event when the test says so."""

    def __init__(self, application: Any, path: str) -> None:
        path, _, query = path.partition("?")
        headers = [(b"host", b"testserver")]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": headers}
        super().__init__(application, scope)
        self.from_application = asyncio.Queue(maxsize=1)
        self.push({"type": "http.request", "body": b""})

    async def body(self) -> bytes:
        content = b""
        while True:
            event = await self.event()
            content += event.get("body", b"")
            if event["type"] == "http.response.body" and not event["more_body"]:
                return content


@pytest.mark.parametrize(
    ("path", "content"), [("/hello/", b"hello /hello/"), ("/ahello/", b"hello from async"), ("/broken/", b"sorry")]
)
async def test_a_request_is_answered(default_layer: SyncChannelLayer, path: str, content: bytes) -> None:
    """HT-40: views of both kinds, with consumers in the server process."""
    async with served(default_layer) as application:
        assert (await get(application, path))[1] == content


@pytest.mark.parametrize("path", ["/stream/?parts=1000", "/astream/?parts=300"])
async def test_a_long_stream_to_a_slow_client(default_layer: SyncChannelLayer, path: str) -> None:
    """HT-36, HT-40: whole and in order, though the client takes less at a time than the view makes."""
    parts = int(path.partition("=")[2])
    async with served(default_layer) as application, Request(application, path) as request:
        await asyncio.sleep(0.05)  # it does not read at first
        assert await request.body() == b"".join(b"%d," % number for number in range(parts))
    assert events[-1] == "closed"


async def test_a_slow_client_holds_up_its_view(default_layer: SyncChannelLayer) -> None:
    """HT-40: one message is on its way at a time, so that large responses are not piled up in memory."""
    made = 0
    encode = AsgiHandler.encode_response

    def counting(response: Any) -> Iterator[Any]:
        nonlocal made
        for reply in encode(response):
            made += 1
            yield reply

    with mock.patch.object(AsgiHandler, "encode_response", staticmethod(counting)):
        async with served(default_layer) as application, Request(application, "/stream/?parts=1000") as request:
            await until(lambda: made)
            await asyncio.sleep(0.05)
            assert made <= 3
            assert (await request.body()).endswith(b"999,")
    assert made == 1001


@pytest.mark.parametrize("path", ["/stream/?parts=100000", "/astream/?parts=100000"])
async def test_a_client_that_leaves_ends_the_view(default_layer: SyncChannelLayer, path: str) -> None:
    """HT-24, OB-32: the generator is closed, the thread is free; it waits for nothing."""
    async with served(default_layer, threads=1) as application:
        async with Request(application, path) as request:
            assert (await request.event())["status"] == 200
            request.push({"type": "http.disconnect"})
        await until(lambda: "closed" in events)
        assert (await get(application, "/hello/"))[0] == 200


async def test_a_client_that_does_not_read(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """OB-32: it has the HTTP time, then the response is cut off and the thread is free."""
    async with (
        served(default_layer, threads=1, http_timeout=1.0) as application,
        Request(application, "/stream/?parts=100000") as request,
    ):
        await request.event()
        await until(lambda: "closed" in events)
        assert (await get(application, "/hello/"))[0] == 200
        await request.event()
    assert "'/stream/' is given up: its client has taken nothing for 1 s" in caplog.messages


@pytest.mark.parametrize("path", ["/sends/", "/asends/"])
async def test_what_a_view_sends_follows_the_response(default_layer: SyncChannelLayer, path: str) -> None:
    """HT-40, PM-15: views run inside a consumer, so their sends wait until the response has been sent."""
    seen: list[Any] = []
    send = AsgiHandler.encode_response

    def watched(response: Any) -> Iterator[Any]:
        yield from send(response)
        seen.append(received(default_layer, "from-view"))

    with mock.patch.object(AsgiHandler, "encode_response", staticmethod(watched)):
        async with served(default_layer) as application:
            assert (await get(application, path))[1] == b"sent"
    assert seen == [[]]
    assert received(default_layer, "from-view") == [{"n": 1}]


@pytest.mark.parametrize("path", ["/joins/", "/ajoins/"])
async def test_the_reply_channel_of_a_request(default_layer: SyncChannelLayer, path: str) -> None:
    """HT-01: views behind a ``ViewConsumer``, plain and async, inside all middleware, have the message of theirs."""
    async with served(default_layer) as application:
        name, members, asked = json.loads((await get(application, path))[1])
    assert name.startswith("http.response.")
    assert (members, asked) == ([name], path)


async def test_a_response_by_somebody_else(default_layer: SyncChannelLayer) -> None:
    """HT-28, EX-02: the view leaves it to whoever knows its reply channel."""
    waiting: list[str] = []

    class Handler(AsgiHandler):
        def get_response(self, request: Any) -> Any:
            waiting.append(request.reply_channel.name)
            return super().get_response(request)

    with mock.patch.object(ViewConsumer, "handler_class", Handler):
        async with served(default_layer) as application, Request(application, "/alater/") as request:
            await until(lambda: waiting and events)
            for reply in AsgiHandler.encode_response(HttpResponse("later")):
                await Channel(waiting[0]).asend(reply)
            assert await request.body() == b"later"
