"""The backlog of a full channel: who gets room, in which order, and who is refused."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from routechan import ChannelFull, Message, route
from routechan.exceptions import MessageTooLarge
from routechan.layers import InMemoryChannelLayer
from routechan.relay import turns as turns_module
from routechan.relay.protocol import DeliveryTag, tag_of
from routechan.telemetry.counters import counters
from tests.harness import WebSocket
from tests.waiting import stretched, until

from ..asgi.clients import logged
from ..helpers import DEADLINE
from .helpers import RECEIVE, SOCKET, echo, relaying, send_event, serving, sockets, working


@pytest.fixture
def only_acks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for room that no ack tells of."""
    monkeypatch.setattr(turns_module, "FULL_INTERVAL", 10 * DEADLINE)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "FULL_PATIENCE", 0.3)
    monkeypatch.setattr(turns_module, "FULL_INTERVAL", 0.01)


@pytest.mark.usefixtures("impatient")
async def test_a_full_channel_holds_up_its_sockets(caplog: pytest.LogCaptureFixture) -> None:
    """6.5: a socket whose event finds no room is not read; in the end it is closed with 1013."""
    layer = InMemoryChannelLayer(capacity=1).sync
    release = threading.Event()

    def held(message: Message) -> None:
        release.wait(DEADLINE)
        echo(message)

    worker = working(layer, *SOCKET, route(RECEIVE, held), threads=1)
    async with worker, serving(layer) as application, sockets(application, 3) as clients:
        for client in clients:
            client.send("hello")
        events = [asyncio.create_task(client.event()) for client in clients]
        done, _ = await asyncio.wait(events, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        assert [event.result() for event in done] == [{"type": "websocket.close", "code": 1013}]
        release.set()
        kinds = sorted(event["type"] for event in await asyncio.gather(*events))
        assert kinds == ["websocket.close", "websocket.send", "websocket.send"]
    assert any("is full" in text for text in logged(caplog))


@pytest.mark.usefixtures("impatient")
async def test_room_is_given_in_turn(caplog: pytest.LogCaptureFixture) -> None:
    """A channel that is full, and moves, refuses nobody, however long the backlog is; first come, first served."""
    layer = InMemoryChannelLayer(capacity=1).sync
    seen: list[str] = []

    def slow(message: Message) -> None:
        time.sleep(0.04)
        seen.append(message["text"])

    worker = working(layer, *SOCKET, route(RECEIVE, slow), threads=1)
    async with worker, serving(layer) as application, sockets(application, 20) as clients:
        for number, client in enumerate(clients):
            client.send(str(number))
            await asyncio.sleep(0)
        await until(lambda: len(seen) == len(clients))
        assert [client.events() for client in clients] == [[]] * len(clients)
    assert seen == [str(number) for number in range(20)]
    assert logged(caplog) == []


@pytest.mark.parametrize("leaves", [False, True], ids=["refused", "left"])
async def test_a_connect_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch, leaves: bool) -> None:
    """Its client was refused, or has left, while it was in the backlog: no consumer runs for it, nor a disconnect."""
    monkeypatch.setattr(turns_module, "FULL_PATIENCE", 1000 * DEADLINE)
    layer = InMemoryChannelLayer(channel_capacity={"websocket.connect": 1}).sync
    release = threading.Event()
    connected: list[str] = []
    disconnected: list[str] = []

    def connect(message: Message) -> None:
        release.wait(DEADLINE)
        connected.append(message["reply_channel"])

    def disconnect(message: Message) -> None:
        disconnected.append(message["reply_channel"])

    routing = [route("websocket.connect", connect), route("websocket.disconnect", disconnect)]
    timeout = 1000 * DEADLINE if leaves else 1.0
    async with working(layer, *routing, threads=1), serving(layer, handshake_timeout=timeout) as application:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(WebSocket(application)) for _ in range(6)]
            waiting = application._consumers._destinations
            await until(lambda: len(waiting) and len(waiting["websocket.connect"].backlog) == 4, "four wait for room")
            for client in clients:
                if leaves:
                    client.push({"type": "websocket.disconnect", "code": 1006})
                else:
                    assert (await client.event())["type"] != "websocket.accept"
            await until(lambda: not waiting["websocket.connect"].backlog, "nobody waits for room any more")
            release.set()
        await until(lambda: len(disconnected) == 2, "those that a worker knew are disconnected")
    assert len(connected) == 2
    assert sorted(connected) == sorted(disconnected)
    assert counters.events_waiting == 0


@pytest.mark.usefixtures("only_acks")
async def test_an_ack_admits_the_next_event() -> None:
    """6.5: for each ack the first of the backlog tries again, at once; what comes later is behind the others."""
    async with relaying(capacity=3) as relay:
        events = relay.send(*range(8))
        assert await relay.take(3) == [0, 1, 2]
        assert await relay.waiting() == 0  # there is room, of which no ack has told
        events += relay.send(8)
        assert await relay.waiting() == 0
        relay.ack(1)
        assert await relay.take(1) == [3]
        relay.ack(0, 2)
        assert await relay.take(2) == [4, 5]
        relay.ack(3, 4, 5)
        assert await relay.take(3) == [6, 7, 8]
        relay.ack(6, 7, 8)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)
        assert relay.replies == []


@pytest.mark.usefixtures("only_acks")
async def test_an_ack_that_brings_no_room() -> None:
    """Another server was faster: an event that has tried again in vain is the first of the backlog again."""
    async with relaying(capacity=2) as relay:
        events = relay.send(*range(5))
        assert await relay.take(2) == [0, 1]
        for number in (10, 11):
            await send_event(relay.layer.sync, number, n=number)
        relay.ack(0)
        assert await relay.take(2) == [10, 11]
        relay.ack(1)
        assert await relay.take(1) == [2]
        relay.ack(2)
        assert await relay.take(1) == [3]
        relay.ack(3)
        assert await relay.take(1) == [4]
        relay.ack(4)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)


async def test_room_that_no_ack_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was started takes more and has acked nothing: the first event tries now and then, for all."""
    monkeypatch.setattr(turns_module, "FULL_INTERVAL", 0.2)
    async with relaying(capacity=20) as relay:
        events = relay.send(*range(50))
        began = time.monotonic()
        seen: list[int] = []
        while len(seen) < 50:
            count = await relay.waiting()
            assert count <= 20
            seen += await relay.take(count)
            await asyncio.sleep(0.01)
        assert seen == list(range(50))
        assert time.monotonic() - began < stretched(2.0)  # two looks, not thirty
        relay.ack(*seen)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)


@pytest.mark.usefixtures("only_acks")
async def test_cancelled_in_the_backlog() -> None:
    """It leaves no trace: no event behind it misses a turn, and where it was the last one, the backlog is empty."""
    async with relaying(capacity=1) as relay:
        events = relay.send(*range(5))
        assert await relay.take(1) == [0]
        for number in (1, 3):
            events[number].cancel()
        await asyncio.wait([events[1], events[3]])
        relay.ack(0)
        assert await relay.take(1) == [2]
        relay.ack(2)
        assert await relay.take(1) == [4]
        events += relay.send(5, 6)
        assert await relay.take(1) == [5]
        events[6].cancel()
        await asyncio.wait([events[6]])
        events += relay.send(7, 8, 9)
        assert await relay.take(1) == [7]
        events[8].cancel()
        relay.ack(7)  # before the task of the other has had its turn
        assert await relay.take(1) == [9]
        relay.ack(4, 5, 9)
        await asyncio.wait_for(asyncio.gather(*events, return_exceptions=True), DEADLINE)
        assert [event.cancelled() for event in events] == [number in (1, 3, 6, 8) for number in range(10)]


class Posts:
    """What a layer that answers later was asked to send. Lifetime: test."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, DeliveryTag, asyncio.Future[None]]] = []

    def __call__(self, channel: str, content: Any, *, headers: Any) -> asyncio.Future[None]:
        tag = tag_of(headers)
        assert tag is not None
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked.append((content["n"], tag, answer))
        return answer

    async def next(self, count: int) -> list[tuple[int, DeliveryTag, asyncio.Future[None]]]:
        await until(lambda: len(self.asked) >= count)
        asked, self.asked = self.asked, []
        assert len(asked) == count
        return asked


@pytest.fixture
def posts() -> Posts:
    return Posts()


@pytest.mark.usefixtures("only_acks")
async def test_a_layer_that_answers_later(monkeypatch: pytest.MonkeyPatch, posts: Posts) -> None:
    """Events that try at once return to their places; numbers grow with each try, as ``_suspect`` relies on."""
    async with relaying() as relay:
        monkeypatch.setattr(relay.layer, "post", posts)
        events = relay.send(*range(6))
        asked = await posts.next(6)
        for n, _, answer in asked:
            if n in (0, 2):
                answer.set_result(None)
            else:
                answer.set_exception(ChannelFull(RECEIVE))
        await asyncio.sleep(0.01)
        relay.taken = {n: tag for n, tag, _ in asked}
        relay.ack(0, 2)
        again = await posts.next(2)
        assert [n for n, _, _ in again] == [1, 3]
        assert all(tag.number > asked[-1][1].number for _, tag, _ in again)
        events += relay.send(6)  # while it is not known how the other two end
        again[0][2].set_exception(ChannelFull(RECEIVE))
        again[1][2].set_exception(ChannelFull(RECEIVE))
        await asyncio.sleep(0.01)
        assert [event.content["n"] for event in relay.consumers._destinations[RECEIVE].backlog] == [1, 3, 4, 5, 6]
        for event in events:
            event.cancel()
        await asyncio.wait(events)


async def test_cancelled_while_it_tries_again(monkeypatch: pytest.MonkeyPatch, posts: Posts) -> None:
    """That its channel was full is then ignored, and the next event of the backlog tries."""
    monkeypatch.setattr(turns_module, "FULL_INTERVAL", 0.05)
    async with relaying() as relay:
        monkeypatch.setattr(relay.layer, "post", posts)
        events = relay.send(0, 1, 2)
        for _, _, answer in await posts.next(3):
            answer.set_exception(ChannelFull(RECEIVE))
        for number in range(2):
            [(n, _, answer)] = await posts.next(1)
            assert n == number
            events[number].cancel()
            await asyncio.wait([events[number]])
            answer.set_exception(ChannelFull(RECEIVE))
        [(n, tag, answer)] = await posts.next(1)
        assert n == 2
        answer.set_result(None)
        relay.taken[2] = tag
        relay.ack(2)
        await asyncio.wait_for(events[2], DEADLINE)


async def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """6.5: nobody is refused while there was room for anybody; then all who have waited so long are, one by one."""
    monkeypatch.setattr(turns_module, "FULL_PATIENCE", 0.4)
    monkeypatch.setattr(turns_module, "FULL_INTERVAL", 0.1)
    async with relaying(capacity=1) as relay:
        events = relay.send(*range(30))
        for number in range(6):
            assert await relay.take(1) == [number]
            relay.ack(number)
            await asyncio.sleep(0.1)
        assert relay.replies == []
        began = time.monotonic()
        await until(lambda: len(relay.replies) == 23)
        assert time.monotonic() - began < stretched(1.0)
        assert [number for number, _ in relay.replies] == list(range(7, 30))
        assert await relay.take(1) == [6]
        relay.ack(6)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)


@pytest.mark.usefixtures("only_acks")
async def test_what_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, posts: Posts) -> None:
    """It is raised where the event is awaited, also when the ack of another event had it sent."""
    async with relaying(capacity=1) as relay:
        held, waits = relay.send(0, 1)
        assert await relay.take(1) == [0]

        def refuse(channel: str, content: Any, *, headers: Any) -> None:
            raise MessageTooLarge("too large")

        with monkeypatch.context() as patched:
            patched.setattr(relay.layer, "post", refuse)
            relay.ack(0)
            with pytest.raises(MessageTooLarge):
                await asyncio.wait_for(waits, DEADLINE)
        await held
        monkeypatch.setattr(relay.layer, "post", posts)
        [event] = relay.send(2)
        [(_, _, answer)] = await posts.next(1)
        answer.set_exception(MessageTooLarge("too large"))
        with pytest.raises(MessageTooLarge):
            await asyncio.wait_for(event, DEADLINE)


async def test_a_layer_whose_sends_are_coroutines(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run beside each other; an event that found no room is sent when there is some."""
    async with relaying(capacity=1) as relay:
        post = relay.layer.post

        async def later(*args: Any, **options: Any) -> None:
            await asyncio.sleep(0)
            post(*args, **options)

        monkeypatch.setattr(relay.layer, "post", later)
        events = relay.send(0, 1)
        for number in range(2):
            await until(lambda: relay.layer._store.pending(RECEIVE)[0])
            assert await relay.take(1) == [number]
            relay.ack(number)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)
