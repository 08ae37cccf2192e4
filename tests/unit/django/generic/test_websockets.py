"""``WebsocketConsumer`` and ``JsonWebsocketConsumer``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any, ClassVar
from unittest import mock

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from routechan import Group, Message, route_class
from routechan.exceptions import NoQuestion
from routechan_django.generic.websockets import JsonWebsocketConsumer, WebsocketConsumer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import WSClient
from tests.unit.django.helpers import message

Clients = Callable[..., WSClient]


def received(cls: Any, **content: Any) -> Any:
    """An instance of a consumer's class that got a frame."""
    return cls(message({"path": "/", "reply_channel": "reply", **content}, "websocket.receive"))


class Recording(WebsocketConsumer):
    def connect(self, message: Message, **kwargs: Any) -> None:
        super().connect(message, **kwargs)
        self.got: Any = ("connect", kwargs)

    def receive(self, text: str | None = None, bytes: bytes | None = None, **kwargs: Any) -> None:
        self.got = ("receive", text, bytes, kwargs)

    def disconnect(self, message: Message, **kwargs: Any) -> None:
        self.got = ("disconnect", kwargs)


def test_the_three_events(client_of: Clients) -> None:
    """GN-13, GN-15, GN-19, GN-20: each event reaches its method, with the named groups as strings."""
    client = client_of([route_class(Recording, path=r"^/path/(?P<number>\d+)$")])
    assert client.send_and_consume("websocket.connect", path="/path/1").got == ("connect", {"number": "1"})
    assert client.send_and_consume("websocket.receive", path="/path/1", text="hi").got == (
        "receive",
        "hi",
        None,
        {"number": "1"},
    )
    consumer = client.send_and_consume("websocket.disconnect", path="/path/1")
    assert consumer.got == ("disconnect", {"number": "1"})
    assert consumer.path == "/path/1"  # GN-08


def test_defaults(client_of: Clients) -> None:
    """GN-14, GN-15, GN-19: by default a socket is accepted, and nothing else happens."""
    client = client_of(WebsocketConsumer)
    client.send_and_consume("websocket.connect", check_accept=False)
    assert client.receive() == {"accept": True}
    client.send_and_consume("websocket.receive", text="hello")
    client.send_and_consume("websocket.disconnect")
    assert client.receive() is None


def test_frames(client_of: Clients) -> None:
    """GN-15: a ``text`` key counts even where it is None, then ``bytes`` is needed."""
    client = client_of(Recording)
    assert received(Recording, text=None, bytes=b"x").got == ("receive", None, None, {})
    assert client.send_and_consume("websocket.receive", {"bytes": b"x"}).got == ("receive", None, b"x", {})
    with pytest.raises(KeyError, match="bytes"):
        client.send_and_consume("websocket.receive")


def test_no_path() -> None:
    """GN-08: a message without a path is a ``KeyError``."""
    with pytest.raises(KeyError, match="path"):
        WebsocketConsumer(message(channel="websocket.connect"))


def test_slight_ordering() -> None:
    """GN-10: it is refused when set, and passed over when False."""

    class Slight(WebsocketConsumer):
        slight_ordering = True

    class NotSlight(WebsocketConsumer):
        slight_ordering = False

    with pytest.raises(ValueError, match="Slight sets slight_ordering.*set strict_ordering = True"):
        received(Slight, text="")
    received(NotSlight, text="")


def test_strict_ordering(client_of: Clients) -> None:
    """GN-11: of two messages, order 1 before 0, the first waits and runs after the second."""
    ran = []

    class Ordered(WebsocketConsumer):
        strict_ordering = True

        def connect(self, message: Message, **kwargs: Any) -> None:
            ran.append(message["order"])
            self.message.reply_channel.send({"accept": True})  # type: ignore[union-attr]

    client = client_of(Ordered)
    client.send("websocket.connect", {"order": 1})
    client.send("websocket.connect", {"order": 0})
    client.consume("websocket.connect", check_accept=False)
    assert ran == []
    client.consume("websocket.connect")
    assert ran == [0]
    client.consume("websocket.connect")
    assert ran == [0, 1]


def test_as_route_with_ordering(client_of: Clients) -> None:
    """GN-05, TC-26: attributes count for the route they were given to; text that is no string comes through."""

    class Echo(WebsocketConsumer):
        def connect(self, message: Message, **kwargs: Any) -> None:
            super().connect(message)
            self.send(text=message.get("order"))

    routes = [Echo.as_route(attrs={"strict_ordering": True}, path="^/path$"), Echo.as_route(path="^/path/2$")]
    assert routes[0].consumer is not Echo
    assert routes[1].consumer is Echo
    client = client_of(routes)
    client.send("websocket.connect", {"path": "/path", "order": 1})
    client.send("websocket.connect", {"path": "/path", "order": 0})
    client.consume("websocket.connect", check_accept=False)
    client.consume("websocket.connect")
    assert client.receive() == 0
    client.consume("websocket.connect")
    assert client.receive() == 1
    client.send_and_consume("websocket.connect", {"path": "/path/2", "order": "next"})
    assert client.receive(json=False) == "next"


# Sessions and users


def test_http_user_and_session(client_of: Clients, user: User) -> None:
    """GN-09: with ``http_user_and_session`` every event sees the HTTP session of the handshake, and its user."""

    class Both(WebsocketConsumer):
        http_user_and_session = True

    client = client_of(Both)
    client.force_login(user)
    key = client.get_cookies()[settings.SESSION_COOKIE_NAME]
    for channel, text in [("websocket.connect", None), ("websocket.receive", "x"), ("websocket.disconnect", None)]:
        consumer = client.send_and_consume(channel, text=text)
        assert consumer.message.http_session.session_key == key, channel
        assert consumer.message.user == user, channel
        assert consumer.message.channel_session.session_key != key


def test_http_user(client_of: Clients, user: User) -> None:
    """GN-09: with ``http_user`` later events see the user, from the channel session; they have no HTTP session."""

    class Known(WebsocketConsumer):
        http_user = True

    client = client_of(Known)
    client.force_login(user)
    assert client.send_and_consume("websocket.connect").message.user == user
    later = client.send_and_consume("websocket.receive", text="x")
    assert later.message.user == user
    assert later.message.http_session is None
    assert Known.channel_session_user is False  # only on the instance (GN-08)


# Groups


def test_groups(client_of: Clients, layer: ChannelLayerWrapper) -> None:
    """GN-12, GN-13, GN-19: the socket is in the groups from before ``connect`` until before ``disconnect``."""
    members = []

    class Grouped(WebsocketConsumer):
        def connection_groups(self, **kwargs: Any) -> list[str]:
            return ["all", kwargs["room"]]

        def connect(self, message: Message, **kwargs: Any) -> None:
            members.append([layer.group_channels(name) for name in ("all", "a")])
            super().connect(message)

        def disconnect(self, message: Message, **kwargs: Any) -> None:
            members.append([layer.group_channels(name) for name in ("all", "a")])

    client = client_of([route_class(Grouped, path="/(?P<room>.)")])
    client.send_and_consume("websocket.connect", path="/a")
    client.send_and_consume("websocket.disconnect", path="/a")
    assert members == [[[client.reply_channel]] * 2, [[], []]]


def test_groups_attribute(client_of: Clients, layer: ChannelLayerWrapper) -> None:
    """GN-12, GN-13: ``groups`` names them; they are joined even if ``connect`` accepts nobody."""

    class Denying(WebsocketConsumer):
        groups = ("news",)

        def connect(self, message: Message, **kwargs: Any) -> None:
            self.close()

    client = client_of(Denying)
    client.send_and_consume("websocket.connect", check_accept=False)
    assert layer.group_channels("news") == [client.reply_channel]
    assert client.receive() == {"close": True}


def test_groups_are_a_list() -> None:
    """GN-12: a single name is refused, and its letters do not become groups."""

    class Wrong(WebsocketConsumer):
        groups = "news"

    with pytest.raises(TypeError, match=r"the groups of Wrong are a list of names.*not 'news'"):
        Wrong(message(channel="websocket.connect", path="/"))


# Sending


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"text": "a"}, {"text": "a"}),
        ({"text": ""}, {"text": ""}),
        ({"bytes": b"a"}, {"bytes": b"a"}),
        ({"text": "a", "bytes": b"b"}, {"text": "a"}),
        ({"text": "a", "close": True}, {"text": "a", "close": True}),
        ({"bytes": b"a", "close": 4001}, {"bytes": b"a", "close": 4001}),
    ],
)
def test_send(layer: ChannelLayerWrapper, arguments: dict[str, Any], sent: dict[str, Any]) -> None:
    """GN-16, GN-17: text wins over bytes, and a true ``close`` goes with them; to a group as to the socket."""
    received(WebsocketConsumer, text="").send(**arguments)
    assert layer.receive(["reply"])[1] == sent
    layer.group_add("all", "member")
    WebsocketConsumer.group_send("all", **arguments)
    assert layer.receive(["member"])[1] == sent


def test_send_nothing() -> None:
    """GN-16: neither text nor bytes is refused, also with ``close``."""
    with pytest.raises(ValueError, match=r"both are None; to close the socket alone, call close\(\)"):
        received(WebsocketConsumer, text="").send(close=True)
    with pytest.raises(ValueError, match="both are None"):
        WebsocketConsumer.group_send("all")


def test_answers(layer: ChannelLayerWrapper) -> None:
    """Text or bytes, or JSON where the class speaks it; without a question it is an error."""
    received(WebsocketConsumer, text="", question_number=7).answer(text="a")
    received(WebsocketConsumer, text="", question_number=8).answer(bytes=b"a")
    received(JsonWebsocketConsumer, text="{}", question_number=9).answer({"a": 1})
    assert [layer.receive(["reply"])[1] for _ in range(3)] == [
        {"__answer__": 7, "text": "a"},
        {"__answer__": 8, "bytes": b"a"},
        {"__answer__": 9, "text": '{"a": 1}'},
    ]
    with pytest.raises(NoQuestion):
        received(WebsocketConsumer, text="").answer(text="a")
    with pytest.raises(ValueError, match="both are None"):
        received(WebsocketConsumer, text="", question_number=7).answer()


@pytest.mark.parametrize(("arguments", "status"), [((), True), ((4000,), 4000)])
def test_close(layer: ChannelLayerWrapper, arguments: tuple[int, ...], status: Any) -> None:
    """GN-18: True by default, or a code."""
    received(WebsocketConsumer, text="").close(*arguments)
    assert layer.receive(["reply"])[1] == {"close": status}


# JSON


class JsonEcho(JsonWebsocketConsumer):
    def receive(self, content: Any, **kwargs: Any) -> None:  # type: ignore[override]
        self.content = content
        self.send({"got": content})


def test_json(client_of: Clients) -> None:
    """GN-21, GN-22: frames are decoded for ``receive`` and encoded by ``send``."""
    client = client_of(JsonEcho)
    assert client.send_and_consume("websocket.receive", text={"a": [1]}).content == {"a": [1]}
    assert client.receive(json=False) == '{"got": {"a": [1]}}'


def test_json_needs_text() -> None:
    """GN-21: a binary frame is refused, saying what came; bad JSON is the decoder's error."""
    with pytest.raises(ValueError, match=r"JsonEcho takes JSON in text frames, but .*\['bytes', 'path'"):
        received(JsonEcho, bytes=b"{}")
    with pytest.raises(json.JSONDecodeError):
        received(JsonEcho, text="{")


def test_json_is_plain() -> None:
    """GN-22, GN-23: by default a frame does nothing; dates are no JSON, until ``encode_json`` is overridden."""
    consumer = received(JsonWebsocketConsumer, text="{}")
    with pytest.raises(TypeError, match="date is not JSON serializable"):
        consumer.send({"day": datetime.date(2017, 9, 15)})


def test_json_of_ones_own(client_of: Clients, layer: ChannelLayerWrapper) -> None:
    """GN-23: overridden, ``decode_json`` and ``encode_json`` serve receive, send and group_send."""

    class Own(JsonEcho):
        @classmethod
        def decode_json(cls, text: str) -> Any:
            return "decoded " + text

        @classmethod
        def encode_json(cls, content: Any) -> str:
            return f"encoded {content}"

    client = client_of(Own)
    assert client.send_and_consume("websocket.receive", text="x").content == "decoded x"
    assert client.receive(json=False) == "encoded {'got': 'decoded x'}"
    Group("own").add(client.reply_channel)
    Own.group_send("own", {"a": 1}, close=4000)
    assert layer.receive([client.reply_channel])[1] == {"text": "encoded {'a': 1}", "close": 4000}


def test_a_message_that_is_a_mock() -> None:
    """GN-01, GN-03: tests of 1.x make a consumer with a mock that has a channel's name, and look at its calls."""

    class Consumer(JsonWebsocketConsumer):
        groups: ClassVar = ["news"]

        def receive(self, content: Any, **kwargs: Any) -> None:
            self.send({"echo": content})

    for event, content, calls in (
        ("connect", {}, [mock.call.send({"accept": True})]),
        ("receive", {"text": '{"n": 1}'}, [mock.call.send({"text": '{"echo": {"n": 1}}'})]),
        ("disconnect", {}, []),
    ):
        message = mock.MagicMock(content=content)
        message.channel.name = f"websocket.{event}"
        message.__getitem__.side_effect = {"path": "/", **content}.__getitem__
        message.__contains__.side_effect = content.__contains__
        consumer = Consumer(message)
        assert consumer.message is message
        assert message.reply_channel.method_calls == calls
        members = [call for call in message.channel_layer.method_calls if call[0].startswith("group_")]
        assert members == {
            "connect": [mock.call.group_add("news", message.reply_channel)],
            "disconnect": [mock.call.group_discard("news", message.reply_channel)],
        }.get(event, [])
