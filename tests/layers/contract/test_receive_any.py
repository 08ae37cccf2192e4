"""One wait for several channels, on the async face."""

from __future__ import annotations

import asyncio

import pytest

from routechan.exceptions import InvalidName
from routechan.layers import BaseChannelLayer

from ..reading import SOON


async def any_of(layer: BaseChannelLayer, *channels: str) -> tuple[str, dict[str, object]]:
    return await asyncio.wait_for(layer.receive_any(channels), SOON)


async def test_what_is_there_comes_with_the_name_of_its_channel(layer: BaseChannelLayer) -> None:
    """2.3: from any of several channels, each in its order."""
    for number in range(3):
        await layer.send("any_a", {"number": number})
    await layer.send("any_b", {"number": 3})
    found = [await any_of(layer, "any_a", "any_b", "any_none") for _ in range(4)]
    assert [content["number"] for name, content in found if name == "any_a"] == [0, 1, 2]
    assert [content["number"] for name, content in found if name == "any_b"] == [3]


async def test_who_waits_is_given_what_comes(layer: BaseChannelLayer) -> None:
    """2.3: on whichever channel it comes; each message goes to one of those who wait."""
    waiting = [asyncio.create_task(any_of(layer, "any_c", "any_d")) for _ in range(6)]
    await asyncio.sleep(0.05)
    for number in range(6):
        await layer.send("any_" + "cd"[number % 2], {"number": number})
    found = await asyncio.gather(*waiting)
    assert sorted(content["number"] for _, content in found) == list(range(6))
    assert all(name == "any_" + "cd"[content["number"] % 2] for name, content in found)


async def test_order_for_one_who_takes_many(layer: BaseChannelLayer) -> None:
    """item 3: several waits of one process, filled in the order they were begun."""
    seen: list[int] = []

    async def take() -> None:
        while True:
            _, content = await layer.receive_any(["any_e"])
            seen.append(content["number"])

    takers = [asyncio.create_task(take()) for _ in range(8)]
    for number in range(60):
        await layer.send("any_e", {"number": number})
    ends = asyncio.get_running_loop().time() + SOON
    while len(seen) < 60 and asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(0.005)
    assert seen == list(range(60))
    for taker in takers:
        taker.cancel()
    await asyncio.gather(*takers, return_exceptions=True)


async def test_a_wait_that_is_given_up_loses_nothing(layer: BaseChannelLayer) -> None:
    """R7: what came for who was cancelled is there for the next, in order."""
    for number in range(30):
        given_up = asyncio.create_task(layer.receive_any(["any_f", "any_g"]))
        await asyncio.sleep(0)
        sending = asyncio.create_task(layer.send("any_f", {"number": number}))
        await asyncio.sleep(0.001 * (number % 3))
        given_up.cancel()
        await sending
        outcome = (await asyncio.gather(given_up, return_exceptions=True))[0]
        if isinstance(outcome, BaseException):
            outcome = await any_of(layer, "any_f", "any_g")
        assert outcome == ("any_f", {"number": number})


async def test_channels_that_are_read_by_their_full_name(layer: BaseChannelLayer) -> None:
    """1.2: a channel of ``new_channel`` is not read together with others."""
    name = await layer.new_channel()
    with pytest.raises(InvalidName, match="the part up to"):
        await layer.receive_any([name])


async def test_who_is_served(layer: BaseChannelLayer) -> None:
    """section 5 of the design, leases: a queue is served while its process lives and takes what is sent to it."""
    queue = f"specific.served.{layer.process}!"
    assert not await layer.is_served(queue + "x")
    layer.attach(queue, lambda channels, content: None)
    assert await layer.is_served(queue + "x")
    pending = layer.detach(queue)
    if pending is not None:
        await pending
    assert not await layer.is_served(queue + "x")
    assert not await layer.is_served("specific.served.nobody!x")
