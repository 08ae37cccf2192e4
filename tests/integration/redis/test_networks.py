"""A network that drops, delays, throttles, cuts or swallows: what each costs, and what it never does.

What is promised: nothing comes twice and nothing out of order, whatever the network does. A network that is only slow
loses nothing. A connection that breaks costs at most what was on its way over it: a send whose sender was told that it
is in doubt, and what a reader had popped. Nobody is taken for dead, and groups have their members.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest

from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import RedisChannelLayer
from routechan.layers.base import Delivery
from tests.redis_servers import Network, SingleServer
from tests.waiting import until

from .child import Sender
from .processes import ROOM

#: Seconds after which what should work again has failed.
SOON = 20.0

#: Seconds of a pause after each message, so that this costs little.
PAUSE = 0.004

#: Seconds for an answer of Redis, and for a sign of life: no fault here lasts so long as the latter.
SOCKET_TIMEOUT = 1.0
LEASE = 15.0


class Traffic:
    """A sender and a reader, each over a network of its own, with a channel and a group. Lifetime: test."""

    def __init__(self, server: SingleServer, prefix: str) -> None:
        self.networks = [Network(server.port) for _ in range(2)]
        options: dict[str, Any] = {
            "prefix": prefix,
            "lease": LEASE,
            "capacity": 1000,
            "connection_kwargs": {"socket_timeout": SOCKET_TIMEOUT},
        }
        self.sending, self.reading = (
            RedisChannelLayer(hosts=[f"redis://127.0.0.1:{network.port}"], **options) for network in self.networks
        )
        self.watching = RedisChannelLayer(hosts=server.hosts, **options)
        self.sender = Sender(self.sending, "work", "s", 10**9, PAUSE)
        self.got: list[int] = []
        self.heard: list[int] = []
        self.said: dict[int, bool] = {}  # what was sent to the group, and whether without doubt

    async def start(self) -> None:
        queue = f"websocket.send.{self.reading.process}!"
        self.reading.attach(queue, lambda channels, content: self.heard.append(content["n"]))
        self.member = queue + "member"
        self.reading.last_will(self.member, "gone", {})
        await self.reading.group_add("group", self.member)
        loop = asyncio.get_running_loop()

        def take(delivery: Delivery) -> None:
            self.got.append(delivery.content["n"])
            loop.call_later(PAUSE / 4, delivery.release)

        self.reading.subscribe(["work"], take, ROOM)
        self.tasks = [asyncio.ensure_future(self.sender.run()), asyncio.ensure_future(self._say())]
        await self.flows()

    async def _say(self) -> None:
        number = 0
        while not self.sender.done:
            try:
                await self.sending.group_send("group", {"n": number})
            except ChannelLayerUnavailable:
                self.said[number] = False
            else:
                self.said[number] = True
            number += 1
            await asyncio.sleep(PAUSE)

    async def flows(self) -> None:
        """Wait until new messages come, by channel and by group."""
        got, heard = self.sender.sent, len(self.said)
        await until(
            lambda: self.got and self.got[-1] > got and self.heard and self.heard[-1] > heard, "messages come", SOON
        )

    async def end(self) -> tuple[int, int]:
        """How many messages are lost, of the channel and of the group, whose sender was not in doubt."""
        self.sender.stopped.set()
        await asyncio.gather(*self.tasks)
        await self.sending.send("work", {"n": 10**9})
        await self.sending.group_send("group", {"n": 10**9})
        await until(lambda: self.got[-1] == self.heard[-1] == 10**9, "the last ones come", SOON)
        for received in (self.got, self.heard):
            assert received == sorted(set(received)), "something came twice, or out of order"
        assert await self.watching.group_channels("group") == [self.member]
        assert (await self.watching.channel_statistics("gone"))["messages_count"] == 0
        sent = set(range(self.sender.sent)) - set(self.sender.doubted)
        said = {number for number, certain in self.said.items() if certain}
        return len(sent - set(self.got)), len(said - set(self.heard))

    @property
    def doubted(self) -> int:
        return len(self.sender.doubted) + list(self.said.values()).count(False)

    def close(self) -> None:
        for layer in (self.sending, self.reading, self.watching):
            layer.close()
        for network in self.networks:
            network.close()


@pytest.fixture
async def traffic(single: SingleServer, prefix: str) -> AsyncIterator[Traffic]:
    async with AsyncExitStack() as stack:
        made = stack.enter_context(closing(Traffic(single, prefix)))
        await made.start()
        yield made


def delayed(network: Network) -> None:
    network.delay = 0.03


def throttled(network: Network) -> None:
    network.bandwidth = 20_000.0


@pytest.mark.parametrize("fault", [delayed, throttled])
async def test_a_slow_network_loses_nothing(traffic: Traffic, fault: Callable[[Network], None]) -> None:
    """No message is lost, none is in doubt: while it is slow, and after."""
    for network in traffic.networks:
        fault(network)
    await traffic.flows()
    for network in traffic.networks:
        network.delay = network.bandwidth = 0.0
    await traffic.flows()
    assert await traffic.end() == (0, 0)
    assert traffic.doubted == 0


def dropped(network: Network) -> int:
    return network.drop()


def cut(network: Network) -> int:
    """In the midst of a reply."""
    network.cut()
    return 1


@pytest.mark.parametrize("fault", [dropped, cut])
@pytest.mark.parametrize("whose", [0, 1], ids=["sender", "reader"])
async def test_connections_that_break(traffic: Traffic, whose: int, fault: Callable[[Network], int]) -> None:
    """Each costs at most what was on its way: a send in doubt, or what a reader had popped."""
    broken = 0
    for _ in range(5):
        broken += fault(traffic.networks[whose])
        await traffic.flows()
    lost, unheard = await traffic.end()
    if whose == 0:
        assert (lost, unheard) == (0, 0)
        assert traffic.doubted <= 2 * broken
    else:
        assert traffic.doubted == 0
        assert lost <= broken * ROOM
        assert unheard <= broken * 25  # a reader takes what its mailbox has, at once; here a message or two


@pytest.mark.parametrize("whose", [0, 1], ids=["sender", "reader"])
async def test_a_network_that_swallows_everything(traffic: Traffic, whose: int) -> None:
    """For longer than the timeout, on open and on new connections; what was said meanwhile is passed on at the end."""
    network = traffic.networks[whose]
    network.silence()
    silent = threading.Event()
    await asyncio.to_thread(silent.wait, 2.5 * SOCKET_TIMEOUT)  # not a wait for anything: the length of the fault
    network.speak()
    await traffic.flows()
    lost, unheard = await traffic.end()
    if whose == 0:
        assert (lost, unheard) == (0, 0)
        assert traffic.doubted <= 4
    else:
        assert traffic.doubted == 0
        # Redis gave them to commands whose answers nobody waits for any more: two, as the silence is 2.5 timeouts long.
        assert lost <= 3 * ROOM


async def test_a_delayed_send_whose_answer_is_cut(single: SingleServer, prefix: str) -> None:
    """The sender is told that it is in doubt; it is not sent again, as others may have sent it on by then."""
    with Network(single.port) as network:
        layer = RedisChannelLayer(hosts=[f"redis://127.0.0.1:{network.port}"], prefix=prefix)
        with closing(layer):
            for delay in (600.0, 60.0, 1.0):
                await layer.channel_statistics("later")  # the connection is made
                network.cut()
                with pytest.raises(ChannelLayerUnavailable, match="may have been sent"):
                    await layer.send("later", {}, delay)
            assert single.client().zcard(layer.engine.keys.delayed) == 3


async def test_a_clock_of_redis_that_is_set(single: SingleServer, prefix: str) -> None:
    """By a minute, ahead and back: nobody is taken for dead."""
    with Network(single.port) as network:
        layers = [
            RedisChannelLayer(hosts=[f"redis://127.0.0.1:{network.port}"], prefix=prefix, lease=1.0) for _ in range(2)
        ]
        keys, redis = layers[0].engine.keys, single.client()
        try:
            for layer in layers:
                queue = f"websocket.send.{layer.process}!"
                layer.attach(queue, lambda channels, content: None)
                layer.last_will(queue + "a", "gone", {})
                await layer.group_add("group", queue + "a")
            await until(lambda: redis.zcard(keys.leases) == 2, "they have their leases")
            for ahead in (60, -60, 0):
                network.clock_ahead = ahead
                seen: set[Any] = set()
                await until(
                    lambda: seen.add(redis.zscore(keys.leases, layers[0].process)) or len(seen) > 6,  # noqa: B023
                    "a lease was renewed for two leases",
                )
                assert redis.exists(keys.cleared) == 0
            assert redis.hlen(keys.wills_of(layers[0].process)) == 1
            assert len(await layers[0].group_channels("group")) == 2
        finally:
            for layer in layers:
                layer.close()
