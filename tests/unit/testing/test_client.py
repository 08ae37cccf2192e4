"""The clients for tests, without Django: any kind of consumer, through the dispatch of production."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routechan import (
    Channel,
    ChannelFull,
    ChannelSocketException,
    ConsumeLater,
    DenyConnection,
    Group,
    Message,
    WebsocketCloseException,
    route,
)
from routechan.exceptions import InvalidContent, WouldBlock
from routechan.interfaces import CHANGED
from routechan.layers import channel_layers
from routechan.testing import Client, WSClient, fresh_layer, sent

from ..helpers import KINDS, CustomRoute, of_kind


@pytest.fixture(autouse=True)
def layer() -> Iterator[Any]:
    with fresh_layer() as made:
        yield made


def of(consumer: Any, channel: str = "websocket.receive") -> Client:
    return Client([route(channel, consumer)])


# Kinds of consumers


def plain(message: Message) -> str:
    message.reply_channel.send({"text": "hello"})
    return "returned"


async def coroutine(message: Message) -> str:
    await asyncio.sleep(0)
    message.reply_channel.send({"text": "hello"})
    return "returned"


def generator(message: Message) -> Iterator[dict[str, Any]]:
    yield {"text": "hello"}


async def async_generator(message: Message) -> AsyncIterator[dict[str, Any]]:
    await asyncio.sleep(0)
    yield {"text": "hello"}


def wrapped(consumer: Any) -> Any:
    """``consumer`` behind a decorator written for plain functions."""
    return lambda message: consumer(message)


RESULTS = [(plain, "returned"), (coroutine, "returned"), (generator, None), (async_generator, None)]

every_kind = pytest.mark.parametrize(
    ("consumer", "result"), [*RESULTS, *((wrapped(consumer), result) for consumer, result in RESULTS[1:])]
)


@every_kind
def test_consumers_of_every_kind(consumer: Any, result: Any) -> None:
    """TC-11: a plain test runs plain, async and streaming consumers; what they send is there when they have ended."""
    client = of(consumer)
    assert client.send_and_consume("websocket.receive") == result
    assert client.receive() == {"text": "hello"}
    assert client.receive() is None


@every_kind
async def test_consumers_of_every_kind_in_an_async_test(consumer: Any, result: Any) -> None:
    """TC-11: an async test runs them all too, with the twins."""
    client = of(consumer)
    assert await client.asend_and_consume("websocket.receive") == result
    assert await client.areceive() == {"text": "hello"}
    assert await client.areceive() is None


async def test_an_async_consumer_runs_on_the_loop_of_the_test() -> None:
    """What an async consumer starts belongs to the loop of the async test."""
    loops = []

    async def consumer(message: Message) -> None:
        loops.append(asyncio.get_running_loop())

    await of(consumer).asend_and_consume("websocket.receive")
    assert loops == [asyncio.get_running_loop()]


async def test_the_plain_methods_are_refused_in_an_async_test() -> None:
    """A consumer would block the loop of the test; the text names the twin."""
    client = of(plain)
    with pytest.raises(WouldBlock, match=r"await client\.aconsume\('websocket\.receive'\)"):
        client.send_and_consume("websocket.receive")


@pytest.mark.parametrize("kind", ["stream", "async stream"])
def test_an_endless_stream_is_closed_after_some_steps(kind: str) -> None:
    """A stream runs to its end, or is closed after ``steps`` yields as if its socket were."""
    closed = []

    def ticks(message: Message) -> Iterator[dict[str, Any]]:
        try:
            for number in itertools.count():
                yield {"text": str(number)}
        finally:
            closed.append(kind)

    client = of(of_kind(kind, ticks))
    client.send_and_consume("websocket.receive", steps=2)
    assert [client.receive(), client.receive(), client.receive()] == [{"text": "0"}, {"text": "1"}, None]
    assert len(closed) == 1
    with pytest.raises(AssertionError, match="ticks yielded 100 times and goes on; say after how many"):
        client.send_and_consume("websocket.receive")
    assert len(closed) == 2


# Outcomes


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_denied_handshake_is_a_close(kind: str) -> None:
    """TC-12, WK-16: as in production, behind what the consumer sent before."""

    def deny(message: Message) -> None:
        message.reply_channel.send({"text": "no"})
        raise DenyConnection

    client = of(of_kind(kind, deny), "websocket.connect")
    client.send_and_consume("websocket.connect")
    assert [client.receive(), client.receive(), client.receive()] == [{"text": "no"}, {"close": True}, None]


def test_a_denial_outside_of_the_handshake_is_raised() -> None:
    """TC-12, WK-17: what production logs, the test gets."""

    def deny(message: Message) -> None:
        raise DenyConnection

    with pytest.raises(ValueError, match="DenyConnection refuses a handshake"):
        of(deny).send_and_consume("websocket.receive")


def test_consume_later_puts_the_message_back(caplog: pytest.LogCaptureFixture) -> None:
    """TC-12, WK-21, WK-24: the message, as the consumer left it, is consumed again; after ten times it is dropped."""
    tries = []

    def later(message: Message) -> None:
        tries.append(message.content.get("seen"))
        message["seen"] = True
        raise ConsumeLater

    client = of(later)
    assert client.send_and_consume("websocket.receive") is None
    client.consume("websocket.receive")
    assert tries == [None, True]
    for _ in range(9):
        client.consume("websocket.receive")
    assert client.consume("websocket.receive", fail_on_none=False) is None
    assert len(tries) == 11
    assert "asked for another try 10 times; the message is dropped" in caplog.text


async def test_consume_later_in_an_async_test() -> None:
    """TC-12: ``aconsume`` puts it back too."""
    tries = []

    async def later(message: Message) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ConsumeLater
        message.reply_channel.send({"text": "done"})

    client = of(later)
    await client.asend_and_consume("websocket.receive")
    await client.aconsume("websocket.receive")
    assert await client.areceive() == {"text": "done"}


@pytest.mark.parametrize("code", [None, 4001])
def test_a_close_exception_closes(code: int | None) -> None:
    """TC-30, OB-30, EX-09: consumers may be tested that close from anywhere."""

    def close(message: Message) -> None:
        raise WebsocketCloseException(code)

    client = of(close)
    assert client.send_and_consume("websocket.receive") is None
    assert client.receive() == {"close": code or True}


def test_an_exception_with_an_action_is_run() -> None:
    """TC-12: ``run`` is called with the message, and None returned; what it sends is delivered."""

    class Say(ChannelSocketException):
        def run(self, message: Message) -> None:
            message.reply_channel.send({"text": "said"})

    def consumer(message: Message) -> None:
        raise Say

    client = of(consumer)
    assert client.send_and_consume("websocket.receive") is None
    assert client.receive() == {"text": "said"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_other_exceptions_are_raised(kind: str, error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """TC-12, TC-13: the test sees the exception itself, and what was sent before it is delivered."""

    def consumer(message: Message) -> Iterator[dict[str, Any]]:
        yield {"text": "before"}
        raise error("on purpose")

    client = of(of_kind(kind, consumer))
    with pytest.raises(error, match="on purpose"):
        client.send_and_consume("websocket.receive")
    assert client.receive() == {"text": "before"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_delivered_is_raised(kind: str) -> None:
    """TC-13: production logs a lost message; the test gets it, and the messages behind it are delivered."""
    client = of(of_kind(kind, lambda message: [{"text": object()}, {"text": "behind"}]))
    with pytest.raises(InvalidContent):
        client.send_and_consume("websocket.receive")
    assert client.receive() == {"text": "behind"}


def test_joins_and_leaves() -> None:
    """The routing of the client takes them, so they are sent; nobody lingers in a test."""

    def enter(message: Message) -> None:
        Group("room-7").add(message.reply_channel, who={"id": message["text"]})

    def leave(message: Message) -> None:
        Group("room-7").discard(message.reply_channel)

    def told(message: Message, room: str) -> tuple[str, str, Any]:
        return message.channel.name, room, message["who"]

    with fresh_layer():
        Group("room-7").add("nobody.asked", who={"id": "early"})
        pattern = r"^room-(?P<room>\d+)$"
        client = Client(
            [
                route("websocket.receive", enter),
                route("websocket.disconnect", leave),
                route(["group.join", "group.leave"], told, group=pattern),
            ]
        )
        client.send_and_consume("websocket.receive", {"text": "Ann"})
        client.send_and_consume("websocket.receive", {"text": "Ann"})
        assert client.consume("group.join") == ("group.join", "7", {"id": "Ann"})
        assert client.get_next_message("group.join") is None
        assert Group("room-7").present() == [{"id": "Ann"}, {"id": "early"}]
        client.send_and_consume("websocket.disconnect")
        assert client.consume("group.leave") == ("group.leave", "7", {"id": "Ann"})
        assert sent.channel("group.leave") == [{"group": "room-7", "who": {"id": "Ann"}}]


def test_a_full_channel_is_raised_at_once() -> None:
    """A test has no one who reads meanwhile: a full channel is not waited for, as it is in production (PM-05)."""

    def consumer(message: Message) -> None:
        Channel("full").send({"n": 2})

    with fresh_layer(capacity=1):
        Channel("full").send({"n": 1})
        with pytest.raises(ChannelFull):
            of(consumer).send_and_consume("websocket.receive")


def test_sends_wait_for_the_end_of_the_consumer() -> None:
    """TC-13: the outbox of production is there; a send in the test itself is immediate (TC-06)."""
    waiting = []

    def consumer(message: Message) -> None:
        Channel("elsewhere").send({"a": 1})
        waiting.append(channel_layers["default"].receive(["elsewhere"]))

    client = of(consumer)
    client.send_and_consume("websocket.receive")
    assert waiting == [(None, None)]
    assert client.get_next_message("elsewhere").content == {"a": 1}
    Channel("elsewhere").send({"a": 2})
    message = client.get_next_message("elsewhere")
    assert (message["a"], message.channel.name) == (2, "elsewhere")


# What a client does


def test_without_a_message_or_a_route() -> None:
    """TC-14: an ``AssertionError`` that says what is missing, or None."""
    client = of(plain)
    with pytest.raises(AssertionError, match="no message is waiting on 'websocket.receive'; send one with"):
        client.consume("websocket.receive")
    assert client.consume("websocket.receive", fail_on_none=False) is None
    with pytest.raises(AssertionError, match="no route takes the message on 'other'.*the routes are websocket.receive"):
        client.send_and_consume("other")
    assert client.send_and_consume("other", fail_on_none=False) is None


def test_an_error_of_a_route_is_raised() -> None:
    """TC-14: what production logs when matching fails, the test gets."""

    with pytest.raises(LookupError, match="broken route"):
        Client([CustomRoute(LookupError("broken route"))]).send_and_consume("custom")


def test_send_copies_and_names_the_client() -> None:
    """TC-08, TC-10, TC-15: content is copied, and has the client's reply channel unless it has one."""
    client = of(plain)
    content = {"list": [1]}
    client.send("somewhere", content)
    content["list"].append(2)
    message = client.get_next_message("somewhere")
    assert message.content == {"list": [1], "reply_channel": client.reply_channel}
    assert "reply_channel" not in content
    client.send("somewhere", {"reply_channel": "other"})
    assert client.get_next_message("somewhere").reply_channel.name == "other"


@pytest.mark.parametrize("make", [Client, WSClient])
def test_what_is_sent_is_a_copy(make: type[Client], monkeypatch: pytest.MonkeyPatch, layer: Any) -> None:
    """TC-10, TC-22: a deep copy, whatever the layer does."""
    sent: list[Any] = []
    monkeypatch.setattr(layer, "send", lambda channel, content: sent.append(content))
    content = {"list": [1]}
    make([]).send("somewhere", content)
    content["list"].append(2)
    assert sent[0]["list"] == [1]


def test_names_of_clients_are_channels() -> None:
    """TC-07: each client has a normal channel of its own on the layer, of which the alias is a part."""
    client, other = of(plain), of(plain)
    assert client.reply_channel != other.reply_channel
    assert "!" not in client.reply_channel
    assert "default" in client.reply_channel
    assert client.alias == "default"
    Channel(client.reply_channel).send({"text": "direct"})
    assert channel_layers["default"].receive([client.reply_channel])[0] == client.reply_channel


def test_the_layer_is_looked_up_each_time() -> None:
    """TC-07: ``channel_layer`` is the layer of the alias at the moment of use."""
    client = of(plain)
    with fresh_layer() as inner:
        assert client.channel_layer is inner
    assert client.channel_layer is channel_layers["default"]


def test_the_consumer_of_a_channel() -> None:
    """TC-09: the consumer that would take ``{"text": ""}``, or None."""
    client = Client([route("a", plain), route("b", generator, path="^/x")])
    assert client.get_consumer_by_channel("a") is plain
    assert client.get_consumer_by_channel("b") is None
    assert client.get_consumer_by_channel("c") is None


def test_groups_reach_the_client() -> None:
    """TC-16, TC-17: a client can be a member, and receives what is sent to the group."""
    client = of(plain)
    client.join_group("friends")
    Group("friends").send({"text": "hi"})
    assert client.receive() == {"text": "hi"}
    assert Group("friends").channels() == [client.reply_channel]


async def test_groups_in_an_async_test() -> None:
    """TC-17: ``ajoin_group`` and ``aget_next_message``."""
    client = of(plain)
    await client.ajoin_group("friends")
    await Group("friends").asend({"text": "hi"})
    assert await client.areceive() == {"text": "hi"}
    await client.asend("somewhere", {"a": 1})
    message = await client.aget_next_message("somewhere")
    assert message is not None
    assert message["a"] == 1


def test_another_alias(layer: Any) -> None:
    """TC-17, OB-29: a client on another layer sends, receives and joins there."""
    with fresh_layer("other") as other:
        client = Client([route("websocket.receive", plain)], alias="other")
        client.join_group("friends")
        client.send_and_consume("websocket.receive")
        assert client.receive() == {"text": "hello"}
        assert other.group_channels("friends") == [client.reply_channel]
        assert layer.group_channels("friends") == []


def test_what_is_said_to_servers() -> None:
    """TC-26: a client gets nothing of what tells a server that it keeps something which has changed."""
    client = WSClient([])
    Channel(client.reply_channel).send({CHANGED: True})
    assert client.receive() is None
    Channel(client.reply_channel).send({CHANGED: True})
    Channel(client.reply_channel).send({"text": "1"})
    assert client.receive() == 1
