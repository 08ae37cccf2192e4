"""Which layer an alias stands for."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from routechan.exceptions import UnknownChannelLayer
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.layers.registry import ChannelLayers


@pytest.fixture
def layers() -> ChannelLayers:
    """A registry of the test's own."""
    return ChannelLayers()


def made() -> SyncChannelLayer:
    return InMemoryChannelLayer().sync


def test_an_empty_registry_says_what_to_do(layers: ChannelLayers) -> None:
    """CH-03: a ``KeyError`` carrying the alias; the text says where layers come from."""
    with pytest.raises(KeyError) as caught:
        layers["default"]
    assert caught.value.args == ("default",)
    assert isinstance(caught.value, UnknownChannelLayer)
    text = str(caught.value)
    assert text.startswith("no channel layer 'default': nothing has set up the layers of this process yet. In a Django")
    for advice in ("django.setup()", "INSTALLED_APPS", "CHANNEL_LAYERS", "routechan.application(routing)"):
        assert advice in text


def test_an_alias_that_nobody_set(layers: ChannelLayers) -> None:
    """CH-03: where layers were set by hand, the text names these."""
    layers.set("default", made())
    with pytest.raises(UnknownChannelLayer, match="no channel layer 'other': this process has 'default'; use one of"):
        layers["other"]
    layers.configure(lambda alias: None)
    assert layers.configured
    layers.set("default", None)
    with pytest.raises(UnknownChannelLayer, match="no channel layer 'other': configure it"):
        layers["other"]


def test_a_layer_set_by_hand(layers: ChannelLayers) -> None:
    """design section 2: alias -> layer; ``set`` tells what was there before."""
    first, second = made(), made()
    assert layers.set("default", first) is None
    assert layers["default"] is first
    assert layers.set("default", second) is first
    assert layers["default"] is second
    assert layers.set("default", None) is second
    assert "default" not in layers


def test_a_factory_is_asked_once_for_each_alias(layers: ChannelLayers) -> None:
    """CH-04: made on first use, and kept."""
    asked = []

    def factory(alias: str) -> SyncChannelLayer:
        asked.append(alias)
        return made()

    layers.configure(factory)
    assert asked == []
    assert layers["default"] is layers["default"]
    assert layers["other"] is not layers["default"]
    assert asked == ["default", "other"]


def test_a_layer_set_by_hand_comes_before_the_factory(layers: ChannelLayers) -> None:
    """``configure``: asked for the aliases not set by hand."""
    by_hand, from_factory = made(), made()
    layers.configure(lambda alias: from_factory)
    layers.set("default", by_hand)
    assert layers["default"] is by_hand
    layers.set("default", None)
    assert layers["default"] is from_factory


def test_an_alias_the_factory_does_not_know(layers: ChannelLayers) -> None:
    """CH-03: as if there were no factory; asked again the next time."""
    known: dict[str, SyncChannelLayer] = {}
    layers.configure(known.get)
    assert "other" not in layers
    with pytest.raises(UnknownChannelLayer, match="no channel layer 'other'"):
        layers["other"]
    known["other"] = made()
    assert "other" in layers
    assert layers["other"] is known["other"]


def test_what_a_factory_raises_reaches_the_caller(layers: ChannelLayers) -> None:
    """item 135: a ``KeyError`` from a back end's constructor is not mistaken for an unknown alias."""

    def factory(alias: str) -> SyncChannelLayer:
        raise KeyError("hosts")

    layers.configure(factory)
    with pytest.raises(KeyError, match="hosts") as caught:
        layers["default"]
    assert not isinstance(caught.value, UnknownChannelLayer)


def test_override_for_a_test(layers: ChannelLayers) -> None:
    """design section 2: ``override()`` puts back what was there, also after an error, also nothing."""
    before, during = made(), made()
    layers.set("default", before)
    with layers.override("default", during) as given:
        assert given is during
        assert layers["default"] is during
    assert layers["default"] is before
    with pytest.raises(ZeroDivisionError), layers.override("other", during):
        1 / 0  # noqa: B018
    assert "other" not in layers


def test_threads_that_come_first_together_get_one_layer(layers: ChannelLayers) -> None:
    """section 0.3: the registry is shared by all threads of a process."""
    start = threading.Barrier(8)
    calls = []

    def factory(alias: str) -> SyncChannelLayer:
        calls.append(alias)
        time.sleep(0.01)  # connecting, say: long enough for the others to come
        return made()

    def ask() -> SyncChannelLayer:
        start.wait(5)
        return layers["default"]

    layers.configure(factory)
    with ThreadPoolExecutor(8) as pool:
        found = {id(future.result()) for future in [pool.submit(ask) for _ in range(8)]}
    assert len(found) == len(calls) == 1
