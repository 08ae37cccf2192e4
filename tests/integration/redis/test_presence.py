"""Who is present, over processes: each joins and leaves once, whatever happens to processes and to Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from routechan import Group
from routechan.layers import RedisChannelLayer
from tests.contract.reading import areceive
from tests.redis_servers import SingleServer
from tests.waiting import wait_until

from .processes import ChildProcess, Children, children
from .test_processes import CLEARED, LEASE
from .tools import Make, Proxy

LINGER = 0.5

#: Seconds from the death of a process until others tell that its people have left.
GONE = CLEARED + LINGER + 1.0


class Room:
    """Processes with sockets in one group, all of which take joins and leaves. Lifetime: test."""

    def __init__(self, family: Children) -> None:
        self.family = family
        self.processes: list[ChildProcess] = []
        self._away: list[ChildProcess] = []

    def start(self, count: int) -> list[ChildProcess]:
        new = self.family.start(count)
        for process in new:
            process.ask("take_events")
        self.processes += new
        return new

    def present(self, process: ChildProcess | None = None) -> list[int]:
        return [who["id"] for who in (process or self.processes[0]).ask("present", "room")]

    def events(self) -> Counter[tuple[str, int]]:
        """How often somebody's join and leave have come, whichever process took them."""
        found: list[Any] = [event for process in self._away for event in process.received.get("events", [])]
        for process in self.processes:
            found += process.got("events")
        return Counter((channel, who_id) for channel, group, who_id in found)

    def part(self, process: ChildProcess) -> ChildProcess:
        """The ``process`` answers no more; what it has taken by now counts."""
        process.update()
        self.processes.remove(process)
        self._away.append(process)
        return process

    def tells(self, joined: list[int], left: list[int], what: str, seconds: float = 20.0) -> None:
        """Wait until all these have joined and left, as often as they are in the lists."""
        right = Counter(("group.join", each) for each in joined) + Counter(("group.leave", each) for each in left)
        wait_until(lambda: sum(self.events().values()) >= sum(right.values()), what, seconds)
        assert self.events() == right


@pytest.fixture
def room(single: SingleServer) -> Iterator[Room]:
    with children(single.hosts, lease=LEASE, linger=LINGER) as family:
        yield Room(family)


def test_processes_agree_on_who_joins_and_who_leaves(room: Room) -> None:
    """All open and close sockets of the same people at the same time; each joins once, and leaves once."""
    processes, ids = room.start(3), list(range(40))
    for process in processes:
        process.tell("open", "room", ids)
    sockets = [process.answer() for process in processes]
    assert all(room.present(process) == ids for process in processes)
    room.tells(ids, [], "all have joined")
    for process, channels in zip(processes, sockets, strict=True):
        for channel in channels[1:]:
            process.tell("leave", channel)
    for process, channels in zip(processes, sockets, strict=True):
        for _ in channels[1:]:
            process.answer()
    wait_until(lambda: room.present() == ids[:1], "one has stayed")
    room.tells(ids, ids[1:], "all others have left")


def test_a_killed_process_leaves_nobody_behind(room: Room) -> None:
    """SIGKILL: those who were only there leave, once, after lease and linger; the others stay."""
    first, victim, _ = room.start(3)
    first.ask("open", "room", [1, 2])
    victim.ask("open", "room", list(range(2, 60)))
    room.tells(list(range(1, 60)), [], "all have joined")
    room.part(victim).kill()
    wait_until(lambda: room.present() == [1, 2], "nobody is left of it", GONE)
    room.tells(list(range(1, 60)), list(range(3, 60)), "they have left", GONE)
    assert all(room.present(process) == [1, 2] for process in room.processes)


def test_a_page_that_loads_again_on_another_process(room: Room) -> None:
    """Its socket ends in one process, and another opens within the linger: neither a leave nor a join."""
    first, second = room.start(2)
    (old,) = first.ask("open", "room", [1])
    for number in range(3):
        closes, opens = (first, second) if number % 2 == 0 else (second, first)
        closes.ask("leave", old)
        (old,) = opens.ask("open", "room", [1])
    wait_until(lambda: room.present() == [1], "it is present")
    second.ask("open", "room", [2])
    second.ask("leave", second.ask("open", "room", [3])[0])
    room.tells([1, 2, 3], [3], "only the other one has left")


def test_a_server_that_stops_in_order(room: Room) -> None:
    """It ends before the linger is over, so others tell that its people have left."""
    _, second = room.start(2)
    channels = second.ask("open", "room", [1, 2])
    room.tells([1, 2], [], "both have joined")
    for channel in channels:
        second.ask("leave", channel)
    room.part(second).stop()
    room.tells([1, 2], [1, 2], "both have left")


def test_a_process_stopped_for_longer_than_the_lease(room: Room) -> None:
    """Others have told that its people left; when it goes on they are back, and that is told."""
    _, sleeper = room.start(2)
    sleeper.ask("open", "room", [1, 2])
    room.tells([1, 2], [], "both have joined")
    room.part(sleeper).freeze()
    wait_until(lambda: room.present() == [], "they are gone", GONE)
    room.tells([1, 2], [1, 2], "both have left", GONE)
    sleeper.go_on()
    wait_until(lambda: room.present() == [1, 2], "they are back", GONE)
    room._away.remove(sleeper)
    room.processes.append(sleeper)
    room.tells([1, 1, 2, 2], [1, 2], "that is told")


@pytest.mark.parametrize("fault", ["flushall", "restart"])
def test_redis_comes_back_empty(own_single: SingleServer, fault: str) -> None:
    """All who have a socket are present again, which is no join; they leave as if nothing had been."""
    with children(own_single.hosts, lease=LEASE, linger=LINGER) as family:
        room = Room(family)
        first, second = room.start(2)
        (mine,) = first.ask("open", "room", [1])
        yours = second.ask("open", "room", [1, 2])
        room.tells([1, 2], [], "both have joined")
        if fault == "restart":
            own_single.kill()
            own_single.start()
        own_single.client().flushall()
        wait_until(lambda: room.present() == [1, 2], "they are present again")
        first.ask("leave", mine)
        second.ask("leave", yours[1])
        room.tells([1, 2], [2], "one has left")
        second.ask("leave", yours[0])
        room.tells([1, 2], [1, 2], "the other one too")


def test_who_leaves_while_redis_is_away(own_single: SingleServer) -> None:
    """It has its data when it comes back, but not what ended meanwhile: that is told then."""
    with children(own_single.hosts, lease=LEASE, linger=LINGER) as family:
        room = Room(family)
        (process,) = room.start(1)
        channels = process.ask("open", "room", [1, 2])
        room.tells([1, 2], [], "both have joined")
        own_single.kill()
        process.ask("leave", channels[0])
        own_single.start()
        room.tells([1, 2], [1], "one has left")
        assert room.present() == [2]


# Workers


async def test_a_worker_says_who_reads_the_socket_of_a_server(make: Make) -> None:
    """At once for all processes; the end of the socket, which only its server sees, is the end of that."""
    server, worker = (make(linger=0, lease=LEASE) for _ in range(2))
    worker.want_presence(["group.join", "group.leave"])
    queue = f"websocket.send.abcdef.{server.process}!"
    server.attach(queue, lambda channels, content: None)
    await server.prove_life()
    group, there = Group("room", channel_layer=worker), Group("room", channel_layer=server)
    for number in range(3):
        await group.aadd(f"{queue}{number}", who={"id": number})
    assert await there.apresent() == await group.apresent() == [{"id": 0}, {"id": 1}, {"id": 2}]
    await group.adiscard(f"{queue}0")
    assert await group.apresent() == [{"id": 1}, {"id": 2}]
    await asyncio.to_thread(wait_until, lambda: len(server.engine.people._of) == 2, "the server knows who reads both")
    server.forget(f"{queue}1")
    server.detach(queue)
    assert await there.apresent() == []
    assert [(await areceive(worker, "group.join"))["who"]["id"] for _ in range(3)] == [0, 1, 2]
    assert sorted([(await areceive(worker, "group.leave"))["who"]["id"] for _ in range(3)]) == [0, 1, 2]


async def test_a_join_that_is_under_way_while_all_is_written_again(make: Make) -> None:
    """A new connection comes between: the join is told, once, and not written as one that has been."""
    layer = make()
    layer.want_presence(["group.join"])
    queue = f"websocket.send.abcdef.{layer.process}!"
    layer.attach(queue, lambda channels, content: None)
    for number in range(3):
        await layer.group_add("room", f"{queue}{number}")
        introduce = layer.engine.members.introduce("room", f"{queue}{number}", {"id": number})
        layer.engine.people.write_again()
        await layer.engine.ask(introduce)
    await Group("room", channel_layer=layer).aadd("plain", who={"id": "last"})
    told = [(await areceive(layer, "group.join"))["who"]["id"] for _ in range(4)]
    assert told == [0, 1, 2, "last"]


# What is in Redis, and what it costs


async def test_nothing_readable_with_keys(make: Make, single: SingleServer, prefix: str) -> None:
    """Neither the id nor the name is anywhere in Redis, while somebody is there and while they linger."""
    layer = make(symmetric_encryption_keys=["secret"])
    queue = f"websocket.send.abcdef.{layer.process}!"
    layer.attach(queue, lambda channels, content: None)
    layer.want_presence(["group.join", "group.leave"])
    group = Group("room", channel_layer=layer)
    for number in range(2):
        await group.aadd(f"{queue}{number}", who={"id": "ann@example.org", "name": "Ann Example"})
    assert await group.apresent() == [{"id": "ann@example.org", "name": "Ann Example"}]
    await group.adiscard(f"{queue}0")
    client = single.client()
    dumps = [client.dump(key) for key in client.scan_iter(f"{prefix}:*")]
    names = list(client.scan_iter(f"{prefix}:*"))
    assert any(b":present:" in name for name in names)
    assert not any(b"xample" in data for data in [*dumps, *names])


async def test_what_somebody_else_wrote_shows_nobody(make: Make, single: SingleServer, prefix: str) -> None:
    """Garbage is passed over, and hides nobody; with keys, so is what was copied from another group."""
    layer = make(symmetric_encryption_keys=["secret"])
    for name, who_id in (("room", 1), ("hall", 2)):
        await Group(name, channel_layer=layer).aadd("plain", who={"id": who_id})
    client = single.client()
    client.hset(f"{prefix}:present:{{room}}", "x", client.hget(f"{prefix}:present:{{hall}}", "plain"))
    for number, garbage in enumerate([b"", b"\x01", b"\xff" * 40, b"\x01\x00" + b"\0" * 30]):
        client.hset(f"{prefix}:present:{{room}}", f"garbage{number}", garbage)
    assert await layer.group_present("room") == [{"id": 1}]


async def test_groups_without_it_cost_nothing_more(proxy: Proxy, make: Make) -> None:
    """An add, a send, and the end of a socket say nothing of who is present."""
    layer = make(hosts=[("127.0.0.1", proxy.port)], lease=60)
    queue = f"websocket.send.abcdef.{layer.process}!"
    layer.attach(queue, lambda channels, content: None)
    await layer.prove_life()
    await layer.group_add("other", queue + "z")
    proxy.turns.clear()
    await layer.group_add("room", queue + "a")
    await layer.group_add("room", queue + "b")
    await layer.group_send("room", {})
    layer.forget(queue + "b")
    layer.forget(queue + "a")
    await layer.group_count("room")
    assert proxy.about("{room}")
    assert not proxy.about(":present:", ":sockets:", ":joined:", ":wanted:")


def about(proxy: Proxy, key: str) -> list[str]:
    """The commands on keys of presence; housekeeping may send others along."""
    found: list[str] = []
    for turn in proxy.about(key):
        for command in turn.split(b"\r\n*"):
            words = command.split(b"\r\n")
            if any(part in words[4] for part in (b":present:", b":sockets:", b":joined:", b":wanted:")):
                found.append(words[2].decode())
    return found


async def test_a_join_costs_the_same_in_a_large_room(proxy: Proxy, make: Make) -> None:
    """One round trip more than the membership, however many are present; ``present`` is one command."""
    layer: RedisChannelLayer = make(hosts=[("127.0.0.1", proxy.port)], lease=60)
    queue = f"websocket.send.abcdef.{layer.process}!"
    layer.attach(queue, lambda channels, content: None)
    group = Group("room", channel_layer=layer)
    await group.aadd(queue + "z")
    keeping = layer.engine.housekeeping
    settled = lambda: keeping.has_lease and not (keeping._lost() or keeping._restores or keeping._under_way)  # noqa: E731
    await asyncio.to_thread(wait_until, settled, "it writes nothing again")
    costs: list[list[str]] = []
    for number in (0, 1, 300):
        if number == 300:
            await asyncio.gather(*(group.aadd(f"{queue}x{each}", who={"id": f"x{each}"}) for each in range(300)))
        proxy.turns.clear()
        await group.aadd(f"{queue}{number}", who={"id": number})
        costs.append(about(proxy, ":present:{room}"))
    assert costs[0] == costs[1] == costs[2]
    assert len(costs[0]) == 9
    proxy.turns.clear()
    assert len(await group.apresent()) == 303
    assert about(proxy, "{room}") == ["HVALS"]
