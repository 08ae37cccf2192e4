"""Channels that nobody reads are named in the log, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from routechan import Channel, Message, concurrency, route
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers
from routechan.monitor import reports, unread
from routechan.monitor.reports import Responder
from tests.waiting import until

from ..asgi.clients import logged
from ..helpers import DEADLINE
from ..relay.helpers import working


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "LOOK_INTERVAL", 0.05)


def thumbnail(message: Message) -> None:
    """Runs as long as the test says."""


@asynccontextmanager
async def looking(layer: SyncChannelLayer, *routing: Any) -> AsyncIterator[None]:
    """A worker for ``thumbnail``, which looks for channels that nobody reads."""
    async with working(layer, route("thumbnail", thumbnail), *routing):
        yield


async def test_a_misspelled_channel(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """It is named once, with what may have been meant; a channel that is read is not."""
    async with looking(default_layer):
        for name in ("thumnail", "thumbnail", "other"):
            for _ in range(3):
                await Channel(name).asend({"a": 1})
        await until(lambda: len(logged(caplog)) == 2)
        await Channel("thumnail").asend({"a": 1})
        await asyncio.sleep(0.2)
    other, misspelled = sorted(logged(caplog))
    assert misspelled.startswith("Nobody reads the channel 'thumnail', which this process sends to: it holds 3 ")
    assert misspelled.endswith(
        "and each expires after 60 s. No server or worker that is running has a route for it; did you mean 'thumbnail'?"
    )
    assert other.startswith("Nobody reads the channel 'other'")
    assert "did you mean" not in other


@pytest.mark.parametrize("how", ["outbox", "thread", "immediately", "sync"])
async def test_however_it_was_sent(default_layer: SyncChannelLayer, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """From a consumer when it ends, at once, from a thread."""

    def consumer(message: Message) -> None:
        Channel("nobodys").send({}, immediately=how == "immediately")

    async with looking(default_layer, route("start", consumer)):
        if how == "thread":
            await asyncio.to_thread(Channel("nobodys").send, {})
        elif how == "sync":
            Channel("nobodys").send({})
        else:
            await Channel("start").asend({})
        await until(lambda: logged(caplog))
    assert len(logged(caplog)) == 1
    assert "'nobodys'" in logged(caplog)[0]


async def test_a_slow_reader(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Messages that wait for a consumer which is there are nothing to be said."""
    release = asyncio.Event()

    async def hold(message: Message) -> None:
        await release.wait()

    async with looking(default_layer, route("slow", hold)):
        default_layer.layer.capacity = 10_000
        for _ in range(3):
            await Channel("slow").asend({"reply_channel": "a"})
        default_layer.send("websocket.receive", {})  # not by user code
        await asyncio.sleep(0.3)
        release.set()
    assert logged(caplog) == []


class Crossing(InMemoryChannelLayer):
    """A layer that says other processes see it."""

    crosses_processes = True


async def test_what_another_process_reads(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are asked; where the layer is away, later."""
    asked = 0

    async def statistics(channel: str) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ChannelLayerUnavailable("no answer")
        return {"messages_pending": 1, "messages_max_age": 5.0}

    with channel_layers.override(DEFAULT_CHANNEL_LAYER, Crossing().sync) as layer:
        monkeypatch.setattr(layer.layer, "channel_statistics", statistics)
        other = Responder(layer.layer, "worker")
        monkeypatch.setattr(reports, "report_of", lambda *about, **wanted: {"channels": ["theirs"]})
        other.start()
        looks = unread.UnreadChannels(layer.layer)
        looks.start()
        await Channel("theirs").asend({})
        await Channel("nobodys").asend({})
        await until(lambda: logged(caplog))
        await asyncio.sleep(0.1)
        await looks.stop()
        await other.stop()
    [line] = logged(caplog)
    assert "Nobody reads the channel 'nobodys'" in line


async def test_a_cancellation_that_is_swallowed(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``asyncio.wait_for`` does before Python 3.12 at times: the end of the process does not wait for more looks."""
    monkeypatch.setattr(concurrency, "CANCEL_INTERVAL", 0.01)
    looking = asyncio.Event()

    async def swallow(channel: str) -> Any:
        looking.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return {"messages_pending": 0, "messages_max_age": 0.0}

    monkeypatch.setattr(default_layer.layer, "channel_statistics", swallow)
    looks = unread.UnreadChannels(default_layer.layer)
    looks.start()
    await Channel("somebodys").asend({})
    await looking.wait()
    await asyncio.wait_for(looks.stop(), DEADLINE)


async def test_names_are_bounded(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are made up for each message do not fill the memory; reply channels are none of them."""
    monkeypatch.setattr(unread, "MAX_CHANNELS", 3)
    for number in range(10):
        await Channel(f"made-up-{number}").asend({})
        await Channel(f"specific.a.b!{number}").asend({})
    assert unread._sent_to[default_layer.layer] == {f"made-up-{number}" for number in range(3)}


async def test_a_layer_in_trouble(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the layer raises, it is looked again: what only watches ends nothing."""
    statistics, errors = default_layer.layer.channel_statistics, [ChannelLayerUnavailable("away"), OSError("odd")]

    async def failing(channel: str) -> Any:
        if errors:
            raise errors.pop()
        return await statistics(channel)

    monkeypatch.setattr(default_layer.layer, "channel_statistics", failing)
    async with looking(default_layer):
        await Channel("nobody").asend({"a": 1})
        await until(lambda: "Nobody reads the channel 'nobody'" in caplog.text)
    assert errors == []
    assert caplog.text.count("Looking for channels that nobody reads failed") == 1
