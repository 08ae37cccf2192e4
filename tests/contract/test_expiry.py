"""Messages and memberships end when their time is over, and not before."""

from __future__ import annotations

import asyncio

from .conftest import Backend
from .reading import SOON, aeverything, areceive, contents


def test_an_old_message_is_not_delivered(backend: Backend) -> None:
    """item 8."""
    face = backend.make(expiry=6).sync
    face.send("me_test", {"value": "blue"})
    backend.elapse(8)
    assert face.receive(["me_test"]) == (None, None)


def test_a_message_lives_until_then(backend: Backend) -> None:
    """R3: fractions of a second count, nothing is rounded."""
    face = backend.make(expiry=5.9).sync
    backend.hold()
    face.send("me_test", {"value": "blue"})
    backend.elapse(5.5)
    assert face.receive(["me_test"]) == ("me_test", {"value": "blue"})
    face.send("me_test", {"value": "blue"})
    backend.elapse(5.95)
    assert face.receive(["me_test"]) == (None, None)


async def test_each_message_has_its_own_time(backend: Backend) -> None:
    """items 87, 130, 131: a later send does not renew the ones before."""
    layer = backend.make(expiry=6)
    await layer.send("me_test", {"number": 0})
    backend.elapse(4)
    await layer.send("me_test", {"number": 1})
    backend.elapse(4)
    await layer.send("me_test", {"number": 2})
    assert await aeverything(layer, "me_test") == [{"number": 1}, {"number": 2}]


async def test_messages_within_their_time_all_arrive(backend: Backend) -> None:
    """item 88."""
    layer = backend.make(expiry=12)
    for number in range(3):
        await layer.send("me_test", {"number": number})
        backend.elapse(2)
    assert await aeverything(layer, "me_test") == [{"number": 0}, {"number": 1}, {"number": 2}]


async def test_what_is_read_in_time_is_read(backend: Backend) -> None:
    """item 131: one of three is read in time, the others expire, a fourth is next."""
    layer = backend.make(expiry=6)
    for number in range(3):
        await layer.send("me_test", {"number": number})
    assert await areceive(layer, "me_test") == {"number": 0}
    backend.elapse(8)
    await layer.send("me_test", {"number": 3})
    assert await aeverything(layer, "me_test") == [{"number": 3}]


async def test_a_waiting_reader_gets_a_fresh_message(backend: Backend) -> None:
    """item 129: what has expired does not end the wait."""
    layer = backend.make(expiry=6)
    await layer.send("me_test", {"number": 0})
    backend.elapse(8)
    receiving = asyncio.create_task(layer.receive("me_test"))
    await asyncio.sleep(0)
    assert not receiving.done()
    await layer.send("me_test", {"number": 1})
    assert await asyncio.wait_for(receiving, SOON) == {"number": 1}


async def test_group_messages_expire_likewise(backend: Backend) -> None:
    """item 89."""
    layer = backend.make(expiry=6)
    name = await layer.new_channel()
    await layer.group_add("test-group", name)
    await layer.group_send("test-group", {"number": 0})
    assert await areceive(layer, name) == {"number": 0}
    await layer.group_send("test-group", {"number": 1})
    backend.elapse(4)
    await layer.group_send("test-group", {"number": 2})
    backend.elapse(4)
    assert await aeverything(layer, name) == [{"number": 2}]


async def test_an_older_direct_message_does_not_hold_up_group_messages(backend: Backend) -> None:
    """items 90, 91: the direct message expires, the group's three arrive, at both members."""
    layer = backend.make(expiry=6)
    first, second = await layer.new_channel("one"), await layer.new_channel("two")
    await layer.group_add("test-group", first)
    await layer.group_add("test-group", second)
    await layer.send(first, {"direct": True})
    backend.elapse(4)
    for number in range(3):
        await layer.group_send("test-group", {"number": number})
    backend.elapse(4)
    for name in (first, second):
        assert await aeverything(layer, name) == [{"number": number} for number in range(3)]


def test_an_expired_message_is_counted(backend: Backend) -> None:
    """design section 5: every drop is counted."""
    face = backend.make(expiry=6).sync
    face.send("me_test", {})
    backend.elapse(8)
    assert contents(face, "me_test") == []
    assert face.channel_statistics("me_test")["expired_count"] == 1
    assert face.global_statistics()["expired_count"] == 1


# Groups


def test_a_membership_ends(backend: Backend) -> None:
    """items 24, 25: ``group_expiry`` seconds after it began."""
    face = backend.make(group_expiry=6).sync
    assert face.group_expiry == 6
    face.group_add("tgroup", "tge_test")
    face.group_add("tgroup", "process!a")
    backend.elapse(8)
    face.send_group("tgroup", {"value": "orange"})
    assert face.receive(["tge_test", "process!"]) == (None, None)
    assert list(face.group_channels("tgroup")) == []


def test_adding_again_renews_a_membership(backend: Backend) -> None:
    """section 2.4: counted from the latest ``group_add`` of that member, and of no other."""
    face = backend.make(group_expiry=6).sync
    face.group_add("tgroup", "renewed")
    face.group_add("tgroup", "alone")
    backend.elapse(4)
    face.group_add("tgroup", "renewed")
    backend.elapse(4)
    assert list(face.group_channels("tgroup")) == ["renewed"]


def test_a_member_that_does_not_read_is_evicted(backend: Backend) -> None:
    """item 43 (46, A11 in older layers): once a group message expired unread, no further one is sent there."""
    face = backend.make(expiry=6, group_expiry=60).sync
    face.group_add("tgroup", "reads")
    face.group_add("tgroup", "sleeps")
    face.send_group("tgroup", {"number": 0})
    assert face.receive(["reads"]) == ("reads", {"number": 0})
    backend.elapse(8)
    face.send_group("tgroup", {"number": 1})
    assert contents(face, "reads") == [{"number": 1}]
    assert contents(face, "sleeps") == []
    assert list(face.group_channels("tgroup")) == ["reads"]


def test_a_process_specific_member_that_does_not_read_is_evicted(backend: Backend) -> None:
    """section 2.4, group clean-up: from all its groups, and only it."""
    face = backend.make(expiry=6, group_expiry=60).sync
    for group in ("first", "second"):
        face.group_add(group, "process!dead")
    face.group_add("second", "process!silent")
    face.send("process!dead", {})
    backend.elapse(8)
    assert list(face.group_channels("first")) == []
    assert list(face.group_channels("second")) == ["process!silent"]
