"""``Group.add(..., who=...)`` and ``Group.present`` where a layer keeps nobody, and from face to face."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from routechan import Group
from routechan.layers import InMemoryChannelLayer
from routechan.layers.base import BaseChannelLayer
from routechan_django.layer import ForwardingLayer

ANN = {"id": 7, "name": "Ann"}


class Forgetful(InMemoryChannelLayer):
    """A layer of a project's own, which has what a layer must have."""

    group_introduce = BaseChannelLayer.group_introduce
    group_present = BaseChannelLayer.group_present


def test_a_layer_that_keeps_nobody_says_so() -> None:
    """The text names the layer, and what to use; a layer of another make has no such methods at all."""
    text = "does not keep who is present in a group; use one of routechan.layers"
    group = Group("room", channel_layer=Forgetful().sync)
    with pytest.raises(NotImplementedError, match="Forgetful does not keep who is present"):
        asyncio.run(group.aadd("a", who=ANN))
    with pytest.raises(NotImplementedError, match="Forgetful does not keep who is present"):
        asyncio.run(group.apresent())
    other: Any = SimpleNamespace(group_add=lambda group, channel: None)
    for call in (
        lambda: Group("room", channel_layer=other).add("a", who=ANN),
        Group("room", channel_layer=other).present,
    ):
        with pytest.raises(NotImplementedError, match=text):
            call()
    with pytest.raises(NotImplementedError, match=text):
        ForwardingLayer(other).group_present("room")
    with pytest.raises(NotImplementedError, match=text):
        ForwardingLayer(other).group_introduce("room", "a", ANN)


def test_a_configured_layer_hands_it_on() -> None:
    """What Django projects have is a face around a face."""
    layer = InMemoryChannelLayer()
    group = Group("room", channel_layer=ForwardingLayer(layer.sync))
    group.add("a", who=ANN)
    assert group.present() == layer.sync.group_present("room") == [ANN]
    assert asyncio.run(group.apresent()) == [ANN]
