"""What a layer says to Redis, and how often (R1, R9 of ``layers-and-protocol`` 8.2)."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.reading import areceive, everything
from tests.redis_servers import SingleServer, until

from .tools import Make, Proxy, verbs

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
    assert verbs(proxy.about("measured")[1])[0] == "LPOP"
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


async def test_a_group_message_is_one_entry_in_the_mailbox_of_a_process(make: Make, single: SingleServer) -> None:
    """R9: which its process hands to all members there, each its own dict (R13)."""
    reader, sender = make(), make()
    names = [await reader.new_channel() for _ in range(50)]
    for name in names:
        await reader.group_add("group", name)
    stats = single.command_stats().get("rpush", None)
    await sender.group_send("group", {"list": []})
    received = [await areceive(reader, name) for name in names]
    received[0]["list"].append("mine")
    assert [content["list"] for content in received] == [["mine"], *([] for _ in range(49))]
    pushes = single.command_stats()["rpush"].calls - (stats.calls if stats else 0)
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
def test_a_forked_child_goes_on_with_connections_of_its_own(single: SingleServer, prefix: str) -> None:
    """R10: pre-forking servers import the layer before they fork; neither reads the other's replies."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(single.port), prefix]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr
