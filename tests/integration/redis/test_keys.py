"""What is in Redis, for how long, and what a flush leaves (R5, R14, R15 of ``layers-and-protocol`` 8.2).

Of section 5, R15 asks for items that the contract names, and for these here: 47, 70, 73, 86, 94, 102, 103, 122, 123.
Items 92, 93 and 97 to 101 name internals of older layers (key names, a registry of serializers, fixed bytes).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable

import pytest

from routechan.exceptions import ChannelFull
from tests.contract.reading import SOON, areceive, everything
from tests.redis_servers import SingleServer, until

from .tools import Make, key_of

# R5


async def everything_a_layer_does(make: Make, check: Callable[[str], object]) -> None:
    """Each public operation, ``check(what)`` after each."""
    layer, other = (
        make(capacity=2, linger=0, lease=60, history={"chat": {"size": 5, "seconds": 60}}) for _ in range(2)
    )
    attached = f"websocket.send.{layer.process}!"
    other.want_presence(["group.join"])
    layer.attach(attached, lambda channels, content: None)
    check("attach")
    name = await layer.new_channel()
    await asyncio.to_thread(until, lambda: bool(layer.engine.housekeeping.has_lease), "it has its lease")
    check("new_channel")
    for channel in ("plain", name, "foreign!a", "single?a"):
        for number in range(3):
            with contextlib.suppress(ChannelFull):
                await other.send(channel, {"number": number})
            check(f"send {number} to {channel}")
            with contextlib.suppress(ChannelFull):
                other.sync.send(channel, {})
    for channel in ("plain", name, attached + "a", "foreign!a", "single?a"):
        for each in (layer, other):
            await each.group_add("group", channel)
            check(f"group_add {channel}")
            await each.group_add("chat", channel)
            check(f"group_add {channel} with a history")
            await each.group_introduce("group", channel, {"id": channel[0]})
            check(f"group_introduce {channel}")
    for each in (layer, other):
        await each.group_send("group", {})
        check("group_send")
        await each.group_send("chat", {})
        check("group_send with a history")
        await each.group_history("chat")
        await each.group_catch_up("chat", name, last=3)
        await each.group_catch_up("chat", "plain", since="1-1")
        check("what was sent before")
        await each.group_channels("group")
        await each.group_count("group")
        check("group_channels")
        await each.send("later", {}, 60)
        await each.group_send("group", {}, 60)
        check("delay")
    layer.last_will(attached + "a", "plain", {})
    await layer.global_statistics()
    check("last_will")
    await layer.channel_statistics("plain")
    await other.channel_statistics("foreign!a")
    check("statistics")
    while other.sync.receive(["plain", "foreign!", "single?a"]) != (None, None):
        check("receive")
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(layer.receive("plain"), 0.1)
    check("a wait that was given up")
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.gather(layer.receive("nothing"), layer.receive("nothing2")), 0.1)
    check("two waits")
    for channel in ("plain", name, attached + "a", "foreign!a", "single?a"):
        await other.group_discard("group", channel)
        check(f"group_discard {channel}")
    layer.forget(attached + "a")
    await layer.group_add("group", attached + "b")
    layer.detach(attached)
    await layer.global_statistics()
    check("detach")
    await other.group_add("group", name)
    await other.flush()
    check("flush")
    await layer.send("plain", {})
    layer.close()
    check("close")


async def test_every_key_has_a_time_to_live(make: Make, single: SingleServer, prefix: str) -> None:
    """R5 (C2, C11, A8, A16): after every public operation; nothing is left behind for ever."""
    seen: set[str] = set()

    def check(what: str) -> None:
        for name, key in single.keys(f"{prefix}:*").items():
            kind = name.removeprefix(prefix).split(":")[1]
            seen.add(kind)
            assert key.ttl is not None, f"after {what}, {name} has none"
            assert key.ttl < 400 * 86400, f"after {what}, {name} has {key.ttl} s"

    await everything_a_layer_does(make, check)
    # That the walk met every kind of key there is, but for the fleeting ones.
    assert {"queue", "group", "members", "groups", "wills", "present", "sockets", "joined", "wanted"} <= seen


async def test_a_dead_process_leaves_no_key_without_a_time_to_live(
    make: Make, single: SingleServer, prefix: str
) -> None:
    """R5: also what others do when they clear it away."""
    layer = make(lease=60)
    attached = f"websocket.send.{layer.process}!"
    layer.attach(attached, lambda channels, content: None)
    await layer.group_add("group", attached + "a")
    layer.last_will(attached + "a", "plain", {"its": "will"})
    await layer.global_statistics()
    await asyncio.to_thread(until, lambda: bool(layer.engine.housekeeping.has_lease), "it has its lease")
    other = make(lease=0.3)  # to whom the other is dead, for it renews its lease each 20 seconds only
    name = await other.new_channel()
    assert await areceive(other, "plain") == {"its": "will"}
    assert await other.group_channels("group") == []
    await other.group_add("group", name)
    for found, key in single.keys(f"{prefix}:*").items():
        assert key.ttl is not None, f"{found} has none"


# R14


@pytest.mark.parametrize(
    ("prefix", "others"),
    [
        ("a", ["ab", "a:b", "a:group", "a:queue", "a:groups", "a:members", "A"]),
        ("a*", ["a", "ab", "abc"]),
        ("a?", ["ab", "a"]),
        ("a[b", ["ab", "a[bc", "ba[b"]),
        ("a[b]", ["ab"]),
        ("a\\b", ["ab"]),
    ],
)
def test_a_flush_leaves_other_prefixes_alone(make: Make, single: SingleServer, prefix: str, others: list[str]) -> None:
    """R14 (A10, C17): those that begin like it, and those that it would match as a glob."""
    tag = secrets.token_hex(4)
    flushed = make(prefix=f"{tag}{prefix}").sync
    faces = [make(prefix=f"{tag}{other}").sync for other in others]
    for face in [flushed, *faces]:
        face.send("channel", {})
        face.send("later", {}, delay=600)
        face.group_add("leases", "member")
        face.group_add("group", "process!a")
        face.channel_statistics("channel")
    ours = single.keys(f"{tag}*")
    flushed.flush()
    left = single.keys(f"{tag}*")
    gone = set(ours) - set(left)
    assert gone
    assert all(key.startswith(f"{tag}{prefix}:") for key in gone)
    assert everything(flushed, "channel") == []
    assert flushed.group_channels("group") == []
    for face in faces:
        assert len(everything(face, "channel")) == 1
        assert face.group_channels("group") == ["process!a"]
        assert face.group_channels("leases") == ["member"]
        keys = face.layer.engine.keys  # type: ignore[attr-defined]
        assert single.client().zcard(keys.delayed) == 1


def test_a_flush_scans(make: Make) -> None:
    """R14 (A10): step by step; nobody else has to wait for it."""
    with SingleServer() as alone:
        layer = make(hosts=alone.hosts, capacity=5)
        with alone.client().pipeline() as pipeline:
            for number in range(5000):
                pipeline.rpush(key_of(layer, f"channel{number}"), b"")
            pipeline.execute()
        alone.reset_command_stats()
        layer.sync.flush()
        stats = alone.command_stats()
        assert not {"keys", "flushdb", "flushall"} & set(stats)
        assert stats["scan"].calls > 3
        assert alone.client().dbsize() == 0


# R15


def test_nothing_is_left_in_redis_of_a_message_that_was_read(make: Make, single: SingleServer, prefix: str) -> None:
    """R15, items 47, 122: the number of keys is what it was."""
    face = make().sync
    face.send("channel", {})
    face.receive(["channel"])
    face.channel_statistics("channel")
    before = set(single.keys(f"{prefix}:*"))
    face.send("channel", {"value": "x" * 1000})
    assert set(single.keys(f"{prefix}:queue:*")) == {key_of(face.layer, "channel")}  # type: ignore[arg-type]
    face.receive(["channel"])
    assert set(single.keys(f"{prefix}:*")) == before


async def test_a_channel_of_another_process_is_not_read_by_mistake(make: Make) -> None:
    """R15, item 70: receiving on it is refused, or at least takes nothing away from its process."""
    owner, other, sender = make(), make(), make()
    name = await owner.new_channel()
    mistaken = asyncio.create_task(other.receive(name))
    await asyncio.wait([mistaken], timeout=0.2)
    for number in range(20):
        await sender.send(name, {"number": number})
    try:
        assert [(await areceive(owner, name))["number"] for _ in range(20)] == list(range(20))
    finally:
        mistaken.cancel()
        await asyncio.wait([mistaken])


async def test_groups_on_ten_shards(make: Make, single: SingleServer) -> None:
    """R15, items 73, 75, 76: ten databases of one server are ten shards; members on all of them, in other processes."""
    hosts = [f"{single.url}/{number}" for number in range(10)]
    sender, reader = make(hosts=hosts), make(hosts=hosts)
    for size in (1, 10, 100):
        names = [await reader.new_channel() if number % 2 else f"plain{size}.{number}" for number in range(size)]
        for name in names:
            await reader.group_add(f"group{size}", name)
        await sender.group_discard(f"group{size}", names[0])
        for number in range(2):
            await asyncio.wait_for(sender.group_send(f"group{size}", {"number": number}), SOON)
        for name in names[1:]:
            assert [await areceive(reader, name) for _ in range(2)] == [{"number": 0}, {"number": 1}]
        assert (await reader.channel_statistics(names[0]))["messages_pending"] == 0


def test_process_names_do_not_repeat_when_random_is_seeded(make: Make) -> None:
    """R15, item 86 (A13): two workers that seed ``random`` alike are two processes."""
    state = random.getstate()
    try:
        seen = set()
        for _ in range(3):
            random.seed(1)
            seen.add(make().process)
    finally:
        random.setstate(state)
    assert len(seen) == 3


async def test_a_flush_right_after_a_send_does_not_disturb_a_reader(make: Make) -> None:
    """R15, item 123: a reader that waits gets its message, or the next one, though the queue is removed meanwhile."""
    reader, sender = make(), make()
    receiving = asyncio.create_task(areceive(reader, "channel"))
    await asyncio.sleep(0.05)
    await sender.send("channel", {"number": 0})
    await sender.flush()
    await sender.send("channel", {"number": 1})
    assert await receiving in ({"number": 0}, {"number": 1})


async def test_what_is_in_redis_is_not_to_be_read_without_the_key(make: Make, single: SingleServer) -> None:
    """R15, item 102: bodies are encrypted, in queues and among the delayed."""
    pytest.importorskip("cryptography")
    layer = make(symmetric_encryption_keys=["secret"])
    await layer.send("channel", {"text": "readable"})
    await layer.send("channel", {"text": "readable"}, 600)
    keys = layer.engine.keys
    (stored,) = single.client().lrange(keys.queue("channel"), 0, -1)
    (delayed,) = single.client().zrange(keys.delayed, 0, -1)
    assert b"channel" in stored
    assert b"readable" not in stored + delayed
    assert await areceive(layer, "channel") == {"text": "readable"}


@pytest.mark.parametrize("send", ["send", "group_send"])
async def test_a_message_is_counted_once_on_its_way(make: Make, send: str) -> None:
    """R15, items 48 to 50 (A3): by whoever sends it or by whoever reads it, not by both."""
    reader, sender = make(), make()
    name = await reader.new_channel()
    await reader.group_add("group", name)
    await getattr(sender, send)(name if send == "send" else "group", {})
    await areceive(reader, name)
    await reader.global_statistics()
    assert (await sender.global_statistics())["messages_count"] == 1
    assert (await sender.channel_statistics(name))["messages_count"] == 1


async def test_statistics_are_those_of_all_processes(make: Make) -> None:
    """R15, items 48 to 51 (section 2.8): what one process counted, another tells."""
    first, second = make(capacity=1), make(capacity=1)
    await first.send("channel", {})
    for layer in (first, second):
        for _ in range(2):
            with pytest.raises(ChannelFull):
                await layer.send("channel", {})
    await first.global_statistics()
    await second.global_statistics()
    for layer in (first, second):
        for counts in (await layer.global_statistics(), await layer.channel_statistics("channel")):
            assert (counts["messages_count"], counts["channel_full_count"]) == (1, 4)
    assert (await second.channel_statistics("channel"))["messages_pending"] == 1
