"""A message to a group reaches its members, on both faces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan.exceptions import InvalidChannelLayerError, TooManyGroups
from routechan.layers import BaseChannelLayer, SyncChannelLayer

from .conftest import Backend
from .reading import aeverything, areceive, contents, everything


def test_a_group_message_reaches_the_members(face: SyncChannelLayer) -> None:
    """items 16, 17: each under its own name, and not the one that left."""
    for member in ("tg_test", "tg_test2", "tg_test3"):
        face.group_add("tgroup", member)
    face.group_discard("tgroup", "tg_test3")
    face.send_group("tgroup", {"value": "orange"})
    assert face.receive(["tg_test"]) == ("tg_test", {"value": "orange"})
    assert face.receive(["tg_test2"]) == ("tg_test2", {"value": "orange"})
    assert face.receive(["tg_test3"]) == (None, None)


def test_members_of_one_process_each_get_the_message(face: SyncChannelLayer) -> None:
    """items 18, 19: one queue, one message for each member's full name."""
    for member in ("tgp!test", "tgp!test2", "tgp!test3"):
        face.group_add("tgroup", member)
    face.group_discard("tgroup", "tgp!test2")
    face.send_group("tgroup", {"value": "orange"})
    received = everything(face, "tgp!")
    assert sorted(received) == [("tgp!test", {"value": "orange"}), ("tgp!test3", {"value": "orange"})]


def test_group_channels(face: SyncChannelLayer) -> None:
    """items 20, 21."""
    added = {"tg_test", "process!a", "single?b"}
    for member in added:
        face.group_add("tgroup", member)
    assert set(face.group_channels("tgroup")) == added
    face.group_discard("tgroup", "process!a")
    assert set(face.group_channels("tgroup")) == {"tg_test", "single?b"}


def test_a_group_nobody_joined_is_empty(face: SyncChannelLayer) -> None:
    """section 2.2: no error for an unknown group, neither to ask nor to send."""
    assert list(face.group_channels("nobody")) == []
    face.send_group("nobody", {"a": 1})


def test_adding_twice_is_one_membership(face: SyncChannelLayer) -> None:
    """section 2.2, GR-07: re-adding returns normally, and the message comes once."""
    face.group_add("tgroup", "tg_test")
    face.group_add("tgroup", "tg_test")
    face.send_group("tgroup", {"a": 1})
    assert contents(face, "tg_test") == [{"a": 1}]
    face.group_discard("tgroup", "tg_test")
    assert list(face.group_channels("tgroup")) == []


def test_discarding_what_is_no_member_is_silent(face: SyncChannelLayer) -> None:
    """item 120, GR-07: of a known group, of an unknown one, and twice."""
    face.group_discard("nobody", "tg_test")
    face.group_add("tgroup", "tg_test")
    face.group_discard("tgroup", "other")
    face.group_discard("tgroup", "tg_test")
    face.group_discard("tgroup", "tg_test")
    assert list(face.group_channels("tgroup")) == []


def test_a_channel_may_be_in_several_groups(face: SyncChannelLayer) -> None:
    """section 2.2: leaving one says nothing about the other."""
    face.group_add("first", "tg_test")
    face.group_add("second", "tg_test")
    face.group_discard("first", "tg_test")
    face.send_group("first", {"to": "first"})
    face.send_group("second", {"to": "second"})
    assert contents(face, "tg_test") == [{"to": "second"}]


def test_flush_ends_groups(face: SyncChannelLayer) -> None:
    """item 23: neither the message nor the membership is left."""
    face.group_add("tgroup", "tg_test")
    face.send_group("tgroup", {"a": 1})
    face.flush()
    assert face.receive(["tg_test"]) == (None, None)
    assert list(face.group_channels("tgroup")) == []
    face.send_group("tgroup", {"a": 2})
    assert face.receive(["tg_test"]) == (None, None)


async def test_async_group_message_reaches_the_members(layer: BaseChannelLayer) -> None:
    """items 71, 109, 127: members under different prefixes, one discarded."""
    names = [await layer.new_channel(prefix) for prefix in ("one", "two", "three")]
    for name in names:
        await layer.group_add("test-group", name)
    await layer.group_discard("test-group", names[1])
    await layer.group_send("test-group", {"type": "message.1"})
    assert await areceive(layer, names[0]) == {"type": "message.1"}
    assert await areceive(layer, names[2]) == {"type": "message.1"}
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(layer.receive(names[1]), 0.1)


async def test_async_members_with_one_prefix_all_receive(layer: BaseChannelLayer) -> None:
    """items 74, 110."""
    names = [await layer.new_channel() for _ in range(3)]
    for name in names:
        await layer.group_add("test-group", name)
    await layer.group_send("test-group", {"a": 1})
    assert [await areceive(layer, name) for name in names] == [{"a": 1}] * 3


async def test_async_group_of_a_hundred(layer: BaseChannelLayer) -> None:
    """items 75, 76: sizes 1, 10 and 100, each member once."""
    for size in (1, 10, 100):
        names = [await layer.new_channel() if number % 2 else f"plain-{size}-{number}" for number in range(size)]
        for name in names:
            await layer.group_add(f"group-{size}", name)
        await layer.group_send(f"group-{size}", {"size": size})
        assert [await areceive(layer, name) for name in names] == [{"size": size}] * size


async def test_async_group_channels(layer: BaseChannelLayer) -> None:
    """items 20, 21, on the async face."""
    await layer.group_add("test-group", "a")
    await layer.group_add("test-group", "b!c")
    assert sorted(await layer.group_channels("test-group")) == ["a", "b!c"]
    await layer.group_discard("test-group", "a")
    assert await layer.group_channels("test-group") == ["b!c"]


async def test_a_channel_of_a_process_in_too_many_groups(backend: Backend) -> None:
    """max_groups: one more is refused, on both faces; what it is in stays, can be renewed, and can be left."""
    layer = backend.make(max_groups=2)
    name, other = await layer.new_channel(), await layer.new_channel()
    for group in ("a", "b", "a"):
        await layer.group_add(group, name)
    refused = f"'{name}' is a member of 2 groups, as many as one channel may be, and was to join 'c' too; have it leave"
    with pytest.raises(TooManyGroups, match=refused):
        await layer.group_add("c", name)
    with pytest.raises(TooManyGroups, match="raise the option max_groups of the layer"):
        layer.sync.group_add("c", name)
    assert await layer.group_channels("c") == []
    await layer.group_add("c", other)
    layer.sync.group_discard("a", name)
    await layer.group_add("c", name)
    assert sorted(await layer.group_channels("c")) == sorted([name, other])
    layer.forget(name)
    for group in ("a", "b"):
        await layer.group_add(group, name)


async def test_memberships_that_expired_do_not_count(backend: Backend) -> None:
    """max_groups: what nobody has looked at since then, too."""
    layer = backend.make(max_groups=1, group_expiry=60)
    name = await layer.new_channel()
    await layer.group_add("a", name)
    backend.elapse(61)
    await layer.group_add("b", name)
    assert await layer.group_channels("b") == [name]


def test_where_the_number_of_groups_is_not_bounded(backend: Backend) -> None:
    """max_groups: channels of no process, which only code of the site names; and None."""
    face = backend.make(max_groups=1).sync
    for group in ("a", "b"):
        face.group_add(group, "plain")
    face = backend.make(max_groups=None).sync
    for number in range(1100):
        face.group_add(f"group-{number}", "plain")


@pytest.mark.parametrize("value", [0, True, "10"])
def test_what_is_no_number_of_groups(backend: Backend, value: Any) -> None:
    """max_groups: told when the layer is made."""
    with pytest.raises(InvalidChannelLayerError, match="max_groups is a number of groups from 1 on, or None, not"):
        backend.make(max_groups=value)


async def test_both_faces_share_groups(layer: BaseChannelLayer) -> None:
    """section 2.11: two faces over one core."""
    await layer.group_add("test-group", "a")
    layer.sync.group_add("test-group", "b")
    layer.sync.send_group("test-group", {"from": "sync"})
    await layer.group_send("test-group", {"from": "async"})
    for name in ("a", "b"):
        assert await aeverything(layer, name) == [{"from": "sync"}, {"from": "async"}]


async def test_group_posts_keep_their_order_with_posts(layer: BaseChannelLayer) -> None:
    """the contract of ``post`` and ``post_group``: effects in the order of the calls."""
    await layer.group_add("test-group", "a")
    pending = [
        layer.post("a", {"number": 0}),
        layer.post_group("test-group", {"number": 1}),
        layer.post("a", {"number": 2}),
    ]
    await asyncio.gather(*(waiting for waiting in pending if waiting is not None))
    assert [content["number"] for content in await aeverything(layer, "a")] == [0, 1, 2]


async def test_groups_of_this_process(layer: BaseChannelLayer) -> None:
    """``local_groups`` counts the channels of this process, and looks at no more groups than it is told."""
    for group, count in (("one", 1), ("two", 2)):
        for _ in range(count):
            await layer.group_add(group, await layer.new_channel())
    assert layer.local_groups(10) == {"one": 1, "two": 2}
    assert len(layer.local_groups(1)) == 1
