"""``WebsocketMultiplexer`` and ``WebsocketDemultiplexer``."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from routechan import ConsumeLater, Message, route_class
from routechan.exceptions import SendNotAvailableOnDemultiplexer
from routechan_django.generic import websockets
from routechan_django.generic.websockets import (
    JsonWebsocketConsumer,
    WebsocketConsumer,
    WebsocketDemultiplexer,
    WebsocketMultiplexer,
)
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import session_for_reply_channel
from routechan_django.test import WSClient

Clients = Callable[..., WSClient]
CLIENT_ID = uuid.UUID("12345678123456781234567812345678")


class Sub(JsonWebsocketConsumer):
    """Tells its multiplexer what it got."""

    def connect(self, message: Message, multiplexer: Any = None, **kwargs: Any) -> None:
        multiplexer.send({"event": "connect", **kwargs})

    def receive(self, content: Any, multiplexer: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        multiplexer.send({"event": "receive", "content": content, **kwargs})

    def disconnect(self, message: Message, multiplexer: Any = None, **kwargs: Any) -> None:
        multiplexer.send({"event": "disconnect", **kwargs})


def function(message: Message, multiplexer: Any, **kwargs: Any) -> None:
    multiplexer.send({"event": message.channel_name, "text": message.get("text")})


def demultiplexer(base: Any = WebsocketDemultiplexer, *, consumers: dict[str, Any], **attributes: Any) -> Any:
    """A demultiplexer of these consumers, by stream."""
    return type("Demultiplexer", (base,), {"consumers": consumers, **attributes})


Demultiplexer = demultiplexer(consumers={"class": Sub, "function": function})


def replies(client: WSClient) -> list[Any]:
    found = []
    while (reply := client.receive()) is not None:
        found.append(reply)
    return found


def frame(stream: str, **payload: Any) -> dict[str, Any]:
    return {"stream": stream, "payload": payload}


# The multiplexer


def test_multiplexer(layer: ChannelLayerWrapper) -> None:
    """GN-24, GN-25: payloads travel as JSON of stream and payload, in this order, with Django's encoder."""
    multiplexer = WebsocketMultiplexer("news", Message({"reply_channel": "r"}, "x", None).reply_channel)  # type: ignore[arg-type]
    multiplexer.send({"id": CLIENT_ID})
    text = '{"stream": "news", "payload": {"id": "12345678-1234-5678-1234-567812345678"}}'
    assert layer.receive(["r"])[1] == {"text": text}
    assert (multiplexer.stream, multiplexer.reply_channel.name) == ("news", "r")
    assert WebsocketMultiplexer.encode("news", {"id": CLIENT_ID}) == {"text": text}


@pytest.mark.parametrize(("close", "sent"), [(False, {}), (True, {"close": True}), (4001, {"close": 4001})])
def test_multiplexer_group_send(layer: ChannelLayerWrapper, close: Any, sent: dict[str, Any]) -> None:
    """GN-26, OB-18: to a group of the default layer; a close code stays one."""
    layer.group_add("g", "r")
    WebsocketMultiplexer.group_send("g", "news", {"a": 1}, close=close)
    assert layer.receive(["r"])[1] == {"text": '{"stream": "news", "payload": {"a": 1}}', **sent}


def test_no_names_of_other_versions() -> None:
    """GN-36: what 1.1.8 had not is not here either."""
    assert not hasattr(websockets, "WebsocketConsumerDemultiplexer")
    assert not hasattr(WebsocketDemultiplexer, "encode")


# Events


@pytest.fixture
def client(client_of: Clients) -> WSClient:
    """A client of the demultiplexer."""
    return client_of([route_class(Demultiplexer, path="/(?P<number>.)")])


@pytest.mark.parametrize("event", ["connect", "disconnect"])
def test_connect_and_disconnect(client: WSClient, event: str) -> None:
    """GN-27, GN-28: one accept, then every consumer in turn, each with the multiplexer of its stream."""
    client.send_and_consume(f"websocket.{event}", path="/7")
    assert replies(client) == [
        frame("class", event=event, number="7"),
        frame("function", event=f"websocket.{event}", text=None),
    ]


def test_default_connect_of_a_consumer(client_of: Clients) -> None:
    """GN-27: a consumer that does not define ``connect`` accepts once more, which is harmless."""
    client = client_of(demultiplexer(consumers={"a": WebsocketConsumer}))
    client.send_and_consume("websocket.connect")
    assert replies(client) == [{"accept": True}]


def test_receive(client: WSClient) -> None:
    """GN-30, GN-33, GN-35: a payload goes to its stream's consumer, as the text of the same message."""
    consumer = client.send_and_consume("websocket.receive", text=frame("class", a=[1]), path="/7")
    assert consumer.kwargs == {"number": "7"}
    assert consumer.message["text"] == '{"a": [1]}'
    client.send_and_consume("websocket.receive", text=frame("function", b=2), path="/7")
    assert replies(client) == [
        frame("class", event="receive", content={"a": [1]}, number="7"),
        frame("function", event="websocket.receive", text='{"b": 2}'),
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ([1], r'a frame is \{"stream".*not \[1\]'),
        ({"stream": "class"}, "a frame is"),
        ({"payload": {}}, "a frame is"),
        ({"stream": "nowhere", "payload": {}}, r"no stream 'nowhere'; Demultiplexer has \['class', 'function'\]"),
        ({"stream": ["class"], "payload": {}}, r"no stream \['class'\]"),
        ({"stream": "class", "payload": [1]}, r"payload of a frame is a JSON object, not \[1\] \(stream 'class'\)"),
    ],
)
def test_frames_that_fit_nothing(client: WSClient, text: Any, error: str) -> None:
    """GN-29: refused with what came and what was expected."""
    with pytest.raises(ValueError, match=error):
        client.send_and_consume("websocket.receive", text=text, path="/7")


def test_multiplexer_of_ones_own(client_of: Clients) -> None:
    """GN-25: ``multiplexer_class`` with an encoder of its own."""

    class Own(WebsocketMultiplexer):
        @classmethod
        def encode_json(cls, content: Any) -> str:
            return json.dumps({"own": content})

    client = client_of(demultiplexer(consumers={"class": Sub}, multiplexer_class=Own))
    client.send_and_consume("websocket.receive", text=frame("class", a=1))
    assert client.receive() == {"own": frame("class", event="receive", content={"a": 1})}


def test_groups_and_sessions(client_of: Clients, layer: ChannelLayerWrapper) -> None:
    """GN-34: groups of both are joined; the session a consumer asks for is that of the demultiplexer."""

    class Member(JsonWebsocketConsumer):
        groups = ("of the consumer".replace(" ", "."),)
        channel_session = True

        def receive(self, content: Any, **kwargs: Any) -> None:  # type: ignore[override]
            self.message.channel_session["n"] = content["n"]  # type: ignore[attr-defined]

    client = client_of(demultiplexer(consumers={"a": Member}, groups=("of.the.socket",), http_user=True))
    client.send_and_consume("websocket.connect")
    for name in ("of.the.socket", "of.the.consumer"):
        assert layer.group_channels(name) == [client.reply_channel]
    client.send_and_consume("websocket.receive", text=frame("a", n=3))
    assert session_for_reply_channel(client.reply_channel)["n"] == 3
    client.send_and_consume("websocket.disconnect")
    for name in ("of.the.socket", "of.the.consumer"):
        assert layer.group_channels(name) == []


# send


class Sends(JsonWebsocketConsumer):
    def connect(self, message: Message, **kwargs: Any) -> None:
        self.send({"from": "connect"})

    def receive(self, content: Any, **kwargs: Any) -> None:  # type: ignore[override]
        self.send({"from": "receive"})


OfSends = demultiplexer(consumers={"a": Sends})


@pytest.mark.parametrize("channel", ["websocket.connect", "websocket.receive"])
def test_no_send_in_a_demultiplexed_consumer(client_of: Clients, channel: str) -> None:
    """GN-31: ``self.send`` raises, from the first event on."""
    client = client_of(OfSends)
    with pytest.raises(SendNotAvailableOnDemultiplexer, match=r"call multiplexer\.send\(payload\)"):
        client.send_and_consume(channel, text=frame("a", x=1))


def test_the_consumers_class_keeps_its_send(client_of: Clients) -> None:
    """OB-17, GN-31: demultiplexed or not is a matter of the call; the same class can be routed directly."""
    before = Sends.send
    client = client_of([OfSends.as_route(path="/many"), Sends.as_route(path="/one")])
    with pytest.raises(SendNotAvailableOnDemultiplexer):
        client.send_and_consume("websocket.receive", text=frame("a", x=1), path="/many")
    assert Sends.send is before
    client.send_and_consume("websocket.receive", text={"x": 1}, path="/one")
    assert client.receive() == {"from": "receive"}


def test_the_demultiplexer_does_not_send(client: WSClient) -> None:
    """GN-32: ``send`` and ``group_send`` of the demultiplexer raise, however they are called."""
    consumer = client.send_and_consume("websocket.receive", text=frame("function", a=1), path="/7")
    for args, kwargs in (([{"a": 1}], {}), ([], {"content": {"a": 1}})):
        with pytest.raises(SendNotAvailableOnDemultiplexer):
            consumer.send(*args, **kwargs)
    with pytest.raises(
        SendNotAvailableOnDemultiplexer, match=r"call WebsocketMultiplexer\.group_send\(name, stream, payload\)"
    ):
        Demultiplexer.group_send("g", "class", {})


# Consumers of every kind


class AsyncSub(JsonWebsocketConsumer):
    channel_session = True
    groups = ("async",)

    async def connect(self, message: Message, multiplexer: Any = None, **kwargs: Any) -> None:
        multiplexer.send({"event": "connect"})

    async def receive(self, content: Any, multiplexer: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        self.message.channel_session["seen"] = content  # type: ignore[attr-defined]
        multiplexer.send({"event": "receive"})


async def coroutine(message: Message, multiplexer: Any, **kwargs: Any) -> None:
    multiplexer.send({"event": "coroutine"})


def stream(message: Message, multiplexer: Any, **kwargs: Any) -> Any:
    yield {"n": 1}
    yield {"n": 2}


async def async_stream(message: Message, multiplexer: Any, **kwargs: Any) -> Any:
    yield {"n": 3}


Mixed = demultiplexer(consumers={"class": AsyncSub, "plain": function, "coroutine": coroutine}, channel_session=True)


def test_plain_and_async_consumers_together(client_of: Clients, layer: ChannelLayerWrapper) -> None:
    """GN-27, GN-30: each runs in its turn, as its kind is run; sessions are saved when it has ended."""
    client = client_of(Mixed)
    client.send_and_consume("websocket.connect")
    assert replies(client) == [
        frame("class", event="connect"),
        frame("plain", event="websocket.connect", text=None),
        frame("coroutine", event="coroutine"),
    ]
    assert layer.group_channels("async") == [client.reply_channel]
    for name in ("class", "coroutine", "plain"):
        consumer = client.send_and_consume("websocket.receive", text=frame(name, a=1))
        assert isinstance(consumer, Mixed)
    assert [reply["stream"] for reply in replies(client)] == ["class", "coroutine", "plain"]
    assert session_for_reply_channel(client.reply_channel)["seen"] == {"a": 1}
    client.send_and_consume("websocket.disconnect")
    assert layer.group_channels("async") == []


def test_bad_frames_among_async_consumers(client_of: Clients) -> None:
    """GN-29: they are refused in the same way."""
    client = client_of(Mixed)
    with pytest.raises(ValueError, match="no stream 'nowhere'"):
        client.send_and_consume("websocket.receive", text=frame("nowhere"))
    with pytest.raises(json.JSONDecodeError):
        client.send_and_consume("websocket.receive", text="{")


async def looking(message: Any, multiplexer: Any, **kwargs: Any) -> None:
    if message.channel_name == "websocket.receive":
        multiplexer.send({"colour": message.http_session.get("colour")})


def test_decorators_of_the_socket_know_the_consumers_kind(client_of: Clients, user: User) -> None:
    """GN-34: sessions are read before an async consumer, which could not read them on the loop."""

    both = {"plain": function, "looking": looking}
    client = client_of(demultiplexer(consumers=both, http_user_and_session=True))
    client.force_login(user)
    client.session["colour"] = "red"
    client.session.save()
    client.send_and_consume("websocket.connect")
    replies(client)
    client.send_and_consume("websocket.receive", text=frame("looking"))
    assert replies(client) == [frame("looking", colour="red")]


def test_bad_frames_have_their_turn(client_of: Clients) -> None:
    """GN-29, GN-34: they are refused inside the decorators, so the frames after them are not held up."""
    client = client_of(demultiplexer(Mixed, consumers=Mixed.consumers, strict_ordering=True), ordered=True)
    with pytest.raises(json.JSONDecodeError):
        client.send_and_consume("websocket.receive", text="{")
    client.send_and_consume("websocket.receive", text=frame("coroutine"))
    assert replies(client) == [frame("coroutine", event="coroutine")]


@pytest.mark.parametrize(("consumer", "numbers"), [(stream, [1, 2]), (async_stream, [3])])
def test_streams(client_of: Clients, consumer: Any, numbers: list[int]) -> None:
    """GN-30: what a generator yields for a frame is the payload of an answer in its stream."""
    client = client_of(demultiplexer(consumers={"s": consumer}))
    client.send_and_consume("websocket.receive", text=frame("s"))
    assert replies(client) == [frame("s", n=number) for number in numbers]


def test_no_streams_on_connect(client_of: Clients) -> None:
    """GN-27: consumers are called one after the other, so a generator is refused there, by name."""
    client = client_of(demultiplexer(consumers={"s": stream}))
    with pytest.raises(TypeError, match=r"test_multiplexing\.stream is a generator on websocket\.connect"):
        client.send_and_consume("websocket.connect")


def test_plain_decorator_around_an_async_consumer(client_of: Clients) -> None:
    """GN-27: what it gives back is awaited."""

    def unmarked(message: Message, **kwargs: Any) -> Any:
        return coroutine(message, **kwargs)

    client = client_of(demultiplexer(consumers={"d": unmarked}))
    client.send_and_consume("websocket.connect")
    client.send_and_consume("websocket.receive", text=frame("d"))
    assert replies(client) == [frame("d", event="coroutine")] * 2


class Busy:
    """Consumers of every kind that ask for another try once. Lifetime: test."""

    def __init__(self) -> None:
        self.texts: list[Any] = []

    def plain(self, message: Message, multiplexer: Any) -> None:
        self.texts.append(message["text"])
        if len(self.texts) == 1:
            raise ConsumeLater

    async def coroutine(self, message: Message, multiplexer: Any) -> None:
        self.plain(message, multiplexer)

    def stream(self, message: Message, multiplexer: Any) -> Any:
        self.plain(message, multiplexer)
        yield {}

    async def async_stream(self, message: Message, multiplexer: Any) -> Any:
        self.plain(message, multiplexer)
        yield {}


@pytest.mark.parametrize("kind", ["plain", "coroutine", "stream", "async_stream"])
def test_another_try(client_of: Clients, kind: str) -> None:
    """GN-30: a frame whose consumer raised ``ConsumeLater`` comes again as the frame it was."""
    busy = Busy()
    client = client_of(demultiplexer(consumers={"s": getattr(busy, kind)}))
    client.send_and_consume("websocket.receive", text=frame("s", a=1))
    client.consume("websocket.receive")
    assert busy.texts == ['{"a": 1}', '{"a": 1}']


def test_an_error_of_one_of_several(client_of: Clients) -> None:
    """GN-27: consumers after one that raises are not run, and none is left to be awaited."""
    ran = []

    async def broken(message: Message, **kwargs: Any) -> None:
        raise LookupError("on purpose")

    async def after(message: Message, **kwargs: Any) -> None:
        ran.append(message)

    client = client_of(demultiplexer(consumers={"a": decorated(broken), "b": decorated(after)}))
    with pytest.raises(LookupError, match="on purpose"):
        client.send_and_consume("websocket.connect")
    assert ran == []


def decorated(consumer: Any) -> Any:
    """A decorator of somebody's, for plain functions."""

    @functools.wraps(consumer)
    def called(*args: Any, **kwargs: Any) -> Any:
        return consumer(*args, **kwargs)

    return called
