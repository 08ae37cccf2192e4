"""What is refused, what cannot be read, and what each reader gets (R11, R12, R13 of ``layers-and-protocol`` 8.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan.exceptions import InvalidContent
from routechan.layers.envelope import GROUP, JOIN, MESSAGE
from routechan.layers.redis.wire import Wire
from tests.contract.reading import areceive, contents
from tests.redis_servers import SingleServer
from tests.waiting import until

from .tools import Make, Proxy, key_of

# R11


async def test_code_that_catches_the_classes_of_channels_catches_ours(make: Make) -> None:
    """R11: where Channels is installed."""
    channels = pytest.importorskip("channels.exceptions")
    layer = make(capacity=1, max_size=1000)
    await layer.send("channel", {})
    with pytest.raises(channels.ChannelFull):
        await layer.send("channel", {})
    with pytest.raises(channels.ChannelFull):
        layer.sync.send("channel", {})
    assert issubclass(layer.MessageTooLarge, channels.MessageTooLarge)
    assert issubclass(layer.sync.ChannelFull, channels.ChannelFull)


# R12


@pytest.mark.parametrize("channel", ["plain", "process!a", "own"])
async def test_too_large_is_refused_when_it_is_sent(make: Make, channel: str) -> None:
    """R12 (A17, C22): on every way to send, and nothing of it arrives."""
    layer = make(max_size=1000)
    name = await layer.new_channel() if channel == "own" else channel
    await layer.group_add("group", name)
    large = {"text": "x" * 2000}
    with pytest.raises(layer.MessageTooLarge, match="1000|1,000"):
        await layer.send(name, large)
    with pytest.raises(layer.MessageTooLarge):
        layer.sync.send(name, large)
    with pytest.raises(layer.MessageTooLarge):
        await layer.group_send("group", large)
    with pytest.raises(layer.MessageTooLarge):
        await layer.send(name, large, 60)
    assert (await layer.channel_statistics(name))["messages_pending"] == 0


async def test_what_cannot_travel_is_refused_without_asking_redis(proxy: Proxy, make: Make) -> None:
    """R12 (C20): with the place inside the message, by each way to send; Redis sees nothing of it."""
    layer = make(hosts=[("127.0.0.1", proxy.port)])
    await layer.send("warm-up", {})
    for send in (layer.send, layer.group_send):
        with pytest.raises(InvalidContent, match=r"message\['a'\]\[1\] is a set"):
            await send("refused", {"a": [1, {2}]})
    assert proxy.about("refused") == []


pack = Wire().pack

POISON = [
    b"",
    b"garbage",
    b"\xff" * 50,
    pack(MESSAGE, "channel", b"\xc1\xc1", b"", 4e9),
    pack(7, "channel", b"", b"", 4e9),
]
POISON_FOR_MAILBOXES = [*POISON, pack(JOIN, "group", b"\xff", b"", 4e9), pack(GROUP, "group", b"\xc1", b"", 4e9)]


async def test_poison_does_not_stop_a_reader(make: Make, single: SingleServer) -> None:
    """R12 (C20): what another program wrote into a queue costs only itself; it is counted as dropped."""
    layer = make()
    key = key_of(layer, "channel")
    receiving = asyncio.create_task(areceive(layer, "channel"))
    await asyncio.sleep(0.05)
    for garbage in POISON:
        single.client().rpush(key, garbage)
    await layer.send("channel", {"a": 1})
    assert await receiving == {"a": 1}
    single.client().rpush(key, *POISON)
    await layer.send("channel", {"a": 2})
    assert await areceive(layer, "channel") == {"a": 2}
    single.client().rpush(key, *POISON)
    await layer.send("channel", {"a": 3})
    assert contents(layer.sync, "channel") == [{"a": 3}]
    assert (await layer.channel_statistics("channel"))["dropped_count"] >= 3 * 4 - 1


async def test_poison_does_not_stop_a_mailbox(make: Make, single: SingleServer) -> None:
    """R12: the sockets of a server get the messages that come behind it."""
    reader, sender = make(), make()
    name = await reader.new_channel()
    queue = name.partition("!")[0] + "!"
    for number, garbage in enumerate(POISON_FOR_MAILBOXES):
        single.client().rpush(key_of(reader, queue), garbage)
        await sender.send(name, {"number": number})
        assert await areceive(reader, name) == {"number": number}


def test_poison_does_not_spoil_a_group(make: Make, single: SingleServer) -> None:
    """R12: who is in it can still be asked, and it can be sent to."""
    face = make().sync
    for member in ("plain", "process!a"):
        face.group_add("group", member)
    for queue in ("plain", "process!"):
        single.client().rpush(key_of(face.layer, queue), b"garbage", b"\xff" * 50)  # type: ignore[arg-type]
    assert sorted(face.group_channels("group")) == ["plain", "process!a"]
    face.send_group("group", {"a": 1})
    assert contents(face, "plain", "process!") == [{"a": 1}, {"a": 1}]


def test_poison_among_the_delayed_costs_only_itself(make: Make, single: SingleServer) -> None:
    """R12: what was due with it comes."""
    face = make().sync
    face.send("channel", {"a": 1}, delay=0.3)
    keys = face.layer.engine.keys  # type: ignore[attr-defined]
    single.client().zadd(keys.delayed, {b"garbage": 1, b"8 random" + b"\xff" * 50: 2})
    assert face.receive(["channel"], block=True) == ("channel", {"a": 1})


async def test_a_message_of_who_has_another_key_does_not_stop_a_reader(make: Make) -> None:
    """R12, item 102: it is lost, logged and counted; those with a common key are read."""
    pytest.importorskip("cryptography")
    reader = make(symmetric_encryption_keys=["new", "old"])
    old, foreign = make(symmetric_encryption_keys=["old"]), make(symmetric_encryption_keys=["foreign"])
    name = await reader.new_channel()
    for channel in ("channel", name):
        await foreign.send(channel, {"from": "foreign"})
        await old.send(channel, {"from": "old"})
        assert await areceive(reader, channel) == {"from": "old"}
    assert (await reader.channel_statistics("channel"))["dropped_count"] == 1


# R13


async def test_members_of_other_processes_get_copies(make: Make) -> None:
    """R13 (C14): also ``{}``, which is a message (C10)."""
    reader, sender = make(), make()
    names = [await reader.new_channel() for _ in range(2)]
    for name in names:
        await reader.group_add("group", name)
    await sender.group_send("group", {})
    first, second = [await areceive(reader, name) for name in names]
    assert first == second == {}
    assert first is not second


async def test_a_mistake_does_not_stop_a_mailbox(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """R12: what takes the messages of sockets may raise anything; it costs one message, and is logged."""
    reader, sender = make(), make()
    taken: list[Any] = []
    queue = f"websocket.send.abcdef.{reader.process}!"

    def deliver(channels: Any, content: Any) -> None:
        if content == {"n": 1}:
            raise LookupError("a mistake of ours")
        taken.append(content)

    reader.attach(queue, deliver)
    for number in range(3):
        await sender.send(f"{queue}a", {"n": number})
    await until(lambda: len(taken) == 2)
    assert taken == [{"n": 0}, {"n": 2}]
    assert f"A message to {queue}a is lost" in caplog.text


async def test_a_proof_of_life(make: Make) -> None:
    """design, leases: a server that may have been taken for dead asks at once, and learns nothing where it was not."""
    layer = make()
    told: list[Any] = []
    layer.on_cleared_away(told.append)
    layer.attach(f"websocket.send.abcdef.{layer.process}!", lambda channels, content: None)
    await layer.prove_life()
    assert told == []


async def test_last_wills_of_before_and_after(make: Make) -> None:
    """A server goes on that was taken for dead: others sent the last wills they found, and none that came since.

    Sockets that were opened before it knew are not among those whose disconnects others hand in.
    """
    layer, other = make(lease=600.0), make(lease=600.0)
    told: list[Any] = []
    layer.on_cleared_away(told.append)
    queue = f"websocket.send.abcdef.{layer.process}!"
    layer.attach(queue, lambda channels, content: None)
    await layer.prove_life()

    async def leave(name: str) -> None:
        layer.last_will(queue + name, "gone", {"name": name})
        await until(lambda: queue + name in layer.engine.housekeeping.left(), "it is in Redis")

    await leave("before")
    leases, people = other.engine.leases, other.engine.people
    assert await other.engine.ask(leases.clear_away(layer.process, people.clear_away)) == 1
    await leave("after")
    await layer.prove_life()
    assert told == [{queue + "before"}]
    await until(lambda: queue + "after" in layer.engine.housekeeping.left(), "it is left again")
    assert await other.engine.ask(leases.clear_away(layer.process, people.clear_away)) == 1
    gone = [(await other.receive("gone"))["name"] for _ in range(2)]
    assert gone == ["before", "after"]
