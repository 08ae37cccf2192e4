"""A queue holds so many bytes of large messages unread, whatever its capacity."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan.exceptions import ChannelFull, InvalidChannelLayerError
from routechan.layers import BaseChannelLayer
from routechan.layers.options import LARGE
from routechan.telemetry.counters import counters

from .conftest import Backend
from .reading import areceive, contents, everything, held

#: Three of these messages are as much as a queue of the tests holds, with what Redis adds to each.
SIZE, MOST = 100_000, 400_000


@pytest.fixture
def layer(backend: Backend) -> BaseChannelLayer:
    return backend.make(channel_bytes=MOST)


def large(number: int = 0, size: int = SIZE) -> dict[str, Any]:
    return {"number": number, "data": b"x" * size}


def numbers(found: list[dict[str, Any]]) -> list[Any]:
    return [content["number"] for content in found]


def test_a_channel_that_holds_many_bytes_refuses(layer: BaseChannelLayer) -> None:
    """channel_bytes: the text says what to do; small messages find room, and large ones once something is read."""
    limited = counters.limited["channel_bytes"]
    face = layer.sync
    for number in range(3):
        face.send("plain", large(number))
    refused = rf"channel 'plain' is full for a message of this size: .* more than {MOST} bytes; .* channel_bytes of the"
    with pytest.raises(ChannelFull, match=refused):
        face.send("plain", large(3))
    assert counters.limited["channel_bytes"] == limited + 1
    assert face.channel_statistics("plain")["channel_full_count"] == 1
    for number in (4, 5):
        face.send("plain", {"number": number})
    assert face.receive(["plain"])[1]["number"] == 0
    face.send("plain", large(6))
    assert numbers(contents(face, "plain")) == [1, 2, 4, 5, 6]


def test_one_message_of_any_size(layer: BaseChannelLayer) -> None:
    """channel_bytes: an empty channel takes it, as a socket's outbox does; a second one has to wait."""
    layer.sync.send("plain", large(0, 2 * MOST))
    with pytest.raises(ChannelFull):
        layer.sync.send("plain", large(1))
    assert numbers(contents(layer.sync, "plain")) == [0]


async def test_large_messages_at_once(layer: BaseChannelLayer) -> None:
    """channel_bytes: those that are on their way count, so a burst is bounded too; those that fit keep their order."""
    sends = [layer.send("plain", large(number)) for number in range(10)]
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [ChannelFull] * 7
    assert numbers(await held(layer, "plain")) == [0, 1, 2]


async def test_large_and_small_messages_keep_their_order(layer: BaseChannelLayer) -> None:
    """section 8.1, 8: the order of the calls, to a channel and to a group it is in."""
    await layer.group_add("group", "plain")
    pending = [
        layer.post("plain", {"number": 0}),
        layer.post("plain", large(1)),
        layer.post_group("group", {"number": 2}),
        layer.post_group("group", large(3)),
        layer.post("other", {}),
        layer.post("plain", {"number": 4}),
        layer.post("plain", large(5)),
    ]
    await asyncio.gather(*(waiting for waiting in pending if waiting is not None))
    assert numbers(await held(layer, "plain")) == [0, 1, 2, 3, 4, 5]


async def test_a_group_with_a_member_that_holds_many_bytes(layer: BaseChannelLayer) -> None:
    """channel_bytes: it misses the message, which is counted; the others do not."""
    limited = counters.limited["channel_bytes"]
    name = await layer.new_channel()
    for member in ("full", "free", name):
        await layer.group_add("group", member)
    for number in (0, 1, 2):
        await layer.send("full", large(number))
    await layer.group_send("group", large(3))
    await layer.group_send("group", {"number": 4})
    assert numbers(await held(layer, "full")) == [0, 1, 2, 4]
    assert numbers(await held(layer, "free")) == [3, 4]
    assert numbers([await areceive(layer, name) for _ in range(2)]) == [3, 4]
    assert (await layer.channel_statistics("full"))["dropped_count"] == 1
    assert counters.limited["channel_bytes"] == limited + 1


async def test_a_channel_of_this_process(layer: BaseChannelLayer) -> None:
    """channel_bytes: each is a queue of its own."""
    names = [await layer.new_channel() for _ in range(2)]
    for name in names:
        for number in range(3):
            await layer.send(name, large(number))
        with pytest.raises(ChannelFull, match="full for a message of this size"):
            await layer.send(name, large(3))
        assert numbers(await held(layer, name)) == [0, 1, 2]


def test_where_bytes_are_not_bounded(backend: Backend) -> None:
    """channel_bytes: messages that are not large are bounded by their number; None bounds none."""
    face = backend.make(channel_bytes=1).sync
    for _ in range(3):
        face.send("plain", {"data": b"x" * (LARGE - 100)})
    assert len(everything(face, "plain")) == 3
    face = backend.make(channel_bytes=None).sync
    for number in range(5):
        face.send("plain", large(number))
    assert len(everything(face, "plain")) == 5


@pytest.mark.parametrize("value", [0, True, "10"])
def test_what_is_no_number_of_bytes(backend: Backend, value: Any) -> None:
    """channel_bytes: told when the layer is made."""
    with pytest.raises(InvalidChannelLayerError, match="channel_bytes is a number of bytes from 1 on, or None, not"):
        backend.make(channel_bytes=value)
