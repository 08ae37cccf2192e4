"""``Channel``: a name on a layer, sends that wait for the consumer to end, and delays that count from there."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from unittest import mock

import pytest

from routechan import Channel, ChannelFull, Group
from routechan import outbox as outbox_module
from routechan.exceptions import InvalidContent, InvalidName, UnknownChannelLayer
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer, channel_layers

from .helpers import Clock, ForeignLayer, drain, run_here, run_on_loop


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
    for mocked in (mock.Mock(), mock.MagicMock(spec=layer.sync)):
        Channel("a", channel_layer=mocked).send({"n": 1})
        mocked.send.assert_called_once_with("a", {"n": 1})


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
    with pytest.raises(UnknownChannelLayer, match="no channel layer 'nowhere': ") as caught:
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

    before = channel_layers._factory
    channel_layers.configure(factory)
    try:
        first, second = Channel("a", "lazy"), Channel("b", "lazy")
        assert made == ["lazy"]
        assert first.channel_layer is second.channel_layer
    finally:
        channel_layers.configure(before)
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
    monkeypatch.setattr("routechan.outbox.FULL_RETRY_TIME", 0)
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
    assert channel.send({}) is None
    assert channel != Channel("a")
    assert len({channel, Channel("a")}) == 2


async def test_asend(default_layer: SyncChannelLayer) -> None:
    """CH-06: ``asend`` is ``send`` for async code, on our layers and on others."""
    await Channel("a").asend({"n": 1})
    assert drain(default_layer, "a") == [{"n": 1}]
    foreign = ForeignLayer()
    await Channel("a", channel_layer=foreign).asend({"n": 2})
    assert foreign.calls == [("send", "a", {"n": 2})]


# Delays


class RecordingLayer(InMemoryChannelLayer):
    """Records what is sent with which delay, in order, through either face. Lifetime: test."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str, Any, Any]] = []
        self.refusals = 0
        self.sync.send = self._send
        self.sync.send_group = self._send_group

    def _send(self, channel: str, content: Any, delay: float = 0.0, *, headers: Any = None) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ChannelFull(channel)
        self.calls.append(("send", channel, content, delay))

    def _send_group(self, group: str, content: Any, delay: float = 0.0, *, headers: Any = None) -> None:
        self.calls.append(("group", group, content, delay))


@pytest.fixture
def layer() -> RecordingLayer:
    return RecordingLayer()


def test_a_delay_outside_of_a_consumer_counts_from_the_call(layer: RecordingLayer) -> None:
    """CH-05: at once, on the layer."""
    Channel("a", channel_layer=layer).send({"n": 0}, delay=2.5)
    Group("g", channel_layer=layer).send({"n": 1}, delay=3)
    assert layer.calls == [("send", "a", {"n": 0}, 2.5), ("group", "g", {"n": 1}, 3)]


async def test_a_delay_in_async_code_counts_from_the_call(layer: RecordingLayer) -> None:
    """CH-05: ``asend`` likewise."""
    await Channel("a", channel_layer=layer).asend({"n": 0}, delay=2.5)
    await Group("g", channel_layer=layer).asend({"n": 1}, delay=3)
    assert layer.calls == [("send", "a", {"n": 0}, 2.5), ("group", "g", {"n": 1}, 3)]


def test_a_delay_in_a_consumer_counts_from_its_end(layer: RecordingLayer) -> None:
    """PM-04: nothing is on the layer while it runs; then all in order, each with its delay."""
    during: list[int] = []

    def consumer(message: Any) -> None:
        Channel("a", channel_layer=layer).send({"n": 0}, delay=2.5)
        Channel("a", channel_layer=layer).send({"n": 1})
        Group("g", channel_layer=layer).send({"n": 2}, delay=3)
        during.append(len(layer.calls))

    run_here(consumer)
    assert during == [0]
    assert layer.calls == [("send", "a", {"n": 0}, 2.5), ("send", "a", {"n": 1}, 0.0), ("group", "g", {"n": 2}, 3)]


async def test_a_delay_in_an_async_consumer_counts_from_its_end(layer: RecordingLayer) -> None:
    """PM-02, PM-04: ``send`` and ``asend`` in one order, flushed on the loop."""
    during: list[int] = []

    async def consumer(message: Any) -> None:
        await Channel("a", channel_layer=layer).asend({"n": 0}, delay=2.5)
        Channel("a", channel_layer=layer).send({"n": 1}, delay=1)
        await Group("g", channel_layer=layer).asend({"n": 2}, delay=3)
        await Channel("a", channel_layer=layer).asend({"n": 3})
        during.append(len(layer.calls))

    await run_on_loop(consumer)
    assert during == [0]
    assert [(content["n"], delay) for _, _, content, delay in layer.calls] == [(0, 2.5), (1, 1), (2, 3), (3, 0.0)]


def test_a_slow_consumer_delays_its_delayed_sends() -> None:
    """The docstring of ``Channel.send``: so many seconds after its end, on a layer that keeps time."""
    layer = InMemoryChannelLayer()
    ended: list[float] = []

    def consumer(message: Any) -> None:
        Channel("a", channel_layer=layer).send({}, delay=0.1)
        time.sleep(0.15)  # the work it does
        assert layer.sync.receive(["a"]) == (None, None)
        ended.append(time.monotonic())

    run_here(consumer)
    assert layer.sync.receive(["a"], block=True) == ("a", {})
    assert time.monotonic() - ended[0] >= 0.09


def test_the_delay_of_an_immediate_send_counts_from_the_call(layer: RecordingLayer) -> None:
    """PM-03: ``immediately`` passes over the outbox, not over the delay."""

    def consumer(message: Any) -> None:
        Channel("a", channel_layer=layer).send({"n": 0}, immediately=True, delay=2.5)
        assert layer.calls == [("send", "a", {"n": 0}, 2.5)]

    run_here(consumer)
    assert len(layer.calls) == 1


@pytest.mark.parametrize("delay", [-1, float("nan"), True, False, "1", ""])
@pytest.mark.parametrize("target", [Channel, Group])
def test_a_bad_delay_is_refused_where_it_is_written(
    target: type[Channel | Group], delay: Any, default_layer: object
) -> None:
    """CH-05: in a consumer too, where its line is in the traceback, not later in a log."""
    text = "delay is a number of seconds of at least 0, such as 2.5, not "
    with pytest.raises(ValueError, match=text):
        target("a").send({}, delay=delay)

    def consumer(message: Any) -> None:
        with pytest.raises(ValueError, match=text):
            target("a").send({}, delay=delay)

    assert run_here(consumer).entries == []


def test_no_delay_is_an_ordinary_send(layer: RecordingLayer) -> None:
    """The default; a layer of another make, which knows no delay, is not asked for one."""
    foreign = ForeignLayer()
    Channel("a", channel_layer=foreign).send({"n": 0}, delay=0)
    Group("g", channel_layer=foreign).send({"n": 1}, delay=0.0)
    run_here(lambda message: Channel("a", channel_layer=foreign).send({"n": 2}, delay=0))
    assert [call[0] for call in foreign.calls] == ["send", "send_group", "send"]


def test_a_full_channel_is_tried_again_with_the_delay(layer: RecordingLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """PM-05: a layer may refuse a delayed message at once."""
    monkeypatch.setattr(outbox_module, "time", Clock())
    layer.refusals = 2
    run_here(lambda message: Channel("a", channel_layer=layer).send({"n": 0}, delay=2.5))
    assert layer.calls == [("send", "a", {"n": 0}, 2.5)]


def test_what_cannot_be_delivered_later_is_logged_with_its_channel(caplog: pytest.LogCaptureFixture) -> None:
    """OB-01: a layer of another make knows no delay; it costs this message only, and the log names the channel."""
    foreign = ForeignLayer()

    def consumer(message: Any) -> None:
        Channel("first", channel_layer=foreign).send({"n": 0}, delay=2.5)
        Channel("second", channel_layer=foreign).send({"n": 1})

    run_here(consumer)
    assert foreign.calls == [("send", "second", {"n": 1})]
    assert "a message to first could not be delivered" in caplog.text
