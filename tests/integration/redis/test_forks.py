"""What a process that a consumer forks sends: it arrives, wherever the consumer runs and however it forks."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.processes import ROOT
from tests.redis_servers import SingleServer
from tests.waiting import stretched


def test_what_a_forked_child_sends_arrives(single: SingleServer) -> None:
    """The child's copy of the outbox is never flushed, so it sends at once: to groups, channels and reply channels."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.integration.redis.forking", json.dumps(single.hosts)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=stretched(60),
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    told = json.loads(found.stdout)
    assert len(told) == 51
    assert [way for way, arrived in told.items() if not arrived] == []


#: A process forks while another of its threads holds every lock of the layer; the child sends.
LOCKED = """
import json, os, sys, threading
from routechan.layers import RedisChannelLayer

layer = RedisChannelLayer(hosts=json.loads(sys.argv[1]), prefix=sys.argv[2])
layer.sync.send("before", {})
assert layer.sync.receive(["before"], True) == ("before", {})
layer.attach(f"websocket.send.{layer.process}!", print)
engine = layer.engine
parts = [
    engine, engine.store, engine.fetcher, engine.counts, engine._mailbox, engine._driver, engine._driver._transport,
    engine.housekeeping, *engine._readers(), *(reader._tools for reader in engine._readers()),
]
kinds = type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event
locks = [value for part in parts for value in getattr(part, "__dict__", {}).values() if isinstance(value, kinds)]
locks = [getattr(lock, "_cond", lock) for lock in locks]
assert len(locks) > 5, locks
held, done = threading.Event(), threading.Event()

def hold():
    for lock in locks:
        lock.acquire(timeout=2)  # some are held for long by whoever waits
    held.set()
    done.wait()
    os._exit(0)

threading.Thread(target=hold, daemon=True).start()
held.wait()
if os.fork() == 0:
    layer.sync.send("after", {"from": "child"})
    print("sent", flush=True)
    os._exit(0)
os.wait()
os._exit(0)
"""


def test_a_fork_while_another_thread_holds_the_locks(single: SingleServer, prefix: str) -> None:
    """Whatever the parent's threads were at, the child sends; theirs are the locks of another process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOCKED, json.dumps(single.hosts), prefix],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=stretched(60),
        check=False,
    )
    assert done.stdout.endswith("sent\n"), done.stderr[-2000:]
