"""A group tells who is in it, and how many: ``Group.channels``, ``Group.count`` and their twins."""

from __future__ import annotations

import asyncio

import pytest

from routechan import Channel, Group
from routechan.exceptions import InvalidName
from routechan.layers import BaseChannelLayer

from .conftest import Backend
from .test_local_delivery import Taker, queue


async def check(layer: BaseChannelLayer, members: set[str], group: str = "test-group") -> None:
    """All four ways to ask agree that these are the members."""
    asked = Group(group, channel_layer=layer)
    channels = await asyncio.to_thread(asked.channels)
    assert set(channels) == members
    assert len(channels) == len(members)
    assert sorted(await asked.achannels()) == sorted(channels)
    assert await asyncio.to_thread(asked.count) == len(members)
    assert await asked.acount() == len(members)


async def a_member_of_each_kind(layer: BaseChannelLayer) -> list[str]:
    """Of this process (made here, and of an attached queue), of another, plain, and read in one place."""
    layer.attach(queue(layer), Taker())
    return [
        await layer.new_channel(),
        queue(layer) + "a",
        queue(layer) + "b",
        "plain",
        "other.process!a",
        "other.process!b",
        "another.process!a",
        "single?a",
    ]


async def test_members_of_every_kind_are_told_and_counted(layer: BaseChannelLayer) -> None:
    """items 20, 21: of whatever kind and wherever read, until each leaves."""
    members = await a_member_of_each_kind(layer)
    group = Group("test-group", channel_layer=layer)
    for index, member in enumerate(members):
        await asyncio.to_thread(group.add, member)
        await check(layer, set(members[: index + 1]))
    for index, member in enumerate(members):
        await asyncio.to_thread(group.discard, member)
        await check(layer, set(members[index + 1 :]))


async def test_the_async_twins_change_the_same_group(layer: BaseChannelLayer) -> None:
    """GR-03: ``aadd`` and ``adiscard``, with names and with channels."""
    members = await a_member_of_each_kind(layer)
    group = Group("test-group", channel_layer=layer)
    await asyncio.gather(*(group.aadd(Channel(member, channel_layer=layer)) for member in members))
    await check(layer, set(members))
    await asyncio.gather(*(group.adiscard(member) for member in members[1:]))
    await check(layer, {members[0]})


async def test_adding_twice_counts_once(layer: BaseChannelLayer) -> None:
    """GR-07: a member is a member once; leaving once is leaving."""
    members = await a_member_of_each_kind(layer)
    for member in [*members, *members]:
        await layer.group_add("test-group", member)
    await check(layer, set(members))
    for member in members:
        await layer.group_discard("test-group", member)
    await check(layer, set())


async def test_a_group_nobody_joined(layer: BaseChannelLayer) -> None:
    """section 2.2: empty, no error."""
    await check(layer, set())


async def test_groups_are_told_apart(layer: BaseChannelLayer) -> None:
    """section 2.2: of two groups, also where the one's name begins with the other's."""
    await layer.group_add("test", "a")
    await layer.group_add("test.group", "b")
    await check(layer, {"a"}, "test")
    await check(layer, {"b"}, "test.group")


async def test_many_members(layer: BaseChannelLayer) -> None:
    """item 76: three hundred, of which two thirds share two queues."""
    layer.attach(queue(layer), Taker())
    members = {
        name for number in range(100) for name in (f"{queue(layer)}{number}", f"other.process!{number}", f"p{number}")
    }
    await asyncio.gather(*(layer.group_add("test-group", member) for member in members))
    await check(layer, members)


async def test_members_whose_time_is_over_are_not_counted(backend: Backend) -> None:
    """section 2.4: ``group_expiry`` after the latest add; a live socket's membership does not expire."""
    layer = backend.make(group_expiry=10)
    members = await a_member_of_each_kind(layer)
    for member in members:
        await layer.group_add("test-group", member)
    backend.elapse(12)
    asked = Group("test-group", channel_layer=layer)
    assert await asked.acount() == 2
    await check(layer, {queue(layer) + "a", queue(layer) + "b"})


@pytest.mark.parametrize("member", ["plain", "other.process!a"])
async def test_the_count_leaves_out_who_does_not_read(backend: Backend, member: str) -> None:
    """item 43: whoever let a message expire unread is no member, neither by name nor by number."""
    layer = backend.make(expiry=6)
    await layer.group_add("test-group", member)
    await layer.group_send("test-group", {})
    backend.elapse(8)
    assert await layer.group_count("test-group") == 0
    await check(layer, set())


async def test_a_gone_socket_is_not_counted(layer: BaseChannelLayer) -> None:
    """the contracts of ``forget`` and ``detach``: one channel, then all of its queue."""
    members = await a_member_of_each_kind(layer)
    for member in members:
        await layer.group_add("test-group", member)
    layer.forget(queue(layer) + "a")
    members.remove(queue(layer) + "a")
    await check(layer, set(members))
    layer.detach(queue(layer))
    members.remove(queue(layer) + "b")
    await check(layer, set(members))


async def test_a_flush_leaves_nobody(layer: BaseChannelLayer) -> None:
    """item 23: members of every kind, on both faces; who joins afterwards is in."""
    members = await a_member_of_each_kind(layer)
    for member in members:
        await layer.group_add("test-group", member)
    await layer.flush()
    await check(layer, set())
    await layer.group_add("test-group", members[1])
    await check(layer, {members[1]})


async def test_a_message_finds_no_queue_that_everybody_left(layer: BaseChannelLayer) -> None:
    """section 2.2: no member, no message, and no room taken up by one."""
    await layer.group_add("test-group", "other.process!a")
    await layer.group_discard("test-group", "other.process!a")
    await layer.group_send("test-group", {})
    assert (await layer.channel_statistics("other.process!a"))["messages_pending"] == 0


@pytest.mark.parametrize("name", ["", "a b", "a!b", 5])
async def test_the_count_checks_its_name(layer: BaseChannelLayer, name: object) -> None:
    """item 41: like every method that takes the name of a group."""
    with pytest.raises(InvalidName):
        await layer.group_count(name)  # type: ignore[arg-type]
    with pytest.raises(InvalidName):
        layer.sync.group_count(name)  # type: ignore[arg-type]
