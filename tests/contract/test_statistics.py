"""What a layer can tell about itself (section 2.8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from routechan.exceptions import ChannelFull, InvalidName
from routechan.layers import BaseChannelLayer, SyncChannelLayer

from .conftest import Backend
from .reading import areceive

TOTALS = {"messages_count", "channel_full_count", "dropped_count", "expired_count"}

Counts = Awaitable[dict[str, Any]]

#: How both faces are asked: about one channel, or about all (None).
ASKED: dict[str, Callable[[BaseChannelLayer, str | None], Counts]] = {
    "async": lambda layer, name: layer.global_statistics() if name is None else layer.channel_statistics(name),
    "1.x": lambda layer, name: asyncio.to_thread(
        *((layer.sync.global_statistics,) if name is None else (layer.sync.channel_statistics, name))
    ),
}

both_faces = pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)


@both_faces
async def test_messages_are_counted(layer: BaseChannelLayer, ask: Callable[..., Counts]) -> None:
    """items 48, 49, 50: whichever face sent them; what was read is pending no more."""
    began = time.monotonic()
    await layer.send("first", {})
    layer.sync.send("first", {})
    await layer.send("second", {})
    totals = await ask(layer, None)
    assert set(totals) == TOTALS
    assert (totals["messages_count"], totals["channel_full_count"]) == (3, 0)
    first, second = await ask(layer, "first"), await ask(layer, "second")
    assert set(first) == TOTALS | {"messages_pending", "messages_max_age"}
    assert (first["messages_count"], first["messages_pending"], first["channel_full_count"]) == (2, 2, 0)
    assert (second["messages_count"], second["messages_pending"], second["channel_full_count"]) == (1, 1, 0)
    took = time.monotonic() - began
    assert 0 <= first["messages_max_age"] <= took + 0.2
    assert 0 <= second["messages_max_age"] <= took + 0.2
    await areceive(layer, "first")
    first = await ask(layer, "first")
    assert (first["messages_count"], first["messages_pending"]) == (2, 1)


@both_faces
async def test_refused_sends_are_counted_apart(backend: Backend, ask: Callable[..., Counts]) -> None:
    """item 51: they are no messages, whichever face they were refused to."""
    layer = backend.make(capacity=1)
    await layer.send("first", {})
    for _ in range(2):
        with pytest.raises(ChannelFull):
            await layer.send("first", {})
        with pytest.raises(ChannelFull):
            layer.sync.send("first", {})
    for counts in (await ask(layer, None), await ask(layer, "first")):
        assert (counts["messages_count"], counts["channel_full_count"]) == (1, 4)
    assert (await ask(layer, "other"))["channel_full_count"] == 0


def test_the_age_falls_as_messages_are_read(backend: Backend) -> None:
    """section 2.8: seconds the oldest has waited; 0 when none waits."""
    face = backend.make().sync
    face.send("first", {})
    backend.elapse(6)
    face.send("first", {})
    assert 5 <= face.channel_statistics("first")["messages_max_age"] < 20
    face.receive(["first"])
    assert face.channel_statistics("first")["messages_max_age"] < 5
    face.receive(["first"])
    assert face.channel_statistics("first")["messages_max_age"] == 0


def test_expired_messages_are_not_pending(backend: Backend) -> None:
    """section 8.1, 18 (A2, A3): neither counted nor asked for their age."""
    face = backend.make(expiry=6).sync
    face.send("first", {})
    backend.elapse(8)
    counts = face.channel_statistics("first")
    assert (counts["messages_pending"], counts["messages_max_age"], counts["messages_count"]) == (0, 0, 1)


def test_a_channel_is_counted_with_its_queue(face: SyncChannelLayer) -> None:
    """section 2.6: counted up to ``!``, whichever of its names is asked for."""
    face.send("process!a", {})
    face.send("process!b", {})
    for channel in ("process!a", "process!"):
        counts = face.channel_statistics(channel)
        assert (counts["messages_count"], counts["messages_pending"]) == (2, 2)


def test_a_channel_nobody_used(face: SyncChannelLayer) -> None:
    """section 2.8: zero, not an error."""
    counts = face.channel_statistics("never")
    assert (counts["messages_count"], counts["messages_pending"], counts["messages_max_age"]) == (0, 0, 0)


def without_age(counts: dict[str, Any]) -> dict[str, Any]:
    return {what: count for what, count in counts.items() if what != "messages_max_age"}


async def test_both_faces_tell_the_same(backend: Backend) -> None:
    """section 2.11: after sends, refusals, drops and expiry, of normal and process-specific channels."""
    layer = backend.make(capacity=2, expiry=10)
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
    backend.elapse(12)
    for channel in channels:
        assert (await layer.channel_statistics(channel))["messages_pending"] == 0
        assert layer.sync.channel_statistics(channel)["messages_pending"] == 0


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


async def test_the_length_of_a_channel(layer: BaseChannelLayer) -> None:
    """relay: how many wait, without their content; those of a process' channels by channel or by queue."""
    assert await layer.length("channel") == 0
    for number in range(3):
        await layer.send("channel", {"number": number})
    assert await layer.length("channel") == 3
    assert (await areceive(layer, "channel"))["number"] == 0
    assert await layer.length("channel") == 2
    await layer.send("process!a", {})
    assert await layer.length("process!") == 1
    name = await layer.new_channel()
    await layer.send(name, {})
    assert await layer.length(name) == 1
    with pytest.raises(InvalidName):
        await layer.length("no name")
