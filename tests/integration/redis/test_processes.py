"""Processes that die, stop, fork or send very much: what they leave behind, and what they cost."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import pytest

from routechan import names
from routechan.exceptions import ChannelFull
from routechan.layers import RedisChannelLayer
from routechan.layers.redis.connection import RedisClock
from tests.processes import ROOT
from tests.redis_servers import SingleServer
from tests.waiting import stretched, wait_until

from . import bulk
from .processes import ChildProcess, Children, children

LEASE = 2.0

#: Seconds from the death of a process until others have cleared it away: its lease, the rest of a look around, and
#: once more the lease if the machine held them up, for who was away himself does not judge at once.
CLEARED = 2 * LEASE + LEASE / 3 + 1.0


def gone(watchers: list[ChildProcess]) -> list[str]:
    """The last wills that came, whoever received them."""
    return sorted(item["sender"] for watcher in watchers for item in watcher.got("wills"))


def members(child: ChildProcess, group: str = "everyone") -> list[str]:
    return sorted(child.ask("members", group))


def watch(family: Children, count: int) -> list[ChildProcess]:
    """Processes that serve sockets of their own, and receive the last wills of others."""
    watchers = family.start(count)
    for watcher in watchers:
        watcher.ask("serve", ["everyone"], "socket", 1, "gone")
        watcher.ask("read", "wills", "gone", True)
    return watchers


def test_a_killed_process_is_cleared_away(single: SingleServer) -> None:
    """SIGKILL: the memberships end within the lease, each last will comes exactly once though three others watch."""
    with children(single.hosts, lease=LEASE) as family:
        watchers = watch(family, 3)
        before = members(watchers[0])
        (victim,) = family.start(1)
        sockets = victim.ask("serve", ["everyone", "some"], "socket", 300, "gone")
        closed = sockets.pop()
        victim.ask("leave", closed)
        victim.ask("join", ["everyone"], "member")
        wait_until(lambda: closed not in members(watchers[0]), "the closed socket is no member")
        assert len(members(watchers[0])) == len(before) + len(sockets) + 1
        victim.kill()
        wait_until(lambda: members(watchers[0]) == before, "its memberships are ended", CLEARED)
        assert members(watchers[1], "some") == []
        wait_until(lambda: len(gone(watchers)) >= len(sockets), "its last wills came", CLEARED)
        # Nobody sends them again: another process dies and is cleared away, which takes longer than a second time.
        watchers.pop().kill()
        wait_until(lambda: len(members(watchers[0])) == 2, "the next one is cleared away too", CLEARED)
        last = [channel for channel in before if channel not in members(watchers[0])]
        wait_until(lambda: set(last) <= set(gone(watchers)), "its last will came", CLEARED)
        found = gone(watchers)
        assert sorted(set(found)) == found
        assert set(sockets) | set(last) >= set(found)


def test_last_wills_come_once_though_their_sender_dies(single: SingleServer) -> None:
    """Three processes watch; one dies with the one it would have watched: all wills come, once."""
    with children(single.hosts, lease=LEASE) as family:
        watchers = watch(family, 3)
        victims = family.start(2)
        sockets = [name for victim in victims for name in victim.ask("serve", ["everyone"], "socket", 50, "gone")]
        before = [name for name in members(watchers[0]) if name not in sockets]
        for victim in victims:
            victim.kill()
        wait_until(lambda: members(watchers[0]) == before, "their memberships are ended", CLEARED)
        wait_until(lambda: len(gone(watchers)) >= len(sockets), "their last wills came", CLEARED)
        assert gone(watchers) == sorted(sockets)


def test_a_process_stopped_for_less_than_the_lease(single: SingleServer) -> None:
    """SIGSTOP and SIGCONT: it is a member all the time, gets what was sent meanwhile, and nobody's will is sent."""
    with children(single.hosts, lease=LEASE) as family:
        (watcher,) = watch(family, 1)
        (sleeper,) = family.start(1)
        sleeper.ask("serve", ["everyone"], "socket", 2, "gone")
        before = members(watcher)
        sleeper.freeze()
        ends = time.monotonic() + LEASE / 2
        for number in range(50):
            assert watcher.ask("group_send", "everyone", {"n": number}) == ""
        wait_until(lambda: time.monotonic() > ends or members(watcher) != before, "half the lease is over")
        assert members(watcher) == before
        sleeper.go_on()
        wait_until(lambda: len(sleeper.got("socket")) >= 100, "it got all that was sent")
        assert [content["n"] for _, content in sleeper.received["socket"][::2]] == list(range(50))
        assert members(watcher) == before
        assert gone([watcher]) == []


def test_a_process_stopped_for_longer_than_the_lease(single: SingleServer) -> None:
    """It is cleared away; when it goes on it is a member again; when it is killed then, it is cleared away again."""
    with children(single.hosts, lease=LEASE) as family:
        (watcher,) = watch(family, 1)
        (sleeper,) = family.start(1)
        sockets = sleeper.ask("serve", ["everyone"], "socket", 2, "gone")
        member = sleeper.ask("join", ["everyone"], "member")
        before = members(watcher)
        sleeper.freeze()
        wait_until(lambda: member not in members(watcher), "it is cleared away", CLEARED)
        wait_until(lambda: gone([watcher]) == sorted(sockets), "its last wills came", CLEARED)
        sleeper.go_on()
        wait_until(lambda: members(watcher) == before, "it is a member again", LEASE)
        assert watcher.ask("group_send", "everyone", {"n": 1}) == ""
        wait_until(lambda: sleeper.got("member") == [{"n": 1}], "it gets messages again")
        wait_until(lambda: len(sleeper.got("socket")) == 2, "its sockets get them too")
        assert gone([watcher]) == sorted(sockets)
        sleeper.kill()
        wait_until(lambda: member not in members(watcher), "it is cleared away again", CLEARED)
        wait_until(lambda: gone([watcher]) == sorted(2 * sockets), "its last wills came again", CLEARED)


@pytest.mark.parametrize("way", bulk.WAYS)
def test_very_many_sends(way: str, own_single: SingleServer) -> None:
    """From fresh event loops, a forked child, a pool, or all at once: few connections, no warning, no noise (R10)."""
    before = own_single.connections()
    arguments = [way, json.dumps(own_single.hosts), secrets.token_hex(4), "1000"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-m", "tests.integration.redis.bulk", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.stderr, done.stdout) == ("", "1000\n")
    processes = {"from_a_forked_child": 2, "from_a_prefork_pool": 1 + bulk.WORKERS}.get(way, 1)
    assert own_single.connections().ever - before.ever <= 2 * processes
    assert own_single.connections().now == before.now


def test_delayed_messages_come_once_and_not_early(single: SingleServer) -> None:
    """200 delayed messages, 5 processes that serve: each comes once, not before its time and soon after."""
    with children(single.hosts, capacity=1000) as family:
        workers = family.start(5)
        (sender,) = family.start(1)
        for worker in workers:
            worker.ask("read_times", "later")
        due: dict[int, float] = {}
        for number in range(200):
            delay = 0.5 + number % 20 / 10
            due[number] = time.time() + delay - 0.03  # the child sends it a little later; Redis has a clock of its own
            assert sender.ask("send", "later", {"n": number}, delay) == ""

        def came() -> list[tuple[int, float]]:
            return [tuple(item) for worker in workers for item in worker.got("times")]

        wait_until(lambda: len(came()) >= 200, "all came", 10)
        found = came()
        assert sorted(number for number, _ in found) == list(range(200))
        assert all(at >= due[number] for number, at in found)
        assert max(at - due[number] for number, at in found) < stretched(1.5)
        assert single.keys(f"{family.options['prefix']}:{{delayed}}") == {}


class Shifted(RedisClock):
    """Redis' clock, moved ahead by the test."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


async def test_a_reader_that_stops_for_an_hour(own_single: SingleServer) -> None:
    """A socket's channel and a worker's, unread for an hour of traffic: memory is flat in Redis and in the process."""
    clock = Shifted()
    options: dict[str, Any] = {"hosts": own_single.hosts, "prefix": "hour", "capacity": 20, "clock": clock}
    with closing(RedisChannelLayer(**options)) as stopped, closing(RedisChannelLayer(**options)) as others:
        channel = await stopped.new_channel()
        await stopped.group_add("everyone", channel)
        await stopped.group_add("everyone", "worker")
        body = "x" * 1000
        sizes: list[int] = []
        kept: list[int] = []
        for _ in range(60):
            for _ in range(30):
                for name in (channel, "worker"):
                    try:
                        await others.send(name, {"body": body})
                    except ChannelFull:
                        assert name == "worker"
                await others.group_send("everyone", {"body": body})
                await stopped.group_send("everyone", {"body": body})
            mailbox = stopped.engine.keys.queue(names.queue_name(channel))
            while own_single.client().llen(mailbox):  # taken a little later, on a busy machine
                await asyncio.sleep(0.005)
            clock.ahead += 60
            sizes.append(used(own_single, "hour"))
            kept.append(sum(map(len, stopped.engine.store._queues.values())))
            assert len(stopped.engine._driver._waiting) <= 1
        assert max(kept) <= 20
        assert max(sizes[30:]) <= 1.1 * max(sizes[:10])
        assert max(sizes) < 100_000


def used(server: SingleServer, prefix: str) -> int:
    """Bytes that the keys of a layer take in Redis."""
    return sum(server.client().memory_usage(name, samples=0) or 0 for name in server.keys(f"{prefix}:*"))
