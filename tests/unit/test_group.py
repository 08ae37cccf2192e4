"""``Group``: a named set of channels."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, Group
from routechan.exceptions import ChannelFull, UnknownChannelLayer, WouldBlock
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer, channel_layers

from .helpers import ForeignLayer, drain, run_here


def test_name_and_layer_as_of_a_channel(default_layer: SyncChannelLayer) -> None:
    """GR-01: bytes names are ASCII, alias and layer argument decide as in CH-01 to CH-04."""
    assert Group(b"chat").name == "chat"
    assert Group("chat").channel_layer is default_layer
    foreign = ForeignLayer()
    assert Group("chat", channel_layer=foreign).channel_layer is foreign
    with channel_layers.override("other", InMemoryChannelLayer().sync) as other:
        assert Group("chat", "other").channel_layer is other
    with pytest.raises(UnknownChannelLayer, match="nowhere"):
        Group("chat", alias="nowhere")


def test_members_are_channels_or_names() -> None:
    """GR-02: a ``Channel`` stands for its name; anything else goes to the layer unchanged."""
    layer = ForeignLayer()
    group = Group("chat", channel_layer=layer)
    odd = object()
    group.add(Channel("a", channel_layer=layer))
    group.add("b")
    group.add(odd)
    group.discard(Channel("a", channel_layer=layer))
    group.discard("b")
    assert layer.calls == [
        ("group_add", "chat", "a"),
        ("group_add", "chat", "b"),
        ("group_add", "chat", odd),
        ("group_discard", "chat", "a"),
        ("group_discard", "chat", "b"),
    ]


def test_add_and_discard_act_at_once(default_layer: SyncChannelLayer) -> None:
    """GR-03: also inside a consumer, and they stay although it fails."""
    seen: list[list[str]] = []

    def consumer(message: Any) -> None:
        Group("chat").add("a")
        Group("chat").add("b")
        Group("chat").discard("a")
        seen.append(Group("chat").channels())
        raise RuntimeError("after the fact")

    run_here(consumer)
    assert seen == [["b"]]
    assert Group("chat").channels() == ["b"]


@pytest.mark.parametrize("content", [None, "text", ["a"], 3])
def test_send_refuses_what_is_no_dict(default_layer: SyncChannelLayer, content: Any) -> None:
    """GR-04: a ``ValueError``, which ours is as well as a ``TypeError`` (OB-19)."""
    with pytest.raises(ValueError, match="a message is a dict such as"):
        Group("chat").send(content)
    with pytest.raises(ValueError, match="a message is a dict such as"):
        asyncio.run(Group("chat").asend(content))


def test_send_outside_of_a_consumer_is_immediate(default_layer: SyncChannelLayer) -> None:
    """GR-05: every member has the message at once."""
    for name in ("a", "b"):
        Group("chat").add(name)
    Group("chat").send({"n": 1})
    assert drain(default_layer, "a") == drain(default_layer, "b") == [{"n": 1}]


def test_channel_and_group_sends_are_one_sequence() -> None:
    """GR-05: what a consumer sends to channels and groups is delivered in the order of the calls."""
    layer = ForeignLayer()

    def consumer(message: Any) -> None:
        Group("chat", channel_layer=layer).send({"n": 1})
        Channel("a", channel_layer=layer).send({"n": 2})
        Group("chat", channel_layer=layer).send({"n": 3})
        Group("chat", channel_layer=layer).send({"n": 0}, immediately=True)

    run_here(consumer)
    assert layer.calls == [
        ("send_group", "chat", {"n": 0}),
        ("send_group", "chat", {"n": 1}),
        ("send", "a", {"n": 2}),
        ("send_group", "chat", {"n": 3}),
    ]


def test_full_member_misses_the_message() -> None:
    """GR-06: a group send never raises ``ChannelFull``; the others get the message."""
    layer = InMemoryChannelLayer(channel_capacity={"small": 1})
    group = Group("chat", channel_layer=layer)
    group.add("small")
    group.add("large")
    group.send({"n": 1})
    group.send({"n": 2})
    assert drain(layer.sync, "small") == [{"n": 1}]
    assert drain(layer.sync, "large") == [{"n": 1}, {"n": 2}]


def test_a_full_connection_costs_only_itself() -> None:
    """GR-06: what a connection of this process refuses as full is counted; the others get the message, once."""
    layer = InMemoryChannelLayer()

    def full(channels: Any, content: Any) -> None:
        raise ChannelFull("http.response.x!a", 100)

    queue = f"http.response.{layer.process}!"
    layer.attach(queue, full)
    layer.sync.group_add("chat", queue + "a")
    layer.sync.group_add("chat", "plain")
    layer.sync.send_group("chat", {"status": 200})
    assert drain(layer.sync, "plain") == [{"status": 200}]
    assert layer.sync.global_statistics()["dropped_count"] == 1


def test_adding_twice_and_discarding_nobody_is_harmless(default_layer: SyncChannelLayer) -> None:
    """GR-07: a present member stays one member, an absent one is no error."""
    group = Group("chat")
    group.add("a")
    group.add("a")
    group.discard("nobody")
    group.send({"n": 1})
    assert drain(default_layer, "a") == [{"n": 1}]


def test_membership_expires_after_the_latest_add() -> None:
    """GR-07: ``group_expiry`` counts from the last add."""
    now = [0.0]
    layer = InMemoryChannelLayer(group_expiry=10, clock=lambda: now[0])
    group = Group("chat", channel_layer=layer)
    group.add("a")
    group.add("b")
    now[0] = 6
    group.add("a")
    now[0] = 12
    assert group.channels() == ["a"]


def test_no_text_of_its_own(default_layer: SyncChannelLayer) -> None:
    """GR-08: ``str`` is the default of objects."""
    assert str(Group("chat")).startswith("<routechan.channel.Group object at")


async def test_async_twins(default_layer: SyncChannelLayer) -> None:
    """GR-02, GR-05: ``aadd``, ``adiscard``, ``achannels`` and ``asend`` do as their twins."""
    group = Group("chat")
    await group.aadd(Channel("a"))
    await group.aadd("b")
    await group.adiscard("b")
    assert await group.achannels() == ["a"]
    await group.asend({"n": 1})
    assert drain(default_layer, "a") == [{"n": 1}]


async def test_async_twins_need_a_layer_with_an_async_face() -> None:
    """GR-02: on a layer of somebody else the text says what to call; sends work all the same."""
    layer = ForeignLayer()
    group = Group("chat", channel_layer=layer)
    with pytest.raises(TypeError, match="ForeignLayer is no routechan layer and has no async face; use add, discard"):
        await group.aadd("a")
    await group.asend({"n": 1})
    assert layer.calls == [("send_group", "chat", {"n": 1})]
    assert group.channels() == ["a", "b"]


@pytest.mark.parametrize("method", ["add", "discard", "channels", "count"])
async def test_what_would_block_the_loop_is_refused_there(default_layer: SyncChannelLayer, method: str) -> None:
    """design section 4: the text names the async twin, on the in-memory layer too."""
    arguments = ["a"] if method in ("add", "discard") else []
    with pytest.raises(WouldBlock, match=rf"write: await Group\('chat'\).a{method}\("):
        getattr(Group("chat"), method)(*arguments)


async def test_a_send_on_the_loop_is_not_waited_for(default_layer: SyncChannelLayer) -> None:
    """design section 4: ``send`` works in both; outside of a consumer it starts at once."""
    Channel("work").send({"n": 1})
    Channel("work").send({"n": 2})
    assert [await default_layer.layer.receive("work") for _ in range(2)] == [{"n": 1}, {"n": 2}]


async def test_a_send_on_the_loop_that_fails_later_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """PM-05: nobody waits for it, so the log says what was lost."""

    async def late(name: str, content: object, delay: float) -> None:
        raise ChannelFull("work", 100)

    layer = InMemoryChannelLayer()
    layer.post = late
    Channel("work", channel_layer=layer).send({"n": 1})
    while "work" not in caplog.text:
        await asyncio.sleep(0)
    assert "A message to work could not be delivered and is lost: channel 'work' is full" in caplog.text


def test_a_close_is_for_members_only(default_layer: SyncChannelLayer) -> None:
    """Its header keeps a history from closing those who come later; other messages have none."""
    group = Group("chat")
    group.add("a")
    group.send({"close": 4003})
    group.send({"text": "goodbye", "close": True}, exclude="b", latest="c")
    group.send({"open": 1.5, "close": 2.5})
    group.send({"text": "hello"})
    headers = []
    while (delivery := default_layer.receive_delivery(["a"])) is not None:
        headers.append(delivery.headers)
    assert headers == [{"once": True}, {"once": True, "exclude": "b", "latest": "c"}, {}, {}]
