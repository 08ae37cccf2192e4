"""Signals around consumers, and the database connections closed with them."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from django.dispatch import Signal

from routechan import route
from routechan.inline import InlineConsumers
from routechan.routing import Router
from routechan_django import connections
from routechan_django.asgi import build_application
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.signals import (
    consumer_failed,
    consumer_finished,
    consumer_started,
    worker_process_ready,
    worker_ready,
)
from tests.harness import WebSocket

Seen = list[tuple[str, int, dict[str, Any]]]


@pytest.fixture
def seen() -> Iterator[Seen]:
    """What the signals brought: name, thread and arguments."""
    calls: Seen = []
    connected: list[tuple[Signal, Any]] = []
    for name, signal in (
        ("started", consumer_started),
        ("finished", consumer_finished),
        ("failed", consumer_failed),
    ):

        def receiver(name: str = name, **kwargs: Any) -> None:
            calls.append((name, threading.get_ident(), kwargs))

        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))
    yield calls
    for signal, receiver in connected:
        signal.disconnect(receiver)


def serve(layer: ChannelLayerWrapper, consumer: Any) -> Any:
    layer.router = Router([route("websocket.receive", consumer)])
    return build_application(layer)


async def test_around_a_plain_consumer(layer: ChannelLayerWrapper, seen: Seen) -> None:
    """SG-01, SG-02: both fire in the thread that runs the consumer, with the class that runs it as sender."""
    threads: list[int] = []

    def consumer(message: Any) -> None:
        threads.append(threading.get_ident())
        message.reply_channel.send({"text": "done"})

    async with WebSocket(serve(layer, consumer)) as socket:
        await socket.accepted()
        seen.clear()
        socket.send("go")
        assert await socket.text() == "done"
    (started, finished) = [call for call in seen if call[1] == threads[0]][:2]
    assert (started[0], finished[0]) == ("started", "finished")
    assert started[2]["sender"] is InlineConsumers
    assert started[2]["environ"] == {}
    assert "environ" not in finished[2]


async def test_around_an_async_consumer(layer: ChannelLayerWrapper, seen: Seen) -> None:
    """SG-01, SG-02: async consumers have them too, on the event loop."""

    async def consumer(message: Any) -> None:
        message.reply_channel.send({"text": "done"})

    async with WebSocket(serve(layer, consumer)) as socket:
        await socket.accepted()
        seen.clear()
        socket.send("go")
        assert await socket.text() == "done"
    assert [call[0] for call in seen if call[1] == threading.get_ident()][:2] == ["started", "finished"]


async def test_a_failure_is_a_signal(layer: ChannelLayerWrapper, seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
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
    (failed,) = [kwargs for name, _, kwargs in seen if name == "failed"]
    assert failed["message"]["text"] == "fail"
    assert failed["consumer"] is consumer
    assert isinstance(failed["exception"], LookupError)
    assert "Error in consumer tests.django.test_signals.consumer on websocket.receive" in caplog.text


def test_worker_signals_can_be_connected_to() -> None:
    """SG-03, SG-04: the workers' signals exist, for code that connects to them."""
    assert isinstance(worker_ready, Signal)
    assert isinstance(worker_process_ready, Signal)


async def test_connections_of_a_plain_consumer(layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-05: old connections are closed before and after a consumer, in its thread, where they are open."""
    order: list[tuple[str, int]] = []
    monkeypatch.setattr(connections, "close_old", lambda: order.append(("close", threading.get_ident())))

    def consumer(message: Any) -> None:
        order.append(("consumer", threading.get_ident()))
        message.reply_channel.send({"text": "done"})

    async with WebSocket(serve(layer, consumer)) as socket:
        await socket.accepted()
        order.clear()
        socket.send("go")
        assert await socket.text() == "done"
        assert [what for what, _ in order] == ["close", "consumer", "close"]
        assert len({thread for _, thread in order}) == 1


async def test_connections_of_an_async_consumer(layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-05: async code has its connections in asgiref's thread; they are looked at there, soon and not per message."""
    closed: list[int] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def close() -> None:
        closed.append(threading.get_ident())
        loop.call_soon_threadsafe(done.set)

    monkeypatch.setattr(connections, "ASYNC_INTERVAL", 0.01)
    monkeypatch.setattr(connections, "close_old", close)

    async def consumer(message: Any) -> None:
        message.reply_channel.send({"text": message["text"]})

    layer.router = Router([route("websocket.connect", accept), route("websocket.receive", consumer)])
    async with WebSocket(build_application(layer)) as socket:
        await socket.accepted()
        for text in ("1", "2", "3"):
            socket.send(text)
            assert await socket.text() == text
        await asyncio.wait_for(done.wait(), 5)
        assert threading.get_ident() not in closed


def test_a_loop_that_ended_is_not_kept() -> None:
    """SG-05: one that ends before its connections are looked at, as in each test, is not held for good."""

    async def consume() -> None:
        connections.close_around_consumer()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(consume())
    loop.close()
    ended = weakref.ref(loop)
    del loop
    gc.collect()
    assert ended() is None


async def accept(message: Any) -> None:
    message.reply_channel.send({"accept": True})
