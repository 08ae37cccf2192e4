"""``Group.send(..., exclude=...)``: all members but one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, Group
from routechan.exceptions import InvalidName
from routechan.layers import SyncChannelLayer
from tests.unit.helpers import ForeignLayer, drain, run_here, run_on_loop


@pytest.fixture
def group(default_layer: SyncChannelLayer) -> Group:
    made = Group("chat")
    for name in "ab":
        made.add(name)
    return made


@pytest.mark.parametrize("exclude", ["a", Channel], ids=["name", "channel"])
@pytest.mark.parametrize("run", [run_here, lambda consumer: asyncio.run(run_on_loop(consumer))], ids=["thread", "loop"])
def test_from_a_consumer(default_layer: SyncChannelLayer, group: Group, run: Any, exclude: Any) -> None:
    """The one that is left out may be a ``Channel`` or its name; in order with other sends."""

    def consumer(message: Any) -> None:
        group.send({"n": 1}, exclude="a" if exclude == "a" else Channel("a"))
        group.send({"n": 2}, delay=0.0)
        group.send({"n": 3}, True, exclude="b")

    run(consumer)
    assert drain(default_layer, "a") == [{"n": 3}, {"n": 2}]
    assert drain(default_layer, "b") == [{"n": 1}, {"n": 2}]


def test_outside_of_consumers(default_layer: SyncChannelLayer, group: Group) -> None:
    """At once; None excludes no one, as the reply channel of a message that has none."""
    group.send({"n": 1}, exclude="a")
    group.send({"n": 2}, exclude=None)
    assert drain(default_layer, "a") == [{"n": 2}]
    assert drain(default_layer, "b") == [{"n": 1}, {"n": 2}]


async def test_async_twin(default_layer: SyncChannelLayer, group: Group) -> None:
    """The same argument."""
    await group.asend({"n": 1}, exclude="a")
    assert drain(default_layer, "a") == []
    assert drain(default_layer, "b") == [{"n": 1}]


def test_what_is_no_channel(group: Group) -> None:
    """The text says what came, where the send is."""
    with pytest.raises(InvalidName, match="a channel name holds ASCII letters"):
        group.send({}, exclude="no spaces")
    with pytest.raises(InvalidName, match="a channel name is a str, not list"):
        group.send({}, exclude=["a"])  # type: ignore[arg-type]


def test_layers_of_another_make() -> None:
    """They have no way to leave somebody out, and are not asked to send to all."""
    layer = ForeignLayer()
    with pytest.raises(TypeError, match="ForeignLayer is no routechan layer and can leave nobody out of a message"):
        Group("chat", channel_layer=layer).send({}, exclude="a")
    Group("chat", channel_layer=layer).send({}, exclude=None)
    assert layer.calls == [("send_group", "chat", {})]
