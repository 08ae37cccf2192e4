"""Beside Channels 4: where the routing is named, and that consumers of both kinds use one layer."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from routechan import Group, Message, route
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import InMemoryChannelLayer, channel_layers
from routechan_django import asgi, beside, checks, conf
from routechan_django.asgi import get_asgi_application, get_channel_layer
from tests.harness import WebSocket

pytest.importorskip("channels", minversion="4.0")

import channels.layers

MEMORY = {"BACKEND": "routechan.layers.InMemoryChannelLayer"}
THEIRS = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
PATH = "tests.django.routing.channel_routing"


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """No layer is left of an earlier test, nor for a later one."""
    channel_layers.set("default", None)
    channel_layers.configure(asgi.make_layer)
    yield
    for alias in ("default", "other"):
        channel_layers.set(alias, None)


@pytest.fixture
def no_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Channels were not installed: to import it is an error."""
    monkeypatch.setattr(beside, "channels_installed", lambda: False)
    monkeypatch.setattr(beside, "layer_of_channels", lambda alias: pytest.fail("channels is imported"))


def project(routing: Any = PATH, **layers: Any) -> override_settings:
    return override_settings(
        CHANNEL_LAYERS=layers or {"default": MEMORY}, ROUTECHAN={} if routing is None else {"ROUTING": routing}
    )


def found() -> list[tuple[str | None, str]]:
    return [(message.id, message.msg) for message in checks.check_layers(None)]


@pytest.mark.parametrize(
    ("version", "installed"), [("4.3.2", True), ("2.4.0", True), ("10.0", True), ("1.1.8", False), (None, False)]
)
def test_which_channels_counts(monkeypatch: pytest.MonkeyPatch, version: str | None, installed: bool) -> None:
    """Channels 2 and later is beside us; what we restore is not, and nothing is imported to find that out."""

    def look(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", look)
    beside.channels_installed.cache_clear()
    try:
        assert beside.channels_installed() is installed
    finally:
        beside.channels_installed.cache_clear()


@project()
def test_both_kinds_use_one_layer() -> None:
    """The layer of function consumers is the one that Channels has made, whoever asks first."""
    layer = get_channel_layer()
    assert layer.layer is channels.layers.get_channel_layer()
    assert layer.routing == PATH
    assert "thumbnail" in layer.router.channels


@project({"other": PATH}, default=MEMORY, other={**MEMORY, "CONSUMERS": "inline"})
def test_a_routing_for_each_alias() -> None:
    """A dict names a routing by alias; a layer without one is there for ``Group``, and serves nothing."""
    assert get_channel_layer("other").routing == PATH
    assert Group("some", alias="other").channel_layer.layer is channels.layers.get_channel_layer("other")
    assert get_channel_layer().router.channels == set()
    with pytest.raises(ImproperlyConfigured, match=r"no routing is named, .*ROUTECHAN = {\"ROUTING\": \"project"):
        get_asgi_application()


@project({"default": PATH}, default=MEMORY, other=MEMORY)
def test_an_alias_without_routing_is_not_served() -> None:
    """The error for another alias than the default one says how to name its routing."""
    with pytest.raises(ImproperlyConfigured, match=r"the channel layer 'other'.*{\"ROUTING\": {'other': \"project"):
        get_asgi_application("other")


@project()
def test_without_channels(no_channels: None) -> None:
    """The routing may stand in ROUTECHAN without Channels too; then we make the layer, and import no Channels."""
    assert get_channel_layer().routing == PATH
    assert isinstance(get_channel_layer().layer, InMemoryChannelLayer)


@project(None, default={**MEMORY, "ROUTING": PATH})
def test_a_layer_with_a_routing_is_ours_alone() -> None:
    """Channels refuses a ROUTING in CHANNEL_LAYERS, so such a layer is made here."""
    assert get_channel_layer().routing == PATH
    with pytest.raises(ValueError, match="ROUTING key found"):
        channels.layers.get_channel_layer()


@project(PATH, default={**MEMORY, "ROUTING": PATH})
def test_a_routing_named_twice() -> None:
    """Two routings for one layer are one too many."""
    with pytest.raises(InvalidChannelLayerError, match=r"\['default'\] has a ROUTING, and ROUTECHAN.*keep one"):
        conf.layer_config("default")


@project({"websocket.receive": len})
def test_a_routing_for_no_layer() -> None:
    """A dict in ROUTECHAN['ROUTING'] is by alias; one of channels is taken for that, and refused."""
    with pytest.raises(InvalidChannelLayerError, match=r"has the alias 'websocket.receive', which CHANNEL_LAYERS has"):
        conf.layer_config("default")


@pytest.mark.parametrize("backend", [InMemoryChannelLayer, "asgiref.inmemory.ChannelLayer"])
def test_a_backend_that_channels_cannot_import(backend: Any) -> None:
    """What only we understand in BACKEND is of no use where Channels makes the layer."""
    with (
        project(PATH, default={"BACKEND": backend}),
        pytest.raises(InvalidChannelLayerError, match=r"cannot import; write 'routechan.layers.InMemoryChannelLayer'"),
    ):
        get_channel_layer()


@project(PATH, default=THEIRS)
def test_a_layer_of_channels_itself() -> None:
    """Functions run on our layers only; the error names the one to write."""
    with pytest.raises(
        InvalidChannelLayerError, match=r"installed here.*write 'routechan.layers.InMemoryChannelLayer'"
    ):
        get_channel_layer()


@project(PATH, default={**MEMORY, "CONFIG": {"capcity": 5}})
def test_a_misspelt_option() -> None:
    """Our text for a mistake in CONFIG, whoever makes the layer."""
    with pytest.raises(InvalidChannelLayerError, match="'capcity'.*did you mean 'capacity'"):
        get_channel_layer()


@project()
def test_a_layer_set_by_hand_in_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that put a layer into the manager of Channels put it there for functions too; it has to be one of ours."""
    mine = InMemoryChannelLayer()
    monkeypatch.setitem(channels.layers.channel_layers.backends, "default", mine)
    assert get_channel_layer().layer is mine
    channel_layers.set("default", None)
    monkeypatch.setitem(channels.layers.channel_layers.backends, "default", channels.layers.InMemoryChannelLayer())
    with pytest.raises(
        InvalidChannelLayerError, match=r"\['default'\] was set by hand.*set a layer of routechan.layers"
    ):
        get_channel_layer()


def test_changed_settings_make_new_layers() -> None:
    """Item 134: a changed setting forgets the layers made from the old one, on both sides, there and back."""
    with project():
        before = get_channel_layer()
        with project(PATH, default={**MEMORY, "CONFIG": {"capacity": 7}}):
            assert get_channel_layer().capacity == channels.layers.get_channel_layer().capacity == 7
        assert get_channel_layer().layer is channels.layers.get_channel_layer()
        assert get_channel_layer() is not before


def test_a_layer_set_by_hand_stays() -> None:
    """What a test has put under an alias is not made from settings, and outlives a change of them."""
    mine = InMemoryChannelLayer().sync
    with project():
        get_channel_layer()
        with channel_layers.override("default", mine), project(PATH, default=MEMORY, other=MEMORY):
            assert channel_layers["default"] is mine


def join(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("members").add(message.reply_channel)


async def test_an_application_follows_the_settings() -> None:
    """The application of an ``asgi.py``, imported once, serves the layer that a test's settings make."""
    routing = [route("websocket.connect", join)]
    with project(routing):
        application = get_asgi_application()
        with project(routing, default={**MEMORY, "CONFIG": {"capacity": 7}}):
            async with WebSocket(application) as socket:
                await socket.accepted()
                await channels.layers.get_channel_layer().group_send("members", {"text": "hello"})
                assert await socket.text() == "hello"


@project(PATH, default=MEMORY, other=THEIRS)
def test_layers_of_channels_alone_are_not_ours_to_check() -> None:
    """A layer for which no routing is named may be of any kind."""
    assert found() == []


@project(None)
def test_no_routing_is_named() -> None:
    """Without a routing no function is served; the hint shows where it is written beside Channels."""
    (message,) = checks.check_layers(None)
    assert (message.id, message.hint) == (
        "routechan.W001",
        'Write ROUTECHAN = {"ROUTING": "project.routing.channel_routing"}.',
    )


@project("tests.django.routing.chanel_routing")
def test_mistakes_in_the_routing_are_found_where_they_are() -> None:
    """A check of the routing names the setting it stands in."""
    ((code, text),) = found()
    assert code == "routechan.E002"
    assert text.startswith("ROUTECHAN['ROUTING']: ")


@project({"others": PATH})
def test_a_routing_for_no_layer_is_found() -> None:
    """A misspelt alias in ROUTECHAN is an error of the checks."""
    ((code, text),) = found()
    assert code == "routechan.E001"
    assert "'others'" in text


def test_a_routing_that_channels_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the app of Channels in the project, a ROUTING in CHANNEL_LAYERS keeps its consumers from the layer."""
    with project(None, default={**MEMORY, "ROUTING": PATH}):
        assert found() == []
        monkeypatch.setattr(checks.apps, "is_installed", lambda name: name == "channels")
        ((code, text),) = found()
        assert code == "routechan.W006"
        assert "CHANNEL_LAYERS['default'] has a ROUTING, which Channels refuses" in text
        with project():
            assert found() == []
