"""A channel that a process of one layer made is refused on another layer, where nobody would get what is sent to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from routechan import Channel, Group
from routechan.concurrency import maybe_await
from routechan.exceptions import InvalidName
from routechan.layers import BaseChannelLayer, RedisChannelLayer
from routechan.names import queue_name

from .conftest import Backend
from .reading import SOON
from .test_local_delivery import Taker, queue

Use = Callable[[BaseChannelLayer, str], Awaitable[Any]]


async def _post(layer: BaseChannelLayer, name: str) -> None:
    await maybe_await(layer.post(name, {}))


def on_thread(use: Callable[[BaseChannelLayer, str], Any]) -> Use:
    return lambda layer, name: asyncio.to_thread(use, layer, name)


USES: dict[str, Use] = {
    "group_add": lambda layer, name: layer.group_add("g", name),
    "group_discard": lambda layer, name: layer.group_discard("g", name),
    "send": lambda layer, name: layer.send(name, {}),
    "send later": lambda layer, name: layer.send(name, {}, 0.01),
    "post": _post,
    "receive": lambda layer, name: layer.receive(name),
    "sync.group_add": on_thread(lambda layer, name: layer.sync.group_add("g", name)),
    "sync.group_discard": on_thread(lambda layer, name: layer.sync.group_discard("g", name)),
    "sync.send": on_thread(lambda layer, name: layer.sync.send(name, {})),
    "sync.send later": on_thread(lambda layer, name: layer.sync.send(name, {}, delay=0.01)),
    "Channel.asend": lambda layer, name: Channel(name, channel_layer=layer).asend({}),
    "Channel.send": on_thread(lambda layer, name: Channel(name, channel_layer=layer).send({})),
    "Group.aadd": lambda layer, name: Group("g", channel_layer=layer).aadd(name),
    "Group.add": on_thread(lambda layer, name: Group("g", channel_layer=layer).add(name)),
    "Group.adiscard": lambda layer, name: Group("g", channel_layer=layer).adiscard(name),
    "Group.discard": on_thread(lambda layer, name: Group("g", channel_layer=layer).discard(name)),
}


#: All but those that would take what is sent.
SENDS = [way for way in USES if "receive" not in way]


async def refusals(layer: BaseChannelLayer, ways: Iterable[str], *names: str) -> dict[tuple[str, str], str]:
    """What is said where one of ``names`` is refused, by way and name."""
    found = {}
    for way in ways:
        for name in names:
            try:
                await asyncio.wait_for(USES[way](layer, name), SOON)
            except InvalidName as error:
                found[way, name] = str(error)
    return found


async def test_a_channel_of_another_layer_is_refused(backend: Backend) -> None:
    """style, habit 12: silence would look as if it had been sent."""
    layer, other = backend.make(), backend.make()
    socket, specific = queue(other) + "a", await other.new_channel()
    other.attach(queue(other), Taker())
    found = await refusals(layer, USES, socket, specific)
    assert found.keys() == {(way, name) for way in USES for name in (socket, specific)}
    for text in found.values():
        assert re.search("is a channel of another channel layer.*alias", text)
    assert await layer.group_channels("g") == []


async def test_names_that_users_chose_are_not(layer: BaseChannelLayer) -> None:
    """section 1.2: a process-specific channel may have any name, and anybody may read it."""
    names = ("other.process!a", "websocket.send!abc", "specific.ABCDEFGHIJKLMN!a", "plain", "single?a")
    assert await refusals(layer, SENDS, *names) == {}


async def test_channels_of_this_layer_are_not(layer: BaseChannelLayer) -> None:
    """B12: of this process, whether or not anybody reads them still."""
    layer.attach(queue(layer), Taker())
    names = (queue(layer) + "a", await layer.new_channel(), f"websocket.send.gone.{layer.process}!a")
    assert await refusals(layer, SENDS, *names) == {}


@pytest.mark.parametrize("use", SENDS)
async def test_channels_of_another_process_are_not(backend: Backend, use: str) -> None:
    """B12: living or dead, and however its settings write where Redis is."""
    layer = backend.make()
    if not isinstance(layer, RedisChannelLayer):
        pytest.skip("it is one process")
    prefix = layer.engine.keys.prefix
    other = backend.make(prefix=prefix)
    name = await other.new_channel()
    await USES[use](layer, name)
    other.close()
    await USES[use](layer, name)  # a dead one: nobody can say what became of it
    elsewhere: Any = backend.make(prefix=prefix + ":")  # the same keys, written otherwise
    name = await elsewhere.new_channel()
    assert layer.engine.marks.is_foreign(queue_name(name))
    await USES[use](layer, name)
    assert not layer.engine.marks.is_foreign(queue_name(name))
