"""The ASGI 3 callable: what it takes, and where it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

import routechan
from routechan import Message, route
from routechan.asgi import Application
from routechan.encoding import Content
from routechan.exceptions import RoutingError
from routechan.handover import Events, Outlet, Replies
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers

from ..harness import get
from .clients import Client, Lifespan


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})  # type: ignore[union-attr]


ROUTING = [route("websocket.receive", echo)]


async def echoes(application: Any) -> None:
    async with Client(application) as client:
        await client.open()
        client.send("hello")
        assert await client.text() == "hello"


async def test_a_scope_of_another_kind(default_layer: SyncChannelLayer) -> None:
    """style, habit 12: what came, and what is served."""
    application = routechan.application(ROUTING, default_layer.layer)
    with pytest.raises(ValueError, match="this application serves websocket, http and lifespan, not 'telepathy'"):
        await application({"type": "telepathy"}, None, None)  # type: ignore[arg-type]


async def test_it_works_without_lifespan(default_layer: SyncChannelLayer) -> None:
    """daphne sends none: the first connection starts it, be it a socket or a request."""
    await echoes(routechan.application(ROUTING, default_layer.layer))
    assert (await get(routechan.application(ROUTING, default_layer.layer), "/"))[0] == 404


async def test_first_connections_that_come_together_start_it_once(default_layer: SyncChannelLayer) -> None:
    """One server process, one reply queue, whoever comes first."""
    layer = default_layer.layer
    assert isinstance(layer, InMemoryChannelLayer)
    application = routechan.application(ROUTING, layer)
    await asyncio.gather(*[echoes(application) for _ in range(5)])
    assert len(layer._store.attached) == 2


async def test_a_start_that_takes_time_is_waited_for(default_layer: SyncChannelLayer) -> None:
    """Connections that come meanwhile neither start it again nor run before it is ready."""
    starts: list[str] = []

    class Slow:
        async def start(self, replies: Replies) -> None:
            starts.append("begins")
            for _ in range(5):
                await asyncio.sleep(0)
            starts.append("ready")

        async def stop(self) -> None: ...

        def serves(self, channels: Iterable[str], content: Content) -> bool:
            assert starts == ["begins", "ready"]
            return False

        def line(self, outlet: Outlet) -> Events:
            raise NotImplementedError

    application = Application(Slow(), default_layer.layer)
    assert (
        await asyncio.gather(*[get(application, "/") for _ in range(3)])
        == [(404, b"Nothing here answers HTTP on this path.")] * 3
    )
    assert starts == ["begins", "ready"]


async def test_it_can_be_started_again(default_layer: SyncChannelLayer) -> None:
    """Test clients start and stop one application many times."""
    application = routechan.application(ROUTING, default_layer.layer)
    for _ in range(2):
        async with Lifespan(application):
            await echoes(application)


def test_one_loop_after_another(default_layer: SyncChannelLayer) -> None:
    """A loop for each test, as test clients have: the application follows where the one before is closed."""
    application = routechan.application(ROUTING, default_layer.layer)
    for _ in range(2):
        asyncio.run(echoes(application))


def test_two_loops_at_once_are_refused(default_layer: SyncChannelLayer) -> None:
    """style, habit 12: sockets belong to a loop; the text says what to do."""
    application = routechan.application(ROUTING, default_layer.layer)
    opened, done = threading.Event(), threading.Event()

    async def hold() -> None:
        async with Client(application) as client:
            await client.open()
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
    """design section 3, names users type: ``Channel`` and ``Group`` use the layer of the application."""
    layer = InMemoryChannelLayer()
    routechan.application(ROUTING, layer)
    assert channel_layers[DEFAULT_CHANNEL_LAYER] is layer.sync


def test_without_a_layer_the_default_one_is_taken(default_layer: SyncChannelLayer) -> None:
    """The one there is; a new one in memory where there is none."""
    routechan.application(ROUTING)
    assert channel_layers[DEFAULT_CHANNEL_LAYER] is default_layer
    channel_layers.set(DEFAULT_CHANNEL_LAYER, None)
    routechan.application(ROUTING)
    made = channel_layers[DEFAULT_CHANNEL_LAYER]
    assert isinstance(made.layer, InMemoryChannelLayer)
    assert made is not default_layer


def test_a_mistake_in_the_routing_is_found_when_it_is_built(default_layer: SyncChannelLayer) -> None:
    """issue: not when the first client comes."""
    with pytest.raises(RoutingError, match="write route"):
        routechan.application([echo], default_layer.layer)
