"""A process that is about to end gets what was on its way to it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Iterator

import pytest

from routechan.layers import BaseChannelLayer
from routechan.layers.base import Delivery
from routechan.layers.redis import arrivals

from .conftest import Backend, RedisBackend
from .reading import SOON, aeverything

CHANNELS = ["a", "b"]


def processes(backend: Backend) -> Iterator[BaseChannelLayer]:
    """Layers that might be of one process each; in memory they are the same one."""
    if isinstance(backend, RedisBackend):
        prefix = f"withdraw-{secrets.token_hex(6)}"
        while True:
            yield backend.make(prefix=prefix)
    yield from itertools.repeat(backend.make())


async def test_what_was_on_its_way(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: a subscription ends while messages come: each of them was taken, is withdrawn, or left to others, once."""
    for limit in ("RELEASE", "WITHDRAWING_TIME"):  # what comes later than that would be lost
        monkeypatch.setattr(arrivals, limit, SOON)
    layers = processes(backend)
    other = next(layers)
    found: list[int] = []

    def take(delivery: Delivery) -> None:
        found.append(delivery.content["n"])

    for start in range(0, 80, 8):
        ending = next(layers)
        subscription = ending.subscribe(CHANNELS, take, 4)
        await asyncio.sleep(0.005)
        sends = [other.send(CHANNELS[number % 2], {"n": number}) for number in range(start, start + 8)]
        sending = asyncio.gather(*sends)
        await asyncio.sleep(0)
        subscription.end()
        withdrawn = await asyncio.wait_for(ending.withdraw(CHANNELS), SOON)
        assert all(delivery.channel in CHANNELS for delivery in withdrawn)
        found += [delivery.content["n"] for delivery in withdrawn]
        await sending
    for channel in CHANNELS:
        found += [content["n"] for content in await aeverything(other, channel)]
    assert sorted(found) == list(range(80))


async def test_where_nothing_was(backend: Backend) -> None:
    """Messages that nobody here waited for stay where they are."""
    ending, other = itertools.islice(processes(backend), 2)
    await other.send("a", {"n": 1})
    assert await ending.withdraw(CHANNELS) == []
    assert [content["n"] for content in await aeverything(other, "a")] == [1]
