"""What callers find on a layer before they use it."""

from __future__ import annotations

import inspect

import pytest

import routechan
from routechan import exceptions
from routechan.layers import BaseChannelLayer, SyncChannelLayer

from .conftest import Backend


def test_the_exceptions_are_attributes_of_both_faces(layer: BaseChannelLayer) -> None:
    """item 29, R11: callers write ``except layer.ChannelFull``."""
    for face in (layer, layer.sync):
        assert face.ChannelFull is routechan.ChannelFull
        assert face.MessageTooLarge is exceptions.MessageTooLarge


def test_the_extensions_are_declared(layer: BaseChannelLayer) -> None:
    """section 2.7: callers ask ``"groups" in layer.extensions``."""
    for face in (layer, layer.sync):
        assert {"groups", "flush", "statistics"} <= set(face.extensions)


def test_each_face_leads_to_the_other(layer: BaseChannelLayer) -> None:
    """design section 5: one layer, two faces; ``.sync`` is the 1.x one."""
    assert isinstance(layer, BaseChannelLayer)
    assert isinstance(layer.sync, SyncChannelLayer)
    assert layer.sync is layer.sync
    assert layer.sync.layer is layer


def test_the_faces_are_what_their_names_say(layer: BaseChannelLayer) -> None:
    """section 2.11: a method is either a coroutine function or not, so the two cannot be one object; item 117."""
    for name in ("send", "receive", "new_channel", "group_add", "group_discard", "flush"):
        assert inspect.iscoroutinefunction(getattr(layer, name)), name
        assert not inspect.iscoroutinefunction(getattr(layer.sync, name)), name
    assert inspect.iscoroutinefunction(layer.group_send)


def test_the_options_can_be_read_back(backend: Backend) -> None:
    """section 2.1, item 24: on both faces, as given."""
    patterns: dict[str, int] = {"http.*": 5}
    layer = backend.make(expiry=7, group_expiry=9, capacity=11, channel_capacity=patterns)
    for face in (layer, layer.sync):
        assert (face.expiry, face.group_expiry, face.capacity) == (7, 9, 11)
        assert face.channel_capacity == patterns


def test_the_defaults(layer: BaseChannelLayer) -> None:
    """section 2.1."""
    for face in (layer, layer.sync):
        assert (face.expiry, face.group_expiry, face.capacity, face.channel_capacity) == (60, 86400, 100, None)


def test_a_layer_says_whether_it_crosses_processes(layer: BaseChannelLayer) -> None:
    """section 2.9: declared on the class, so that workers are not started in vain."""
    assert type(layer).crosses_processes in (True, False)


@pytest.mark.parametrize("face", [BaseChannelLayer, SyncChannelLayer])
def test_a_face_has_to_be_complete(face: type) -> None:
    """style, habit 7: what is missing is found out when a layer is made, not when it is used."""
    with pytest.raises(TypeError, match="abstract"):
        type("Empty", (face,), {})()
