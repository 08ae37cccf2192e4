"""Messages of several channels as they come, on the async face."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar

import pytest

from routechan.concurrency import maybe_await
from routechan.exceptions import InvalidName
from routechan.layers import BaseChannelLayer
from routechan.layers.base import Delivery, Subscription
from tests.waiting import until

from .reading import SOON


class Taker:
    """Who subscribes, and keeps what comes as ``(channel, number)``. Lifetime: test."""

    def __init__(self, layer: BaseChannelLayer, *channels: str, prefetch: int = 1000) -> None:
        self.found: list[tuple[str, int]] = []
        self.subscription: Subscription = layer.subscribe(channels, self._take, prefetch)

    def _take(self, delivery: Delivery) -> None:
        self.found.append((delivery.channel, delivery.content["number"]))

    async def until(self, count: int) -> list[tuple[str, int]]:
        """What has come, once that are ``count``; it is forgotten here."""
        await until(lambda: len(self.found) >= count)
        found, self.found = self.found, []
        return found


@pytest.fixture
async def taker(layer: BaseChannelLayer) -> AsyncIterator[Callable[..., Taker]]:
    takers: list[Taker] = []

    def make(*channels: str, prefetch: int = 1000) -> Taker:
        takers.append(Taker(layer, *channels, prefetch=prefetch))
        return takers[-1]

    yield make
    for each in takers:
        each.subscription.end()


Make = Callable[..., Taker]


async def send(layer: BaseChannelLayer, channel: str, *numbers: int) -> None:
    for number in numbers:
        await layer.send(channel, {"number": number})


async def test_what_is_there_comes_with_the_name_of_its_channel(layer: BaseChannelLayer, taker: Make) -> None:
    """2.3: from any of several channels, each in its order."""
    await send(layer, "sub_a", 0, 1, 2)
    await send(layer, "sub_b", 3)
    found = await taker("sub_a", "sub_b", "sub_none").until(4)
    assert [number for name, number in found if name == "sub_a"] == [0, 1, 2]
    assert [number for name, number in found if name == "sub_b"] == [3]


async def test_what_comes_later(layer: BaseChannelLayer, taker: Make) -> None:
    """2.3, item 3: on whichever channel, each channel in its order, singly and many at a time."""
    taking = taker("sub_c", "sub_d")
    await asyncio.sleep(0.05)
    await send(layer, "sub_c", 0)
    assert await taking.until(1) == [("sub_c", 0)]
    await asyncio.gather(*(layer.send("sub_" + "cd"[number % 2], {"number": number}) for number in range(1, 60)))
    found = await taking.until(59)
    assert [number for name, number in found if name == "sub_c"] == list(range(2, 60, 2))
    assert [number for name, number in found if name == "sub_d"] == list(range(1, 60, 2))


async def test_no_more_than_there_is_room_for(layer: BaseChannelLayer, taker: Make) -> None:
    """3.1: the others stay on the channel, until there is room, or for somebody else."""
    await send(layer, "sub_e", *range(6))
    taking = taker("sub_e", prefetch=2)
    assert await taking.until(2) == [("sub_e", 0), ("sub_e", 1)]
    await asyncio.sleep(0.1)
    assert taking.found == []
    taking.subscription.release("sub_e")
    assert await taking.until(1) == [("sub_e", 2)]
    await asyncio.sleep(0.1)
    assert taking.found == []
    assert await asyncio.wait_for(layer.receive("sub_e"), SOON) == {"number": 3}
    taking.subscription.release("sub_e")
    taking.subscription.release("sub_e")
    assert await taking.until(2) == [("sub_e", 4), ("sub_e", 5)]


async def test_room_that_comes_before_the_message(layer: BaseChannelLayer, taker: Make) -> None:
    """3.1: one place, given back each time: everything comes, in order, and nothing before its time."""
    taking = taker("sub_f", prefetch=1)
    for number in range(20):
        await send(layer, "sub_f", number)
        assert await taking.until(1) == [("sub_f", number)]
        taking.subscription.release("sub_f")


async def test_each_message_goes_to_one(layer: BaseChannelLayer, taker: Make) -> None:
    """2.3: with several who subscribed, and one who receives."""
    takers = [taker("sub_g", "sub_h") for _ in range(3)]
    receiving = asyncio.create_task(layer.receive("sub_g"))
    await asyncio.sleep(0.05)
    for number in range(40):
        await layer.send("sub_" + "gh"[number % 2], {"number": number})
    received = await asyncio.wait_for(receiving, SOON)
    await until(lambda: sum(len(each.found) for each in takers) == 39)
    numbers = [number for each in takers for _, number in each.found]
    assert sorted([*numbers, received["number"]]) == list(range(40))


async def test_the_end_loses_nothing(layer: BaseChannelLayer, taker: Make) -> None:
    """R7: what came for who has ended is there for the next, in order."""
    found: list[int] = []
    for number in range(30):
        taking = taker("sub_i", "sub_j")
        await asyncio.sleep(0)
        sending = asyncio.create_task(send(layer, "sub_i", number))
        await asyncio.sleep(0.001 * (number % 3))
        taking.subscription.end()
        await sending
        found += [number for _, number in taking.found]
        if len(found) == number:
            found.append((await asyncio.wait_for(layer.receive("sub_i"), SOON))["number"])
        assert found == list(range(number + 1))


async def test_what_a_taker_raises(layer: BaseChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """style: it is logged, and what comes after it is taken."""
    seen: list[int] = []

    def take(delivery: Delivery) -> None:
        if delivery.content["number"] == 0:
            raise ValueError("the taker's own trouble")
        seen.append(delivery.content["number"])

    subscription = layer.subscribe(["sub_k"], take, 10)
    with caplog.at_level(logging.ERROR):
        await send(layer, "sub_k", 0, 1)
        await until(lambda: seen)
    assert seen == [1]
    assert "the taker's own trouble" in caplog.text
    subscription.end()


async def test_a_taker_sees_its_own_context(layer: BaseChannelLayer) -> None:
    """section 3 of the design: not that of who happened to send."""
    here: ContextVar[str] = ContextVar("here", default="nowhere")
    here.set("the taker")
    seen: list[str] = []
    subscription = layer.subscribe(["sub_l"], lambda delivery: seen.append(here.get()), 10)

    def sender() -> None:
        here.set("the sender")
        layer.sync.send("sub_l", {"number": 0})

    here.set("changed since")
    thread = threading.Thread(target=sender)
    thread.start()
    await until(lambda: seen)
    thread.join()
    assert seen == ["the taker"]
    subscription.end()


async def test_channels_that_are_read_by_their_full_name(layer: BaseChannelLayer) -> None:
    """1.2: a channel of ``new_channel`` is not read together with others."""
    name = await layer.new_channel()
    with pytest.raises(InvalidName, match="the part up to"):
        layer.subscribe([name], lambda delivery: None, 1)


async def test_who_is_served(layer: BaseChannelLayer) -> None:
    """section 5 of the design, leases: a queue is served while its process lives and takes what is sent to it."""
    queue = f"specific.served.{layer.process}!"
    assert not await layer.is_served(queue + "x")
    layer.attach(queue, lambda channels, content: None)
    assert await layer.is_served(queue + "x")
    await maybe_await(layer.detach(queue))
    assert not await layer.is_served(queue + "x")
    assert not await layer.is_served("specific.served.nobody!x")
