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
from routechan_django import asgi, channels4, checks
from routechan_django.asgi import get_asgi_application, get_channel_layer
from tests.harness import WebSocket

pytest.importorskip("channels", minversion="4.0")

import channels.layers

MEMORY = {"BACKEND": "routechan.layers.InMemoryChannelLayer"}
THEIRS = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
PATH = "tests.unit.django.routing.channel_routing"


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
    monkeypatch.setattr(channels4, "channels_installed", lambda: False)
    monkeypatch.setattr(channels4, "get_channels_layer", lambda alias: pytest.fail("channels is imported"))


def project(routing: Any = PATH, **layers: Any) -> override_settings:
    return override_settings(
        CHANNEL_LAYERS=layers or {"default": MEMORY}, ROUTECHAN={} if routing is None else {"ROUTING": routing}
    )


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
    channels4.channels_installed.cache_clear()
    try:
        assert channels4.channels_installed() is installed
    finally:
        channels4.channels_installed.cache_clear()


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


@pytest.mark.parametrize(
    ("alias", "text"),
    [
        ("default", r"no routing is named, .*ROUTECHAN = {\"ROUTING\": \"project"),
        ("other", r"the channel layer 'other'.*{\"ROUTING\": {'other': \"project"),
    ],
)
def test_an_alias_without_routing_is_not_served(alias: str, text: str) -> None:
    """The error says how to name a routing, for the default layer and for another one."""
    with (
        project({{"default": "other", "other": "default"}[alias]: PATH}, default=MEMORY, other=MEMORY),
        pytest.raises(ImproperlyConfigured, match=text),
    ):
        get_asgi_application(alias)


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


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        pytest.param(
            project(PATH, default={**MEMORY, "ROUTING": PATH}),
            r"\['default'\] has a ROUTING, and ROUTECHAN.*keep one",
            id="two routings for one layer",
        ),
        pytest.param(
            project({"websocket.receive": len}),
            r"has the alias 'websocket.receive', which CHANNEL_LAYERS has",
            id="a dict of channels, which is taken for one of aliases",
        ),
        pytest.param(
            project(PATH, default={"BACKEND": InMemoryChannelLayer}),
            r"cannot import; write 'routechan.layers.InMemoryChannelLayer'",
            id="a class, which Channels cannot import",
        ),
        pytest.param(
            project(PATH, default={"BACKEND": "asgiref.inmemory.ChannelLayer"}),
            r"cannot import; write 'routechan.layers.InMemoryChannelLayer'",
            id="an old path, which Channels cannot import",
        ),
        pytest.param(
            project(PATH, default=THEIRS),
            r"installed here.*write 'routechan.layers.InMemoryChannelLayer'",
            id="a layer of Channels, on which no function runs",
        ),
        pytest.param(
            project(PATH, default={**MEMORY, "CONFIG": {"capcity": 5}}),
            "'capcity'.*did you mean 'capacity'",
            id="a misspelt option, with our text whoever makes the layer",
        ),
    ],
)
def test_mistakes(settings: override_settings, text: str) -> None:
    """What is wrong with a layer that both share is an error with what to write."""
    with settings, pytest.raises(InvalidChannelLayerError, match=text):
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
        before = get_channel_layer().layer
        with project(PATH, default={**MEMORY, "CONFIG": {"capacity": 7}}):
            assert get_channel_layer().capacity == channels.layers.get_channel_layer().capacity == 7
        assert get_channel_layer().layer is channels.layers.get_channel_layer()
        assert get_channel_layer().layer is not before


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


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        (project(PATH, default=MEMORY, other=THEIRS), None, ""),
        (project(None), "routechan.W001", 'Write ROUTECHAN = {"ROUTING": "project.routing.channel_routing"}.'),
        (project("tests.unit.django.routing.chanel_routing"), "routechan.E002", "ROUTECHAN['ROUTING']: "),
        (project({"others": PATH}), "routechan.E001", "'others'"),
    ],
    ids=["a layer of Channels alone is not ours to check", "no routing", "a misspelt routing", "a misspelt alias"],
)
def test_checks(settings: override_settings, code: str | None, text: str) -> None:
    """The checks find what is wrong with a routing where it is written, and say what to write beside Channels."""
    with settings:
        messages = checks.check_layers(None)
    assert [message.id for message in messages] == ([] if code is None else [code])
    for message in messages:
        assert text in f"{message.msg} {message.hint}"


def test_a_routing_that_channels_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the app of Channels in the project, a ROUTING in CHANNEL_LAYERS keeps its consumers from the layer."""
    with project(None, default={**MEMORY, "ROUTING": PATH}):
        assert checks.check_layers(None) == []
        monkeypatch.setattr(checks.apps, "is_installed", lambda name: name == "channels")
        (message,) = checks.check_layers(None)
        assert message.id == "routechan.W006"
        assert "CHANNEL_LAYERS['default'] has a ROUTING, which Channels refuses" in message.msg
        with project():
            assert checks.check_layers(None) == []
