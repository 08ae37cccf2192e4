"""Class-based consumers whose methods are ``async def`` or generators, in a server process and in a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from routechan import Group, Message, application, route_class
from routechan_django.generic.websockets import JsonWebsocketConsumer, WebsocketConsumer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import session_for_reply_channel
from routechan_django.test import WSClient
from tests.harness import WebSocket

Clients = Callable[..., WSClient]

LOOP = "loop"
THREAD = "thread"


def where() -> str:
    return THREAD if asyncio._get_running_loop() is None else LOOP


class Async(WebsocketConsumer):
    groups = ("room",)

    async def connect(self, message: Message, **kwargs: Any) -> None:
        members = await Group("room").achannels()
        self.send(text=f"{where()} {kwargs['room']} {self.message.reply_channel.name in members}")  # type: ignore[union-attr]

    async def receive(self, text: str | None = None, bytes: bytes | None = None, **kwargs: Any) -> None:
        self.group_send("room", text=f"{where()} {text}")

    async def disconnect(self, message: Message, **kwargs: Any) -> None:
        await Group("left").aadd("somebody" if await Group("room").acount() else "nobody")


class AsyncReceive(Async):
    """Its ``connect`` and ``disconnect`` are plain."""

    def connect(self, message: Message, **kwargs: Any) -> None:  # type: ignore[override]
        member = self.message.reply_channel.name in Group("room").channels()  # type: ignore[union-attr]
        self.send(text=f"{where()} {kwargs['room']} {member}")

    def disconnect(self, message: Message, **kwargs: Any) -> None:  # type: ignore[override]
        Group("left").add("somebody" if Group("room").count() else "nobody")


@pytest.mark.parametrize(("consumer", "connects"), [(Async, LOOP), (AsyncReceive, THREAD)])
async def test_in_a_server(layer: ChannelLayerWrapper, consumer: Any, connects: str) -> None:
    """GN-01, GN-13, GN-19: async methods run on the loop and plain ones on threads; groups are joined and left."""
    serve = application([route_class(consumer, path="^/(?P<room>.)$")], layer.layer)
    async with WebSocket(serve, "/a") as socket:
        await socket.accepted()
        assert await socket.text() == f"{connects} a True"
        socket.send("hello")
        assert await socket.text() == f"{LOOP} hello"
    assert await Group("left", channel_layer=layer).achannels() == ["nobody"]


class Ticks(JsonWebsocketConsumer):
    """A stream for each event."""

    groups = ("ticks",)

    async def connect(self, message: Message, **kwargs: Any) -> Any:
        yield {"accept": True}
        yield {"text": str(await Group("ticks").acount())}

    def receive(self, content: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        for number in range(content):
            yield {"text": f"{where()} {number}"}


async def test_streams_in_a_server(layer: ChannelLayerWrapper) -> None:
    """GN-13, GN-21: generators stream to the socket; groups are joined before the first step."""
    async with WebSocket(application([route_class(Ticks)], layer.layer), "/") as socket:
        await socket.accepted()
        assert await socket.text() == "1"
        socket.send("2")
        assert [await socket.text(), await socket.text()] == [f"{THREAD} 0", f"{THREAD} 1"]


def test_in_a_client(client_of: Clients) -> None:
    """TC-11: plain tests run async consumers and streams too."""
    client = client_of([Async.as_route(path="^/a(?P<room>.)$"), Ticks.as_route(path="^/t$")])
    consumer = client.send_and_consume("websocket.connect", path="/ab", check_accept=False)
    assert type(consumer) is Async
    assert client.receive(json=False) == f"{LOOP} b True"
    client.send_and_consume("websocket.receive", text="2", path="/t")
    assert [client.receive(json=False), client.receive(json=False)] == [f"{THREAD} 0", f"{THREAD} 1"]


def test_sessions_and_order(client_of: Clients) -> None:
    """GN-03, GN-08, GN-11: decorators last until an async method or a stream has ended."""

    class Keeping(WebsocketConsumer):
        http_user = True
        strict_ordering = True

        async def connect(self, message: Message, **kwargs: Any) -> None:
            self.message.channel_session["connected"] = True  # type: ignore[attr-defined]
            self.send(text=f"user {message.user.is_anonymous}")  # type: ignore[attr-defined]

        async def receive(self, text: str | None = None, bytes: bytes | None = None, **kwargs: Any) -> Any:
            self.message.channel_session["streamed"] = True  # type: ignore[attr-defined]
            yield {"text": "a step"}

    client = client_of(Keeping, ordered=True)
    client.send_and_consume("websocket.connect", check_accept=False)
    assert client.receive(json=False) == "user True"
    client.send_and_consume("websocket.receive", text="x")
    assert client.receive(json=False) == "a step"
    session = session_for_reply_channel(client.reply_channel)
    assert (session["connected"], session["streamed"]) == (True, True)


def test_sessions_are_read_before(client_of: Clients, user: User) -> None:
    """GN-08, GN-09: what an async method looks at in a session is there, without a query on the loop."""

    class Looking(WebsocketConsumer):
        http_user_and_session = True

        async def receive(self, text: str | None = None, bytes: bytes | None = None, **kwargs: Any) -> None:
            self.send(text=self.message.http_session.get("colour"))  # type: ignore[attr-defined]

    client = client_of(Looking)
    client.force_login(user)
    client.session["colour"] = "red"
    client.session.save()
    client.send_and_consume("websocket.connect")
    client.send_and_consume("websocket.receive", text="x")
    assert client.receive(json=False) == "red"


def test_plain_decorator_around_an_async_method(client_of: Clients, layer: ChannelLayerWrapper) -> None:
    """GN-03: what a decorator written for plain methods gives back is gone on with; groups are joined all the same."""

    def plain(method: Any) -> Any:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            return method(self, *args, **kwargs)

        return wrapper

    class Decorated(WebsocketConsumer):
        groups = ("decorated",)

        @plain
        async def connect(self, message: Message, **kwargs: Any) -> None:
            self.send(text="connected")

    client = client_of(Decorated)
    client.send_and_consume("websocket.connect", check_accept=False)
    assert client.receive(json=False) == "connected"
    assert layer.group_channels("decorated") == [client.reply_channel]


def test_an_async_raw_method(client_of: Clients) -> None:
    """GN-15: a raw method may be ``async def`` itself."""

    class Raw(WebsocketConsumer):
        async def raw_receive(self, message: Message, **kwargs: Any) -> None:
            self.send(text="raw " + message["text"])

    client = client_of(Raw)
    client.send_and_consume("websocket.receive", text="x")
    assert client.receive(json=False) == "raw x"
