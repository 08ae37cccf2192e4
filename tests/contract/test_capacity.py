"""A queue holds so many unread messages, and what happens with the next one."""

from __future__ import annotations

import asyncio
import re

import pytest

from routechan.exceptions import ChannelFull
from routechan.layers import BaseChannelLayer

from .conftest import Backend
from .reading import areceive, contents, everything, held


def full_after(layer: BaseChannelLayer, channel: str, most: int = 20) -> int:
    """How many sends to ``channel`` succeed before one is refused."""
    for sent in range(most):
        try:
            layer.sync.send(channel, {"number": sent})
        except layer.sync.ChannelFull:
            return sent
    raise AssertionError(f"{channel} took {most} messages")


def test_a_full_channel_refuses(backend: Backend) -> None:
    """item 26: capacity N takes N messages; what is in stays in."""
    layer = backend.make(capacity=5)
    assert full_after(layer, "cap_test") == 5
    with pytest.raises(ChannelFull, match="channel 'cap_test' is full: it holds its 5 messages; consume faster or"):
        layer.sync.send("cap_test", {"one": "too many"})
    assert [content["number"] for content in contents(layer.sync, "cap_test")] == [0, 1, 2, 3, 4]


async def test_a_full_channel_refuses_on_the_async_face(backend: Backend) -> None:
    """items 65, 124: and says which channel, also through ``post``."""
    layer = backend.make(capacity=3)
    for number in range(3):
        await layer.send("test-channel", {"number": number})
    with pytest.raises(layer.ChannelFull) as caught:
        await layer.send("test-channel", {"number": 3})
    assert (caught.value.channel, caught.value.capacity) == ("test-channel", 3)
    with pytest.raises(ChannelFull):
        await (layer.post("test-channel", {"number": 3}) or asyncio.sleep(0))


def test_the_channels_of_one_process_share_their_capacity(backend: Backend) -> None:
    """item 27: the queue is what is counted, up to ``!``."""
    layer = backend.make(capacity=5)
    for number in range(5):
        layer.sync.send(f"capp!{number}", {})
    with pytest.raises(ChannelFull) as caught:
        layer.sync.send("capp!fresh", {})
    assert caught.value.channel == "capp!"


def test_reading_makes_room(backend: Backend) -> None:
    """section 2.6: stored messages count, not those sent."""
    layer = backend.make(capacity=1)
    for number in range(3):
        layer.sync.send("cap_test", {"number": number})
        assert layer.sync.receive(["cap_test"]) == ("cap_test", {"number": number})


def test_expired_messages_take_no_room(backend: Backend) -> None:
    """R4 (A2): only live messages count."""
    layer = backend.make(capacity=2, expiry=6)
    layer.sync.send("cap_test", {"number": 0})
    backend.elapse(4)
    layer.sync.send("cap_test", {"number": 1})
    backend.elapse(4)
    layer.sync.send("cap_test", {"number": 2})
    assert [content["number"] for content in contents(layer.sync, "cap_test")] == [1, 2]


async def test_a_message_for_a_waiting_reader_takes_no_room(backend: Backend) -> None:
    """section 2.6: capacity is for unread messages."""
    layer = backend.make(capacity=1)
    for number in range(3):
        await layer.send("cap_test", {"number": number})
        assert await areceive(layer, "cap_test") == {"number": number}


def test_a_group_send_never_raises(backend: Backend) -> None:
    """items 28, 72, 128: neither with a full member nor after many sends."""
    layer = backend.make(capacity=5)
    layer.sync.group_add("tgroup", "tg_test")
    for number in range(6):
        layer.sync.send_group("tgroup", {"number": number})
    assert [content["number"] for content in contents(layer.sync, "tg_test")] == [0, 1, 2, 3, 4]


async def test_a_group_send_passes_over_full_members(backend: Backend) -> None:
    """items 77, 78, 80, 81: the one that is full misses it, the others do not."""
    layer = backend.make(capacity=3)
    free, loaded = await layer.new_channel("free"), await layer.new_channel("loaded")
    await layer.group_add("test-group", free)
    await layer.group_add("test-group", loaded)
    await layer.send(loaded, {"direct": True})
    for number in (1, 2, 3, 4):
        await layer.group_send("test-group", {"number": number})
    assert await held(layer, free) == [{"number": number} for number in (1, 2, 3)]
    assert await held(layer, loaded) == [{"direct": True}, {"number": 1}, {"number": 2}]


def test_a_group_send_is_counted_where_it_was_dropped(backend: Backend) -> None:
    """items 79, 82: ``1 of 2 channels over capacity`` in older layers; here a count, not a log line per send."""
    layer = backend.make(capacity=1)
    layer.sync.group_add("tgroup", "first")
    layer.sync.group_add("tgroup", "second")
    layer.sync.send("first", {"direct": True})
    layer.sync.send_group("tgroup", {"a": 1})
    assert layer.sync.channel_statistics("first")["dropped_count"] == 1
    assert layer.sync.channel_statistics("second")["dropped_count"] == 0
    assert layer.sync.global_statistics()["dropped_count"] == 1


# Patterns


@pytest.mark.parametrize(
    ("channel", "capacity"), [("http.disconnect", 4), ("http.request", 6), ("http.response!abcdefgh", 2)]
)
def test_capacity_by_pattern(backend: Backend, channel: str, capacity: int) -> None:
    """items 31, 32, 33, with smaller numbers."""
    layer = backend.make(capacity=4, channel_capacity={"http.response!*": 2, "http.request": 6})
    assert full_after(layer, channel) == capacity


async def test_capacity_of_one_channel(backend: Backend) -> None:
    """item 66."""
    layer = backend.make(capacity=3, channel_capacity={"one": 1})
    await layer.send("one", {})
    with pytest.raises(ChannelFull):
        await layer.send("one", {})


@pytest.mark.parametrize(
    ("patterns", "channel", "capacity"),
    [
        pytest.param({"cap.a!b": 1}, "cap.a!b", 1, id="a full name"),
        pytest.param({"cap.a!b": 1}, "cap.a!c", 4, id="a full name is not another"),
        pytest.param({"cap.a!": 2}, "cap.a!b", 2, id="the part up to the mark"),
        pytest.param({"cap.a!": 2, "cap.a!b": 1}, "cap.a!b", 1, id="the full name is asked first"),
        pytest.param({"cap.*": 2, "cap.a": 1}, "cap.a", 2, id="the first match counts"),
        pytest.param({"cap": 2}, "cap.a", 4, id="a glob is the whole name"),
        pytest.param({"CAP.*": 2}, "cap.a", 4, id="a glob heeds case"),
        pytest.param({re.compile("cap"): 2}, "cap.a", 2, id="an expression matches from the start"),
        pytest.param({re.compile("a"): 2}, "cap.a", 4, id="and only from the start"),
    ],
)
def test_which_pattern_counts(
    backend: Backend, patterns: dict[str | re.Pattern[str], int], channel: str, capacity: int
) -> None:
    """section 2.6, R4: one rule for what older layers did in two ways."""
    layer = backend.make(capacity=4, channel_capacity=patterns)
    assert full_after(layer, channel) == capacity


def test_capacity_by_pattern_holds_for_group_sends(backend: Backend) -> None:
    """section 2.6: the pattern is asked for each member's own name."""
    layer = backend.make(capacity=4, channel_capacity={"small*": 1})
    layer.sync.group_add("tgroup", "small!a")
    layer.sync.group_add("tgroup", "large!a")
    for number in range(3):
        layer.sync.send_group("tgroup", {"number": number})
    assert len(everything(layer.sync, "small!")) == 1
    assert len(everything(layer.sync, "large!")) == 3
