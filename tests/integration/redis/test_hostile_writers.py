"""With encryption on, who can write to Redis and has no key changes nothing that is said: what it forges is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from routechan.layers import RedisChannelLayer
from routechan.layers.envelope import FLUSH, GROUP, JOIN, LEAVE, MESSAGE
from routechan.layers.redis.cipher import AesCipher
from routechan.layers.redis.schema import DELAYED_PLACE, process_queue
from routechan.layers.redis.wire import SealedWire, Wire
from tests.contract.reading import areceive, contents
from tests.redis_servers import SingleServer
from tests.waiting import until

from .tools import Make, key_of

KEYS = ["the new key", "the old key"]


class Victim:
    """A process that serves sockets: what they get is kept. Lifetime: test."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self.layer = layer
        self.queue = f"websocket.send.{layer.process}!"
        self.got: list[tuple[str, Any]] = []

    def serve(self) -> None:
        self.layer.attach(self.queue, lambda channels, content: self.got.extend((name, content) for name in channels))

    async def reads(self, sender: RedisChannelLayer, redis: Any) -> None:
        """Wait until all that lay in its queues before was read."""
        end = (f"{self.queue}end", {"its": "end"})
        await sender.send(*end)
        await until(lambda: self.got[-1:] == [end], "it has read its queue")
        self.got.pop()
        control = key_of(self.layer, process_queue(self.layer.process))
        await until(lambda: not redis.llen(control), "it has read its control messages")


class Bench:
    """Two processes with sockets, a sender with the key, and somebody with a Redis client only. Lifetime: test."""

    def __init__(self, make: Make, server: SingleServer, prefix: str) -> None:
        self.redis = server.client()
        self.first, self.second = (Victim(make(symmetric_encryption_keys=KEYS)) for _ in range(2))
        self.sender: RedisChannelLayer = make(symmetric_encryption_keys=KEYS)
        #: What somebody without the key can make.
        self.forgers: list[Wire] = [Wire(), SealedWire(AesCipher(["a guess"]), prefix, 60.0)]

    def key(self, queue: str) -> str:
        return key_of(self.sender, queue)

    async def reads(self, victim: Victim) -> None:
        """Wait until ``victim`` has read all that lay in its queues before."""
        await victim.reads(self.sender, self.redis)

    async def captured(self, victim: Victim, send: Callable[[], Any]) -> bytes:
        """What ``send`` puts into the queue of ``victim``, which does not read it yet."""
        await send()
        (data,) = self.redis.lrange(self.key(victim.queue), 0, -1)
        assert isinstance(data, bytes)
        return data

    def push(self, queue: str, *data: bytes) -> None:
        self.redis.rpush(self.key(queue), *data)


@pytest.fixture
def bench(make: Make, single: SingleServer, prefix: str) -> Bench:
    return Bench(make, single, prefix)


async def test_a_captured_message(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Moved to another socket's queue, replayed three times, with another name, kind or expiry: it comes once."""
    first, second = bench.first, bench.second
    data = await bench.captured(first, lambda: bench.sender.send(first.queue + "a", {"n": 1}))
    first.serve()
    second.serve()
    await until(lambda: first.got, "it came")
    bench.push(first.queue, data, data, data)
    bench.push(second.queue, data)
    bench.push("plain", data)
    at = data.index(b"!a") + 1
    longer = data[:2] + (2**63).to_bytes(8, "big") + data[10:]
    changed = [data[:at] + b"b" + data[at + 1 :], *(bytes([1, 0x80 | kind]) + data[2:] for kind in range(1, 6)), longer]
    bench.push(first.queue, *changed, data[:-1], data[:11], data[:20], b"", b"\xff" * 40)
    for victim in (first, second):
        await bench.reads(victim)
    assert first.got == [(first.queue + "a", {"n": 1})]
    assert second.got == []
    assert await asyncio.to_thread(contents, second.layer.sync, "plain") == []
    counted = first.layer.counts.of(first.queue)["dropped_count"]
    assert counted == 3 + len(changed) + 5
    said = [record.getMessage() for record in caplog.records if first.queue in record.getMessage()]
    for trouble in ("it came before", "was changed on its way"):
        assert len([text for text in said if trouble in text]) == 1


async def test_forged_messages_to_all_kinds_of_readers(bench: Bench) -> None:
    """Not encrypted, or with another key: to a socket, to a channel of ``new_channel``, to one that all read."""
    first, second = bench.first, bench.second
    first.serve()
    name = await second.layer.new_channel()
    queue = name[: name.index("!") + 1]
    for forger in bench.forgers:
        for channel, place in ((first.queue + "a", first.queue), (name, queue), ("plain", "plain")):
            for kind in (MESSAGE, GROUP):
                bench.push(place, forger.pack(kind, channel, b"\x81\xa1n\x01", b"", 4e9, place))
    await bench.reads(first)
    assert first.got == []
    for channel in (name, "plain"):
        await bench.sender.send(channel, {"n": 2})
        assert await areceive(second.layer, channel) == {"n": 2}


async def test_forged_control_messages(bench: Bench) -> None:
    """JOIN, LEAVE and FLUSH of somebody else change no membership."""
    first, second = bench.first, bench.second
    member, other, stranger = first.queue + "member", second.queue + "a", first.queue + "stranger"
    for victim in (first, second):
        victim.serve()
    await first.layer.group_add("group", member)
    await second.layer.group_add("group", other)
    for forger in bench.forgers:
        for place in (first.queue, process_queue(first.layer.process)):
            for kind, name, body in ((JOIN, "group", stranger), (LEAVE, "group", member), (FLUSH, "", "")):
                bench.push(place, forger.pack(kind, name, body.encode(), b"", 4e9, place))
    await bench.reads(first)
    await bench.sender.group_send("group", {"n": 1})
    for victim in (first, second):
        await bench.reads(victim)
    assert first.got == [(member, {"n": 1})]
    assert second.got == [(other, {"n": 1})]


async def test_control_messages_that_come_again(bench: Bench) -> None:
    """A real LEAVE, copied, when the channel has joined again; a real JOIN after it has left."""
    first = bench.first
    member = first.queue + "member"
    # Before it serves, its notes stay in its queue: the sender must think that it lives.
    bench.redis.zadd(bench.sender.engine.keys.leases, {first.layer.process: 4e9})
    await bench.sender.group_add("group", member)
    await bench.sender.group_discard("group", member)
    join, leave = bench.redis.lrange(bench.key(first.queue), 0, -1)
    first.serve()
    await bench.reads(first)
    bench.push(first.queue, join)
    await bench.reads(first)
    await bench.sender.group_send("group", {"n": 1})
    await bench.reads(first)
    assert first.got == []
    await first.layer.group_add("group", member)
    bench.push(first.queue, leave, leave)
    await bench.reads(first)
    await bench.sender.group_send("group", {"n": 2})
    await bench.reads(first)
    assert first.got == [(member, {"n": 2})]
    flush = bench.second.layer.engine.flush  # removes the memberships of the others, too
    await bench.second.layer.engine.ask(flush())
    await bench.reads(first)
    assert first.layer.engine.store.memberships(live=False) == []


async def test_a_member_written_by_somebody_else(bench: Bench) -> None:
    """The queue of a process in the key of a group reaches nobody: a process knows its members itself."""
    first = bench.first
    first.serve()
    await first.layer.group_add("mine", first.queue + "a")
    keys = bench.sender.engine.keys
    bench.redis.zadd(keys.group("secret"), {first.queue: 4e9})
    bench.redis.zadd(keys.members("secret", first.queue), {first.queue + "a": 4e9})
    await bench.sender.group_send("secret", {"n": 1})
    await bench.reads(first)
    assert first.got == []


async def test_delayed_messages(bench: Bench) -> None:
    """One that is made due at once waits for its time, one that is copied comes once, one that is forged never."""
    keys, sender = bench.sender.engine.keys, bench.sender
    await sender.send("plain", {"n": "soon"}, 0.3)
    await sender.send("plain", {"n": "later"}, 3600)
    copies = dict(bench.redis.zrange(keys.delayed, 0, -1, withscores=True))
    assert len(copies) == 2
    bench.redis.zadd(keys.delayed, dict.fromkeys(copies, 1.0))
    for forger in bench.forgers:
        forged = forger.pack(MESSAGE, "plain", b"\x80", b"", 1.0, DELAYED_PLACE)
        bench.redis.zadd(keys.delayed, {b"8 bytes " + forged: 1.0})
    assert await areceive(sender, "plain") == {"n": "soon"}
    bench.redis.zadd(keys.delayed, dict.fromkeys(copies, 1.0))
    bench.redis.zadd(keys.delayed, {b"anything" + member[8:]: 1.0 for member in copies})
    bench.push("plain", *(member[8:] for member in copies))
    await sender.send("plain", {"n": "end"}, 0.5)
    assert await areceive(sender, "plain") == {"n": "end"}
    assert await asyncio.to_thread(contents, sender.sync, "plain") == []


async def test_last_wills(make: Make, bench: Bench) -> None:
    """Those of a dead process come once each, as it left them; none that is forged, copied or moved."""
    first, keys = bench.first, bench.sender.engine.keys
    first.serve()
    for number in range(2):
        first.layer.last_will(f"{first.queue}{number}", "gone", {"n": number})
    await until(lambda: bench.redis.hlen(keys.wills_of(first.layer.process)) == 2, "they are left")
    wills = bench.redis.hgetall(keys.wills_of(first.layer.process))
    mine = f"{first.queue}0".encode()
    for process in ("INVENTED", first.layer.process):
        bench.redis.hset(keys.wills_of(process), f"{first.queue}9", wills[mine])
        for number, forger in enumerate(bench.forgers):
            bench.redis.hset(keys.wills_of(process), f"forged{number}", forger.pack(MESSAGE, "gone", b"\x80", b"", 4e9))
    bench.redis.hset(keys.wills_of("INVENTED"), mapping=wills)
    bench.redis.zadd(keys.leases, {"INVENTED": 0})
    for other in (bench.second.layer, bench.sender):
        other.close()  # a will can be repeated to each process that has not sent it: there is one
    first.layer.close()  # with open sockets: others send their last wills at once
    left = bench.redis.hgetall(keys.wills_of(first.layer.process))  # it may have left them anew meanwhile
    wills = {channel: left[channel] for channel in wills}
    heir = make(symmetric_encryption_keys=KEYS, lease=0.3)
    got = [(await areceive(heir, "gone"))["n"] for _ in range(2)]
    assert sorted(got) == [0, 1]
    await until(lambda: bench.redis.zscore(keys.leases, "INVENTED") is None, "it is cleared away")
    bench.redis.hset(keys.wills_of(first.layer.process), mapping=wills)
    bench.redis.delete(keys.claim_of(first.layer.process))
    bench.redis.zadd(keys.leases, {first.layer.process: 0})
    await until(lambda: bench.redis.zscore(keys.leases, first.layer.process) is None, "it is cleared away again")
    assert await asyncio.to_thread(contents, heir.sync, "gone") == []


async def test_the_key_is_changed_while_messages_wait(bench: Bench, make: Make) -> None:
    """section 3.7: what was sealed with the old key is read, of all kinds."""
    old, new = make(symmetric_encryption_keys=KEYS[1:]), make(symmetric_encryption_keys=KEYS)
    await old.send("plain", {"n": 1})
    await old.send("plain", {"n": 2}, 0.05)
    assert [(await areceive(new, "plain"))["n"] for _ in range(2)] == [1, 2]


async def test_garbage_among_names_stops_nothing(make: Make, bench: Bench) -> None:
    """R12: among leases, members, groups of a dead process, last wills and delayed messages; encrypted or not."""
    dead, living = make(lease=0.5), make(lease=0.5)
    keys, redis = dead.engine.keys, bench.redis
    queue = f"websocket.send.{dead.process}!"
    dead.attach(queue, lambda channels, content: None)
    dead.last_will(queue + "a", "gone", {"n": 1})
    for member in (queue + "a", "plain"):
        await dead.group_add("group", member)
    await until(lambda: redis.hlen(keys.wills_of(dead.process)), "it has left its last will")
    garbage = [b"\xff\xfe", b"", b"{x} y", b"a" * 300, "é".encode()]
    for key in (keys.leases, keys.group("group"), keys.members("group", queue), keys.delayed, keys.cleared):
        redis.zadd(key, dict.fromkeys(garbage, 4e9 if key != keys.delayed else 1.0))
    redis.zadd(keys.leases, {b"\xfe": "inf", b"\xfd": "-inf"})
    redis.sadd(keys.groups_of(dead.process), *garbage, *(name + b" " + name for name in garbage))
    redis.hset(keys.wills_of(dead.process), mapping=dict.fromkeys(garbage, b"garbage"))
    assert set(await living.group_channels("group")) == {queue + "a", "plain"}
    await living.group_send("group", {"n": 2})
    assert await areceive(living, "plain") == {"n": 2}
    await living.send("plain", {"n": 3}, 0.05)
    assert await areceive(living, "plain") == {"n": 3}
    dead.close()
    assert await areceive(living, "gone") == {"n": 1}
    await until(lambda: redis.zscore(keys.leases, dead.process) is None, "it is cleared away")
    await living.engine.ask(living.engine.flush())
