"""A send on a layer in memory that nothing serves in this process is warned of, once, with the line that sent it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import routechan
from routechan import Channel, Group, Message, route
from routechan.exceptions import InvalidName
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.monitor import unread, unserved
from tests.waiting import until

from ..asgi.clients import Lifespan, logged
from ..relay.helpers import working


@pytest.fixture
def watched(default_layer: SyncChannelLayer) -> Iterator[SyncChannelLayer]:
    unserved.watch(default_layer.layer, lambda: False)
    yield default_layer
    unserved.serve(default_layer.layer)


def line() -> int:
    frame: Any = inspect.currentframe()
    return int(frame.f_back.f_lineno)


def test_a_send_of_a_shell(watched: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """To a group or a channel: the first one is told of, with its line."""
    at = line() + 1
    Group("all").send({"text": "hello"})
    Group("all").send({"text": "again"})
    Channel("thumbnail").send({})
    [text] = logged(caplog)
    assert text.startswith(f"A message to all, sent at {__file__}:{at}, reaches nobody: InMemoryChannelLayer is in mem")
    assert text.endswith("use routechan.layers.RedisChannelLayer")


async def test_a_send_of_async_code(watched: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Likewise."""
    at = line() + 1
    await Channel("thumbnail").asend({})
    [text] = logged(caplog)
    assert text.startswith(f"A message to thumbnail, sent at {__file__}:{at}, reaches nobody")


async def test_a_process_that_serves(watched: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """An application is built before it is started: what is sent meanwhile may have readers."""
    application = routechan.application([], watched.layer)
    Group("all").send({"text": "early"})
    async with Lifespan(application):
        await Group("all").asend({"text": "hello"})
    assert logged(caplog) == []


@pytest.mark.parametrize("classic", [False, True], ids=["worker", "classic"])
async def test_a_worker(watched: SyncChannelLayer, caplog: pytest.LogCaptureFixture, classic: bool) -> None:
    """What its consumers send, and whatever else its process does."""
    seen: list[Any] = []

    def consumer(message: Message) -> None:
        seen.append(message.content)

    async with working(watched, route("thumbnail", consumer), classic=classic):
        await until(lambda: watched.layer not in unserved.unserved)
        await asyncio.to_thread(Channel("thumbnail").send, {"n": 1})
        await until(lambda: seen)
    assert logged(caplog) == []


def test_tests_and_other_layers(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said while a test runs, nor of a layer that crosses processes."""

    class Crossing(InMemoryChannelLayer):
        crosses_processes = True

    unserved.watch(default_layer.layer, lambda: True)
    crossing = Crossing()
    unserved.watch(crossing, lambda: False)
    Group("all").send({"text": "hello"})
    Group("all", channel_layer=crossing.sync).send({"text": "hello"})
    unserved.serve(default_layer.layer)
    assert logged(caplog) == []


async def test_an_invalid_name_is_not_looked_after(watched: SyncChannelLayer) -> None:
    """Nor does one that is refused end up among the channels that this process sends to."""
    with pytest.raises(InvalidName):
        await Channel("with a space").asend({})
    assert "with a space" not in unread._sent_to.get(watched.layer, set())
