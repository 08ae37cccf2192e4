"""A group may keep a history: its last messages, for those who come late and those who come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan.exceptions import InvalidChannelLayerError, NoHistory
from routechan.layers import BaseChannelLayer, SyncChannelLayer
from routechan.layers.base import EXCLUDE, ONCE

from .conftest import Backend
from .reading import aeverything, areceive, contents, everything

HISTORY = {"chat-*": {"size": 5, "seconds": 300}}


@pytest.fixture
def layer(backend: Backend) -> BaseChannelLayer:
    return backend.make(history=HISTORY)


@pytest.fixture
def face(layer: BaseChannelLayer) -> SyncChannelLayer:
    return layer.sync


def numbers(entries: Any) -> list[Any]:
    return [entry.content["n"] for entry in entries]


async def received(layer: BaseChannelLayer, name: str, count: int) -> list[Any]:
    """The next ``count`` messages; messages of a history may come behind those to the channel itself."""
    return [(await areceive(layer, name))["n"] for _ in range(count)]


# Sending to members


async def test_members_get_what_is_sent_in_order(layer: BaseChannelLayer) -> None:
    """On both faces, posted, and from several tasks at once: each member gets the same, in the same order."""
    names = [await layer.new_channel() for _ in range(3)]
    for name in names:
        await layer.group_add("chat-1", name)
    for number in range(3):
        await layer.group_send("chat-1", {"n": number})
    layer.sync.send_group("chat-1", {"n": 3})
    await asyncio.gather(*(layer.group_send("chat-1", {"n": number}) for number in range(4, 40)))
    orders = [await received(layer, name, 40) for name in names]
    assert orders[0] == orders[1] == orders[2]
    assert orders[0][:4] == [0, 1, 2, 3]
    assert sorted(orders[0]) == list(range(40))


def test_members_that_no_process_serves(face: SyncChannelLayer) -> None:
    """Plain channels, and those of a queue that nobody serves; one of them is left out."""
    for member in ("one", "two", "queue!a", "queue!b"):
        face.group_add("chat-1", member)
    face.send_group("chat-1", {"n": 1})
    face.send_group("chat-1", {"n": 2}, headers={EXCLUDE: "two"})
    assert contents(face, "one") == [{"n": 1}, {"n": 2}]
    assert contents(face, "two") == [{"n": 1}]
    assert sorted(channel for channel, _ in everything(face, "queue!")) == ["queue!a", "queue!a", "queue!b", "queue!b"]
    face.group_discard("chat-1", "one")
    face.send_group("chat-1", {"n": 3})
    assert contents(face, "one") == []


async def test_who_has_left_gets_nothing(layer: BaseChannelLayer) -> None:
    """And who comes back gets what is sent from then on, in a process without other members too."""
    name = await layer.new_channel()
    await layer.group_add("chat-1", name)
    await layer.group_send("chat-1", {"n": 1})
    assert await received(layer, name, 1) == [1]
    await layer.group_discard("chat-1", name)
    await layer.group_send("chat-1", {"n": 2})
    await layer.group_add("chat-1", name)
    await layer.group_send("chat-1", {"n": 3})
    assert await received(layer, name, 1) == [3]
    layer.forget(name)
    await layer.group_send("chat-1", {"n": 4})
    assert await aeverything(layer, name) == []


async def test_one_is_left_out(layer: BaseChannelLayer) -> None:
    """``exclude`` holds for members, and for what is given to somebody later."""
    names = [await layer.new_channel() for _ in range(2)]
    for name in names:
        await layer.group_add("chat-1", name)
    await layer.group_send("chat-1", {"n": 1}, headers={EXCLUDE: names[0]})
    await layer.group_send("chat-1", {"n": 2})
    assert await received(layer, names[0], 1) == [2]
    assert await received(layer, names[1], 2) == [1, 2]
    await layer.group_catch_up("chat-1", names[0], last=5)
    assert await received(layer, names[0], 1) == [2]


async def test_sent_later(layer: BaseChannelLayer) -> None:
    """A message with a delay takes its place in the history when it is sent."""
    name = await layer.new_channel()
    await layer.group_add("chat-1", name)
    await layer.group_send("chat-1", {"n": 2}, 0.02)
    await layer.group_send("chat-1", {"n": 1})
    assert await received(layer, name, 2) == [1, 2]
    assert numbers(await layer.group_history("chat-1")) == [1, 2]


# Reading


async def test_the_history(layer: BaseChannelLayer) -> None:
    """The newest messages, as many as are kept or asked for; with members and without; each content a new one."""
    for number in range(8):
        await layer.group_send("chat-1", {"n": number, "list": []})
    history = await layer.group_history("chat-1")
    assert (numbers(history), history.complete) == ([3, 4, 5, 6, 7], True)
    assert numbers(await layer.group_history("chat-1", limit=2)) == [6, 7]
    assert numbers(await layer.group_history("chat-1", limit=0)) == []
    assert numbers(await layer.group_history("chat-1", limit=50)) == [3, 4, 5, 6, 7]
    history[-1].content["list"].append("mine")
    again = await asyncio.to_thread(layer.sync.group_history, "chat-1", 1)
    assert again[0].content == {"n": 7, "list": []}
    assert again[0].position == again.position == history.position == history[-1].position
    assert numbers(await layer.group_history("chat-2")) == []


async def test_since_a_position(layer: BaseChannelLayer) -> None:
    """All that came after it, if that is still there; if not, what there is of it, and it is said."""
    for number in range(4):
        await layer.group_send("chat-1", {"n": number})
    first, *_ = await layer.group_history("chat-1")
    after = await layer.group_history("chat-1", since=first.position)
    assert (numbers(after), after.complete) == ([1, 2, 3], True)
    after = await layer.group_history("chat-1", limit=2, since=first.position)
    assert (numbers(after), after.complete) == ([2, 3], False)
    assert after.position is not None
    after = await layer.group_history("chat-1", since=after.position)
    assert (numbers(after), after.complete) == ([], True)
    for number in range(4, 6):
        await layer.group_send("chat-1", {"n": number})
    after = await layer.group_history("chat-1", since=first.position)
    assert (numbers(after), after.complete) == ([1, 2, 3, 4, 5], True)  # as many as are kept
    await layer.group_send("chat-1", {"n": 6})
    after = await layer.group_history("chat-1", since=first.position)
    assert (numbers(after), after.complete) == ([2, 3, 4, 5, 6], False)


@pytest.mark.parametrize("since", ["", "1-1", "nonsense", "99999999999999-0", "1" * 30 + "-0", "1-", "+", "-"])
async def test_a_position_that_never_was(layer: BaseChannelLayer, since: str) -> None:
    """What a client made up is told apart, and does no harm."""
    await layer.group_send("chat-1", {"n": 1})
    history = await layer.group_history("chat-1", since=since)
    assert not history.complete
    name = await layer.new_channel()
    assert await layer.group_catch_up("chat-1", name, since=since) is False
    assert await aeverything(layer, name) == []


async def test_old_messages(backend: Backend) -> None:
    """They are shown no longer, and a position among them is unknown once nobody has been a member for so long."""
    layer = backend.make(history={"chat-*": {"size": 5, "seconds": 30}})
    backend.hold()
    await layer.group_send("chat-1", {"n": 1})
    backend.elapse(31)
    assert numbers(await layer.group_history("chat-1")) == []
    name = await layer.new_channel()
    assert await layer.group_catch_up("chat-1", name, last=5) is None
    await layer.group_send("chat-1", {"n": 2})
    assert await received(layer, name, 1) == [2]


async def test_flush(layer: BaseChannelLayer) -> None:
    """Nothing is left of it."""
    name = await layer.new_channel()
    await layer.group_add("chat-1", name)
    await layer.group_send("chat-1", {"n": 1})
    assert await received(layer, name, 1) == [1]
    await layer.flush()
    assert numbers(await layer.group_history("chat-1")) == []
    await layer.group_add("chat-1", name)
    await layer.group_send("chat-1", {"n": 2})
    assert await received(layer, name, 1) == [2]


# Catching up


async def test_the_last_messages_for_who_comes_late(layer: BaseChannelLayer) -> None:
    """Before anything newer, and for nobody else; whether the process had members or not."""
    for number in range(3):
        await layer.group_send("chat-1", {"n": number})
    early, late, later = [await layer.new_channel() for _ in range(3)]
    assert await layer.group_catch_up("chat-1", early, last=2) is None
    await layer.group_send("chat-1", {"n": 3})
    await layer.group_catch_up("chat-1", late, last=10)
    await asyncio.to_thread(layer.sync.group_catch_up, "chat-1", later, last=1)
    await layer.group_send("chat-1", {"n": 4})
    assert await received(layer, early, 4) == [1, 2, 3, 4]
    assert await received(layer, late, 5) == [0, 1, 2, 3, 4]
    assert await received(layer, later, 2) == [3, 4]


async def test_what_was_missed(layer: BaseChannelLayer) -> None:
    """Who comes back with a position is given all after it, and told so; or that it cannot be, and the last ones."""
    away, there = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("chat-1", there)
    for number in range(3):
        await layer.group_send("chat-1", {"n": number})
    position = (await layer.group_history("chat-1", limit=3))[0].position
    assert await layer.group_catch_up("chat-1", away, since=position) is True
    await layer.group_send("chat-1", {"n": 3})
    assert await received(layer, away, 3) == [1, 2, 3]
    await layer.group_discard("chat-1", away)
    for number in range(4, 10):
        await layer.group_send("chat-1", {"n": number})
    assert await layer.group_catch_up("chat-1", away, since=position) is False
    assert await layer.group_catch_up("chat-1", away, since=position, last=2) is False
    await layer.group_send("chat-1", {"n": 10})
    assert await received(layer, away, 3) == [8, 9, 10]
    assert await received(layer, there, 11) == list(range(11))


async def test_nothing_was_missed(layer: BaseChannelLayer) -> None:
    """Who was there when nothing had been sent yet has a position, too."""
    name = await layer.new_channel()
    await layer.group_add("chat-1", name)
    history = await layer.group_history("chat-1")
    assert (numbers(history), history.complete) == ([], True)
    assert history.position is not None
    await layer.group_discard("chat-1", name)
    assert await layer.group_catch_up("chat-1", name, since=history.position) is True
    await layer.group_discard("chat-1", name)
    await layer.group_send("chat-1", {"n": 1})
    assert await layer.group_catch_up("chat-1", name, since=history.position) is True
    assert await received(layer, name, 1) == [1]


def test_catching_up_where_no_process_serves(face: SyncChannelLayer) -> None:
    """Plain channels, and those of a queue that nobody serves."""
    for number in range(3):
        face.send_group("chat-1", {"n": number})
    position = face.group_history("chat-1")[0].position
    assert face.group_catch_up("chat-1", "plain", last=1) is None
    assert face.group_catch_up("chat-1", "queue!a", since=position) is True
    face.send_group("chat-1", {"n": 3})
    assert contents(face, "plain") == [{"n": 2}, {"n": 3}]
    assert contents(face, "queue!") == [{"n": 1}, {"n": 2}, {"n": 3}]


# Groups without one


async def test_a_group_without_a_history(layer: BaseChannelLayer) -> None:
    """The error says which option is missing; members are as ever."""
    name = await layer.new_channel()
    for ask in (layer.group_history("other"), layer.group_catch_up("other", name, last=1)):
        with pytest.raises(NoHistory, match="the group 'other' keeps no history; give its layer the option history"):
            await ask
    with pytest.raises(NoHistory):
        layer.sync.group_history("other")
    with pytest.raises(NoHistory):
        layer.sync.group_catch_up("other", name, since="1-1")
    await layer.group_add("other", name)
    await layer.group_send("other", {"n": 1})
    assert await received(layer, name, 1) == [1]


@pytest.mark.parametrize("number", [-1, True, "20"])
def test_what_is_no_number_of_messages(face: SyncChannelLayer, number: Any) -> None:
    """Told before anything is asked of a server."""
    with pytest.raises(ValueError, match="limit is a number of messages from 0 on, such as 20, not"):
        face.group_history("chat-1", number)
    with pytest.raises(ValueError, match="last is a number of messages from 0 on, such as 20, not"):
        face.group_catch_up("chat-1", "plain", last=number)


@pytest.mark.parametrize(
    ("history", "text"),
    [
        (["chat-*"], "history is a dict such as"),
        ({7: {"size": 1, "seconds": 1}}, "history has the key 7; a pattern is a glob or a compiled expression"),
        ({"a": 5}, r"history\['a'\] is a dict with size and seconds, not 5"),
        ({"a": {"size": 1}}, r"history\['a'\] is a dict with size and seconds, not"),
        ({"a": {"size": 0, "seconds": 1}}, r"history\['a'\]\['size'\] is a number of messages from 1 on, not 0"),
        ({"a": {"size": True, "seconds": 1}}, r"\['size'\] is a number of messages from 1 on, not True"),
        ({"a": {"size": 1, "seconds": 0.5}}, r"\['seconds'\] is a number from 1 on, not 0.5"),
        ({"a": {"size": 1, "seconds": "9"}}, r"\['seconds'\] is a number from 1 on, not '9'"),
        ({"a": {"size": 1, "seconds": float("inf")}}, r"\['seconds'\] is a number from 1 on, not inf"),
    ],
)
def test_what_is_no_history(backend: Backend, history: Any, text: str) -> None:
    """Told when the layer is made."""
    with pytest.raises(InvalidChannelLayerError, match=text):
        backend.make(history=history)


async def test_what_is_for_members_only(layer: BaseChannelLayer) -> None:
    """A message with the header ``once`` is kept in its place, and given to nobody who was no member."""
    there, late, back = [await layer.new_channel() for _ in range(3)]
    await layer.group_add("chat-1", there)
    for number in range(4):
        await layer.group_send("chat-1", {"n": number}, headers={ONCE: True} if number in (1, 2) else None)
    assert await received(layer, there, 4) == [0, 1, 2, 3]
    await layer.group_catch_up("chat-1", late, last=3)
    assert await received(layer, late, 1) == [3]
    first = (await layer.group_history("chat-1"))[0].position
    assert await layer.group_catch_up("chat-1", back, since=first) is True
    assert await received(layer, back, 1) == [3]
    await layer.group_catch_up("chat-1", "plain", since=first)
    await layer.group_send("chat-1", {"n": 4})
    assert [content["n"] for content in await asyncio.to_thread(contents, layer.sync, "plain")] == [3, 4]
    assert numbers(await layer.group_history("chat-1")) == [0, 1, 2, 3, 4]
