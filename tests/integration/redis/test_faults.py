"""What fails under a Redis layer costs at most what was under way: nothing comes twice, nothing out of order."""

from __future__ import annotations

import threading

import pytest
from redis.crc import key_slot

from routechan.layers.redis.schema import Keys
from tests.redis_servers import ClusterServers, SentinelServers, Servers, SingleServer
from tests.waiting import wait_until

from .processes import ROOM, Children, Traffic, children

#: Seconds after which what should work again has failed. The promise is in the layer's own timers: it tries a lost
#: server again after ``LONGEST_RETRY`` at most, which ``unit/layers/redis`` pins; the rest is how busy the machine is.
SOON = 10.0

#: Seconds after which a group's message that did not come is sent again.
ROUND = 0.5

#: Seconds; longer than a busy machine leaves a process waiting.
LEASE = 8.0
SHORT_LEASE = 2.0

#: Seconds that each sender pauses after each message: what a fault does to a message it does to a hundred a second, and
#: the machine has other things to do. ``scripts/soak`` is for traffic that runs flat out.
PAUSE = 0.02

GROUPS = ("everyone", "some")


class Groups:
    """Members in two processes and who sends to them from a third. Lifetime: test."""

    def __init__(self, family: Children) -> None:
        self.members = family.start(2)
        (self.sender,) = family.start(1)
        self.sender.ask("read", "wills", "gone", True)
        self.number = 0
        self.channels = [
            *(child.ask("join", GROUPS, "member") for child in self.members),
            *(channel for child in self.members for channel in child.ask("serve", GROUPS, "socket", 2, "gone")),
        ]
        assert self.reached(), "the groups work before anything fails"

    def reached(self) -> bool:
        """Whether a new message to each group reaches all its members."""
        self.number += 1
        for group in GROUPS:
            if self.sender.ask("group_send", group, {"group": group, "n": self.number}):
                return False
        expected = [{"group": group, "n": self.number} for group in GROUPS]

        def all_have_it() -> bool:
            for child in self.members:
                child.update()
            return all(
                child.received["member"][-2:] == expected
                and sorted(child.received["socket"][-4:], key=str)
                == sorted(([name, item] for name in self.channels if name in names for item in expected), key=str)
                for child in self.members
                for names in [{name for name, _ in child.received["socket"]}]
            )

        try:
            wait_until(all_have_it, "each member got the group's message", ROUND)
        except AssertionError:
            return False
        return True

    def check(self) -> None:
        """Nobody got a group's message twice or out of order; all are members still, nobody was taken for dead."""
        for child in self.members:
            for group in GROUPS:
                got = [item["n"] for item in child.received["member"] if item["group"] == group]
                assert got == sorted(set(got))
        for group in GROUPS:
            assert sorted(self.sender.ask("members", group)) == sorted(self.channels)
        assert self.sender.got("wills") == []


class Load:
    """Traffic on a channel and groups with members, to see them through a fault. Lifetime: test."""

    def __init__(self, servers: Servers, pause: float = PAUSE, lease: float = LEASE, **options: float) -> None:
        self.servers = servers
        self.pause = pause  # of each sender after each message
        self.options = {"lease": lease, **options}

    def __enter__(self) -> Load:
        self._context = children(self.servers.hosts, capacity=300, **self.options)
        self.family = self._context.__enter__()
        try:
            self.groups = Groups(self.family)
            self.traffic = Traffic(self.family, readers=2, senders=2, count=10**9, pause=self.pause)
            self.traffic.flows("the start", 10)
        except BaseException:
            self._context.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._context.__exit__(None, None, None)

    def works_soon(self, what: str) -> None:
        """Traffic flows again, and groups reach their members."""
        self.traffic.flows(what, SOON)
        wait_until(self.groups.reached, f"the groups are as before after {what}", SOON)

    def end(self) -> dict[str, list[int]]:
        """What is missing of what was sent without doubt."""
        self.traffic.finish()
        self.groups.check()
        for child in self.family.all:
            assert "Traceback" not in child.stderr
        return self.traffic.check()


def lost(missing: dict[str, list[int]]) -> int:
    return sum(map(len, missing.values()))


def test_each_message_once_and_in_order(single: SingleServer) -> None:
    """4 readers and 2 senders on one channel: each message is delivered exactly once, in order per sender (R2, R3)."""
    with children(single.hosts, capacity=1000) as family:
        traffic = Traffic(family, readers=4, senders=2, count=1_000)
        wait_until(traffic.done, "all is sent", 180)
        traffic.drain()
        assert traffic.check() == {"s0": [], "s1": []}
        assert traffic.count() == 2_000


@pytest.mark.parametrize("keeps", [False, True], ids=["empty", "appendonly"])
def test_redis_killed_and_started_again(keeps: bool) -> None:
    """What was in Redis when it died may be lost, nothing else; then all goes on, groups as before."""
    server = SingleServer(appendonly=keeps)
    with server, Load(server, lease=SHORT_LEASE) as load:
        before: dict[str, int] = {}
        for dead in (0.0, 0.0 if keeps else 1.5 * SHORT_LEASE):
            server.kill()
            load.family.update()
            before = load.traffic.sent()
            threading.Event().wait(dead)  # not a wait for anything: the length of the fault
            server.start()
            load.works_soon("a restart")
        missing = load.end()
        assert all(n <= before[sender] for sender, numbers in missing.items() for n in numbers)
        if keeps:  # what a reader popped, and did not get
            assert lost(missing) <= 2 * (3 + ROOM)


def test_connections_killed_again_and_again(own_single: SingleServer) -> None:
    """``CLIENT KILL`` of every connection costs at most the messages that were on their way over it."""
    with Load(own_single, pause=PAUSE / 10) as load:
        killed = 0
        for _ in range(10):
            killed += own_single.drop_connections()
            threading.Event().wait(0.05)  # not a wait for anything: the rate of the fault
        assert killed > 10
        load.works_soon("the last kill")
        assert lost(load.end()) <= killed * ROOM


def test_a_master_that_dies_under_sentinel(own_sentinel: SentinelServers) -> None:
    """A failover loses at most what the new master did not have; then all goes on, groups as before."""
    with Load(own_sentinel) as load:
        own_sentinel.kill_master()
        load.family.update()
        before = load.traffic.sent()
        load.works_soon("a failover")
        assert all(n <= before[sender] for sender, numbers in load.end().items() for n in numbers)


def test_a_cluster_slot_moved(own_cluster: ClusterServers) -> None:
    """The slots of the channel, of a group and of the leases move under load: nothing at all is lost."""
    with Load(own_cluster) as load:
        keys = Keys(load.family.options["prefix"])
        for _ in range(2):
            for key in (keys.queue("work"), keys.group("everyone"), keys.leases):
                with own_cluster.moving(key_slot(key.encode())) as move:
                    threading.Event().wait(0.1)
                    move.keys()
                    threading.Event().wait(0.1)
            load.works_soon("a slot moved")
        assert lost(load.end()) == 0
        assert load.traffic.doubted() == set()


@pytest.mark.slow
def test_redis_paused_for_longer_than_the_lease(own_single: SingleServer) -> None:
    """``CLIENT PAUSE``: all waits, and goes on where it was; nobody is taken for dead."""
    with Load(own_single, lease=4.0, send_timeout=30.0) as load:
        own_single.pause(5_000)
        own_single.client().ping()  # answered when the pause is over
        load.works_soon("the pause")
        assert lost(load.end()) == 0
        assert load.traffic.doubted() == set()


def test_a_reader_cancelled_thousands_of_times(single: SingleServer) -> None:
    """Cancelling a receive loses nothing, changes no order, and leaves nothing behind in Redis (R7)."""
    with children(single.hosts, capacity=1000) as family:
        reader, sender = family.start(2)
        reader.ask("cancelled", "reader", "work", 3_000)
        sender.ask("send_all", "work", "s0", 10**9, 0.0005, True)

        end = {"sender": "", "n": 3_000}
        wait_until(lambda: end in reader.got("reader"), "3,000 waits were cancelled", 40)
        sender.ask("stop_senders")
        wait_until(lambda: sender.ask("idle"), "the sender is done")
        sender.update()
        count = sender.senders["s0"]["sent"]
        assert count > 30
        wait_until(lambda: len(reader.got("reader")) > count, "all is received")
        got = [item["n"] for item in reader.received["reader"] if item["sender"]]
        assert got == list(range(count))
        wake_ups = single.keys(f"{family.options['prefix']}:wake:*")
        wait_until(lambda: sum(single.client().llen(name) for name in wake_ups) <= 1, "no wake-ups are left")
