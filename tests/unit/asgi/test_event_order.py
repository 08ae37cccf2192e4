"""The events of a socket run one at a time and in order; backpressure; streams run beside them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from routechan import Message, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from .clients import Client, Open, close, logged, text, ticks
from .conftest import Serve
from .consumers import SOCKET, aecho, echo, join


class Overlap:
    """Counts the consumers of each connection that run at the same time. Lifetime: test."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.most = 0
        self.lock = threading.Lock()
        self.orders: dict[str, list[int]] = {}

    def plain(self, message: Message) -> None:
        self._enter(message)
        time.sleep(0.001)
        self._leave(message)

    async def asynchronous(self, message: Message) -> None:
        self._enter(message)
        await asyncio.sleep(0.001)
        self._leave(message)

    def _enter(self, message: Message) -> None:
        name: str = message["reply_channel"]
        with self.lock:
            self.running[name] = self.running.get(name, 0) + 1
            self.most = max(self.most, self.running[name])
            self.orders.setdefault(name, []).append(message["order"])

    def _leave(self, message: Message) -> None:
        message.reply_channel.send({"text": str(message["order"])})
        with self.lock:
            self.running[message["reply_channel"]] -= 1


@pytest.mark.parametrize("kind", ["sync", "async", "by turns"])
async def test_the_events_of_one_socket_never_overlap(serve: Serve, kind: str) -> None:
    """Each event of a socket runs after the previous one has ended, in order."""
    overlap = Overlap()
    routing = {
        "sync": [route(SOCKET, overlap.plain)],
        "async": [route(SOCKET, overlap.asynchronous)],
        "by turns": [route("websocket.receive", overlap.plain, text="^plain$"), route(SOCKET, overlap.asynchronous)],
    }[kind]
    application = await serve(routing)
    clients = [await Client(application).__aenter__() for _ in range(4)]
    for client in clients:
        for number in range(20):
            client.send("plain" if number % 3 else "async")
    for client in clients:
        await client.open()
        assert [await client.text() for _ in range(21)] == [str(number) for number in range(21)]
        client.leave()
        await client.over()
    assert overlap.most == 1
    assert list(overlap.orders.values()) == [list(range(22))] * 4


async def test_an_immediate_send_is_not_overtaken(serve: Serve) -> None:
    """What a plain consumer sent at once comes before what it sent to leave at its end."""

    def both(message: Message) -> None:
        message.reply_channel.send({"text": "2"})
        message.reply_channel.send({"text": "1"}, immediately=True)

    async with AsyncExitStack() as stack:
        application = await serve([route("websocket.receive", both)])
        clients = [await stack.enter_async_context(Open(application)) for _ in range(20)]
        for _ in range(50):
            for client in clients:
                client.send("go")
            for client in clients:
                assert (await client.text(), await client.text()) == ("1", "2")


async def test_a_slow_consumer_holds_up_its_own_socket_only(serve: Serve) -> None:
    """A consumer that blocks does not delay other sockets."""
    blocked = threading.Event()

    def receive(message: Message) -> None:
        if message["text"] == "block":
            blocked.wait(5)
        echo(message)

    application = await serve([route("websocket.receive", receive)])
    async with Open(application) as slow, Open(application) as quick:
        slow.send("block")
        slow.send("after")
        for number in range(5):
            quick.send(str(number))
            assert await quick.text() == str(number)
        assert slow.events() == []
        blocked.set()
        assert [await slow.text(), await slow.text()] == ["block", "after"]


async def test_a_disconnect_waits_for_the_running_consumer(serve: Serve) -> None:
    """The disconnect runs after the running consumer; replies to the closed socket are dropped."""
    entered, go_on, done = threading.Event(), threading.Event(), []

    def receive(message: Message) -> None:
        entered.set()
        go_on.wait(5)
        message.reply_channel.send({"text": "too late"})
        done.append("receive")

    def disconnect(message: Message) -> None:
        done.append("disconnect")

    routing = [route("websocket.receive", receive), route("websocket.disconnect", disconnect)]
    async with Open(await serve(routing)) as client:
        client.send("a")
        await until(entered.is_set)
        client.leave()
        await ticks()
        assert done == []
        go_on.set()
        await client.over()
        assert client.events() == []
    assert done == ["receive", "disconnect"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("no number", ""),
        ("0", "has the keys 'accept', 'text', 'bytes' and 'close', not 'message'"),
        ("1", "a lone surrogate"),
    ],
    ids=["consumer", "reply", "surrogate"],
)
async def test_an_error_costs_one_message(serve: Serve, caplog: pytest.LogCaptureFixture, bad: str, error: str) -> None:
    """6.9: a failed consumer and a refused reply are logged with its name; later replies go out."""

    def receive(message: Message) -> None:
        bad_reply = {0: {"message": "hello"}, 1: {"text": "\ud800"}}.get(int(message["text"]))
        if bad_reply is not None:
            message.reply_channel.send(bad_reply)
        echo(message)

    async with Open(await serve([route("websocket.receive", receive)])) as client:
        client.send(bad)
        if error:
            assert await client.text() == bad
        client.send("5")
        assert await client.text() == "5"
    [line] = logged(caplog, logging.ERROR)
    assert ".receive on websocket.receive" in line
    assert error in line


# Backpressure


@pytest.mark.parametrize("consumer", [echo, aecho], ids=["sync", "async"])
async def test_a_client_that_does_not_read_is_not_read(serve: Serve, consumer: Any) -> None:
    """Reading pauses while the client does not drain its replies; in the end all frames are answered."""
    async with Open(await serve([route("websocket.receive", consumer)])) as client:
        client.reads.clear()
        for number in range(50):
            client.send(str(number))
        await until(lambda: client.held_up)
        await ticks(100)
        assert client.asked < 6
        assert client.to_application.qsize() > 44
        client.reads.set()
        assert [await client.text() for _ in range(50)] == [str(number) for number in range(50)]


async def test_a_slow_reader_delays_nobody_and_is_closed(
    serve: Serve, caplog: pytest.LogCaptureFixture, default_layer: SyncChannelLayer
) -> None:
    """6.10: 1013 when its send queue is full, logged once; consumers see the disconnect (1.x gave none)."""
    codes = []

    def disconnect(message: Message) -> None:
        codes.append(message["code"])

    routing = [route("websocket.connect", join), route("websocket.disconnect", disconnect)]
    application = await serve(routing, socket_capacity=5)
    async with Open(application) as slow, Open(application) as quick:
        await until(lambda: len(default_layer.group_channels("all")) == 2)
        slow.reads.clear()
        for number in range(20):
            default_layer.send_group("all", {"text": str(number)})
            assert await quick.text() == str(number)
        await until(lambda: codes)
        slow.reads.set()
        await slow.over()
        assert slow.events() == [text("0"), close(1013)]
    assert codes[0] == 1013
    assert default_layer.global_statistics()["dropped_count"] == 6
    [line] = logged(caplog)
    assert "does not read: it is closed with 1013, and 6 messages to it dropped" in line


# Streams


async def test_a_stream_runs_beside_later_events(serve: Serve) -> None:
    """What is yielded goes out at once, while the consumer still runs."""
    ended: list[str] = []
    go_on = asyncio.Event()

    async def connect(message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"accept": True}
            yield {"text": "first"}
            await go_on.wait()
            yield {"text": "second"}
            await asyncio.Event().wait()
        finally:
            ended.append("closed")

    routing = [route("websocket.connect", connect), route("websocket.receive", echo)]
    async with Open(await serve(routing)) as client:
        assert await client.text() == "first"
        client.send("between")
        assert await client.text() == "between"
        go_on.set()
        assert await client.text() == "second"
        assert ended == []
        client.leave()
        await until(lambda: ended)


async def test_a_plain_stream_is_closed_at_its_next_step(serve: Serve) -> None:
    """A plain generator is closed at its next step after the socket closes."""
    ended = threading.Event()

    def connect(message: Message) -> Iterator[dict[str, Any]]:
        try:
            yield {"accept": True}
            number = 0
            while True:
                time.sleep(0.001)
                yield {"text": str(number)}
                number += 1
        finally:
            ended.set()

    async with Open(await serve([route("websocket.connect", connect)])) as client:
        assert [await client.text() for _ in range(3)] == ["0", "1", "2"]
        client.leave()
        await client.over()
        await until(ended.is_set)


async def test_a_stream_waits_for_a_slow_client(serve: Serve) -> None:
    """A stream waits for a slow client; it never fills the send queue."""
    made = []

    async def connect(message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {"accept": True}
        for number in range(50):
            made.append(number)
            yield {"text": str(number)}

    client = Client(await serve([route("websocket.connect", connect)], socket_capacity=5))
    client.reads.clear()
    async with client:
        await until(lambda: client.held_up)
        await ticks(100)
        assert len(made) < 5
        client.reads.set()
        await client.open()
        assert [await client.text() for _ in range(50)] == [str(number) for number in range(50)]
