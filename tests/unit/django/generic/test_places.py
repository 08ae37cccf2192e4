"""The line of a send through a class-based consumer or a multiplexer is the user's, not the class's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from routechan import Channel
from routechan.inspection import place_of
from routechan.outbox import Outbox, current
from routechan_django.generic.websockets import JsonWebsocketConsumer, WebsocketConsumer, WebsocketMultiplexer
from routechan_django.layer import ChannelLayerWrapper
from tests.unit.django.helpers import message

pytestmark = pytest.mark.usefixtures("without_channels")


class Own(JsonWebsocketConsumer):
    def tell(self) -> None:
        self.send({"a": 1})


def consumer_of(cls: Any) -> Any:
    return cls(message({"path": "/"}, "websocket.connect"))


@pytest.mark.parametrize(
    "send",
    [
        lambda: consumer_of(WebsocketConsumer).send(text="a"),
        lambda: consumer_of(JsonWebsocketConsumer).send({"a": 1}),
        lambda: consumer_of(WebsocketConsumer).close(),
        lambda: WebsocketConsumer.group_send("g", text="a"),
        lambda: JsonWebsocketConsumer.group_send("g", {"a": 1}),
        lambda: WebsocketMultiplexer("s", Channel("reply")).send({"a": 1}),
        lambda: WebsocketMultiplexer.group_send("g", "s", {"a": 1}),
    ],
)
def test_places(send: Callable[[], Any], layer: ChannelLayerWrapper) -> None:
    """GN-17, PM-08: each way to send names the line that called it."""
    assert place_in_outbox(send) == f"{__file__}:{send.__code__.co_firstlineno}"


def test_a_method_of_ones_own(layer: ChannelLayerWrapper) -> None:
    """PM-08: a subclass is the user's."""
    line = inspect.getsourcelines(Own.tell)[1] + 1
    assert place_in_outbox(consumer_of(Own).tell) == f"{__file__}:{line}"


def place_in_outbox(send: Callable[[], Any]) -> str | None:
    token = current.set(outbox := Outbox())
    try:
        send()
    finally:
        current.reset(token)
    entry = outbox.entries[-1]  # behind what the connect sends
    return place_of(*entry[2:])
