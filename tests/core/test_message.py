"""``Message``: what a consumer is given."""

from __future__ import annotations

import pytest

from routechan import Channel, Message
from routechan.layers import SyncChannelLayer

from .helpers import ForeignLayer, message


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
    assert one.reply_channel is not None
    assert (one.reply_channel.name, one.reply_channel.channel_layer) == ("reply", layer)
    assert one.reply_channel is one.reply_channel


def test_without_a_layer_the_default_one_is_used(default_layer: SyncChannelLayer) -> None:
    """MS-04: the channels fall back on the default layer, ``channel_layer`` stays None."""
    one = message({"reply_channel": "reply"})
    assert one.channel_layer is None
    assert one.reply_channel is not None
    assert one.channel.channel_layer is one.reply_channel.channel_layer is default_layer


def test_neither_name_nor_layer() -> None:
    """MS-04: tests build messages with None for both; no layer is looked up until a channel is asked for."""
    one = Message({"text": "x"}, None, None)  # type: ignore[arg-type]
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
        len(one)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="0"):
        iter(one).__next__()  # type: ignore[call-overload]
    with pytest.raises((TypeError, AttributeError), match="delitem|doesn't support item deletion"):
        del one["a"]  # type: ignore[attr-defined]
    for name in ("pop", "setdefault", "update"):
        assert not hasattr(one, name)


def test_copy_is_deep() -> None:
    """MS-07: same class, channel and layer, the content copied deeply, other attributes left behind."""

    class Special(Message):
        pass

    layer = ForeignLayer()
    one = Special({"list": [1], "reply_channel": "reply"}, "chat.in", layer)
    one.user = "ann"  # type: ignore[attr-defined]
    other = one.copy()
    other["list"].append(2)
    assert type(other) is Special
    assert one.content == {"list": [1], "reply_channel": "reply"}
    assert (other.channel_name, other.channel_layer) == ("chat.in", layer)
    assert other.reply_channel is not None
    assert other.reply_channel.name == "reply"
    assert not hasattr(other, "user")


def test_no_text_of_its_own() -> None:
    """MS-08: ``str`` and ``repr`` are the defaults of objects."""
    assert str(message()).startswith("<routechan.message.Message object at")
    assert repr(message()).startswith("<routechan.message.Message object at")


def test_attributes_may_be_put_on_a_message() -> None:
    """MS-07: decorators put attributes on it (0.2), and may replace its reply channel."""
    one = message({"reply_channel": "reply"}, layer=ForeignLayer())
    one.channel_session = {}  # type: ignore[attr-defined]
    replaced = Channel("other", channel_layer=ForeignLayer())
    one.reply_channel = replaced  # type: ignore[misc]
    assert one.reply_channel is replaced
