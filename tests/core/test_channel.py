"""``Channel``: a name on a layer, and sends that wait for the consumer to end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, ChannelFull
from routechan.exceptions import InvalidContent, InvalidName, UnknownChannelLayer
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer, channel_layers

from .helpers import ForeignLayer, drain, run_here


def test_bytes_name_is_ascii(default_layer: SyncChannelLayer) -> None:
    """CH-01: a name given as bytes is decoded; bytes outside ASCII are refused."""
    assert Channel(b"chat.in").name == "chat.in"
    with pytest.raises(UnicodeDecodeError):
        Channel("caf\xe9".encode())


@pytest.mark.parametrize("name", ["no spaces", "x" * 100, 7, None])
def test_name_is_checked_by_the_layer_when_it_is_used(default_layer: SyncChannelLayer, name: Any) -> None:
    """CH-01: any name is stored as given; the send refuses what is none, as ``TypeError``."""
    channel = Channel(name)
    assert channel.name == name
    with pytest.raises(InvalidName, match="a channel name") as caught:
        channel.send({})
    assert isinstance(caught.value, TypeError)


def test_attributes(default_layer: SyncChannelLayer) -> None:
    """CH-02: ``name`` and ``channel_layer``, the 1.x face."""
    channel = Channel("chat.in")
    assert (channel.name, channel.channel_layer) == ("chat.in", default_layer)


def test_layer_argument_is_used_as_it_is(default_layer: SyncChannelLayer) -> None:
    """CH-03: an object with the 1.x methods is taken; of an async layer its 1.x face."""
    foreign, layer = ForeignLayer(), InMemoryChannelLayer()
    assert Channel("a", channel_layer=foreign).channel_layer is foreign
    assert Channel("a", channel_layer=layer.sync).channel_layer is layer.sync
    assert Channel("a", channel_layer=layer).channel_layer is layer.sync


def test_alias_names_the_layer(default_layer: SyncChannelLayer) -> None:
    """CH-03: without a layer argument the alias decides."""
    with channel_layers.override("other", InMemoryChannelLayer().sync) as other:
        assert Channel("a", alias="other").channel_layer is other
        assert Channel("a", "other").channel_layer is other
        Channel("a", alias="other").send({"n": 1})
    assert drain(other, "a") == [{"n": 1}]
    assert drain(default_layer, "a") == []


def test_unknown_alias_is_a_key_error_with_the_alias() -> None:
    """CH-03: ``KeyError`` carrying the alias, with a text that says what to configure."""
    with pytest.raises(UnknownChannelLayer, match="no channel layer 'nowhere': call routechan.application") as caught:
        Channel("a", alias="nowhere")
    assert isinstance(caught.value, KeyError)
    assert caught.value.args == ("nowhere",)


def test_layer_is_resolved_when_the_channel_is_made(default_layer: SyncChannelLayer) -> None:
    """CH-04: a later change of the registry does not move the channel; the first use makes the layer."""
    channel = Channel("a")
    with channel_layers.override("default", InMemoryChannelLayer().sync):
        assert channel.channel_layer is default_layer
    made: list[str] = []

    def factory(alias: str) -> SyncChannelLayer:
        made.append(alias)
        return InMemoryChannelLayer().sync

    channel_layers.configure(factory)
    try:
        first, second = Channel("a", "lazy"), Channel("b", "lazy")
        assert made == ["lazy"]
        assert first.channel_layer is second.channel_layer
    finally:
        channel_layers.configure(None)
        channel_layers.set("lazy", None)


@pytest.mark.parametrize("content", [None, "text", ["a"], 3, object])
def test_send_refuses_what_is_no_dict(default_layer: SyncChannelLayer, content: Any) -> None:
    """CH-05: a ``TypeError`` before anything else, also inside a consumer and from ``asend``."""
    with pytest.raises(TypeError, match=r"a message is a dict such as \{'text': 'hello'\}, not"):
        Channel("a").send(content)
    with pytest.raises(InvalidContent, match="a message is a dict"):
        asyncio.run(Channel("a").asend(content))
    errors: list[BaseException] = []

    def consumer(message: Any) -> None:
        try:
            Channel("a").send(content)
        except TypeError as error:
            errors.append(error)

    run_here(consumer)
    assert len(errors) == 1
    assert drain(default_layer, "a") == []


def test_dict_subclasses_pass(default_layer: SyncChannelLayer) -> None:
    """CH-05: a subclass of dict is a dict."""

    class Content(dict[str, Any]):
        pass

    Channel("a").send(Content(n=1))
    assert drain(default_layer, "a") == [{"n": 1}]


def test_send_outside_of_a_consumer_is_immediate(default_layer: SyncChannelLayer) -> None:
    """CH-06: no consumer runs, so the message is there at once."""
    Channel("a").send({"n": 1})
    assert drain(default_layer, "a") == [{"n": 1}]


def test_send_immediately_inside_a_consumer(default_layer: SyncChannelLayer) -> None:
    """CH-06: ``immediately=True`` does not wait for the consumer to end; CH-07: a plain send does."""
    seen: list[list[dict[str, Any]]] = []

    def consumer(message: Any) -> None:
        Channel("a").send({"n": "later"})
        Channel("a").send({"n": "now"}, immediately=True)
        seen.append(drain(default_layer, "a"))

    run_here(consumer)
    assert seen == [[{"n": "now"}]]
    assert drain(default_layer, "a") == [{"n": "later"}]


def test_errors_of_an_immediate_send_reach_the_caller() -> None:
    """CH-06: ``ChannelFull`` and name errors are raised where the send is immediate."""
    layer = InMemoryChannelLayer(capacity=1)
    Channel("a", channel_layer=layer).send({})
    with pytest.raises(ChannelFull, match="channel 'a' is full: it holds its 1 messages; consume faster or raise"):
        Channel("a", channel_layer=layer).send({})
    with pytest.raises(layer.ChannelFull):
        asyncio.run(Channel("a", channel_layer=layer).asend({}))


def test_content_is_kept_by_reference(default_layer: SyncChannelLayer) -> None:
    """CH-07: changing the dict after ``send`` changes what is delivered."""

    def consumer(message: Any) -> None:
        content = {"n": 1}
        Channel("a").send(content)
        content["n"] = 2

    run_here(consumer)
    assert drain(default_layer, "a") == [{"n": 2}]


def test_no_capacity_error_surfaces_in_a_delayed_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """CH-07: the consumer never sees that the channel is full."""
    monkeypatch.setattr("routechan.delivery.FULL_RETRY_TIME", 0)
    layer = InMemoryChannelLayer(capacity=1)
    done: list[bool] = []

    def consumer(message: Any) -> None:
        for number in range(3):
            Channel("a", channel_layer=layer).send({"n": number})
        done.append(True)

    run_here(consumer)
    assert done == [True]
    assert drain(layer.sync, "a") == [{"n": 0}]


def test_str_is_the_name(default_layer: SyncChannelLayer) -> None:
    """CH-08: the name as text, ``None`` from ``send``, and identity for equality and hash."""
    channel = Channel("a")
    assert str(channel) == "a"
    assert channel.send({}) is None  # type: ignore[func-returns-value]
    assert channel != Channel("a")
    assert len({channel, Channel("a")}) == 2


async def test_asend(default_layer: SyncChannelLayer) -> None:
    """CH-06: ``asend`` is ``send`` for async code, on our layers and on others."""
    await Channel("a").asend({"n": 1})
    assert drain(default_layer, "a") == [{"n": 1}]
    foreign = ForeignLayer()
    await Channel("a", channel_layer=foreign).asend({"n": 2})
    assert foreign.calls == [("send", "a", {"n": 2})]
