"""``Group.history``, and ``Group.add`` with ``last`` and ``since``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from routechan import Channel, Group, channel_layers
from routechan.exceptions import NoHistory, WouldBlock
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from tests.unit.helpers import ForeignLayer, drain, run_here


@pytest.fixture
def layer() -> Iterator[SyncChannelLayer]:
    made = InMemoryChannelLayer(history={"chat": {"size": 3, "seconds": 60}}).sync
    with channel_layers.override("default", made):
        yield made


def texts(history: Any) -> list[str]:
    return [entry.content["text"] for entry in history]


def test_for_views_and_shells(layer: SyncChannelLayer) -> None:
    """The last messages, or those after a position."""
    for text in "abcd":
        Group("chat").send({"text": text})
    history = Group("chat").history()
    assert texts(history) == ["b", "c", "d"]
    assert texts(Group("chat").history(limit=1)) == ["d"]
    after = Group("chat").history(since=history[1].position)
    assert (texts(after), after.complete) == (["d"], True)


def test_a_late_joiner(layer: SyncChannelLayer) -> None:
    """``last`` messages, at once, and before what is sent as the consumer ends."""
    for text in "abc":
        Group("chat").send({"text": text})

    def consumer(message: Any) -> None:
        Group("chat").send({"text": "d"})
        assert Group("chat").add(Channel("late"), last=2) is None
        assert Group("chat").add("other") is None

    run_here(consumer)
    assert texts_of(layer, "late") == ["b", "c", "d"]
    assert texts_of(layer, "other") == ["d"]


def test_who_comes_back(layer: SyncChannelLayer) -> None:
    """Whether all could be given that came after the position; what there is, if that is asked for."""
    for text in "ab":
        Group("chat").send({"text": text})
    position = Group("chat").history()[0].position
    assert Group("chat").add("back", since=position) is True
    Group("chat").discard("back")
    for text in "cdef":
        Group("chat").send({"text": text})
    assert Group("chat").add("back", since=position) is False
    assert Group("chat").add("back", since=position, last=1) is False
    assert texts_of(layer, "back") == ["b", "f"]


async def test_async_twins(layer: SyncChannelLayer) -> None:
    """With the same arguments; the plain ones would block."""
    await Group("chat").asend({"text": "a"})
    history = await Group("chat").ahistory(limit=5, since=None)
    assert texts(history) == ["a"]
    assert await Group("chat").aadd("one", last=1) is None
    assert await Group("chat").aadd("two", since=history[0].position) is True
    assert texts_of(layer, "one") == ["a"]
    for call, twin in ((Group("chat").history, "ahistory"), (lambda: Group("chat").add("one", last=1), "aadd")):
        with pytest.raises(WouldBlock, match=rf"await Group\('chat'\).{twin}"):
            call()


def test_groups_and_layers_without_one(layer: SyncChannelLayer) -> None:
    """The error names the option."""
    with pytest.raises(NoHistory, match="the group 'other' keeps no history; give its layer the option history"):
        Group("other").history()
    with pytest.raises(NoHistory):
        Group("other").add("one", last=1)
    foreign: Any = ForeignLayer()
    with pytest.raises(NoHistory):
        Group("chat", channel_layer=foreign).history()
    with pytest.raises(NoHistory):
        Group("chat", channel_layer=foreign).add("one", since="1-1")
    assert foreign.calls == []


def texts_of(layer: SyncChannelLayer, channel: str) -> list[str]:
    return [content["text"] for content in drain(layer, channel)]
