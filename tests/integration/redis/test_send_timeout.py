"""The option ``send_timeout``: how long code that is no consumer waits for a Redis that is away."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from routechan import Channel, Group
from routechan.concurrency import current_outbox
from routechan.exceptions import ChannelLayerUnavailable, InvalidChannelLayerError
from routechan.layers import RedisChannelLayer
from routechan.layers.base import Delivery
from routechan.layers.redis.commands.script import ATTEMPT
from routechan.outbox import Outbox
from tests.redis_servers import ShardServers, SingleServer
from tests.waiting import stretched, until, wait_until

#: Seconds that a call may take beside what it waits.
EXTRA = 0.3

Call = Callable[[RedisChannelLayer], object]

#: Everything that waits for Redis on a thread: the 1.x face, and what users call.
BLOCKING: dict[str, Call] = {
    "send": lambda layer: layer.sync.send("a", {}),
    "send later": lambda layer: layer.sync.send("a", {}, delay=5),
    "send_group": lambda layer: layer.sync.send_group("g", {}),
    "send_group later": lambda layer: layer.sync.send_group("g", {}, delay=5),
    "group_add": lambda layer: layer.sync.group_add("g", "a"),
    "group_discard": lambda layer: layer.sync.group_discard("g", "a"),
    "group_channels": lambda layer: layer.sync.group_channels("g"),
    "group_count": lambda layer: layer.sync.group_count("g"),
    "statistics": lambda layer: layer.sync.global_statistics(),
    "flush": lambda layer: layer.sync.flush(),
    "Channel.send": lambda layer: Channel("a", channel_layer=layer).send({}),
    "Channel.send later": lambda layer: Channel("a", channel_layer=layer).send({}, delay=5),
    "Group.send": lambda layer: Group("g", channel_layer=layer).send({}),
    "Group.add": lambda layer: Group("g", channel_layer=layer).add("a"),
    "Group.discard": lambda layer: Group("g", channel_layer=layer).discard("a"),
    "Group.channels": lambda layer: Group("g", channel_layer=layer).channels(),
}

#: The same on an event loop.
ASYNC: dict[str, Call] = {
    "send": lambda layer: layer.send("a", {}),
    "send later": lambda layer: layer.send("a", {}, 5),
    "group_send": lambda layer: layer.group_send("g", {}),
    "group_send later": lambda layer: layer.group_send("g", {}, 5),
    "group_add": lambda layer: layer.group_add("g", "a"),
    "group_discard": lambda layer: layer.group_discard("g", "a"),
    "group_channels": lambda layer: layer.group_channels("g"),
    "group_count": lambda layer: layer.group_count("g"),
    "statistics": lambda layer: layer.channel_statistics("a"),
    "is_served": lambda layer: layer.is_served("other.process!"),
    "Channel.asend": lambda layer: Channel("a", channel_layer=layer).asend({}),
    "Channel.asend later": lambda layer: Channel("a", channel_layer=layer).asend({}, delay=5),
    "Group.asend": lambda layer: Group("g", channel_layer=layer).asend({}),
    "Group.aadd": lambda layer: Group("g", channel_layer=layer).aadd("a"),
    "Group.adiscard": lambda layer: Group("g", channel_layer=layer).adiscard("a"),
    "Group.achannels": lambda layer: Group("g", channel_layer=layer).achannels(),
}


def refused(call: Call, layer: RedisChannelLayer) -> float:
    """The seconds after which a call is refused."""
    began = time.monotonic()
    with pytest.raises(ChannelLayerUnavailable):
        call(layer)
    return time.monotonic() - began


async def arefused(call: Any, layer: RedisChannelLayer) -> float:
    began = time.monotonic()
    with pytest.raises(ChannelLayerUnavailable):
        await call(layer)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def nowhere() -> Iterator[int]:
    """A port that refuses every connection."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def away(nowhere: int) -> Iterator[Callable[[float], RedisChannelLayer]]:
    """A layer that knows that its Redis is away."""
    made: list[RedisChannelLayer] = []

    def make(send_timeout: float) -> RedisChannelLayer:
        layer = RedisChannelLayer(hosts=[("127.0.0.1", nowhere)], send_timeout=send_timeout)
        made.append(layer)
        with layer.engine._driver._lock:
            layer.engine._driver._transport.is_ready()
        wait_until(lambda: layer.engine._driver._transport.trouble, "it knows")
        return layer

    yield make
    for layer in made:
        layer.close()


class Hung:
    """A server that is stopped while it holds its connections. Lifetime: test."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stop = lambda: os.kill(pid, signal.SIGSTOP)
        self.go_on = lambda: os.kill(pid, signal.SIGCONT)


@pytest.fixture
def hung(own_single: SingleServer) -> Iterator[Hung]:
    made = Hung(own_single.processes[0].pid)
    yield made
    made.go_on()


def test_it_is_a_number_of_seconds() -> None:
    """the options: 0 is one of them."""
    for wrong in (-1, "1", None, True, float("inf"), float("nan")):
        with pytest.raises(InvalidChannelLayerError, match="send_timeout is a number of seconds 0 or above"):
            RedisChannelLayer(send_timeout=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("send_timeout", [0, 0.2])
def test_no_call_on_a_thread_waits_longer(away: Callable[[float], RedisChannelLayer], send_timeout: float) -> None:
    """D8: whichever call it is; and together they wait no longer than one."""
    for name, call in BLOCKING.items():
        layer = away(send_timeout)
        assert refused(call, layer) < send_timeout + stretched(EXTRA), name
        assert refused(call, layer) < stretched(EXTRA), name


@pytest.mark.parametrize("send_timeout", [0, 0.2])
async def test_no_call_on_a_loop_waits_longer(away: Callable[[float], RedisChannelLayer], send_timeout: float) -> None:
    """D8: the async twins, awaited."""
    for name, call in ASYNC.items():
        layer = await asyncio.to_thread(away, send_timeout)
        assert await arefused(call, layer) < send_timeout + stretched(EXTRA), name
        assert await arefused(call, layer) < stretched(EXTRA), name
    layer = await asyncio.to_thread(away, send_timeout)
    began = time.monotonic()
    assert await layer.new_channel()  # needs no Redis yet
    assert time.monotonic() - began < send_timeout + stretched(EXTRA)


@pytest.mark.parametrize("send_timeout", [0, 0.2])
def test_a_server_that_hangs_holds_nobody_longer(hung: Hung, own_single: SingleServer, send_timeout: float) -> None:
    """D8: at first nobody knows, and one attempt tells; connected before or not."""
    for connected in (True, False):
        layer = RedisChannelLayer(hosts=own_single.hosts, send_timeout=send_timeout)
        if connected:
            layer.sync.send("a", {})
        hung.stop()
        began = time.monotonic()
        # of what was written nobody knows whether it will be executed
        match = "may have been sent" if connected else "nothing was sent"
        with pytest.raises(ChannelLayerUnavailable, match=match):
            layer.sync.send("a", {})
        assert time.monotonic() - began < (send_timeout or ATTEMPT) + stretched(EXTRA)
        for name, call in BLOCKING.items():
            assert refused(call, layer) < stretched(EXTRA), name
        hung.go_on()
        wait_until(lambda layer=layer: not layer.engine._driver._transport._gaps, "it is known to be back")
        layer.sync.send("a", {})
        layer.close()


def test_many_wait_at_a_time(away: Callable[[float], RedisChannelLayer]) -> None:
    """D8: twenty threads wait side by side, not one after the other."""
    layer = away(0.3)
    took: list[float] = []
    threads = [threading.Thread(target=lambda: took.append(refused(BLOCKING["send"], layer))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 20
    assert max(took) < 0.3 + stretched(EXTRA)


async def test_a_consumer_waits_on(own_single: SingleServer) -> None:
    """D8: what consumers send, add and flush outlives a failover, whatever views may wait."""
    layer = RedisChannelLayer(hosts=own_single.hosts, send_timeout=0)
    await asyncio.to_thread(own_single.kill)
    await until(lambda: isinstance(_error(layer), ChannelLayerUnavailable), "it is known")
    token = current_outbox.set(Outbox())
    joining = asyncio.create_task(layer.group_add("g", "a"))
    calling = asyncio.create_task(asyncio.to_thread(layer.sync.group_add, "g", "b"))
    current_outbox.reset(token)
    flushed = layer.post("a", {"n": 1})
    assert flushed is not None
    with pytest.raises(ChannelLayerUnavailable):
        await layer.send("a", {"n": 2})
    await asyncio.sleep(0.2)  # not a wait for anything: an outage
    await asyncio.to_thread(own_single.start)
    await joining
    await calling
    await flushed
    assert sorted(await layer.group_channels("g")) == ["a", "b"]
    assert await layer.receive("a") == {"n": 1}
    await asyncio.to_thread(layer.close)


def test_consumers_of_a_process_that_is_about_to_end(
    away: Callable[[float], RedisChannelLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones wait for a moment, and those after them not again: a server has many to disconnect."""
    monkeypatch.setattr("routechan.layers.redis.patience.HURRIED", 0.3)
    layer = away(60.0)
    layer.hurry()
    token = current_outbox.set(Outbox())
    calls = [call for name, call in BLOCKING.items() if "." not in name]  # those of an outbox come later
    took = [refused(call, layer) for call in calls for _ in range(20)]
    current_outbox.reset(token)
    assert sum(took) < 0.3 + stretched(EXTRA)


def test_it_is_said_once_that_redis_is_away_and_once_that_it_is_back(
    own_single: SingleServer, caplog: pytest.LogCaptureFixture
) -> None:
    """D8: however often it is tried, by however many."""
    caplog.set_level(logging.WARNING, "routechan")
    layer = RedisChannelLayer(hosts=own_single.hosts, send_timeout=0)
    layer.sync.send("a", {})
    for outage in range(2):
        caplog.clear()
        own_single.kill()
        wait_until(lambda: "refused" in str(_error(layer)), "it is away")
        for _ in range(20):
            refused(BLOCKING["send_group"], layer)
        own_single.start()
        wait_until(lambda: _error(layer) is None, "it is back without anybody who sends")
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 2, said
        assert "is lost" in said[0], outage
        assert "is reached again" in said[1], outage
    layer.close()


def test_a_server_that_comes_back_in_time_is_waited_for(own_single: SingleServer) -> None:
    """D8: by a thread and by several; nothing is lost, and the order is kept."""
    layer = RedisChannelLayer(hosts=own_single.hosts, send_timeout=20)
    layer.sync.send("a", {"n": 0})
    assert layer.sync.receive(["a"]) == ("a", {"n": 0})
    own_single.kill()
    with pytest.raises(ChannelLayerUnavailable, match="may have been sent"):
        layer.sync.send("a", {"n": -1})  # it was on its way as the connection broke
    thread = threading.Thread(target=lambda: [layer.sync.send("a", {"n": n}) for n in range(1, 20)])
    thread.start()
    threading.Event().wait(0.3)  # not a wait for anything: an outage
    assert thread.is_alive()
    own_single.start()
    thread.join(20)
    assert [layer.sync.receive(["a"])[1] for _ in range(20)] == [*({"n": n} for n in range(1, 20)), None]
    layer.close()


def _error(layer: RedisChannelLayer) -> Exception | None:
    try:
        layer.sync.group_channels("g")
    except ChannelLayerUnavailable as error:
        return error
    return None


async def test_what_is_not_awaited_is_sent_when_redis_is_back(away: Callable[[float], RedisChannelLayer]) -> None:
    """D8: ``Channel.send`` on an event loop waits for nothing, and so is not given up."""
    layer = await asyncio.to_thread(away, 0)
    began = time.monotonic()
    Channel("a", channel_layer=layer).send({"n": 1})
    assert time.monotonic() - began < stretched(EXTRA)
    await until(lambda: layer.engine._driver._outage.held, "it is kept")


# One shard of several


@pytest.fixture
def one_hung(own_shards: ShardServers) -> Iterator[tuple[RedisChannelLayer, Hung, list[str], list[str]]]:
    """A layer, its second shard that can hang, and channels there and elsewhere."""
    layer = RedisChannelLayer(hosts=own_shards.hosts, capacity=1000)
    topology = layer.engine._topology
    names = [f"channel{number}" for number in range(40)]
    bad = topology.nodes()[1]

    def is_there(name: str) -> bool:
        return topology.node_of(layer.engine.keys.queue(name).partition("{")[2].partition("}")[0]) is bad

    there, elsewhere = [name for name in names if is_there(name)], [name for name in names if not is_there(name)]
    for name in names:
        layer.sync.send(name, {"first": True})
    made = Hung(own_shards.processes[1].pid)
    yield layer, made, there, elsewhere
    made.go_on()
    layer.close()


@pytest.fixture
def own_shards() -> Iterator[ShardServers]:
    with ShardServers(3) as servers:
        yield servers


async def test_a_hung_shard_delays_only_what_goes_to_it(
    one_hung: tuple[RedisChannelLayer, Hung, list[str], list[str]],
) -> None:
    """R6: on loops, on threads, and in the order that each channel's messages were sent."""
    layer, hung, there, elsewhere = one_hung
    hung.stop()
    late = [asyncio.create_task(layer.send(name, {"n": n})) for name in there[:3] for n in range(100)]
    await asyncio.sleep(0)
    for _ in range(3):
        began = time.monotonic()
        await asyncio.gather(*(layer.send(name, {"a": 1}) for name in elsewhere))
        await asyncio.to_thread(lambda: [layer.sync.send(name, {"a": 1}) for name in elsewhere])
        assert (await layer.receive(elsewhere[0])) is not None
        assert time.monotonic() - began < stretched(1)
    assert not any(task.done() for task in late)
    hung.go_on()
    await asyncio.wait_for(asyncio.gather(*late), stretched(5))
    for name in there[:3]:
        assert await layer.receive(name) == {"first": True}
        assert [(await layer.receive(name))["n"] for _ in range(50)] == list(range(50))


async def test_a_hung_shard_delays_only_what_is_read_from_it(
    one_hung: tuple[RedisChannelLayer, Hung, list[str], list[str]],
) -> None:
    """R6: a worker's channels on other servers are read on."""
    layer, hung, there, elsewhere = one_hung
    taken: list[Delivery] = []
    subscription = layer.subscribe([*there, *elsewhere], taken.append, 20)
    for _ in [*there, *elsewhere]:  # each has one message
        await until(lambda: taken, "it came")
        taken.pop().done()
    hung.stop()
    for _ in range(3):
        for name in elsewhere:
            await layer.send(name, {"n": 1})
            await until(lambda: taken, f"it came to {name}", 2.0)
            taken.pop().done()
    subscription.end()
