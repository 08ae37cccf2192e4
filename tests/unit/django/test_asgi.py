"""The ASGI application of a Django project."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from routechan import Channel, Group
from routechan.exceptions import UnknownChannelLayer
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, channel_layers
from routechan.worker.process import WorkerProcess
from routechan_django.application import dispatcher
from routechan_django.asgi import get_asgi_application, get_channel_layer
from routechan_django.layer import ChannelLayerWrapper
from tests.harness import WebSocket, get
from tests.unit.asgi.clients import Lifespan


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
    """LM-13, LM-14: what ``get_channel_layer`` gives is called without ``await``, as 1.x code does."""
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
    assert layer.routing == "tests.unit.django.routing.channel_routing"
    assert "thumbnail" in layer.router.channels
    assert layer.capacity == 50
    assert str(layer) == "default (routechan.layers.memory.InMemoryChannelLayer)"
    assert layer.local_only()


def test_channel_and_group_use_the_settings(layer: ChannelLayerWrapper) -> None:
    """CH-03, CH-04: the layer of the settings is found by its alias; an unknown one is named, with where to add it."""
    assert Channel("x").channel_layer is layer
    assert Group("x").channel_layer is layer
    for look in (lambda: Channel("x", alias="other"), lambda: get_channel_layer("other")):
        with pytest.raises(KeyError, match="no channel layer 'other'.*CHANNEL_LAYERS") as raised:
            look()
        assert isinstance(raised.value, UnknownChannelLayer)


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
        "ROUTING": "tests.unit.django.routing.channel_routing",
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


@pytest.mark.parametrize(
    ("settings", "accepted", "refused"),
    [
        ({"ROUTECHAN": {"ALLOWED_ORIGINS": ["example.com"]}}, b"https://example.com", b"https://evil.example"),
        ({"ALLOWED_HOSTS": [".example.com"]}, b"https://www.example.com:8443", b"http://localhost"),
    ],
    ids=["ALLOWED_ORIGINS", "without it the hosts of ALLOWED_HOSTS, subdomains included"],
)
async def test_foreign_origins_are_refused(
    layer: ChannelLayerWrapper, settings: Any, accepted: bytes, refused: bytes
) -> None:
    """The settings say whose pages may connect; others see a refused handshake (design section 7)."""
    with override_settings(**settings):
        application = get_asgi_application()
        async with WebSocket(application, "/async/", [(b"origin", accepted)]) as socket:
            await socket.accepted()
        async with WebSocket(application, "/async/", [(b"origin", refused)]) as socket:
            assert (await socket.event())["type"] == "websocket.close"


@override_settings(CHANNELS_WS_PROTOCOLS=["graphql-ws", "json"])
async def test_subprotocols_of_the_1x_setting(layer: ChannelLayerWrapper) -> None:
    """ST-07: CHANNELS_WS_PROTOCOLS is honoured; the client's first choice among them wins."""
    async with WebSocket(get_asgi_application(), "/async/", subprotocols=["xml", "json", "graphql-ws"]) as socket:
        assert (await socket.event())["subprotocol"] == "json"


@override_settings(ROOT_URLCONF="tests.unit.django.views")
async def test_a_view_without_a_reply_channel(layer: ChannelLayerWrapper, caplog: pytest.LogCaptureFixture) -> None:
    """HT-01: the request of a view that no route leads to has none, and says how to get one."""
    assert (await get(get_asgi_application(), "/joins/"))[0] == 500
    (record,) = [record for record in caplog.records if record.exc_info]
    assert 'write route("http.request", ViewConsumer()) in the routing' in str(record.exc_info[1])


@pytest.mark.parametrize("path", ["/app/async/", "/async/"])
@override_settings(FORCE_SCRIPT_NAME="/app")
async def test_a_site_below_a_path(layer: ChannelLayerWrapper, path: str) -> None:
    """Sockets are below ``FORCE_SCRIPT_NAME``, as Django's URLs are, whether or not the proxy strips it."""
    async with WebSocket(get_asgi_application(), path) as client:
        await client.accepted()
        client.send("hello")
        assert await client.text() == "hello"
