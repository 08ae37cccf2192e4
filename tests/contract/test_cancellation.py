"""A reader that gives up loses no message and disturbs no order (R7)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from routechan.layers import BaseChannelLayer

from .reading import SOON, aeverything, areceive


async def waiting(layer: BaseChannelLayer, channel: str) -> asyncio.Task[dict[str, Any]]:
    """A task that waits in ``receive``."""
    task = asyncio.create_task(layer.receive(channel))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def outcome(task: asyncio.Task[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a cancelled reader got after all, or nothing."""
    with contextlib.suppress(asyncio.CancelledError):
        return [await task]
    return []


@pytest.fixture(params=["plain", "specific"])
async def channel(request: pytest.FixtureRequest, layer: BaseChannelLayer) -> str:
    """A normal channel and one of this process."""
    return "test-channel" if request.param == "plain" else await layer.new_channel()


async def test_a_reader_cancelled_before_a_message_came(layer: BaseChannelLayer, channel: str) -> None:
    """R7: the message waits for the next reader."""
    task = await waiting(layer, channel)
    task.cancel()
    assert await outcome(task) == []
    await layer.send(channel, {"a": 1})
    assert await areceive(layer, channel) == {"a": 1}


async def test_a_reader_that_timed_out(layer: BaseChannelLayer, channel: str) -> None:
    """item 118, P3: the next message is not lost."""
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(layer.receive(channel), 0.02)
    await layer.send(channel, {"a": 1})
    assert await areceive(layer, channel) == {"a": 1}


async def test_a_reader_cancelled_while_its_message_is_on_the_way(layer: BaseChannelLayer, channel: str) -> None:
    """R7 (C13): either the reader has it, or the next one."""
    task = await waiting(layer, channel)
    await layer.send(channel, {"a": 1})
    task.cancel()
    got = await outcome(task)
    assert got + await aeverything(layer, channel) == [{"a": 1}]


async def test_a_message_of_a_cancelled_reader_goes_to_one_that_waits(layer: BaseChannelLayer, channel: str) -> None:
    """R7: to the next local waiter of the same name."""
    first, second = await waiting(layer, channel), await waiting(layer, channel)
    await layer.send(channel, {"a": 1})
    first.cancel()
    if await outcome(first):  # it had the message already
        await layer.send(channel, {"a": 1})
    assert await asyncio.wait_for(second, SOON) == {"a": 1}


async def test_a_message_of_a_cancelled_reader_stays_before_later_ones(layer: BaseChannelLayer, channel: str) -> None:
    """R7: kept in order."""
    task = await waiting(layer, channel)
    for number in range(3):
        await layer.send(channel, {"number": number})
    task.cancel()
    got = await outcome(task)
    assert got + await aeverything(layer, channel) == [{"number": number} for number in range(3)]


@pytest.mark.parametrize("last_first", [False, True], ids=["first to wait first", "last to wait first"])
async def test_messages_of_several_cancelled_readers_keep_their_order(
    layer: BaseChannelLayer, channel: str, last_first: bool
) -> None:
    """R7: whichever reader gives up first."""
    tasks = [await waiting(layer, channel) for _ in range(3)]
    for number in range(4):
        await layer.send(channel, {"number": number})
    for task in reversed(tasks) if last_first else tasks:
        task.cancel()
    got = [content for task in tasks for content in await outcome(task)]
    assert got + await aeverything(layer, channel) == [{"number": number} for number in range(4)]


async def test_cancelling_at_any_moment_loses_nothing(layer: BaseChannelLayer, channel: str) -> None:
    """item 84 (C13): a storm of cancelled receives; each message comes once, and in order."""
    got: list[dict[str, Any]] = []
    for number in range(60):
        task = asyncio.create_task(layer.receive(channel))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        await layer.send(channel, {"number": number})
        for _ in range(number % 3):
            await asyncio.sleep(0)
        task.cancel()
        got += await outcome(task)
        if number % 7 == 6:
            got += await aeverything(layer, channel)
    got += await aeverything(layer, channel)
    assert [content["number"] for content in got] == list(range(60))
