"""A group tells who is in it, by ``id``: ``Group.add(..., who=...)``, ``Group.present``, joins and leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from routechan import Channel, Group
from routechan.encoding import Content
from routechan.exceptions import InvalidContent, InvalidName, MessageTooLarge, WouldBlock
from routechan.layers import BaseChannelLayer
from routechan.layers.presence import JOINED, LEFT, WHO_SIZE
from tests.waiting import until

from .conftest import Backend
from .test_local_delivery import Taker, queue

ANN = {"id": 7, "name": "Ann"}
BOB = {"id": "bob", "name": "Bob"}

#: Seconds of a linger that a test waits for.
LINGER = 0.3


@pytest.fixture
def own(layer: BaseChannelLayer) -> str:
    """A queue of this process, of sockets."""
    layer.attach(queue(layer), Taker())
    return queue(layer)


class Told:
    """What a layer told on both channels, each read for itself. Lifetime: test."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        self.events: list[tuple[str, str, Any]] = []
        layer.want_presence([JOINED, LEFT, "websocket.connect"])
        self._subscription = layer.subscribe([JOINED, LEFT], self._take, 10)

    def _take(self, delivery: Any) -> None:
        content = delivery.content
        self.events.append((delivery.channel.partition(".")[2], content.pop("group"), content.pop("who")))
        assert content == {}
        delivery.done()

    async def until(self, *events: tuple[str, str, Content]) -> None:
        """Wait until these have been told, and check that nothing else has been."""
        await until(lambda: len(self.events) >= len(events), f"{events} are told")
        assert sorted(self.events, key=repr) == sorted(events, key=repr)
        self.events.clear()

    async def nothing(self, layer: BaseChannelLayer) -> None:
        """Nothing has been told: what somebody else does later comes first."""
        await Group("marker", channel_layer=layer).aadd("marker", who={"id": "marker"})
        await self.until(("join", "marker", {"id": "marker"}))
        await Group("marker", channel_layer=layer).adiscard("marker")

    def stop(self) -> None:
        self._subscription.end()


@pytest.fixture
async def tells(backend: Backend) -> AsyncIterator[tuple[BaseChannelLayer, Told]]:
    """A layer with a short linger, and what it tells."""
    layer = backend.make(linger=LINGER)
    layer.attach(queue(layer), Taker())
    told = Told(layer)
    yield layer, told
    told.stop()


def room(layer: BaseChannelLayer, name: str = "room") -> Group:
    return Group(name, channel_layer=layer)


async def test_each_id_once_in_order(layer: BaseChannelLayer, own: str) -> None:
    """Numbers first, then text, each ascending; 7 and "7" are two; whoever reads the channel, and wherever."""
    ids = ["b", 10, 7, "7", "a", -1, 7, "b"]
    members = [own + "1", own + "2", "plain", "other.process!a", own + "3", "single?a", own + "4", "other.process!b"]
    for member, who_id in zip(members, ids, strict=True):
        await room(layer).aadd(member, who={"id": who_id})
    right = [{"id": who_id} for who_id in (-1, 7, 10, "7", "a", "b")]
    assert await room(layer).apresent() == right
    assert await asyncio.to_thread(room(layer).present) == right
    for member in members:
        await room(layer).adiscard(member)
    assert await room(layer).apresent() == []


async def test_what_was_said_last_counts(layer: BaseChannelLayer, own: str) -> None:
    """Adding again replaces it: for one socket, and for all of one ``id``; adding again without leaves it."""
    group = room(layer)
    await asyncio.to_thread(group.add, Channel(own + "a", channel_layer=layer), who=ANN)
    await group.aadd(own + "b", who={**ANN, "name": "Anna"})
    assert await group.apresent() == [{"id": 7, "name": "Anna"}]
    await group.aadd(own + "a", who={**ANN, "name": "Anne"})
    await group.aadd(own + "a")
    assert await group.apresent() == [{"id": 7, "name": "Anne"}]
    await group.aadd(own + "a", who=BOB)
    await group.aadd(own + "b", who=BOB)
    assert await group.apresent() == [BOB]


async def test_who_leaves_is_not_present(layer: BaseChannelLayer, own: str) -> None:
    """After a discard, the end of the socket, and the end of its queue; but with the last socket only."""
    group = room(layer)
    for name in "abcd":
        await group.aadd(own + name, who=ANN)
    await group.aadd(own + "e", who=BOB)
    await asyncio.to_thread(group.discard, own + "a")
    layer.forget(own + "b")
    assert await group.apresent() == [ANN, BOB]
    layer.forget(own + "e")
    layer.forget(own + "c")
    assert await group.apresent() == [ANN]
    layer.detach(own)
    assert await group.apresent() == []


async def test_groups_are_apart(layer: BaseChannelLayer, own: str) -> None:
    """Somebody is in one group and not in another; members without ``who`` are not shown; nobody is in no group."""
    await room(layer).aadd(own + "a", who=ANN)
    await room(layer, "room.2").aadd(own + "a")
    await room(layer, "room.2").aadd(own + "b", who=BOB)
    assert await room(layer).apresent() == [ANN]
    assert await room(layer, "room.2").apresent() == [BOB]
    assert await room(layer, "room.3").apresent() == []


async def test_all_that_travels(layer: BaseChannelLayer, own: str) -> None:
    """What is in a message may be in ``who``, and each reader gets it as its own."""
    who = {"id": "ü x!", "since": date(2026, 12, 1), "roles": ("a", ["b"]), "photo": b"\0\xff", "none": None}
    await room(layer).aadd(own + "a", who=who)
    (found,) = await room(layer).apresent()
    assert found == who
    found["roles"][1].append("c")
    assert await room(layer).apresent() == [who]


@pytest.mark.parametrize(
    ("who", "error", "text"),
    [
        ("Ann", InvalidContent, r"who is a dict with an id, such as {.*}, not 'Ann'"),
        ({"name": "Ann"}, InvalidContent, r"who has no id, which tells people apart: write .*, not {'name': 'Ann'}"),
        ({"id": None}, InvalidContent, r"who\['id'\] is a str that is not empty, or an int, such as 7, not None"),
        ({"id": True}, InvalidContent, "not True"),
        ({"id": ""}, InvalidContent, "not ''"),
        ({"id": 2**64}, InvalidContent, "64 bits"),
        ({"id": 1, "user": object()}, InvalidContent, "cannot travel"),
        ({"id": 1, "bio": "x" * WHO_SIZE}, MessageTooLarge, f"of at most {WHO_SIZE}: .* look the rest up by the id"),
    ],
)
async def test_what_cannot_be_somebody(layer: BaseChannelLayer, who: Any, error: type[Exception], text: str) -> None:
    """A text that says what came and what to write; and then the channel is no member."""
    with pytest.raises(error, match=text):
        await room(layer).aadd("a", who=who)
    with pytest.raises(error, match=text):
        await asyncio.to_thread(room(layer).add, "a", who=who)
    with pytest.raises(error, match=text):
        await layer.group_introduce("room", "a", who)
    assert await room(layer).achannels() == []


async def test_its_names_are_checked(layer: BaseChannelLayer) -> None:
    """item 41; and on a loop the plain one names its twin."""
    for call in (layer.group_present("a b"), layer.group_introduce("a b", "a", ANN)):
        with pytest.raises(InvalidName):
            await call
    with pytest.raises(InvalidName):
        await layer.group_introduce("room", "a b", ANN)
    with pytest.raises(WouldBlock, match="apresent"):
        room(layer).present()


async def test_nobody_is_present_beyond_the_membership(backend: Backend) -> None:
    """section 2.4: a plain channel is a member for ``group_expiry``; a live socket's presence does not expire."""
    layer = backend.make(group_expiry=10)
    layer.attach(queue(layer), Taker())
    await room(layer).aadd("plain", who=BOB)
    await room(layer).aadd(queue(layer) + "a", who=ANN)
    backend.elapse(12)
    await layer.group_add("room", queue(layer) + "a")
    found = await room(layer).apresent()
    assert BOB not in found


async def test_a_flush_leaves_nobody(layer: BaseChannelLayer, own: str) -> None:
    """item 23: nobody is present after it; who joins then is."""
    await room(layer).aadd(own + "a", who=ANN)
    await layer.flush()
    assert await room(layer).apresent() == []
    await room(layer).aadd(own + "a", who=BOB)
    assert await room(layer).apresent() == [BOB]


# Joins and leaves


async def test_the_first_socket_joins_and_the_last_leaves(tells: tuple[BaseChannelLayer, Told]) -> None:
    """One of each, whatever the number of sockets, and what ends them; each group for itself."""
    layer, told = tells
    first, second, third = (queue(layer) + name for name in "abc")
    await room(layer).aadd(first, who=ANN)
    await told.until(("join", "room", ANN))
    await room(layer).aadd(second, who=ANN)
    await room(layer).aadd(first, who=ANN)
    await room(layer, "hall").aadd(third, who=ANN)
    await told.until(("join", "hall", ANN))
    await room(layer).adiscard(first)
    layer.forget(third)
    await told.until(("leave", "hall", ANN))
    await told.nothing(layer)
    layer.forget(second)
    await told.until(("leave", "marker", {"id": "marker"}), ("leave", "room", ANN))


async def test_a_reload_is_neither(tells: tuple[BaseChannelLayer, Told]) -> None:
    """Within the linger another socket, or the same, takes over; it begins again with each end."""
    layer, told = tells
    await room(layer).aadd(queue(layer) + "a", who=ANN)
    await told.until(("join", "room", ANN))
    for end in range(6):  # each within the linger, all together longer
        if end % 2:
            await room(layer).adiscard(queue(layer) + "a")
            await room(layer).aadd(queue(layer) + "a", who=ANN)
        else:
            layer.forget(queue(layer) + "a")
            await asyncio.sleep(LINGER / 4)
            await room(layer).aadd(queue(layer) + "a", who=ANN)
    await told.nothing(layer)
    layer.forget(queue(layer) + "a")
    await told.until(("leave", "marker", {"id": "marker"}), ("leave", "room", ANN))
    await room(layer).aadd(queue(layer) + "a", who=BOB)
    await told.until(("join", "room", BOB))


async def test_a_socket_that_becomes_somebody_else(tells: tuple[BaseChannelLayer, Told]) -> None:
    """A login on an open socket: one leaves, one joins; another name for the same ``id`` is neither."""
    layer, told = tells
    await room(layer).aadd(queue(layer) + "a", who={"id": "guest"})
    await room(layer).aadd(queue(layer) + "a", who=ANN)
    await told.until(("join", "room", {"id": "guest"}), ("join", "room", ANN), ("leave", "room", {"id": "guest"}))
    await room(layer).aadd(queue(layer) + "a", who={"id": 7, "name": "Anna"})
    await told.nothing(layer)
    layer.forget(queue(layer) + "a")
    await told.until(("leave", "marker", {"id": "marker"}), ("leave", "room", {"id": 7, "name": "Anna"}))


async def test_no_linger(backend: Backend) -> None:
    """With 0 the end of the last socket is a leave."""
    layer = backend.make(linger=0)
    layer.attach(queue(layer), Taker())
    told = Told(layer)
    await room(layer).aadd(queue(layer) + "a", who=ANN)
    await room(layer).adiscard(queue(layer) + "a")
    await told.until(("join", "room", ANN), ("leave", "room", ANN))
    told.stop()


@pytest.mark.parametrize("linger", [-1, "5", None, float("nan")])
def test_a_linger_is_a_number_of_seconds(backend: Backend, linger: object) -> None:
    """The text says what came."""
    with pytest.raises(ValueError, match="linger is a number of seconds 0 or above, such as 0.5, not"):
        backend.make(linger=linger)


async def test_nothing_is_sent_that_nobody_wants(backend: Backend) -> None:
    """Where no route takes joins and leaves, nothing waits in their channels; where one takes joins, joins do."""
    layer = backend.make(linger=0)
    await room(layer).aadd("a", who=ANN)
    await room(layer).adiscard("a")
    layer.want_presence([JOINED])
    await room(layer).aadd("b", who=BOB)
    assert await asyncio.wait_for(layer.receive(JOINED), 20) == {"group": "room", "who": BOB}
    assert (await layer.channel_statistics(JOINED))["messages_pending"] == 0
    assert (await layer.channel_statistics(LEFT))["messages_pending"] == 0


async def test_a_full_channel_gets_them_later(backend: Backend) -> None:
    """A join finds the channel full: it is sent when there is room, and whoever joined goes on."""
    layer = backend.make(channel_capacity={JOINED: 1})
    layer.want_presence([JOINED])
    for who_id in (1, 2):
        await room(layer).aadd(f"plain{who_id}", who={"id": who_id})
    for who_id in (1, 2):
        content = await asyncio.wait_for(layer.receive(JOINED), 20)
        assert content == {"group": "room", "who": {"id": who_id}}
