"""Histories of groups over several processes: order, lost news, gaps, and how often Redis is asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import routechan
from routechan import Group, Message, route
from routechan.asgi import ServerOptions
from routechan.asgi.ids import Ids
from routechan.encoding import encode_headers
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, RedisChannelLayer, channel_layers
from routechan.layers.claims import tag_of
from routechan.layers.envelope import GROUP, NEWS
from routechan.layers.history import parse_position
from routechan.layers.redis.cipher import AesCipher
from routechan.layers.redis.commands.history import LAST, POSITION, WINDOW
from routechan.layers.redis.commands.script import operation
from routechan.layers.redis.schema import history_place
from routechan.layers.redis.wire import SealedWire, Wire
from routechan.telemetry.counters import counters
from tests.harness import WebSocket
from tests.redis_servers import SingleServer
from tests.unit.asgi.clients import Lifespan
from tests.waiting import until

from .tools import Make, Proxy, key_of, verbs

HISTORY = {"chat-*": {"size": 100, "seconds": 300}}
KEYS = ["the key"]


class Server:
    """A process with sockets: what they get is kept. Lifetime: test."""

    def __init__(self, make: Make, **options: Any) -> None:
        self.layer: RedisChannelLayer = make(**{"history": HISTORY, **options})
        self.queue = f"websocket.send.abcdef.{self.layer.process}!"
        self.got: dict[str, list[Any]] = {}
        self.layer.attach(self.queue, self._deliver)

    def _deliver(self, channels: Any, content: Any) -> None:
        for name in channels:
            self.got.setdefault(name, []).append(content["n"])

    def socket(self, name: str) -> str:
        self.got[self.queue + name] = []
        return self.queue + name

    async def has(self, socket: str, *expected: int) -> None:
        """Wait until ``socket`` has got as many messages as are expected: those."""
        await until(lambda: len(self.got[socket]) >= len(expected), f"{socket} has its messages")
        assert self.got[socket] == list(expected)


@pytest.fixture(autouse=True)
def default_layer_of_others() -> Iterator[None]:
    """The layer of an application becomes the default one; other tests do not get it, closed."""
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer().sync):
        yield


@pytest.fixture
def keys(make: Make) -> Callable[[str], str]:
    return lambda group: make().engine.keys.history(group)


async def leased(*servers: Server) -> None:
    await until(lambda: all(server.layer.engine.housekeeping.has_lease for server in servers), "they have leases")


# Several processes


async def test_every_process_delivers_in_the_same_order(make: Make) -> None:
    """Three processes send at once, to sockets in all of them: the order is that of the history everywhere."""
    servers = [Server(make) for _ in range(3)]
    sockets = [server.socket("a") for server in servers]
    for server, name in zip(servers, sockets, strict=True):
        await server.layer.group_add("chat-1", name)
    await asyncio.gather(
        *(
            server.layer.group_send("chat-1", {"n": 1000 * at + n})
            for n in range(200)
            for at, server in enumerate(servers)
        )
    )
    await until(lambda: all(len(server.got[name]) >= 600 for server, name in zip(servers, sockets, strict=True)), "all")
    orders = [server.got[name] for server, name in zip(servers, sockets, strict=True)]
    assert orders[0] == orders[1] == orders[2]
    for at in range(3):
        assert [n for n in orders[0] if n // 1000 == at] == [1000 * at + n for n in range(200)]


@pytest.mark.parametrize("symmetric_encryption_keys", [None, KEYS], ids=["plain", "sealed"])
async def test_a_worker_adds_sockets_of_a_server(make: Make, symmetric_encryption_keys: Any) -> None:
    """What the worker sends behind the add arrives; what it sent before does not, unless it is asked for."""
    worker: RedisChannelLayer = make(history=HISTORY, symmetric_encryption_keys=symmetric_encryption_keys)
    server = Server(make, symmetric_encryption_keys=symmetric_encryption_keys)
    first, second, third, fourth = (server.socket(name) for name in "abcd")
    await leased(server)
    await worker.group_send("chat-1", {"n": 0})
    await worker.group_add("chat-1", first)
    await worker.group_send("chat-1", {"n": 1})
    await worker.group_add("chat-1", second)
    await worker.group_send("chat-1", {"n": 2})
    await server.has(first, 1, 2)
    await server.has(second, 2)
    assert await worker.group_catch_up("chat-1", third, last=2) is None
    await worker.group_send("chat-1", {"n": 3})
    await server.has(third, 1, 2, 3)
    position = (await worker.group_history("chat-1"))[0].position
    assert await worker.group_catch_up("chat-1", fourth, since=position) is True
    await worker.group_discard("chat-1", third)
    await worker.group_send("chat-1", {"n": 4})
    await server.has(fourth, 1, 2, 3, 4)
    await server.has(first, 1, 2, 3, 4)
    await server.has(third, 1, 2, 3)


async def test_who_is_taken_out_gets_nothing_more(make: Make) -> None:
    """What a worker sends before it takes a socket out arrives, what it sends after that does not, in one batch too."""
    worker, server = make(history=HISTORY), Server(make)
    kicked, stays = server.socket("kicked"), server.socket("stays")
    await leased(server)
    expected: list[int] = []
    for number in range(0, 60, 2):
        await worker.group_add("chat-1", kicked)
        await worker.group_add("chat-1", stays)
        posted = [
            worker.group_send("chat-1", {"n": number}),
            worker.group_discard("chat-1", kicked),
            worker.group_send("chat-1", {"n": number + 1}),
        ]
        await asyncio.gather(*posted)
        expected += [number, number + 1]
    await server.has(stays, *expected)
    assert server.got[kicked] == expected[::2]


async def test_a_worker_adds_a_socket_again(make: Make) -> None:
    """Nothing comes twice, though the server has read on since the worker looked where the history ends."""
    worker, server = make(history=HISTORY), Server(make)
    name = server.socket("a")
    await leased(server)
    await worker.group_add("chat-1", name)
    await worker.group_send("chat-1", {"n": 0})
    position = (await worker.group_history("chat-1"))[0].position
    await worker.group_send("chat-1", {"n": 1})
    await server.has(name, 0, 1)
    headers = encode_headers({POSITION: position, LAST: 0})
    worker.engine.call(worker_join(worker, name, headers))
    await worker.group_send("chat-1", {"n": 2})
    await server.has(name, 0, 1, 2)
    other = server.socket("b")
    worker.engine.call(worker_join(worker, other, headers))
    await worker.group_send("chat-1", {"n": 3})
    await server.has(other, 1, 2, 3)
    await server.has(name, 0, 1, 2, 3)


@operation()
def worker_join(worker: RedisChannelLayer, channel: str, headers: bytes) -> Any:
    """What another process says that has made ``channel`` a member."""
    yield from worker.engine._histories._groups.tell_join("chat-1", channel, headers, True)


async def test_a_socket_that_leaves_while_it_joins(make: Make) -> None:
    """It is no member afterwards, neither here nor for others."""
    server = Server(make)
    name = server.socket("a")
    joins = server.layer.engine.post(server.layer.engine.members.catch_up("chat-1", name, 5, None))
    server.layer.forget(name)
    await joins
    await server.layer.group_send("chat-1", {"n": 1})
    assert server.layer.engine.store.members("chat-1") == {}
    assert server.got[name] == []


# What goes wrong


async def test_news_that_nobody_told(make: Make, monkeypatch: pytest.MonkeyPatch, single: SingleServer) -> None:
    """A note is lost: the next one brings both messages, and so does a look of the process itself."""
    server, sender = Server(make), make(history=HISTORY)
    name = server.socket("a")
    await server.layer.group_add("chat-1", name)
    monkeypatch.setattr(sender.engine._histories, "_tell", lambda *arguments: iter(()))
    await sender.group_send("chat-1", {"n": 1})
    await sender.group_send("chat-1", {"n": 2})
    assert server.got[name] == []
    monkeypatch.undo()
    await sender.group_send("chat-1", {"n": 3})
    await server.has(name, 1, 2, 3)
    monkeypatch.setattr(sender.engine._histories, "_tell", lambda *arguments: iter(()))
    await sender.group_send("chat-1", {"n": 4})
    server.layer.engine.tails.look()
    await server.has(name, 1, 2, 3, 4)


async def test_the_process_looks_by_itself(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Often enough that nothing has expired meanwhile."""
    server, sender = (
        Server(make, history={"*": {"size": 5, "seconds": 1}}),
        make(history={"*": {"size": 5, "seconds": 1}}),
    )
    name = server.socket("a")
    await server.layer.group_add("chat-1", name)
    monkeypatch.setattr(sender.engine._histories, "_tell", lambda *arguments: iter(()))
    await sender.group_send("chat-1", {"n": 1})
    await server.has(name, 1)


async def test_what_is_lost_is_told(
    make: Make, single: SingleServer, keys: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Redis has lost the history, or the end of it: logged and counted; what comes then is delivered."""
    server, sender = Server(make), make(history=HISTORY)
    name, before, redis = server.socket("a"), counters.history_gaps, single.client()
    await server.layer.group_add("chat-1", name)
    await sender.group_send("chat-1", {"n": 1})
    await server.has(name, 1)
    redis.delete(keys("chat-1"))
    with caplog.at_level(logging.WARNING, "routechan"):
        await sender.group_send("chat-1", {"n": 2})
        await server.has(name, 1, 2)
        assert counters.history_gaps == before + 1
        await sender.group_send("chat-1", {"n": 3})
        await server.has(name, 1, 2, 3)
        queue = server.queue
        note = sender.engine._histories._context.seal(queue, NEWS, "chat-1", b"9999999999999-1")
        redis.rpush(key_of(sender, queue), note)
        await until(lambda: counters.history_gaps == before + 2, "it misses what it was told of")
    assert any("Members of the group chat-1 miss messages" in text for text in caplog.messages)


async def test_clients_are_told_what_is_lost(make: Make, single: SingleServer, keys: Callable[[str], str]) -> None:
    """The clients of sockets and event streams, before what comes then, with the id that they had."""
    server, sender = make(history=HISTORY), make(history=HISTORY)

    async def connect(message: Message) -> None:
        message.reply_channel.send({"accept": True})
        await Group("chat-1", channel_layer=server).aadd(message.reply_channel)

    application = routechan.application([route("websocket.connect", connect)], server)
    async with Lifespan(application), WebSocket(application, subprotocols=["routechan.v1"]) as socket:
        await socket.accepted()
        assert (await socket.text()).startswith("!joined ")
        await sender.group_send("chat-1", {"text": "one"})
        id, _, text = (await socket.text()).partition("\n")
        assert text == "one"
        single.client().delete(keys("chat-1"))
        await sender.group_send("chat-1", {"text": "two"})
        assert await socket.text() == f"!gap {id}"
        assert (await socket.text()).endswith("\ntwo")


async def test_more_than_is_kept(make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A process that has not read for long gets what is left, and the gap is told."""
    monkeypatch.setattr("routechan.layers.redis.commands.history.WINDOW", 0)
    history = {"chat-*": {"size": 3, "seconds": 300}}
    server, sender = Server(make, history=history), make(history=history)
    name, before = server.socket("a"), counters.history_gaps
    await server.layer.group_add("chat-1", name)
    monkeypatch.setattr(sender.engine._histories, "_tell", lambda *arguments: iter(()))
    for number in range(9):
        await sender.group_send("chat-1", {"n": number})
    server.layer.engine.tails.look()
    await server.has(name, 5, 6, 7, 8)
    assert counters.history_gaps == before + 1


async def test_redis_was_away(make: Make, own_single: SingleServer) -> None:
    """What was sent when it is back arrives, though who tells of it has lost its connection, too."""
    server, sender = Server(make, hosts=own_single.hosts), make(hosts=own_single.hosts, history=HISTORY)
    name = server.socket("a")
    await server.layer.group_add("chat-1", name)
    await sender.group_send("chat-1", {"n": 1})
    await server.has(name, 1)
    own_single.kill()
    own_single.start()
    own_single.client().xadd(
        sender.engine.keys.history("chat-1"),
        {"m": Wire().pack(GROUP, "chat-1", b"\x81\xa1n\x02", b"", 4e9, history_place("chat-1"))},
    )
    await server.has(name, 1, 2)


# Encryption


async def test_who_has_no_key_changes_nothing(make: Make, single: SingleServer, keys: Callable[[str], str]) -> None:
    """What is forged or comes again is dropped; the history tells nobody what was said."""
    server = Server(make, symmetric_encryption_keys=KEYS)
    sender: RedisChannelLayer = make(history=HISTORY, symmetric_encryption_keys=KEYS)
    name, redis, key = server.socket("a"), single.client(), keys("chat-1")
    await server.layer.group_add("chat-1", name)
    await sender.group_send("chat-1", {"n": 1, "secret": "swordfish"})
    await server.has(name, 1)
    entries = redis.xrange(key)
    assert b"swordfish" not in str(entries).encode()
    real = entries[-1][1][b"m"]
    place = history_place("chat-1")
    forgers: list[Wire] = [Wire(), SealedWire(AesCipher(["a guess"]), sender.prefix, 60.0)]
    for forged in [real, *(forger.pack(GROUP, "chat-1", b"\x81\xa1n\x01", b"", 4e9, place) for forger in forgers)]:
        redis.xadd(key, {"m": forged})
    redis.xadd(key, {"other": "thing"})
    redis.xadd(sender.engine.keys.history("chat-2"), {"m": real})
    await sender.group_send("chat-1", {"n": 2})
    await server.has(name, 1, 2)
    assert [entry.content["n"] for entry in await sender.group_history("chat-1")][-1] == 2
    assert await sender.group_history("chat-2") == []


# How often Redis is asked


async def test_a_burst_is_read_once(proxy: Proxy, make: Make) -> None:
    """A hundred messages at once are one note for each process, and a read or two of it."""
    server, sender = Server(make, hosts=[("127.0.0.1", proxy.port)]), make(history=HISTORY)
    name = server.socket("a")
    await server.layer.group_add("chat-1", name)
    proxy.turns.clear()
    await asyncio.gather(*(sender.group_send("chat-1", {"n": n}) for n in range(100)))
    await server.has(name, *range(100))
    assert sum(verbs(turn).count("XRANGE") for turn in proxy.turns) <= 5


async def test_thousands_come_back_at_once(proxy: Proxy, make: Make) -> None:
    """5,000 clients with their positions: one read of the history, and the memberships, in a few round trips."""
    sender, server = make(history=HISTORY), Server(make, hosts=[("127.0.0.1", proxy.port)])
    for number in range(50):
        await sender.group_send("chat-1", {"n": number})
    positions = [entry.position for entry in await sender.group_history("chat-1")]
    sockets = [server.socket(str(number)) for number in range(5000)]
    await leased(server)
    proxy.turns.clear()
    recovered = await asyncio.gather(
        *(
            server.layer.group_catch_up("chat-1", name, since=positions[number % 50])
            for number, name in enumerate(sockets)
        )
    )
    assert all(recovered)
    said = [verb for turn in proxy.turns for verb in verbs(turn)]
    assert said.count("XREVRANGE") == 1
    assert said.count("XRANGE") == 0
    assert len(proxy.turns) < 100
    for number, name in enumerate(sockets):
        assert server.got[name] == list(range(number % 50 + 1, 50))


async def test_a_worker_adds_many_that_come_back(proxy: Proxy, make: Make) -> None:
    """It reads what came since it looked last, and knows what is too old, though it is there."""
    worker, server = make(history=HISTORY, hosts=[("127.0.0.1", proxy.port)]), Server(make)
    await leased(server)

    async def come_back(*numbers: int) -> list[bool | None]:
        names = [server.socket(f"{number}-{len(server.got)}") for number in numbers]
        return [
            await worker.group_catch_up("chat-1", name, since=positions[number])
            for name, number in zip(names, numbers, strict=True)
        ]

    async def send(numbers: range) -> None:
        for number in numbers:
            await worker.group_send("chat-1", {"n": number})

    positions: list[str] = []
    for numbers in (range(100), range(100, 150)):
        await send(numbers)
        positions += [entry.position for entry in await worker.group_history("chat-1", limit=len(numbers))]
    assert await come_back(10, 49, 60, 149) == [False, True, True, True]
    await send(range(150, 170))
    proxy.turns.clear()
    assert await come_back(*[60, 69, 80] * 10) == [False, True, True] * 10
    found = [each for turn in proxy.turns for each in verbs(turn)]
    assert (found.count("XREVRANGE"), found.count("XRANGE")) == (30, 31)  # one entry each, and once what is new


async def test_thousands_of_sockets_come_back_at_once(proxy: Proxy, make: Make) -> None:
    """2,000 clients with their ids: the same one read, and each is told where it is with each message."""
    sender, server = make(history=HISTORY), make(history=HISTORY, hosts=[("127.0.0.1", proxy.port)])

    async def connect(message: Message) -> None:
        message.reply_channel.send({"accept": True})
        await Group("chat-1", channel_layer=server).aadd(message.reply_channel)

    for number in range(50):
        await sender.group_send("chat-1", {"text": str(number)})
    ids = Ids(["the secret"], 300.0)
    tag = tag_of("chat-1", ids.tag_keys[0])
    positions = [parse_position(entry.position) for entry in await sender.group_history("chat-1")]
    said = [ids.write((False, ((tag, position or (0, 0)),))) for position in positions]
    options = ServerOptions(secrets=["the secret"], handshake_timeout=60.0)
    application = routechan.application([route("websocket.connect", connect)], server, options=options)
    async with Lifespan(application):
        await until(lambda: server.engine.housekeeping.has_lease, "it has a lease")
        proxy.turns.clear()
        offers = [["routechan.v1", f"routechan.v1.since.{said[number % 50]}"] for number in range(2000)]
        sockets = [WebSocket(application, subprotocols=each) for each in offers]
        for socket in sockets:
            await socket.__aenter__()
        for number, socket in enumerate(sockets):
            frames = [(await socket.event()).get("text", "") for _ in range(51 - number % 50)]
            missed = list(range(number % 50 + 1, 50))
            assert frames[1:] == [*(f"{said[at]}\n{at}" for at in missed), f"!recovered {said[49]}"]
        verbs_said = [verb for turn in proxy.turns for verb in verbs(turn)]
        for socket in sockets:
            await socket.__aexit__(None, None, None)
    # Those who come while the one read is on its way read what may have come since.
    assert verbs_said.count("XREVRANGE") == 1
    assert verbs_said.count("XRANGE") <= 2


def test_the_window_is_wider_than_what_leaves_together() -> None:
    """So the members of the sender's own process miss nothing of what it sends at once."""
    assert WINDOW > 256
