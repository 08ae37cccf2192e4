"""The ASGI 3 callable: what it takes, and where it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

import routechan
from routechan import route
from routechan.asgi import Application
from routechan.encoding import Content
from routechan.exceptions import RoutingError
from routechan.interfaces import Replies
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers

from ...harness import get
from .clients import Lifespan, Open
from .consumers import NoConsumers, echo

ROUTING = [route("websocket.receive", echo)]


async def echoes(application: Any) -> None:
    async with Open(application) as client:
        client.send("hello")
        assert await client.text() == "hello"


async def test_a_scope_of_another_kind(default_layer: SyncChannelLayer) -> None:
    """An unknown scope type raises an error that lists the known ones."""
    application = routechan.application(ROUTING, default_layer.layer)
    with pytest.raises(ValueError, match="this application serves websocket, http and lifespan, not 'telepathy'"):
        await application({"type": "telepathy"}, None, None)  # type: ignore[arg-type]


async def test_it_works_without_lifespan(default_layer: SyncChannelLayer) -> None:
    """daphne sends none: the first connection starts it, be it a socket or a request."""
    await echoes(routechan.application(ROUTING, default_layer.layer))
    assert (await get(routechan.application(ROUTING, default_layer.layer), "/"))[0] == 404


async def test_first_connections_that_come_together_start_it_once(default_layer: SyncChannelLayer) -> None:
    """Concurrent first connections start one server with one reply queue of each kind."""
    layer = default_layer.layer
    assert isinstance(layer, InMemoryChannelLayer)
    application = routechan.application(ROUTING, layer)
    await asyncio.gather(*[echoes(application) for _ in range(5)])
    assert len(layer._store.attached) == 2


async def test_a_start_that_takes_time_is_waited_for(default_layer: SyncChannelLayer) -> None:
    """Connections that arrive during the start neither start it again nor run before it is ready."""

    class Slow(NoConsumers):
        async def start(self, replies: Replies) -> None:
            await super().start(replies)
            for _ in range(5):
                await asyncio.sleep(0)
            self.did.append("ready")

        def serves(self, channels: Iterable[str], content: Content) -> bool:
            assert self.did == ["start", "ready"]
            return False

    consumers = Slow()
    application = Application(consumers, default_layer.layer)
    answers = await asyncio.gather(*[get(application, "/") for _ in range(3)])
    assert answers == [(404, b"Nothing here answers HTTP on this path.")] * 3
    assert consumers.did == ["start", "ready"]


async def test_it_can_be_started_again(default_layer: SyncChannelLayer) -> None:
    """Test clients start and stop one application many times."""
    application = routechan.application(ROUTING, default_layer.layer)
    for _ in range(2):
        async with Lifespan(application):
            await echoes(application)


def test_one_loop_after_another(default_layer: SyncChannelLayer) -> None:
    """The application moves to a new event loop once the previous one is closed, as test clients need."""
    application = routechan.application(ROUTING, default_layer.layer)
    for _ in range(2):
        asyncio.run(echoes(application))


def test_two_loops_at_once_are_refused(default_layer: SyncChannelLayer) -> None:
    """A second event loop at the same time is refused; the text says what to do."""
    application = routechan.application(ROUTING, default_layer.layer)
    opened, done = threading.Event(), threading.Event()

    async def hold() -> None:
        async with Open(application):
            opened.set()
            await asyncio.to_thread(done.wait, 5)

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert opened.wait(5)
        with pytest.raises(RuntimeError, match="running on another event loop; build one for each"):
            asyncio.run(application({"type": "http", "method": "GET", "path": "/"}, None, None))  # type: ignore[arg-type]
    finally:
        done.set()
        thread.join(5)


def test_the_layer_given_is_the_default_one(default_layer: SyncChannelLayer) -> None:
    """``Channel`` and ``Group`` use the layer of the application."""
    layer = InMemoryChannelLayer()
    routechan.application(ROUTING, layer)
    assert channel_layers[DEFAULT_CHANNEL_LAYER] is layer.sync


def test_without_a_layer_the_default_one_is_taken(default_layer: SyncChannelLayer) -> None:
    """Without a layer, the default layer is used; if there is none, an in-memory layer is made."""
    routechan.application(ROUTING)
    assert channel_layers[DEFAULT_CHANNEL_LAYER] is default_layer
    channel_layers.set(DEFAULT_CHANNEL_LAYER, None)
    routechan.application(ROUTING)
    made = channel_layers[DEFAULT_CHANNEL_LAYER]
    assert isinstance(made.layer, InMemoryChannelLayer)
    assert made is not default_layer


def test_a_mistake_in_the_routing_is_found_when_it_is_built(default_layer: SyncChannelLayer) -> None:
    """A mistake in the routing is found when the application is built, not at the first connection."""
    with pytest.raises(RoutingError, match="write route"):
        routechan.application([echo], default_layer.layer)
