"""What a Redis layer must do that its predecessors did not: R1 to R15 of ``layers-and-protocol`` 8.2, on a real Redis.

The contract suite runs on Redis too; here is what needs a look inside Redis, a second process, or a second clock.
Of section 5, R15 asks for items that the contract names, and for these here: 47, 70, 73, 86, 94, 102, 103, 122, 123.
Items 92, 93 and 97 to 101 name internals of older layers (key names, a registry of serializers, fixed bytes).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from routechan import exceptions
from routechan.exceptions import ChannelFull, InvalidContent
from routechan.layers import RedisChannelLayer
from routechan.layers.redis import layer as layer_module
from routechan.layers.redis.clock import RedisClock
from routechan.layers.redis.envelope import MESSAGE, expires_of, pack, unpack
from routechan.layers.redis.keys import home_of, shard_of
from routechan.layers.waiting import ThreadWaiter
from tests.redis_servers import ShardServers, SingleServer, shared, until

from .reading import SOON, areceive, contents, everything

Make = Callable[..., RedisChannelLayer]


@pytest.fixture
def server(pytestconfig: pytest.Config) -> SingleServer:
    """Shared by all tests, which keep apart by their prefixes."""
    return shared(pytestconfig, SingleServer)


@pytest.fixture
def prefix() -> str:
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def make(server: SingleServer, prefix: str) -> Iterator[Make]:
    """Layers with one prefix: each is a process to the others."""
    made: list[RedisChannelLayer] = []

    def make(**options: Any) -> RedisChannelLayer:
        made.append(RedisChannelLayer(**{"hosts": server.hosts, "prefix": prefix, **options}))
        return made[-1]

    yield make
    for layer in made:
        layer.close()


class Shifted(RedisClock):
    """A clock that is wrong by so many seconds until Redis tells the time, and ``ahead`` of that ever after."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self._offset += wrong
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


class Proxy:
    """Between a layer and Redis: notes each turn, what the client says until the server answers. Lifetime: test."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.turns: list[bytes] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._server_port))
                turn: list[int] = []  # which of ``turns`` the client's next words belong to; none: they begin one
                self._start(self._pump, client, server, turn, True)
                self._start(self._pump, server, client, turn, False)

    def _pump(self, source: socket.socket, target: socket.socket, turn: list[int], says: bool) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if not says:
                    turn.clear()
                elif turn:
                    self.turns[turn[0]] += data
                else:
                    with self._lock:
                        turn.append(len(self.turns))
                        self.turns.append(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def about(self, *words: str) -> list[bytes]:
        """The turns that mention one of ``words``."""
        return [turn for turn in self.turns if any(word.encode() in turn for word in words)]

    def close(self) -> None:
        """After whoever uses it has closed its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SOON)


@pytest.fixture
def proxy(server: SingleServer) -> Iterator[Proxy]:
    made = Proxy(server.port)
    yield made
    made.close()


def verbs(turn: bytes) -> list[str]:
    """The commands in a turn."""
    words = turn.split(b"\r\n")
    return [words[at + 2].decode() for at, word in enumerate(words) if word[:1] == b"*" and word[1:].isdigit()]


def key_of(layer: RedisChannelLayer, queue: str) -> str:
    return layer.engine.operations.keys.queue(queue)


# R1


def test_a_send_and_a_receive_are_one_round_trip_each(proxy: Proxy, make: Make) -> None:
    """R1 (section 8.1, 14): with everything they need; in older layers 5 and 8."""
    face = make(hosts=[("127.0.0.1", proxy.port)]).sync
    face.send("warm-up", {})
    face.receive(["warm-up"])
    face.send("measured", {"a": 1})
    (turn,) = proxy.about("measured")
    assert verbs(turn)[:2] == ["RPUSH", "PEXPIRE"]
    assert face.receive(["measured"]) == ("measured", {"a": 1})
    assert len(proxy.about("measured")) == 2
    assert verbs(proxy.about("measured")[1])[0] == "LMPOP"
    assert face.receive(["measured"]) == (None, None)
    assert len(proxy.about("measured")) == 3


async def test_async_sends_and_receives_share_round_trips(proxy: Proxy, make: Make) -> None:
    """R1: a hundred in flight are a handful of turns, and two turns are enough for one of each."""
    layer = make(hosts=[("127.0.0.1", proxy.port)], capacity=200)
    await layer.send("warm-up", {})
    await areceive(layer, "warm-up")
    await layer.send("measured", {})
    assert await areceive(layer, "measured") == {}
    assert [verbs(turn)[0] for turn in proxy.about("measured")] == ["RPUSH", "LPOP"]
    await asyncio.gather(*(layer.send("many", {"number": number}) for number in range(100)))
    assert len(proxy.about("many")) <= 5


async def test_a_message_for_who_waits_already_comes_without_a_question(proxy: Proxy, make: Make) -> None:
    """R1: the blocking command was sent before; its reply is the message."""
    reader, sender = make(hosts=[("127.0.0.1", proxy.port)]), make()
    name = await reader.new_channel()
    receiving = asyncio.create_task(areceive(reader, name))
    await asyncio.to_thread(until, lambda: bool(proxy.about("BLMPOP")), "the reader waits in Redis")
    asked = len(proxy.about("POP"))
    await sender.send(name, {"a": 1})
    assert await receiving == {"a": 1}
    assert len(proxy.about("POP")) <= asked + 1  # the next wait


# R2


async def test_no_message_comes_twice_whatever_happens_to_connections(make: Make, server: SingleServer) -> None:
    """R2 (C1, C2): three processes read one channel with several readers each, while connections are cut."""
    own_prefix = "test-cut"
    with SingleServer() as alone:
        layers = [make(hosts=alone.hosts, prefix=own_prefix, capacity=1000) for _ in range(4)]
        sender, readers = layers[0], layers[1:]
        got: list[int] = []

        async def read(layer: RedisChannelLayer) -> None:
            while True:
                got.append((await layer.receive("busy"))["number"])

        tasks = [asyncio.create_task(read(layer)) for layer in readers for _ in range(3)]
        sent: set[int] = set()
        for number in range(300):
            if number % 60 == 30:
                await asyncio.to_thread(alone.drop_connections)
            with contextlib.suppress(exceptions.ChannelLayerUnavailable):
                await sender.send("busy", {"number": number})
                sent.add(number)
        await sender.send("busy", {"number": -1})
        deadline = time.monotonic() + SOON
        while (-1 not in got or len(got) < len(sent)) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert max(Counter(got).values()) == 1
        assert len(sent) > 200
        # What was popped on a connection that was cut at that moment is lost; that is little.
        assert len(sent - set(got)) <= 30


# R3


@pytest.mark.parametrize("wrong", [-3600.0, 3600.0])
@pytest.mark.parametrize("reads", [False, True], ids=["the sender's clock", "the reader's clock"])
def test_the_clock_is_the_servers(make: Make, wrong: float, reads: bool) -> None:
    """R3: a machine whose clock is wrong by an hour neither loses messages nor keeps them, from the first on."""
    for channel, seconds, found in (("read", 0.0, ("read", {})), ("expires", 0.5, (None, None))):
        mistaken, right = make(clock=Shifted(wrong), expiry=0.4), make(clock=Shifted(), expiry=0.4)
        sender, reader = (right, mistaken) if reads else (mistaken, right)
        sender.sync.send(channel, {})
        time.sleep(seconds)  # the message's own time
        assert reader.sync.receive([channel]) == found


@pytest.mark.parametrize("wrong", [-3600.0, 3600.0])
def test_memberships_and_delays_use_the_servers_clock(make: Make, wrong: float) -> None:
    """R3: likewise what is first done by a process whose clock is wrong."""
    mistaken, right = make(clock=Shifted(wrong), group_expiry=60), make(group_expiry=60)
    mistaken.sync.group_add("group", "plain")
    assert right.sync.group_channels("group") == ["plain"]
    later = make(clock=Shifted(wrong))
    later.sync.send("delayed", {"a": 1}, delay=0.1)
    assert right.sync.receive(["delayed"], block=True) == ("delayed", {"a": 1})


def test_expiry_is_kept_to_the_millisecond(make: Make, server: SingleServer) -> None:
    """R3 (A9, C11): fractions are neither rounded nor refused, in messages, memberships and keys."""
    layer = make(expiry=0.25, group_expiry=0.75)
    layer.sync.send("channel", {})
    seconds, microseconds = server.client().time()
    stamp = expires_of(server.client().lindex(key_of(layer, "channel"), 0))
    assert stamp == pytest.approx(seconds + microseconds / 1e6 + 0.25, abs=0.2)
    assert server.client().pttl(key_of(layer, "channel")) == pytest.approx(1500, abs=300)
    layer.sync.group_add("group", "channel")
    score = server.client().zscore(layer.engine.operations.keys.group("group"), "channel")
    assert score == pytest.approx(seconds + microseconds / 1e6 + 0.75, abs=0.2)


def test_order_is_that_of_the_server(make: Make) -> None:
    """R3 (C9): of processes whose clocks differ, as their sends were made."""
    faces = [make(clock=Shifted(wrong)).sync for wrong in (0, 3600, -3600)]
    for face in faces:
        face.send("warm-up", {})
    for number in range(12):
        faces[number % 3].send("channel", {"number": number})
    assert [content["number"] for content in contents(faces[0], "channel")] == list(range(12))


# R4


def test_expired_messages_are_no_part_of_the_capacity(make: Make, server: SingleServer) -> None:
    """R4 (A2): a queue full of what nobody read takes as many new ones as an empty one, and no more."""
    clock = Shifted()
    layer = make(clock=clock, expiry=10, capacity=5)
    for number in range(5):
        layer.sync.send("channel", {"number": number})
        clock.ahead += 1
    clock.ahead += 7.5  # the first three have expired
    for number in (5, 6, 7):
        layer.sync.send("channel", {"number": number})
    with pytest.raises(ChannelFull):
        layer.sync.send("channel", {"number": 8})
    assert server.client().llen(key_of(layer, "channel")) == 5
    assert [content["number"] for content in contents(layer.sync, "channel")] == [3, 4, 5, 6, 7]


def test_the_channels_of_a_process_are_one_queue(make: Make, server: SingleServer) -> None:
    """R4: the name up to ``!`` is what is stored, counted and hashed."""
    layer = make(capacity=2)
    layer.sync.send("process!a", {})
    layer.sync.send("process!b", {})
    with pytest.raises(ChannelFull, match="process!"):
        layer.sync.send("process!c", {})
    assert server.client().llen(key_of(layer, "process!")) == 2


def test_a_queue_is_on_the_shard_of_its_hash(make: Make, pytestconfig: pytest.Config, prefix: str) -> None:
    """R4, item 103 (C6): direct sends, group sends and reads agree."""
    shards = shared(pytestconfig, ShardServers)
    layer = make(hosts=shards.hosts)
    queues = [f"queue{number}" for number in range(30)] + [f"process{number}!" for number in range(30)]
    for queue in queues:
        layer.sync.send(queue + "a" if queue.endswith("!") else queue, {})
    for number, client in enumerate(shards.clients()):
        found = {key.decode().rsplit(":", 1)[1] for key in client.scan_iter(f"{prefix}:queue:*")}
        assert found == {queue for queue in queues if shard_of(home_of(queue), 3) == number}
        assert found
    assert len(everything(layer.sync, *queues)) == 60


# R5


async def everything_a_layer_does(make: Make, check: Callable[[str], object]) -> None:
    """Each public operation, ``check(what)`` after each."""
    layer, other = make(capacity=2, lease=60), make(capacity=2, lease=60)
    attached = f"websocket.send.{layer.process}!"
    layer.attach(attached, lambda channels, content: None)
    check("attach")
    name = await layer.new_channel()
    await asyncio.to_thread(until, lambda: bool(layer.engine._keeper._had_lease), "it has its lease")
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
    for each in (layer, other):
        await each.group_send("group", {})
        check("group_send")
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


async def test_every_key_has_a_time_to_live(make: Make, server: SingleServer, prefix: str) -> None:
    """R5 (C2, C11, A8, A16): after every public operation; nothing is left behind for ever."""
    seen: set[str] = set()

    def check(what: str) -> None:
        for name, key in server.keys(f"{prefix}:*").items():
            kind = name.removeprefix(prefix).split(":")[1]
            seen.add(kind)
            assert key.ttl is not None, f"after {what}, {name} has none"
            assert key.ttl < 400 * 86400, f"after {what}, {name} has {key.ttl} s"

    await everything_a_layer_does(make, check)
    # That the walk met every kind of key there is, but for the fleeting ones.
    assert {"queue", "group", "members", "groups", "wills"} <= seen


async def test_a_dead_process_leaves_no_key_without_a_time_to_live(
    make: Make, server: SingleServer, prefix: str
) -> None:
    """R5: also what others do when they clear it away."""
    layer, clock = make(lease=60), Shifted()
    attached = f"websocket.send.{layer.process}!"
    layer.attach(attached, lambda channels, content: None)
    await layer.group_add("group", attached + "a")
    layer.last_will(attached + "a", "plain", {"its": "will"})
    await layer.global_statistics()
    await asyncio.to_thread(until, lambda: bool(layer.engine._keeper._had_lease), "it has its lease")
    clock.ahead = 120
    other = make(clock=clock, lease=0.3)  # to whom the lease has lapsed
    name = await other.new_channel()
    assert await areceive(other, "plain") == {"its": "will"}
    assert await other.group_channels("group") == []
    await other.group_add("group", name)
    for found, key in server.keys(f"{prefix}:*").items():
        assert key.ttl is not None, f"{found} has none"


# R6


async def test_waits_see_all_shards_at_once(make: Make, pytestconfig: pytest.Config) -> None:
    """R6 (C5, A6, A7): one process waits for many names on three shards; each message comes at once."""
    shards = shared(pytestconfig, ShardServers)
    reader, sender = make(hosts=shards.hosts), make(hosts=shards.hosts)
    channels = [f"channel{number}" for number in range(12)] + [await reader.new_channel() for _ in range(3)]
    receiving = {channel: asyncio.create_task(areceive(reader, channel)) for channel in channels}
    await asyncio.sleep(0.1)
    began = time.monotonic()
    for channel in reversed(channels):
        await sender.send(channel, {"to": channel})
        assert await receiving[channel] == {"to": channel}
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("channel", ["channel0", "channel7", "process!a", "other?b"])
def test_a_blocking_receive_sees_all_shards_at_once(make: Make, pytestconfig: pytest.Config, channel: str) -> None:
    """R6 (A6): on the 1.x face too; a message on any shard ends the wait, long before it would end itself."""
    shards = shared(pytestconfig, ShardServers)
    reader, sender = make(hosts=shards.hosts), make(hosts=shards.hosts)
    names = [*(f"channel{number}" for number in range(12)), "process!", "other?b"]
    with ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(reader.sync.receive, names, True)
        until(lambda: reader.engine.store.waiting("channel0") == 1, "it waits")
        began = time.monotonic()
        sender.sync.send(channel, {"a": 1})
        assert receiving.result(SOON) == (channel, {"a": 1})
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("socket_timeout", [0.5, 5])
async def test_an_idle_wait_is_no_timeout(make: Make, socket_timeout: float, caplog: pytest.LogCaptureFixture) -> None:
    """R6 (C4, A15): idle for several times ``socket_timeout``, nothing is raised or logged, and what comes is read."""
    caplog.set_level(logging.INFO, "routechan")
    reader = make(connection_kwargs={"socket_timeout": socket_timeout})
    name = await reader.new_channel()
    waits = [asyncio.create_task(reader.receive(channel)) for channel in (name, "plain")]
    await asyncio.wait(waits, timeout=1.5)
    assert not [wait for wait in waits if wait.done()]
    sender = make()
    for channel in (name, "plain"):
        await sender.send(channel, {"to": channel})
    assert await asyncio.wait_for(asyncio.gather(*waits), SOON) == [{"to": name}, {"to": "plain"}]
    assert caplog.text == ""


async def test_a_wait_survives_lost_connections(make: Make) -> None:
    """R6 (A15, C19): nobody hears of a connection that was cut; the message comes over the next one."""
    with SingleServer() as alone:
        reader, sender = make(hosts=alone.hosts), make(hosts=alone.hosts)
        name = await reader.new_channel()
        for number in range(3):
            waits = [asyncio.create_task(areceive(reader, channel)) for channel in (name, "plain")]
            await asyncio.to_thread(until, lambda: _blocked(alone) >= 2, "both readers wait")
            await asyncio.to_thread(alone.drop_connections)
            for channel in (name, "plain"):
                await _send_until_it_works(sender, channel, {"number": number})
            assert await asyncio.gather(*waits) == [{"number": number}] * 2


def _blocked(server: SingleServer) -> int:
    return int(server.client().info("clients")["blocked_clients"])


async def _send_until_it_works(layer: RedisChannelLayer, channel: str, content: dict[str, Any]) -> None:
    """The first send on a connection that was cut is in doubt; here it certainly did not arrive."""
    for _ in range(3):
        with contextlib.suppress(exceptions.ChannelLayerUnavailable):
            return await layer.send(channel, content)
    raise AssertionError("no connection was made")


# R7


async def test_what_was_popped_for_a_cancelled_reader_stays_in_its_process(make: Make) -> None:
    """R7 (C13): in order, for the next reader here; and nothing is put back into Redis (R2)."""
    reader, sender = make(), make()
    got: list[int] = []
    for number in range(40):
        task = asyncio.create_task(reader.receive("channel"))
        await asyncio.sleep(0 if number % 3 else 0.005)
        await sender.send("channel", {"number": number})
        await asyncio.sleep(0.001 * (number % 4))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            got.append((await task)["number"])
    while len(got) < 40:
        got.append((await areceive(reader, "channel"))["number"])
    assert got == list(range(40))


def test_a_blocking_receive_that_is_interrupted_loses_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: Ctrl-C in a worker: what came at that moment is for its next receive."""
    reader, sender = make(), make()

    class Interrupted:
        """In place of the event that a waiting thread waits for."""

        def __init__(self, waiter: ThreadWaiter) -> None:
            self.waiter = waiter

        def wait(self, timeout: float) -> bool:
            sender.sync.send("channel", {"a": 1})
            until(lambda: self.waiter.item is not None, "it came")
            raise KeyboardInterrupt

        def set(self) -> None:
            """Nobody is there to see it."""

    def make_waiter(queues: Any) -> ThreadWaiter:
        waiter = ThreadWaiter(queues)
        waiter.woken = Interrupted(waiter)  # type: ignore[assignment]
        return waiter

    with monkeypatch.context() as patch:
        patch.setattr(layer_module, "ThreadWaiter", make_waiter)
        with pytest.raises(KeyboardInterrupt):
            reader.sync.receive(["channel"], block=True)
    assert reader.sync.receive(["channel"]) == ("channel", {"a": 1})


# R8


async def test_a_local_buffer_keeps_the_newest(make: Make, server: SingleServer) -> None:
    """R8, item 94 (C12): ``capacity`` of them, in order; what made room is counted as dropped."""
    reader, sender = make(capacity=100), make(capacity=100)
    name = await reader.new_channel()
    last = await reader.new_channel()
    await asyncio.gather(*(sender.send(name, {"number": number}) for number in range(1000)))
    await sender.send(last, {})
    await areceive(reader, last)  # all that was sent before it has been read off the mailbox
    counts = await reader.channel_statistics(name)
    assert (counts["messages_pending"], counts["dropped_count"]) == (100, 900)
    assert [(await areceive(reader, name))["number"] for _ in range(100)] == list(range(900, 1000))


async def test_what_nobody_reads_is_forgotten(make: Make) -> None:
    """R8: local messages expire, and then nothing is left of them, though nobody asks."""
    clock = Shifted()
    reader, sender = make(clock=clock, expiry=60), make(expiry=60)
    abandoned, last = await reader.new_channel(), await reader.new_channel()
    for number in range(5):
        await sender.send(abandoned, {"number": number})
    await sender.send(last, {})
    await areceive(reader, last)
    assert len(reader.engine.store._queues) == 1
    clock.ahead = 61
    await asyncio.to_thread(until, lambda: not reader.engine.store._queues, "they are forgotten")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(reader.receive(abandoned), 0.05)
    assert (await reader.channel_statistics(abandoned))["expired_count"] == 5


# R9


def test_a_group_send_takes_the_same_commands_however_many_members(proxy: Proxy, make: Make) -> None:
    """R9 (A4, C16): one push for each process, its body once; two round trips in all."""
    sender = make(hosts=[("127.0.0.1", proxy.port)], capacity=1000)
    seen = []
    for size in (1, 10, 300):
        group = f"group{size}"
        for number in range(size):
            sender.sync.group_add(group, f"one{size}.process!{number}")
            sender.sync.group_add(group, f"two{size}.process!{number}")
        sender.sync.global_statistics()
        body = secrets.token_hex(500)
        sender.sync.send_group(group, {"body": body})
        turns = proxy.about(body)
        (read,) = [
            turn for turn in proxy.about(f"{{{group}}}") if verbs(turn)[0] == "ZRANGEBYSCORE" and body not in str(turn)
        ]
        assert len(turns) == 1
        turns.insert(0, read)
        assert b"".join(turns).count(body.encode()) == 2
        seen.append([verb for turn in turns for verb in verbs(turn) if verb not in ("HINCRBY",)])
    assert seen[0][:5] == ["ZRANGEBYSCORE", "RPUSH", "PEXPIRE", "RPUSH", "PEXPIRE"]
    assert all(found[:5] == seen[0][:5] for found in seen)
    assert len(everything(sender.sync, "one300.process!")) == 300


async def test_a_group_message_is_one_entry_in_the_mailbox_of_a_process(make: Make, server: SingleServer) -> None:
    """R9: which its process hands to all members there, each its own dict (R13)."""
    reader, sender = make(), make()
    names = [await reader.new_channel() for _ in range(50)]
    for name in names:
        await reader.group_add("group", name)
    stats = server.command_stats().get("rpush", None)
    await sender.group_send("group", {"list": []})
    received = [await areceive(reader, name) for name in names]
    received[0]["list"].append("mine")
    assert [content["list"] for content in received] == [["mine"], *([] for _ in range(49))]
    pushes = server.command_stats()["rpush"].calls - (stats.calls if stats else 0)
    assert pushes < 10


# R10


def test_threads_share_their_connections(make: Make) -> None:
    """R10 (C18): no connection per call, nor per thread."""
    with SingleServer() as alone:
        face = make(hosts=alone.hosts, capacity=2000).sync
        face.send("warm-up", {})
        before = alone.connections()

        def work(thread: int) -> None:
            for number in range(30):
                face.send("channel", {"number": number})
                face.receive(["channel"])

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))
        after = alone.connections()
        assert after.now == before.now == 1
        assert after.ever - before.ever <= 1  # our own that looks


def test_a_loop_for_each_call_shares_them_too(make: Make) -> None:
    """R10: ``async_to_sync`` makes a loop for each call; none takes a connection with it."""
    with SingleServer() as alone:
        layer = make(hosts=alone.hosts)
        asyncio.run(layer.send("warm-up", {}))
        before = alone.connections()
        for number in range(30):
            asyncio.run(layer.send("channel", {"number": number}))
            assert asyncio.run(areceive(layer, "channel")) == {"number": number}
        assert alone.connections().ever - before.ever <= 3


FORK = """
import asyncio, os, sys
from routechan.layers import RedisChannelLayer

layer = RedisChannelLayer(hosts=[("127.0.0.1", int(sys.argv[1]))], prefix=sys.argv[2])
parent = layer.process

async def use(who):
    name = await layer.new_channel()
    await layer.group_add("group", name)
    for number in range(20):
        await layer.send("shared", {"from": who})
        layer.sync.send(name, {"number": number})
        assert await asyncio.wait_for(layer.receive(name), 10) == {"number": number}
    return name

mine = asyncio.run(use("parent"))
child = os.fork()
if child == 0:
    code = 1
    try:
        assert layer.process != parent, "the child has a name of its own"
        theirs = asyncio.run(use("child"))
        assert theirs.split("!")[0] != mine.split("!")[0]
        # What the child sends to its parent's channel goes through Redis.
        layer.sync.send(mine, {"from": "child"})
        layer.close()
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)
asyncio.run(use("parent"))
assert os.waitpid(child, 0)[1] == 0, "the child failed"
assert layer.process == parent
assert asyncio.run(asyncio.wait_for(layer.receive(mine), 10)) == {"from": "child"}
found = 0
while layer.sync.receive(["shared"]) != (None, None):
    found += 1
assert found == 60, found
layer.close()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_goes_on_with_connections_of_its_own(server: SingleServer, prefix: str) -> None:
    """R10: pre-forking servers import the layer before they fork; neither reads the other's replies."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(server.port), prefix]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


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


POISON = [b"", b"garbage", b"\xff" * 50, pack(4e9, MESSAGE, "channel", b"\xc1\xc1"), pack(4e9, 77, "channel", b"")]


async def test_poison_does_not_stop_a_reader(make: Make, server: SingleServer) -> None:
    """R12 (C20): what another program wrote into a queue costs only itself; it is counted as dropped."""
    layer = make()
    key = key_of(layer, "channel")
    receiving = asyncio.create_task(areceive(layer, "channel"))
    await asyncio.sleep(0.05)
    for garbage in POISON:
        server.client().rpush(key, garbage)
    await layer.send("channel", {"a": 1})
    assert await receiving == {"a": 1}
    server.client().rpush(key, *POISON)
    await layer.send("channel", {"a": 2})
    assert await areceive(layer, "channel") == {"a": 2}
    server.client().rpush(key, *POISON)
    await layer.send("channel", {"a": 3})
    assert contents(layer.sync, "channel") == [{"a": 3}]
    assert (await layer.channel_statistics("channel"))["dropped_count"] >= 3 * 4 - 1


async def test_poison_does_not_stop_a_mailbox(make: Make, server: SingleServer) -> None:
    """R12: the sockets of a server get the messages that come behind it."""
    reader, sender = make(), make()
    name = await reader.new_channel()
    queue = name.partition("!")[0] + "!"
    for number, garbage in enumerate([*POISON, pack(4e9, 2, "group", b"\xff"), pack(4e9, 1, "group", b"\xc1")]):
        server.client().rpush(key_of(reader, queue), garbage)
        await sender.send(name, {"number": number})
        assert await areceive(reader, name) == {"number": number}


def test_poison_does_not_spoil_a_group(make: Make, server: SingleServer) -> None:
    """R12: who is in it can still be asked, and it can be sent to."""
    face = make().sync
    for member in ("plain", "process!a"):
        face.group_add("group", member)
    for queue in ("plain", "process!"):
        server.client().rpush(key_of(face.layer, queue), b"garbage", b"\xff" * 50)  # type: ignore[arg-type]
    assert sorted(face.group_channels("group")) == ["plain", "process!a"]
    face.send_group("group", {"a": 1})
    assert contents(face, "plain", "process!") == [{"a": 1}, {"a": 1}]


def test_poison_among_the_delayed_costs_only_itself(make: Make, server: SingleServer) -> None:
    """R12: what was due with it comes."""
    face = make().sync
    face.send("channel", {"a": 1}, delay=0.3)
    keys = face.layer.engine.operations.keys  # type: ignore[attr-defined]
    server.client().zadd(keys.delayed, {b"garbage": 1, b"8 random" + b"\xff" * 50: 2})
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
def test_a_flush_leaves_other_prefixes_alone(make: Make, server: SingleServer, prefix: str, others: list[str]) -> None:
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
    ours = server.keys(f"{tag}*")
    flushed.flush()
    left = server.keys(f"{tag}*")
    gone = set(ours) - set(left)
    assert gone
    assert all(key.startswith(f"{tag}{prefix}:") for key in gone)
    assert everything(flushed, "channel") == []
    assert flushed.group_channels("group") == []
    for face in faces:
        assert len(everything(face, "channel")) == 1
        assert face.group_channels("group") == ["process!a"]
        assert face.group_channels("leases") == ["member"]
        keys = face.layer.engine.operations.keys  # type: ignore[attr-defined]
        assert server.client().zcard(keys.delayed) == 1


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


def test_nothing_is_left_in_redis_of_a_message_that_was_read(make: Make, server: SingleServer, prefix: str) -> None:
    """R15, items 47, 122: the number of keys is what it was."""
    face = make().sync
    face.send("channel", {})
    face.receive(["channel"])
    face.channel_statistics("channel")
    before = set(server.keys(f"{prefix}:*"))
    face.send("channel", {"value": "x" * 1000})
    assert set(server.keys(f"{prefix}:queue:*")) == {key_of(face.layer, "channel")}  # type: ignore[arg-type]
    face.receive(["channel"])
    assert set(server.keys(f"{prefix}:*")) == before


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


async def test_groups_on_ten_shards(make: Make, server: SingleServer) -> None:
    """R15, items 73, 75, 76: ten databases of one server are ten shards; members on all of them, in other processes."""
    hosts = [f"{server.url}/{number}" for number in range(10)]
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


async def test_what_is_in_redis_is_not_to_be_read_without_the_key(make: Make, server: SingleServer) -> None:
    """R15, item 102: bodies are encrypted, in queues and among the delayed."""
    pytest.importorskip("cryptography")
    layer = make(symmetric_encryption_keys=["secret"])
    await layer.send("channel", {"text": "readable"})
    await layer.send("channel", {"text": "readable"}, 600)
    keys = layer.engine.operations.keys
    (stored,) = server.client().lrange(keys.queue("channel"), 0, -1)
    (delayed,) = server.client().zrange(keys.delayed, 0, -1)
    assert unpack(stored).name == "channel"
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
