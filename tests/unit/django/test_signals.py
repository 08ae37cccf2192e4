"""Signals around consumers."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.dispatch import Signal

from routechan import route
from routechan.inline import InlineConsumers
from routechan.routing import Router
from routechan_django.application import build_application
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.signals import (
    worker_process_ready,
    worker_ready,
)
from tests.harness import WebSocket


def names(sent: Any, thread: int) -> list[str]:
    """The signals sent in a thread, in order."""
    return [each.name for each in sent if each.thread == thread]


def serve(layer: ChannelLayerWrapper, consumer: Any) -> Any:
    layer.router = Router([route("websocket.receive", consumer)])
    return build_application(layer)


async def test_around_a_plain_consumer(layer: ChannelLayerWrapper, signals_sent: Any) -> None:
    """SG-01, SG-02: both fire in the thread that runs the consumer, with the class that runs it as sender."""
    threads: list[int] = []

    def consumer(message: Any) -> None:
        threads.append(threading.get_ident())
        message.reply_channel.send({"text": "done"})

    async with WebSocket(serve(layer, consumer)) as socket:
        await socket.accepted()
        signals_sent.clear()
        socket.send("go")
        assert await socket.text() == "done"
    started, finished = [sent for sent in signals_sent if sent.thread == threads[0]][:2]
    assert started[:2] == ("consumer_started", InlineConsumers)
    assert finished[:2] == ("consumer_finished", InlineConsumers)
    assert (started.arguments, finished.arguments) == ({"environ": {}}, {})


async def test_around_an_async_consumer(layer: ChannelLayerWrapper, signals_sent: Any) -> None:
    """SG-01, SG-02: async consumers have them too, on the event loop."""

    async def consumer(message: Any) -> None:
        message.reply_channel.send({"text": "done"})

    async with WebSocket(serve(layer, consumer)) as socket:
        await socket.accepted()
        signals_sent.clear()
        socket.send("go")
        assert await socket.text() == "done"
    assert names(signals_sent, threading.get_ident())[:2] == ["consumer_started", "consumer_finished"]


async def test_a_failure_is_a_signal(
    layer: ChannelLayerWrapper, signals_sent: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """``consumer_failed`` carries message, consumer and exception; the socket goes on (WK-20)."""

    def consumer(message: Any) -> None:
        if message["text"] == "fail":
            raise LookupError("on purpose")
        message.reply_channel.send({"text": "still here"})

    async with WebSocket(serve(layer, consumer)) as socket:
        await socket.accepted()
        socket.send("fail")
        socket.send("go")
        assert await socket.text() == "still here"
    (failed,) = [sent.arguments for sent in signals_sent if sent.name == "consumer_failed"]
    assert failed["message"]["text"] == "fail"
    assert failed["consumer"] is consumer
    assert isinstance(failed["exception"], LookupError)
    assert "Error in consumer tests.unit.django.test_signals.consumer on websocket.receive" in caplog.text


def test_worker_signals_can_be_connected_to() -> None:
    """SG-03, SG-04: the workers' signals exist, for code that connects to them."""
    assert isinstance(worker_ready, Signal)
    assert isinstance(worker_process_ready, Signal)
