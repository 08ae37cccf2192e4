"""``ConsumeLater``: another try, at the end of the channel."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from routechan import Channel, ConsumeLater, Message, route
from routechan.routing import Router
from routechan.worker import classic as classic_module

from ...helpers import ForeignLayer, drain
from .running import holding, sends_to, work


def test_consume_later() -> None:
    """WK-22: the message is run again; one send on the layer given, as a test of 1.x counted."""
    tries: list[int] = []

    def consumer(message: Message) -> None:
        tries.append(message.get("__retries__", 0))
        if len(tries) == 1:
            raise ConsumeLater

    layer = holding(consumer, {})
    sent = sends_to(layer)
    work(layer, 2)
    assert tries == [0, 1]
    assert sent == ["a"]


@pytest.mark.parametrize(("options", "retries"), [({}, 10), ({"message_retries": 2}, 2)])
def test_consume_later_is_limited(options: Any, retries: int, caplog: pytest.LogCaptureFixture) -> None:
    """WK-21, WK-25: ten retries, or as many as the worker was given; then a warning, and the message is dropped."""
    doomed: list[bool] = []

    def consumer(message: Message) -> None:
        doomed.append(getattr(message, "__doomed__", False))
        raise ConsumeLater

    work(holding(consumer, {}), 15, **options)
    assert doomed == [False] * retries + [True]  # WK-10
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"asked for another try {retries} times; the message is dropped" in record.getMessage()


def test_the_message_goes_to_the_end_as_the_consumer_left_it() -> None:
    """WK-24: behind what waits already, with the changes made to its content."""
    seen: list[Any] = []

    def consumer(message: Message) -> None:
        seen.append(dict(message.content))
        if message["n"] == 1 and "seen" not in message:
            message["seen"] = True
            raise ConsumeLater

    layer = holding(consumer, {"n": 1}, {"n": 2})
    work(layer, 3)
    assert seen == [{"n": 1}, {"n": 2}, {"n": 1, "seen": True, "__retries__": 1}]


def test_put_back_before_the_flush() -> None:
    """WK-22: the message is sent back at once, before what the consumer sent; WK-25, OB-10: that leaves on each try."""

    def consumer(message: Message) -> None:
        Channel("out", channel_layer=layer).send({})
        raise ConsumeLater

    layer = holding(consumer, {})
    sent = sends_to(layer)
    work(layer, 3, message_retries=1)
    assert sent == ["a", "out", "out"]


def test_a_full_channel_is_tried_ten_times(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """WK-23, OB-09: 0.05 s apart; then the message is dropped, which is logged, and the rest is sent."""
    monkeypatch.setattr(classic_module, "REQUEUE_INTERVAL", 0.05)
    slept: list[float] = []
    refused: list[str] = []

    def consumer(message: Message) -> None:
        Channel("out", channel_layer=layer).send({})
        raise ConsumeLater

    class Full(ForeignLayer):
        router = Router([route("a", consumer)])
        waiting: ClassVar[list[Any]] = [("a", {"n": 1})]

        def receive_many(self, channels: Any, block: bool = False) -> Any:
            return self.waiting.pop()

        def send(self, channel: str, content: dict[str, Any]) -> None:
            if channel == "a":
                refused.append(channel)
                raise self.ChannelFull  # its own, as the layers of 1.x have
            super().send(channel, content)

    layer = Full()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classic_module.time, "sleep", slept.append)
        work(layer, 1)
    assert len(refused) == 10
    assert slept == [0.05] * 9
    assert layer.calls == [("send", "out", {})]
    assert "asked for another try, but a stayed full" in caplog.text


def test_a_put_back_that_fails_costs_the_message_only(caplog: pytest.LogCaptureFixture) -> None:
    """OB-34: a layer that is lost while a message goes back; the rest is sent, and the worker goes on."""
    seen: list[int] = []

    def consumer(message: Message) -> None:
        seen.append(message["n"])
        Channel("out", channel_layer=layer).send({"n": message["n"]})
        if message["n"] == 1:
            message["bad"] = object()
            raise ConsumeLater

    layer = holding(consumer, {"n": 1}, {"n": 2})
    work(layer, 2)
    assert seen == [1, 2]
    assert drain(layer, "out") == [{"n": 1}, {"n": 2}]
    assert "Handling a message on a failed; it is dropped" in caplog.text
