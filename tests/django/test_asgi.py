"""The ASGI application of a Django project."""

from __future__ import annotations

import asyncio

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from routechan import Channel, Group
from routechan.exceptions import UnknownChannelLayer
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, channel_layers
from routechan.worker.process import WorkerProcess
from routechan_django.asgi import dispatcher, get_asgi_application, get_channel_layer
from routechan_django.layer import ChannelLayerWrapper
from tests.asgi.clients import Lifespan
from tests.harness import WebSocket, get


async def test_sockets_go_to_the_consumers(layer: ChannelLayerWrapper) -> None:
    """``get_asgi_application`` serves the routing of the default layer, named groups included."""
    async with WebSocket(get_asgi_application(), "/chat/django/") as socket:
        await socket.accepted()
        socket.send("hello")
        assert await socket.text() == "django: hello"


async def test_http_goes_to_django(layer: ChannelLayerWrapper) -> None:
    """HTTP is Django's own ASGI handler, untouched (RT-33)."""
    assert await get(get_asgi_application(), "/hello/") == (200, b"hello from a view")


async def test_a_layer_of_an_unchanged_asgi_module_is_served(layer: ChannelLayerWrapper) -> None:
    """``channel_layer = get_channel_layer()`` can be given to any ASGI server (design section 3, LM-13)."""
    channel_layer = get_channel_layer()
    async with WebSocket(channel_layer, "/async/") as socket:
        await socket.accepted()
        socket.send("hello")
        assert await socket.text() == "hello"
    assert (await get(channel_layer, "/hello/"))[0] == 200


def test_the_layer_is_the_1x_face(layer: ChannelLayerWrapper) -> None:
    """What ``get_channel_layer`` gives is called without ``await``, as 1.x code does."""
    channel_layer = get_channel_layer()
    assert channel_layer is layer
    channel_layer.send("thumbnail", {"id": 1})
    assert channel_layer.receive(["thumbnail"]) == ("thumbnail", {"id": 1})
    channel_layer.group_add("images", "thumbnail")
    channel_layer.send_group("images", {"id": 2})
    assert channel_layer.group_channels("images") == ["thumbnail"]
    assert channel_layer.channel_statistics("thumbnail")["messages_pending"] == 1
    assert channel_layer.receive_many(["thumbnail"]) == ("thumbnail", {"id": 2})
    channel_layer.group_discard("images", "thumbnail")
    assert channel_layer.group_channels("images") == []
    assert channel_layer.new_channel("reply?").startswith("reply?")
    assert channel_layer.global_statistics()["messages_count"] == 2


def test_layer_wrapper(layer: ChannelLayerWrapper) -> None:
    """LM-09, LM-11, LM-12: alias, routing and router beside the layer; its options from CONFIG."""
    assert layer.alias == "default"
    assert layer.routing == "tests.django.routing.channel_routing"
    assert "thumbnail" in layer.router.channels
    assert layer.capacity == 50
    assert str(layer) == "default (routechan.layers.memory.InMemoryChannelLayer)"
    assert layer.local_only()


def test_channel_and_group_use_the_settings(layer: ChannelLayerWrapper) -> None:
    """CH-03, CH-04: the layer of the settings is found by its alias; an unknown one is a ``KeyError``."""
    assert Channel("x").channel_layer is layer
    assert Group("x").channel_layer is layer
    with pytest.raises(KeyError, match="no channel layer 'other'.*CHANNEL_LAYERS"):
        Channel("x", alias="other")


def test_an_unknown_alias_is_refused(layer: ChannelLayerWrapper) -> None:
    """The error of an unconfigured alias names it and says where to add it."""
    with pytest.raises(UnknownChannelLayer, match="no channel layer 'other'"):
        get_channel_layer("other")


def test_a_layer_set_by_hand_is_not_served(layer: ChannelLayerWrapper) -> None:
    """A project is served with the layers of its settings, since only they have a routing."""
    with (
        channel_layers.override(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer().sync),
        pytest.raises(ImproperlyConfigured, match="was set by hand"),
    ):
        get_asgi_application()


WORKERS = {
    "default": {
        "BACKEND": "routechan.layers.InMemoryChannelLayer",
        "ROUTING": "tests.django.routing.channel_routing",
        "CONSUMERS": "workers",
    }
}


@override_settings(CHANNEL_LAYERS=WORKERS)
async def test_with_workers_the_server_runs_no_consumer(layer: ChannelLayerWrapper) -> None:
    """design section 3: events wait on the layer for a worker, requests are Django's; a worker answers the socket."""
    layer = get_channel_layer()  # of these settings
    async with Lifespan(get_asgi_application()) as lifespan:
        assert (await get(lifespan.application, "/hello/"))[0] == 200
        layer.router.check_default()  # as runworker does
        async with WebSocket(lifespan.application, "/async/") as socket:
            assert await socket.nothing()
            worker = WorkerProcess(dispatcher(layer), layer, layer.router.channels)
            running = asyncio.create_task(worker.run())
            await socket.accepted()
            socket.send("hello")
            assert await socket.text() == "hello"
        worker.stop()
        assert await running == 0


@override_settings(ROUTECHAN={"ALLOWED_ORIGINS": ["example.com"]})
async def test_foreign_origins_are_refused(layer: ChannelLayerWrapper) -> None:
    """The origins of the settings decide; others see a refused handshake (design section 7)."""
    application = get_asgi_application()
    async with WebSocket(application, "/async/", [(b"origin", b"https://example.com")]) as socket:
        await socket.accepted()
    async with WebSocket(application, "/async/", [(b"origin", b"https://evil.example")]) as socket:
        assert (await socket.event())["type"] == "websocket.close"


@override_settings(ALLOWED_HOSTS=[".example.com"])
async def test_allowed_hosts_are_the_default_origins(layer: ChannelLayerWrapper) -> None:
    """Without ALLOWED_ORIGINS the hosts of ALLOWED_HOSTS may connect, subdomains included."""
    application = get_asgi_application()
    async with WebSocket(application, "/async/", [(b"origin", b"https://www.example.com:8443")]) as socket:
        await socket.accepted()
    async with WebSocket(application, "/async/", [(b"origin", b"http://localhost")]) as socket:
        assert (await socket.event())["type"] == "websocket.close"


@override_settings(CHANNELS_WS_PROTOCOLS=["graphql-ws", "json"])
async def test_subprotocols_of_the_1x_setting(layer: ChannelLayerWrapper) -> None:
    """ST-07: CHANNELS_WS_PROTOCOLS is honoured; the client's first choice among them wins."""
    async with WebSocket(get_asgi_application(), "/async/", subprotocols=["xml", "json", "graphql-ws"]) as socket:
        assert (await socket.event())["subprotocol"] == "json"
