"""``Message``: what a consumer is given."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
from typing import Any

import pytest

from routechan import Channel, Message
from routechan.layers import SyncChannelLayer
from routechan.message import give

from .helpers import ForeignLayer, drain, message, of_kind, run_here, run_on_loop

pytestmark = pytest.mark.usefixtures("without_channels")


def test_content_is_the_dict_itself() -> None:
    """MS-01: writing to the message writes to the dict that was received."""
    content = {"n": 1}
    one = message(content)
    assert one.content is content
    one["n"] = 2
    assert content == {"n": 2}


def test_channel() -> None:
    """MS-02: the channel it came on, on the layer it came from."""
    layer = ForeignLayer()
    one = message({}, "chat.in", layer)
    assert isinstance(one.channel, Channel)
    assert (one.channel.name, one.channel.channel_layer) == ("chat.in", layer)
    assert one.channel_layer is layer
    assert one.channel is one.channel


@pytest.mark.parametrize("content", [{}, {"reply_channel": None}, {"reply_channel": ""}])
def test_no_reply_channel(content: dict[str, object]) -> None:
    """MS-03: an absent or empty key gives None."""
    assert message(content).reply_channel is None


def test_reply_channel_is_taken_once() -> None:
    """MS-03: later changes of the content do not move the replies, before the first use or after it."""
    layer = ForeignLayer()
    one = message({"reply_channel": "reply"}, layer=layer)
    one["reply_channel"] = "elsewhere"
    assert (one.reply_channel.name, one.reply_channel.channel_layer) == ("reply", layer)
    assert one.reply_channel is one.reply_channel


def test_without_a_layer_the_default_one_is_used(default_layer: SyncChannelLayer) -> None:
    """MS-04: the channels fall back on the default layer, ``channel_layer`` stays None."""
    one = message({"reply_channel": "reply"})
    assert one.channel_layer is None
    assert one.channel.channel_layer is one.reply_channel.channel_layer is default_layer


def test_neither_name_nor_layer() -> None:
    """MS-04: tests build messages with None for both; no layer is looked up until a channel is asked for."""
    one = Message({"text": "x"}, None, None)
    assert one["text"] == "x"
    assert (one.channel_name, one.channel_layer) == (None, None)


def test_mapping_methods() -> None:
    """MS-05: item access, ``in``, ``keys``, ``values``, ``items`` and ``get`` ask the content."""
    one = message({"a": 1, "b": 2})
    one["c"] = 3
    assert one["a"] == 1
    assert "c" in one
    assert "d" not in one
    assert list(one.keys()) == ["a", "b", "c"]
    assert list(one.values()) == [1, 2, 3]
    assert list(one.items()) == [("a", 1), ("b", 2), ("c", 3)]
    assert (one.get("a"), one.get("d"), one.get("d", 4)) == (1, None, 4)
    with pytest.raises(KeyError, match="d"):
        one["d"]


def test_what_a_message_has_not() -> None:
    """MS-06: no deletion, length, iteration, ``pop``, ``setdefault`` or ``update``."""
    one = message({"a": 1})
    with pytest.raises(TypeError, match="len"):
        len(one)
    with pytest.raises(KeyError, match="0"):
        iter(one).__next__()
    with pytest.raises((TypeError, AttributeError), match="delitem|doesn't support item deletion"):
        del one["a"]
    for name in ("pop", "setdefault", "update"):
        assert not hasattr(one, name)


def test_copy_is_deep() -> None:
    """MS-07: same class, channel and layer, the content copied deeply, other attributes left behind."""

    class Special(Message):
        pass

    layer = ForeignLayer()
    one = Special({"list": [1], "reply_channel": "reply"}, "chat.in", layer)
    one.user = "ann"
    other = one.copy()
    other["list"].append(2)
    assert type(other) is Special
    assert one.content == {"list": [1], "reply_channel": "reply"}
    assert (other.channel_name, other.channel_layer) == ("chat.in", layer)
    assert other.reply_channel.name == "reply"
    assert not hasattr(other, "user")


def test_no_text_of_its_own() -> None:
    """MS-08: ``str`` and ``repr`` are the defaults of objects."""
    assert str(message()).startswith("<routechan.message.Message object at")
    assert repr(message()).startswith("<routechan.message.Message object at")


def test_attributes_may_be_put_on_a_message() -> None:
    """MS-07: decorators put attributes on it (0.2), and may replace its reply channel."""
    one = message({"reply_channel": "reply"}, layer=ForeignLayer())
    one.channel_session = {}
    replaced = Channel("other", channel_layer=ForeignLayer())
    one.reply_channel = replaced
    assert one.reply_channel is replaced


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("text", r"it is a key of the content: write message\['text'\]"),
        ("kwargs", r"named groups of the route are arguments of the consumer: write def consumer\(message, room\)"),
        ("scope", r"what a scope holds is in the content of websocket.connect: message\['path'\]"),
        ("body", r"it would be a key of the content, which has none of that name"),
    ],
)
def test_an_attribute_that_is_not_there(name: str, advice: str, caplog: pytest.LogCaptureFixture) -> None:
    """MS-07: the error names the channel and the line, in a consumer that too, and says what to write."""

    def consumer(message: Message) -> None:
        getattr(message, name)

    one = message({"text": "a"}, "websocket.receive")
    place = rf"\({re.escape(__file__)}:{consumer.__code__.co_firstlineno + 1}\): {advice}"
    text = rf"^a message on 'websocket.receive' has no attribute '{name}' {place}"
    with pytest.raises(AttributeError, match=text) as error:
        consumer(one)
    assert (error.value.name, error.value.obj) == (name, one)
    run_here(consumer, {"text": "a"})
    assert re.search(rf"'{name}' in the consumer tests.unit.test_message.consumer {place}", caplog.text)


def test_the_interpreter_may_ask() -> None:
    """MS-07: copies, and objects without content, are as without advice."""
    one = message({"a": [1]})
    one.user = "ann"
    again = copy.deepcopy(one)
    assert (again.user, again.content) == ("ann", {"a": [1]})
    assert pickle.loads(pickle.dumps(Message({"a": 1}, "x", None))).content == {"a": 1}
    assert not hasattr(Message.__new__(Message), "user")


@pytest.mark.parametrize("way", ["thread", "loop", "at once"])
def test_replies_to_a_socket_elsewhere(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """6.9: what a socket cannot take does not leave for the process that holds it; the line is named here."""
    name = "websocket.send.abcdef.elsewhere!1"

    def consumer(message: Message) -> None:
        for content in ({"text": "a"}, {"message": "a"}, {"text": "b"}):
            message.reply_channel.send(content, immediately=way == "at once" and "text" in content)

    content = {"reply_channel": name}
    if way == "loop":
        asyncio.run(run_on_loop(of_kind("async", lambda message: consumer(message)), content, layer=default_layer))
    else:
        run_here(consumer, content, layer=default_layer)
    assert drain(default_layer, "websocket.send.abcdef.elsewhere!") == [{"text": "a"}, {"text": "b"}]
    [record] = caplog.records
    assert (
        "a reply to a WebSocket has the keys 'accept', 'text', 'bytes' and 'close', not 'message'"
        in record.getMessage()
    )
    assert f"sent at {__file__}:{consumer.__code__.co_firstlineno + 2}" in record.getMessage()


def test_replies_to_a_test_client(default_layer: SyncChannelLayer) -> None:
    """6.9: the reply channel of a test client, or of a program of the user's own, takes any content."""

    def consumer(message: Message) -> None:
        message.reply_channel.send({"message": "a"})

    for name in ("websocket.send.default.abc", "websocket.send.test!1", "answers", "http.response.abcdef.elsewhere!1"):
        run_here(consumer, {"reply_channel": name}, layer=default_layer)
        assert drain(default_layer, name[: name.find("!") + 1] or name) == [{"message": "a"}]


def test_an_attribute_that_is_made_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """MS-07: it is made once, for messages that are to have it; others lack it as any other."""
    monkeypatch.setattr(Message, "greeting", None, raising=False)
    give("greeting", lambda message: [message["text"]] if "text" in message else None, "send it a text")
    mine: Any = Message({"text": "hello"}, "websocket.receive", None)
    assert mine.greeting == ["hello"]
    assert mine.greeting is mine.greeting
    with pytest.raises(AttributeError, match=rf"no attribute 'greeting' \({re.escape(__file__)}:\d+\): send it a text"):
        _ = Message({}, "websocket.receive", None).greeting  # type: ignore[attr-defined]
