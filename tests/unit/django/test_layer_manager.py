"""``ChannelLayerManager``: the layers of the settings, as 1.x had them (spec 11.5)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from routechan import Channel
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import channel_layers as process_layers
from routechan_django.asgi import ChannelLayerManager, ChannelLayerWrapper, channel_layers

MEMORY = "routechan.layers.InMemoryChannelLayer"


def configured(**config: Any) -> Any:
    return override_settings(CHANNEL_LAYERS={"default": {"BACKEND": MEMORY, "ROUTING": [], **config}})


def test_the_process_has_one(layer: ChannelLayerWrapper) -> None:
    """LM-01, LM-03: the singleton has the layers that ``Channel`` uses, each made once."""
    assert isinstance(channel_layers, ChannelLayerManager)
    assert channel_layers["default"] is layer is process_layers["default"] is Channel("x").channel_layer
    assert channel_layers.backends["default"] is layer
    with pytest.raises(KeyError):
        channel_layers["other"]


def test_settings_are_read_each_time() -> None:
    """LM-02, ST-01: ``configs`` is the setting; none counts as an empty one."""
    with configured():
        assert [*channel_layers.configs] == ["default"]
    with override_settings(CHANNEL_LAYERS=None):
        assert channel_layers.configs == {}


def test_one_of_its_own() -> None:
    """LM-03, LM-04: another manager makes its own layers; an alias is in it if it is configured, made or not."""
    with configured():
        manager = ChannelLayerManager()
        assert "default" in manager
        assert "other" not in manager
        assert manager.backends == {}
        made = manager["default"]
        assert manager["default"] is made is not channel_layers["default"]
        assert isinstance(made, ChannelLayerWrapper)
        assert made.alias == "default"
        with pytest.raises(KeyError):
            manager["other"]


def test_backends_are_replaced() -> None:
    """LM-02: tests of 1.x clear the cache by assigning to it; ``Channel`` sees what is there then."""
    with configured():
        first = channel_layers["default"]
        channel_layers.backends = {}
        assert channel_layers["default"] is process_layers["default"] is not first
        channel_layers.backends = {"default": first}
        assert Channel("x").channel_layer is first
        del channel_layers.backends["default"]
        assert channel_layers.backends == {}


def test_set() -> None:
    """LM-08: puts a layer in the cache, and gives the one before, or None."""
    with configured():
        manager = ChannelLayerManager()
        other = manager.make_backend("default")
        assert manager.set("default", other) is None
        assert manager["default"] is other
        assert manager.set("default", None) is other


def test_make_backend() -> None:
    """LM-05, ST-02 to ST-04, LM-09: a new layer with the options of CONFIG, kept by nobody."""
    with configured(CONFIG={"expiry": 7}):
        manager = ChannelLayerManager()
        first, second = manager.make_backend("default"), manager.make_backend("default")
        assert first is not second
        assert manager.backends == {}
        assert (first.expiry, first.alias, first.routing, first.router.root.routing) == (7, "default", [], [])
        with pytest.raises(KeyError, match="no channel layer 'other': CHANNEL_LAYERS has 'default'"):
            manager.make_backend("other")


def test_make_test_backend() -> None:
    """LM-06, ST-05, test_asgi config_instance: the options of TEST_CONFIG reach a new layer, which is not kept."""
    with configured(CONFIG={"expiry": 7}, TEST_CONFIG={"expiry": 100500}):
        made = channel_layers.make_test_backend("default")
        assert (made.channel_layer.expiry, made.expiry, made.alias, made.routing) == (100500, 100500, "default", [])
        assert channel_layers.make_test_backend("default") is not made
        assert channel_layers["default"] is not made
        assert channel_layers["default"].expiry != 100500


@pytest.mark.parametrize("alias", ["default", "other"])
def test_without_a_test_config(alias: str) -> None:
    """LM-06, test_asgi config_error: neither the alias nor the key may be missing."""
    with (
        configured(CONFIG={"expiry": 7}),
        pytest.raises(InvalidChannelLayerError, match=rf"CHANNEL_LAYERS\['{alias}'\] has no TEST_CONFIG"),
    ):
        channel_layers.make_test_backend(alias)


def test_a_mistake_in_a_test_config() -> None:
    """LM-06, ST-05: it is named where it is, beside a CONFIG without one."""
    with (
        configured(CONFIG={"expiry": 7}, TEST_CONFIG={"expire": 7}),
        pytest.raises(InvalidChannelLayerError, match=r"CHANNEL_LAYERS\['default'\]\['TEST_CONFIG'\] has the option"),
    ):
        channel_layers.make_test_backend("default")


def test_methods_set_on_the_wrapper(layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """LM-10: what a test puts on the wrapper stays there, and is what ``Channel`` calls."""
    sent: list[Any] = []
    monkeypatch.setattr(layer, "send", lambda *arguments: sent.append(arguments))
    Channel("x").send({"n": 1})
    assert sent == [("x", {"n": 1})]
    assert layer.channel_layer.receive(["x"]) == (None, None)
    assert layer.extensions == layer.channel_layer.extensions
    assert layer.ChannelFull is layer.channel_layer.ChannelFull
