"""A delay named in a consumer counts from its end; outside of one, from the call."""

from __future__ import annotations

import time
from typing import Any

import pytest

from routechan import Channel, ChannelFull, Group
from routechan import delivery as delivery_module
from routechan.delivery import flush
from routechan.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer
from routechan.routing import Router, route

from .helpers import Clock, ForeignLayer, message, run_here


class NotingLayer(InMemoryChannelLayer):
    """Notes what is sent with which delay, in order, through either face. Lifetime: test."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str, Any, Any]] = []
        self.refusals = 0
        self.sync.send = self._send  # type: ignore[method-assign]
        self.sync.send_group = self._send_group  # type: ignore[method-assign]

    def _send(self, channel: str, content: Any, delay: float = 0.0) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ChannelFull(channel)
        self.calls.append(("send", channel, content, delay))

    def _send_group(self, group: str, content: Any, delay: float = 0.0) -> None:
        self.calls.append(("group", group, content, delay))


@pytest.fixture
def layer() -> NotingLayer:
    return NotingLayer()


async def run_on_loop(consumer: Any) -> None:
    """As a process that runs consumers on its event loop does."""
    dispatcher = Dispatcher(Router([route("test", consumer)]))
    run = dispatcher.match(message())
    assert run is not None
    await dispatcher.acall(run)
    pending = flush(run)
    if pending is not None:
        await pending


def test_outside_of_a_consumer_it_counts_from_the_call(layer: NotingLayer) -> None:
    """CH-05: at once, on the layer."""
    Channel("a", channel_layer=layer).send({"n": 0}, delay=2.5)
    Group("g", channel_layer=layer).send({"n": 1}, delay=3)
    assert layer.calls == [("send", "a", {"n": 0}, 2.5), ("group", "g", {"n": 1}, 3)]


async def test_outside_of_a_consumer_in_async_code(layer: NotingLayer) -> None:
    """CH-05: ``asend`` likewise."""
    await Channel("a", channel_layer=layer).asend({"n": 0}, delay=2.5)
    await Group("g", channel_layer=layer).asend({"n": 1}, delay=3)
    assert layer.calls == [("send", "a", {"n": 0}, 2.5), ("group", "g", {"n": 1}, 3)]


def test_in_a_consumer_it_waits_for_its_end(layer: NotingLayer) -> None:
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


async def test_in_an_async_consumer_it_waits_for_its_end(layer: NotingLayer) -> None:
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
    """the docstring of ``Channel.send``: so many seconds after its end, on a layer that keeps time."""
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


def test_immediately_counts_from_the_call(layer: NotingLayer) -> None:
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


def test_no_delay_is_an_ordinary_send(layer: NotingLayer) -> None:
    """the default; a layer of another make, which knows no delay, is not asked for one."""
    foreign = ForeignLayer()
    Channel("a", channel_layer=foreign).send({"n": 0}, delay=0)
    Group("g", channel_layer=foreign).send({"n": 1}, delay=0.0)
    run_here(lambda message: Channel("a", channel_layer=foreign).send({"n": 2}, delay=0))
    assert [call[0] for call in foreign.calls] == ["send", "send_group", "send"]


def test_a_full_channel_is_tried_again_with_its_delay(layer: NotingLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """PM-05: a layer that refuses at once what is to come later."""
    monkeypatch.setattr(delivery_module, "time", Clock())
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
