"""The layer that docs/layers.rst builds passes the contract, where it promises it, and holds sockets of two servers."""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import routechan
from routechan import Group, Message, route
from routechan.exceptions import ChannelFull
from routechan.layers import BaseChannelLayer, SyncChannelLayer, channel_layers
from routechan.layers.base import Delivery
from tests.unit.asgi.clients import Client, Lifespan
from tests.waiting import until

from . import test_groups, test_headers, test_messages, test_subscribe

LAYERS = Path(__file__).parents[2] / "docs" / "layers.rst"

#: What a layer that polls, and copies no group message in one step, does not promise.
BEYOND = {
    "test_async_receivers_are_served_in_the_order_they_came",
    "test_async_receive_on_a_full_name_gives_only_its_messages",
    "test_a_refused_message_takes_no_room",
    "test_who_is_served",
    "test_groups_of_this_process",
    "test_each_message_goes_to_one",
    "test_an_attached_queue_gets_the_content",
}


def contract(module: Any) -> dict[str, Any]:
    """The tests of a part of the contract that need nothing but ``layer`` or ``face``."""
    found = {}
    for name, test in vars(module).items():
        if name.startswith("test_") and name not in BEYOND:
            wanted = set(test.__code__.co_varnames[: test.__code__.co_argcount])
            if wanted & {"layer", "face"} and "backend" not in wanted:
                found[f"{name}_of_{module.__name__.rpartition('_')[2]}"] = test
    return found


globals().update(contract(test_messages) | contract(test_groups) | contract(test_headers) | contract(test_subscribe))
taker = test_subscribe.taker

Make = Callable[[], BaseChannelLayer]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Layers on one file: each might be another process."""
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:(?: {4}.*)?\n)+)", LAYERS.read_text())
    (block,) = [block for block in blocks if "class SQLiteChannelLayer" in block]
    source = textwrap.dedent(block).partition("\nlayer = ")[0]
    names: dict[str, Any] = {"__name__": "document"}
    exec(compile(source, str(LAYERS), "exec"), names)
    made: list[Any] = []

    def make() -> BaseChannelLayer:
        made.append(names["SQLiteChannelLayer"](tmp_path / "layer.sqlite3"))
        layer: BaseChannelLayer = made[-1]
        return layer

    yield make
    for layer in made:
        layer.close()


@pytest.fixture
def layer(make: Make) -> BaseChannelLayer:
    """One of them."""
    return make()


@pytest.fixture
def face(layer: BaseChannelLayer) -> SyncChannelLayer:
    """Its 1.x face."""
    return layer.sync


def test_its_length() -> None:
    """docs/layers.rst: a layer of one's own is a short thing to write."""
    text = LAYERS.read_text().split("class SQLiteChannelLayer")[1].split("layer = SQLite")[0]
    assert len([line for line in text.splitlines() if line.strip()]) <= 60


def test_a_full_channel(make: Make) -> None:
    """R4: it raises what every layer raises; a group message passes over it."""
    face = make().sync
    for number in range(100):
        face.send("full", {"n": number})
    with pytest.raises(ChannelFull):
        face.send("full", {})
    for member in ("full", "free"):
        face.group_add("group", member)
    face.send_group("group", {"n": 100})
    assert face.receive(["free"]) == ("free", {"n": 100})
    assert face.receive(["full"]) == ("full", {"n": 0})


async def test_two_processes(make: Make) -> None:
    """2.9: what one sends the other takes, once; members of both are in one group."""
    here, there = make(), make()
    found: list[int] = []

    def take(delivery: Delivery) -> None:
        found.append(delivery.content["n"])
        delivery.done()

    subscriptions = [layer.subscribe(["work"], take, 1) for layer in (here, there)]
    for number in range(40):
        await (here if number % 2 else there).send("work", {"n": number})
    await until(lambda: len(found) == 40)
    assert sorted(found) == list(range(40))
    for subscription in subscriptions:
        subscription.end()
    await here.group_add("group", await there.new_channel())
    assert await there.group_count("group") == 1


async def test_sockets_of_two_servers(make: Make) -> None:
    """design section 5: consumers put sockets into a group, and any process sends to all of them."""

    def connect(message: Message) -> None:
        message.reply_channel.send({"accept": True})  # type: ignore[union-attr]
        Group("room", channel_layer=message.channel_layer).add(message.reply_channel)

    def receive(message: Message) -> None:
        Group("room", channel_layer=message.channel_layer).send({"text": message["text"]})

    routing = [route("websocket.connect", connect), route("websocket.receive", receive)]
    layers = [make(), make()]
    with channel_layers.override("default", layers[0].sync):
        async with (
            Lifespan(routechan.application(routing, layers[0])) as first,
            Lifespan(routechan.application(routing, layers[1])) as second,
            Client(first.application) as here,
            Client(second.application) as there,
        ):
            for client in (here, there):
                await client.open()
            await until_members(layers[0], 2)
            here.send("hello")
            for client in (here, there):
                assert await client.text() == "hello"
            there.leave()
            await until_members(layers[0], 1)
            here.leave()
            await until_members(layers[0], 0)


async def until_members(layer: BaseChannelLayer, count: int) -> None:
    """Wait until the room has so many members."""
    while await layer.group_count("room") != count:
        await asyncio.sleep(0.01)
