"""Readers that wait, are interrupted, or give up (R6, R7, R8 of ``layers-and-protocol`` 8.2)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from routechan import exceptions
from routechan.layers import RedisChannelLayer, receiver
from routechan.layers.waiters import ThreadWaiter
from tests.contract.reading import SOON, areceive
from tests.redis_servers import ShardServers, SingleServer, shared, until

from .tools import Make, Shifted

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


def _blocked(single: SingleServer) -> int:
    return int(single.client().info("clients")["blocked_clients"])


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
        patch.setattr(receiver, "ThreadWaiter", make_waiter)
        with pytest.raises(KeyboardInterrupt):
            reader.sync.receive(["channel"], block=True)
    assert reader.sync.receive(["channel"]) == ("channel", {"a": 1})


# R8


async def test_a_local_buffer_keeps_the_newest(make: Make, single: SingleServer) -> None:
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
