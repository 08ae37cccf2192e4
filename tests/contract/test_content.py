"""What may be in a message, and that it arrives as it was when it was sent."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest

from routechan.exceptions import InvalidContent, MessageTooLarge
from routechan.layers import BaseChannelLayer, SyncChannelLayer

from .reading import aeverything, areceive, contents, everything

EVERYTHING = {
    "bytes": b"\xc3\xa9",
    "control": b"\x00\x01\xff",
    "text": "é",
    "emoji": "\U0001f612\x00",
    "same": "bytes or text",
    "as bytes": b"bytes or text",
    "int": 2**63 - 1,
    "negative": -(2**63),
    "float": 0.1,
    "true": True,
    "none": None,
    "empty": {"text": "", "bytes": b"", "list": [], "dict": {}},
    "nested": [{"deep": [b"x", "x", [1.5, None, {"é": False}]]}],
    "tuple": (1, (2, [b"3", ()])),
    "datetime": datetime.datetime(2017, 9, 15, 12, 30, 1, 7, datetime.timezone.utc),
    "naive": datetime.datetime(2017, 10, 29, 2, 30, fold=1),
    "date": datetime.date(2017, 9, 15),
    "time": datetime.time(12, 30),
    "timedelta": datetime.timedelta(days=-1, microseconds=1),
    "decimal": decimal.Decimal("1.10"),
    "uuid": uuid.UUID("c0ffee00-0000-4000-8000-000000000000"),
}


async def refused_by_every_send(layer: BaseChannelLayer, message: Any, error: type[Exception], text: str) -> None:
    """To a channel and to a group, by either face, ``message`` is refused with ``error``, which matches ``text``."""
    with pytest.raises(error, match=text):
        layer.sync.send("channel", message)
    with pytest.raises(error, match=text):
        await layer.send("channel", message)
    with pytest.raises(error, match=text):
        layer.sync.send_group("group", message)
    with pytest.raises(error, match=text):
        await layer.group_send("group", message)


def test_text_and_bytes_come_back_as_what_they_were(face: SyncChannelLayer) -> None:
    """items 13, 14, 15: at any depth, control bytes and characters outside the BMP included."""
    face.send("unicode", EVERYTHING)
    received = face.receive(["unicode"])[1]
    assert received == EVERYTHING
    assert [(key, type(value)) for key, value in received.items()] == [
        (key, type(value)) for key, value in EVERYTHING.items()
    ]


async def test_async_content_is_equal_to_what_was_sent(layer: BaseChannelLayer) -> None:
    """item 136."""
    await layer.send("unicode", EVERYTHING)
    assert await areceive(layer, "unicode") == EVERYTHING


def test_a_tuple_arrives_as_a_tuple(face: SyncChannelLayer) -> None:
    """More than section 1.4 asks for: what was sent as a tuple can be unpacked, compared and used as a key."""
    face.send("tuples", {"pair": (1, (2, b"3")), "list": [1, (2,)]})
    face.group_add("group", "tuples")
    face.send_group("group", {"pair": ("a", "b")})
    assert contents(face, "tuples") == [{"pair": (1, (2, b"3")), "list": [1, (2,)]}, {"pair": ("a", "b")}]


def test_changing_a_message_after_the_send_changes_nothing(face: SyncChannelLayer) -> None:
    """item 30."""
    message: dict[str, Any] = {"value": [1, 2, 3]}
    face.send("sent", message)
    face.group_add("group", "sent")
    face.send_group("group", message)
    message["value"].append(4)
    assert contents(face, "sent") == [{"value": [1, 2, 3]}, {"value": [1, 2, 3]}]


async def test_async_changing_a_message_after_the_send_changes_nothing(layer: BaseChannelLayer) -> None:
    """item 30, also for one that went to a reader already waiting."""
    message: dict[str, Any] = {"value": [1]}
    await layer.send("sent", message)
    message["value"].append(2)
    assert await areceive(layer, "sent") == {"value": [1]}


def test_each_reader_gets_a_copy_of_its_own(face: SyncChannelLayer) -> None:
    """R13 (C14): what one member does to a group message, others do not see."""
    for member in ("process!a", "process!b", "plain"):
        face.group_add("group", member)
    face.send_group("group", {"list": []})
    received = [content for _, content in everything(face, "process!", "plain")]
    assert len(received) == 3
    received[0]["list"].append("mine")
    assert [content["list"] for content in received] == [["mine"], [], []]


async def test_an_empty_dict_is_a_message(layer: BaseChannelLayer) -> None:
    """R13 (C10): for a normal channel, a process-specific one, and a group."""
    name = await layer.new_channel()
    await layer.group_add("group", name)
    await layer.send("empty", {})
    await layer.send(name, {})
    await layer.group_send("group", {})
    assert await areceive(layer, "empty") == {}
    assert await aeverything(layer, name) == [{}, {}]


def test_an_empty_dict_is_a_message_on_the_1x_face(face: SyncChannelLayer) -> None:
    """R13 (C10)."""
    face.send("empty", {})
    assert face.receive(["empty"]) == ("empty", {})


def test_a_megabyte_travels(face: SyncChannelLayer) -> None:
    """section 1.5: at least 1 MB."""
    face.send("large", {"text": "é" * 500_000, "bytes": b"\x00" * 500_000})
    [received] = contents(face, "large")
    assert received == {"text": "é" * 500_000, "bytes": b"\x00" * 500_000}


async def test_a_message_beyond_the_size_is_refused(layer: BaseChannelLayer) -> None:
    """section 1.5, R12: by every send, with its size; nothing of it arrives."""
    message = {"bytes": b"\x00" * 10 * 1024 * 1024}
    text = r"the message is 104857\d\d bytes when encoded, and this layer carries 10485760"
    await layer.group_add("group", "channel")
    await refused_by_every_send(layer, message, MessageTooLarge, text)
    assert await aeverything(layer, "channel") == []


def test_framework_keys_pass_through(face: SyncChannelLayer) -> None:
    """section 1.3: also ``__asgi_channel__``, which older layers refused because they used it themselves."""
    message = {"__retries__": 3, "original_channel": "a", "__asgi_channel__": "process!other"}
    face.send("process!a", message)
    assert face.receive(["process!"]) == ("process!a", message)


def test_a_message_needs_no_type(face: SyncChannelLayer) -> None:
    """section 1.4: ``type`` is for Channels 4 consumers, not for the layer."""
    face.send("typed", {"type": "a.b"})
    face.send("typed", {"text": "no type"})
    assert contents(face, "typed") == [{"type": "a.b"}, {"text": "no type"}]


@pytest.mark.parametrize("message", [None, "text", b"bytes", [("a", 1)], 5, {"a"}])
@pytest.mark.parametrize("members", [[], ["plain"], ["process!a"]], ids=["no member", "plain", "specific"])
async def test_a_message_is_a_dict(layer: BaseChannelLayer, message: Any, members: list[str]) -> None:
    """section 1.4: on every send, also to a group without members."""
    for member in members:
        await layer.group_add("group", member)
    text = "a message is a dict such as .* not "
    await refused_by_every_send(layer, message, InvalidContent, text)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"price": 1j}, r"message\['price'\] is a complex .* which cannot travel"),
        ({"tags": {1, 2}}, r"message\['tags'\] is a set"),
        ({"a": [{"b": object()}]}, r"message\['a'\]\[0\]\['b'\] is an object"),
        ({"id": 2**64}, r"message\['id'\] is 18446744073709551616; an int must fit into 64 bits"),
        ({"ids": {1: "a"}}, r"message\['ids'\] has the key 1; keys are str, not int"),
        ({b"text": "a"}, r"message has the key b'text'; keys are str, not bytes"),
    ],
)
@pytest.mark.parametrize("members", [[], ["channel"]], ids=["no member", "plain"])
async def test_what_could_not_be_read_is_refused_when_it_is_sent(
    layer: BaseChannelLayer, message: Any, text: str, members: list[str]
) -> None:
    """R12 (C20): with the place inside the message, also to a group without members; nothing of it arrives."""
    for member in members:
        await layer.group_add("group", member)
    await refused_by_every_send(layer, message, InvalidContent, text)
    assert await aeverything(layer, "channel") == []


def test_a_refused_message_takes_no_room(face: SyncChannelLayer) -> None:
    """R12: what was never sent is not counted."""
    with pytest.raises(InvalidContent):
        face.send("channel", {"tags": {1, 2}})
    assert face.channel_statistics("channel")["messages_count"] == 0
    assert face.channel_statistics("channel")["messages_pending"] == 0
