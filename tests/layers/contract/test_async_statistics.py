"""The async face tells the same numbers as the 1.x one (section 2.8)."""

from __future__ import annotations

from typing import Any

import pytest

from routechan.exceptions import ChannelFull, InvalidName
from routechan.layers import BaseChannelLayer

from ..conftest import Backend
from ..reading import areceive

TOTALS = {"messages_count", "channel_full_count", "dropped_count", "expired_count"}


def without_age(counts: dict[str, Any]) -> dict[str, Any]:
    return {what: count for what, count in counts.items() if what != "messages_max_age"}


async def test_messages_are_counted(layer: BaseChannelLayer) -> None:
    """items 48, 49, 50: whichever face sent them."""
    await layer.send("first", {})
    layer.sync.send("first", {})
    await layer.send("second", {})
    totals = await layer.global_statistics()
    assert set(totals) == TOTALS
    assert (totals["messages_count"], totals["channel_full_count"]) == (3, 0)
    first = await layer.channel_statistics("first")
    assert set(first) == TOTALS | {"messages_pending", "messages_max_age"}
    assert (first["messages_count"], first["messages_pending"], first["channel_full_count"]) == (2, 2, 0)
    await areceive(layer, "first")
    first = await layer.channel_statistics("first")
    assert (first["messages_count"], first["messages_pending"]) == (2, 1)


async def test_both_faces_tell_the_same(backend: Backend) -> None:
    """section 2.11: after sends, refusals, drops and expiry, of normal and process-specific channels."""
    layer = backend.make(capacity=2, expiry=0.5)
    own = await layer.new_channel()
    channels = ("plain", "other.process!a", own)
    for channel in channels:
        await layer.group_add("test-group", channel)
        await layer.send(channel, {})
    for _ in range(3):
        await layer.group_send("test-group", {})
    with pytest.raises(ChannelFull):
        await layer.send("plain", {})
    for channel in channels:
        counts = await layer.channel_statistics(channel)
        assert without_age(counts) == without_age(layer.sync.channel_statistics(channel))
        assert (counts["messages_count"], counts["dropped_count"], counts["messages_pending"]) == (2, 2, 2)
    assert await layer.global_statistics() == layer.sync.global_statistics()
    assert (await layer.global_statistics())["channel_full_count"] == 1
    backend.elapse(0.6)
    for channel in channels:
        assert (await layer.channel_statistics(channel))["messages_pending"] == 0
        assert layer.sync.channel_statistics(channel)["messages_pending"] == 0


async def test_refused_sends_are_counted_apart(backend: Backend) -> None:
    """item 51: they are no messages."""
    layer = backend.make(capacity=1)
    await layer.send("first", {})
    for _ in range(4):
        with pytest.raises(ChannelFull):
            await layer.send("first", {})
    for counts in (await layer.global_statistics(), await layer.channel_statistics("first")):
        assert (counts["messages_count"], counts["channel_full_count"]) == (1, 4)


async def test_the_age_is_that_of_the_oldest_message(backend: Backend) -> None:
    """section 2.8: of a normal channel and of one of this process."""
    layer = backend.make()
    own = await layer.new_channel()
    for channel in ("first", own):
        assert (await layer.channel_statistics(channel))["messages_max_age"] == 0
        await layer.send(channel, {})
    backend.elapse(30)
    for channel in ("first", own):
        await layer.send(channel, {})
        assert 29 <= (await layer.channel_statistics(channel))["messages_max_age"] < 40
        await areceive(layer, channel)
        assert (await layer.channel_statistics(channel))["messages_max_age"] < 10


async def test_what_a_socket_dropped_is_counted(layer: BaseChannelLayer) -> None:
    """the contract of ``count_dropped``: under the channel's queue, and in all."""
    queue = f"websocket.send.{layer.process}!"
    layer.count_dropped(queue + "a", 3)
    layer.count_dropped(queue + "b", 1)
    assert (await layer.channel_statistics(queue))["dropped_count"] == 4
    assert (await layer.global_statistics())["dropped_count"] == 4


async def test_a_bad_name_is_refused(layer: BaseChannelLayer) -> None:
    """items 69, 137."""
    with pytest.raises(InvalidName):
        await layer.channel_statistics("a b")
