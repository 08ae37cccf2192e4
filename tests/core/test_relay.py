"""A server that relays and the workers that run its events: order, outcomes, losses, streams."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from routechan import ChannelFull, ConsumeLater, DenyConnection, Message, include, relay, route, unsettled
from routechan.app import relay_application
from routechan.asgi import ServerOptions
from routechan.asgi.sockets import ReplyChannels
from routechan.asgi.translation import socket_reply
from routechan.dispatch import Dispatcher
from routechan.exceptions import MessageTooLarge
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.observe.counters import counters
from routechan.relay import RelayConsumers
from routechan.relaying import MARK, Mark, mark_of, marked, running_note, settled_note, take_mark
from routechan.routing import Router, default_routes
from routechan.worker import Worker
from routechan.worker.process import WorkerProcess
from tests.waiting import until

from ..asgi.clients import Client, Lifespan, logged
from ..harness import get
from .helpers import DEADLINE


class Routed:
    """A layer's 1.x face with a router, as a worker of 1.x takes it."""

    def __init__(self, layer: SyncChannelLayer, router: Router) -> None:
        self.router = router
        self.ChannelFull = layer.ChannelFull
        self.layer = layer.layer
        self.send = layer.send
        self.receive_many = layer.receive_many


@asynccontextmanager
async def working(
    layer: SyncChannelLayer, *routing: Any, threads: int = 8, drain: float = DEADLINE
) -> AsyncIterator[WorkerProcess]:
    """A worker on this event loop."""
    router = Router(list(routing))
    worker = WorkerProcess(Dispatcher(router), layer, sorted(router.channels), threads=threads, drain=drain)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, DEADLINE)


@asynccontextmanager
async def serving(layer: SyncChannelLayer, **options: Any) -> AsyncIterator[Any]:
    """A server that relays on ``layer``."""
    more = {name: options.pop(name) for name in ("relay_http", "event_timeout") if name in options}
    application = relay_application(layer.layer, options=ServerOptions(**options), **more)
    async with Lifespan(application):
        yield application


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


async def aecho(message: Message) -> None:
    await asyncio.sleep(0)
    message.reply_channel.send({"text": message["text"]})


def nothing(message: Message) -> None:
    pass


SOCKET = [route("websocket.connect", accept), route("websocket.disconnect", nothing)]


def test_marks() -> None:
    """An event travels as it was, with where and as what its outcome is told; a consumer sees none of that."""
    content = {"text": "hello"}
    travelling = marked(content, Mark("specific.a.b!", 3, 60.0))
    assert content == {"text": "hello"}
    assert mark_of(travelling) == Mark("specific.a.b!", 3, 60.0)
    assert take_mark(travelling) == Mark("specific.a.b!", 3, 60.0)
    assert travelling == content
    for strange in ({}, {MARK: None}, {MARK: [1]}, {MARK: ["a", "b", 1.0]}, {MARK: ["a", 1]}, None, "text"):
        assert mark_of(strange) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("consumer", [echo, aecho])
async def test_a_socket_through_a_worker(default_layer: SyncChannelLayer, consumer: Any) -> None:
    """design section 3: connect, frames and disconnect are run by the worker, and answered through the layer."""
    seen: list[tuple[str, int, bool]] = []

    def disconnect(message: Message) -> None:
        seen.append((message.channel.name, message["order"], MARK in message))

    routing = [
        route("websocket.connect", accept),
        route("websocket.receive", consumer),
        route("websocket.disconnect", disconnect),
    ]
    async with working(default_layer, *routing), serving(default_layer) as application:
        async with Client(application) as client:
            await client.open()
            for number in range(20):
                client.send(str(number))
            assert [await client.text() for _ in range(20)] == [str(number) for number in range(20)]
            client.leave()
            await client.over()
        await until(lambda: seen, "the disconnect")
    assert seen == [("websocket.disconnect", 21, False)]


async def test_order_without_sessions(default_layer: SyncChannelLayer) -> None:
    """design section 3: consumers of random duration on many threads; each connection's events one after another."""
    running: set[str] = set()
    overlapped: list[str] = []

    def slow_echo(message: Message) -> None:
        name = message["reply_channel"]
        if name in running:
            overlapped.append(name)
        running.add(name)
        time.sleep(0.001 * (hash((name, message["order"])) % 5))
        running.discard(name)
        message.reply_channel.send({"text": message["text"]})

    routing = [*SOCKET, route("websocket.receive", slow_echo)]
    async with (
        working(default_layer, *routing),
        working(default_layer, *routing),
        serving(default_layer) as application,
    ):
        clients = [await Client(application).__aenter__() for _ in range(5)]
        for client in clients:
            await client.open()
        for number in range(20):
            for client in clients:
                client.send(str(number))
        for client in clients:
            assert [await client.text() for _ in range(20)] == [str(number) for number in range(20)]
        for client in clients:
            client.leave()
            await client.over()
    assert overlapped == []


async def test_a_socket_that_no_route_serves(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """RT-32, OB-16: the worker refuses it, with the default consumers in its routing too."""
    router = Router([route("websocket.receive", echo, path="^/here/$")], defaults=default_routes())
    worker = WorkerProcess(Dispatcher(router), default_layer, router.channels)
    old = Worker(Routed(default_layer, router), signal_handlers=False)
    for run in (worker.run, lambda: asyncio.to_thread(old.run)):
        running = asyncio.create_task(run())
        async with serving(default_layer) as application:
            async with Client(application, "/elsewhere/") as refused:
                assert (await refused.event())["type"] == "websocket.close"
            async with Client(application, "/here/") as client:
                await client.open()
                client.leave()
                await client.over()
        (worker if run == worker.run else old).stop()
        await asyncio.wait_for(running, 2 * DEADLINE)
    assert caplog.text.count("'/elsewhere/' is refused: no route for") == 2


async def test_what_a_consumer_raises(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal, an error and ``ConsumeLater`` end, or repeat, an event in the worker; the connection goes on."""
    tries: list[str] = []

    def connect(message: Message) -> None:
        if message["path"] == "/no/":
            raise DenyConnection
        message.reply_channel.send({"accept": True})

    def receive(message: Message) -> None:
        tries.append(message["text"])
        if message["text"] == "later" and tries.count("later") < 3:
            raise ConsumeLater
        if message["text"] == "wrong":
            raise LookupError("of the consumer")
        message.reply_channel.send({"text": message["text"]})

    routing = [
        route("websocket.connect", connect),
        route("websocket.receive", receive),
        route("websocket.disconnect", nothing),
    ]
    async with working(default_layer, *routing), serving(default_layer) as application:
        async with Client(application, "/no/") as refused:
            assert (await refused.event())["type"] == "websocket.close"
        async with Client(application) as client:
            await client.open()
            for text in ("wrong", "later", "good"):
                client.send(text)
            assert [await client.text() for _ in range(2)] == ["later", "good"]
            client.leave()
    assert tries == ["wrong", "later", "later", "later", "good"]
    assert "Error in consumer" in caplog.text


async def test_a_worker_of_1x(default_layer: SyncChannelLayer) -> None:
    """The ``Worker`` of 1.x settles events too, those it puts back when they are run at last."""
    tries: list[str] = []

    def receive(message: Message) -> None:
        tries.append(message["text"])
        if len(tries) == 1:
            raise ConsumeLater
        message.reply_channel.send({"text": message["text"]})

    router = Router([*SOCKET, route("websocket.receive", receive)])
    worker = Worker(Routed(default_layer, router), signal_handlers=False)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        async with serving(default_layer) as application, Client(application) as client:
            await client.open()
            client.send("first")
            client.send("second")
            assert [await client.text() for _ in range(2)] == ["first", "second"]
            client.leave()
            await client.over()
    finally:
        worker.stop()
        await asyncio.to_thread(thread.join, DEADLINE)
    assert tries == ["first", "first", "second"]


async def test_a_lost_event(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken and nobody says to be running is lost with its worker; the connection goes on, soon."""
    took = asyncio.get_running_loop().time
    async with serving(default_layer) as application, Client(application, "/lost/") as client:
        # This worker dies with the first event in its hands.
        content = await default_layer.layer.receive("websocket.connect")
        assert mark_of(content) is not None
        began = took()
        async with working(default_layer, *SOCKET, route("websocket.receive", echo)):
            client.send("after it")
            await until(lambda: "lost with the worker" in caplog.text, "it is noticed")
            assert took() - began < 2.0
            client.leave()
            await client.over()
    assert any("websocket.connect of '/lost/' is lost" in line for line in logged(caplog))


async def test_a_long_event_is_no_lost_one(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Workers say what they are running, a consumer that holds up the event loop included."""

    def slow(message: Message) -> None:
        time.sleep(1.6)
        message.reply_channel.send({"text": "at last"})

    async def blocking(message: Message) -> None:
        time.sleep(1.6)
        message.reply_channel.send({"text": "at last"})

    assert unsettled.SILENCE + unsettled.SUSPICION < 1.6
    for consumer in (slow, blocking):
        worker = working(default_layer, *SOCKET, route("websocket.receive", consumer))
        async with worker, serving(default_layer) as application, Client(application) as client:
            await client.open()
            client.send("go")
            assert await client.text() == "at last"
            client.leave()
    assert logged(caplog) == []


async def test_an_event_that_waits_for_a_worker_is_no_lost_one(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that lies in its channel is waited for, until its time is over."""
    async with serving(default_layer) as application, Client(application) as client:
        await asyncio.sleep(unsettled.SILENCE + unsettled.SUSPICION + 0.5)
        async with working(default_layer, *SOCKET):
            await client.open()
            client.leave()
            await client.over()
    assert logged(caplog) == []


async def test_an_event_has_its_time(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """One that is not run within ``event_timeout`` is logged with channel and path, and the connection goes on."""
    async with serving(default_layer, event_timeout=0.1) as application, Client(application, "/alone/") as client:
        client.leave()
        await client.over()
    lines = logged(caplog)
    assert any("websocket.connect of '/alone/' was not settled within 0.1 s" in line for line in lines), lines
    assert any("websocket.disconnect of '/alone/' was not settled within 0.1 s" in line for line in lines), lines


async def test_an_event_that_was_given_up_is_not_run(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that comes too late leaves it: its connection has gone on, and would be answered out of order."""
    ran: list[str] = []

    def disconnect(message: Message) -> None:
        ran.append(message["path"])

    async with serving(default_layer, event_timeout=0.1) as application:
        async with Client(application, "/given-up/") as client:
            client.leave()
            await client.over()
        async with working(default_layer, *SOCKET[:1], route("websocket.disconnect", disconnect)):
            async with Client(application, "/later/") as client:
                await client.open()
                client.leave()
                await client.over()
            await until(lambda: ran)
    assert ran == ["/later/"]
    assert caplog.text.count("of '/given-up/' is not run: its server has given it up") == 2


async def test_a_full_channel_holds_up_its_sockets(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6.5: a socket whose event finds no room is not read; in the end it is closed with 1013."""
    layer = InMemoryChannelLayer(capacity=1).sync
    monkeypatch.setattr(relay, "FULL_PATIENCE", 0.3)
    monkeypatch.setattr(relay, "FULL_INTERVAL", 0.01)
    release = threading.Event()

    def held(message: Message) -> None:
        release.wait(DEADLINE)
        message.reply_channel.send({"text": message["text"]})

    routing = [*SOCKET, route("websocket.receive", held)]
    async with working(layer, *routing, threads=1), serving(layer) as application:
        clients = []
        for _ in range(3):
            clients.append(await (await Client(application).__aenter__()).open())
        for client in clients:
            client.send("hello")
        events = [asyncio.create_task(client.event()) for client in clients]
        done, _ = await asyncio.wait(events, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        assert [event.result() for event in done] == [{"type": "websocket.close", "code": 1013}]
        release.set()
        assert sorted(event["type"] for event in await asyncio.gather(*events)) == [
            "websocket.close",
            "websocket.send",
            "websocket.send",
        ]
        for client in clients:
            client.leave()
            await client.over()
    assert any("is full" in line for line in logged(caplog))


async def test_room_is_given_in_turn(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that is full, and moves, refuses nobody, however long the line is; who came first goes first."""
    layer = InMemoryChannelLayer(capacity=1).sync
    monkeypatch.setattr(relay, "FULL_PATIENCE", 0.3)
    monkeypatch.setattr(relay, "FULL_INTERVAL", 0.01)
    seen: list[str] = []

    def slow(message: Message) -> None:
        time.sleep(0.04)
        seen.append(message["text"])

    routing = [*SOCKET, route("websocket.receive", slow)]
    async with working(layer, *routing, threads=1), serving(layer) as application:
        clients = []
        for _ in range(20):
            clients.append(await (await Client(application).__aenter__()).open())
        for number, client in enumerate(clients):
            client.send(str(number))
            await asyncio.sleep(0)
        await until(lambda: len(seen) == len(clients))
        for client in clients:
            assert client.events() == []
            client.leave()
            await client.over()
    assert seen == [str(number) for number in range(len(clients))]
    assert logged(caplog) == []


class Relaying:
    """A server's events on ``websocket.receive``, one for each connection, and a worker by hand. Lifetime: test."""

    def __init__(self, layer: InMemoryChannelLayer) -> None:
        self.layer = layer
        self.consumers = RelayConsumers(layer)
        self.replies: list[tuple[int, Any]] = []
        self.taken: dict[int, Mark] = {}

    def send(self, *numbers: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._send(number)) for number in numbers]

    async def _send(self, number: int) -> None:
        await self.consumers.line(_Outlet(number, self.replies)).handle(RECEIVE, {"n": number})

    async def waiting(self) -> int:
        """How many events lie in the channel, after what is under way."""
        for _ in range(5):
            await asyncio.sleep(0)
        pending: int = (await self.layer.channel_statistics(RECEIVE))["messages_pending"]
        return pending

    async def take(self, count: int) -> list[int]:
        """As a worker does; returns which they were."""
        for _ in range(5):
            await asyncio.sleep(0)
        numbers = []
        for _ in range(count):
            _, content = self.layer.sync.receive([RECEIVE])
            assert content is not None, "nothing is there"
            numbers.append(content["n"])
            mark = take_mark(content)
            assert mark is not None
            self.taken[content["n"]] = mark
        return numbers

    def settle(self, *numbers: int) -> None:
        for number in numbers:
            mark = self.taken.pop(number)
            self.layer.sync.send(mark.notes, settled_note(mark.number, None))


class _Outlet:
    """Keeps what comes for it. Lifetime: test."""

    paced = closed = False

    def __init__(self, number: int, replies: list[tuple[int, Any]]) -> None:
        self.name = f"websocket.send.x.x!{number}"
        self._number = number
        self._replies = replies

    def deliver(self, content: Any) -> None:
        self._replies.append((self._number, content))

    async def writable(self) -> None: ...


RECEIVE = "websocket.receive"


@asynccontextmanager
async def relaying(**options: Any) -> AsyncIterator[Relaying]:
    """Nobody but the test looks for room."""
    found = Relaying(InMemoryChannelLayer(**options))
    replies = ReplyChannels("websocket.send", socket_reply, found.layer)
    replies.attach()
    await found.consumers.start(replies)
    over = counters.events_waiting
    try:
        yield found
    finally:
        await found.consumers.stop()
        await replies.detach()
    assert counters.events_waiting == over
    assert not found.consumers._relayed
    assert not any(room.line for room in found.consumers._destinations.values())


async def test_a_note_lets_the_next_one_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """6.5: for each event that is over the first in line tries again, at once, and who comes later stands behind."""
    monkeypatch.setattr(relay, "FULL_INTERVAL", 10 * DEADLINE)
    async with relaying(capacity=3) as server:
        events = server.send(*range(8))
        assert await server.take(3) == [0, 1, 2]
        assert await server.waiting() == 0  # there is room, of which nobody has told
        events += server.send(8)
        assert await server.waiting() == 0
        server.settle(1)
        assert await server.take(1) == [3]
        server.settle(0, 2)
        assert await server.take(2) == [4, 5]
        server.settle(3, 4, 5)
        assert await server.take(3) == [6, 7, 8]
        server.settle(6, 7, 8)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)
        assert server.replies == []


async def test_a_note_that_tells_of_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server was faster: who has tried again in vain is the first in line again."""
    monkeypatch.setattr(relay, "FULL_INTERVAL", 10 * DEADLINE)
    async with relaying(capacity=2) as server:
        events = server.send(*range(5))
        assert await server.take(2) == [0, 1]
        for number in (10, 11):
            await server.layer.send(RECEIVE, marked({"n": number}, Mark("specific.x.y!", number, time.time() + 60)))
        server.settle(0)
        assert await server.take(2) == [10, 11]
        server.settle(1)
        assert await server.take(1) == [2]
        server.settle(2)
        assert await server.take(1) == [3]
        server.settle(3)
        assert await server.take(1) == [4]
        server.settle(4)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)


async def test_room_that_nobody_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was started takes more and settles nothing yet: the first looks now and then, for all of them."""
    monkeypatch.setattr(relay, "FULL_INTERVAL", 0.2)
    async with relaying(capacity=20) as server:
        events = server.send(*range(50))
        began = time.monotonic()
        seen: list[int] = []
        while len(seen) < 50:
            count = await server.waiting()
            assert count <= 20
            seen += await server.take(count)
            await asyncio.sleep(0.01)
        assert seen == list(range(50))
        assert time.monotonic() - began < 2.0  # two looks, not thirty
        server.settle(*seen)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)


async def test_cancelled_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves without a trace: nobody behind it misses a turn, and where it was the last one, there is no line."""
    monkeypatch.setattr(relay, "FULL_INTERVAL", 10 * DEADLINE)
    async with relaying(capacity=1) as server:
        events = server.send(*range(5))
        assert await server.take(1) == [0]
        for number in (1, 3):
            events[number].cancel()
        await asyncio.wait([events[1], events[3]])
        server.settle(0)
        assert await server.take(1) == [2]
        server.settle(2)
        assert await server.take(1) == [4]
        events += server.send(5, 6)
        assert await server.take(1) == [5]
        events[6].cancel()
        await asyncio.wait([events[6]])
        events += server.send(7, 8, 9)
        assert await server.take(1) == [7]
        events[8].cancel()
        server.settle(7)  # before the task of the other has had its turn
        assert await server.take(1) == [9]
        server.settle(4, 5, 9)
        await asyncio.wait_for(asyncio.gather(*events, return_exceptions=True), DEADLINE)
        assert [event.cancelled() for event in events] == [number in (1, 3, 6, 8) for number in range(10)]


class _Posts:
    """What a layer that answers later was asked to send. Lifetime: test."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Mark, asyncio.Future[None]]] = []

    def __call__(self, channel: str, content: Any) -> asyncio.Future[None]:
        mark = mark_of(content)
        assert mark is not None
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked.append((content["n"], mark, answer))
        return answer

    async def next(self, count: int) -> list[tuple[int, Mark, asyncio.Future[None]]]:
        await until(lambda: len(self.asked) >= count)
        asked, self.asked = self.asked, []
        assert len(asked) == count
        return asked


@pytest.fixture
def posts() -> _Posts:
    return _Posts()


async def test_a_layer_that_answers_later(monkeypatch: pytest.MonkeyPatch, posts: _Posts) -> None:
    """Those who try at once come back to their places; numbers grow with each try, as ``_suspect`` relies on."""
    monkeypatch.setattr(relay, "FULL_INTERVAL", 10 * DEADLINE)
    async with relaying() as server:
        monkeypatch.setattr(server.layer, "post", posts)
        events = server.send(*range(6))
        asked = await posts.next(6)
        for n, _, answer in asked:
            if n in (0, 2):
                answer.set_result(None)
            else:
                answer.set_exception(ChannelFull(RECEIVE))
        await asyncio.sleep(0.01)
        server.taken = {n: mark for n, mark, _ in asked}
        server.settle(0, 2)
        again = await posts.next(2)
        assert [n for n, _, _ in again] == [1, 3]
        assert all(mark.number > asked[-1][1].number for _, mark, _ in again)
        events += server.send(6)  # nobody may know yet how these two end
        again[0][2].set_exception(ChannelFull(RECEIVE))
        again[1][2].set_exception(ChannelFull(RECEIVE))
        await asyncio.sleep(0.01)
        assert [event.content["n"] for event in server.consumers._destinations[RECEIVE].line] == [1, 3, 4, 5, 6]
        for event in events:
            event.cancel()
        await asyncio.wait(events)


async def test_cancelled_while_it_tries_again(monkeypatch: pytest.MonkeyPatch, posts: _Posts) -> None:
    """What is known of it afterwards is of no use to anybody, and harms nobody."""
    monkeypatch.setattr(relay, "FULL_INTERVAL", 0.05)
    async with relaying() as server:
        monkeypatch.setattr(server.layer, "post", posts)
        events = server.send(0, 1, 2)
        for _, _, answer in await posts.next(3):
            answer.set_exception(ChannelFull(RECEIVE))
        for number in range(2):
            [(n, _, answer)] = await posts.next(1)
            assert n == number
            events[number].cancel()
            await asyncio.wait([events[number]])
            answer.set_exception(ChannelFull(RECEIVE))
        [(n, mark, answer)] = await posts.next(1)
        assert n == 2
        answer.set_result(None)
        server.taken[2] = mark
        server.settle(2)
        await asyncio.wait_for(events[2], DEADLINE)


async def test_patience(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """6.5: nobody is refused while there was room for anybody; then all who have waited so long are, one by one."""
    monkeypatch.setattr(relay, "FULL_PATIENCE", 0.4)
    monkeypatch.setattr(relay, "FULL_INTERVAL", 0.1)
    refused = counters.events_refused
    async with relaying(capacity=1) as server:
        events = server.send(*range(30))
        for number in range(6):
            assert await server.take(1) == [number]
            server.settle(number)
            await asyncio.sleep(0.1)
        assert server.replies == []
        began = time.monotonic()
        await until(lambda: len(server.replies) == 23)
        assert time.monotonic() - began < 1.0
        assert server.replies == [(number, {"close": 1013}) for number in range(7, 30)]
        assert await server.take(1) == [6]
        server.settle(6)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)
    assert counters.events_refused - refused == 23
    assert sum("is full" in line and "its connection told so" in line for line in logged(caplog)) == 23


async def test_what_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, posts: _Posts) -> None:
    """It is raised where the event is awaited, also when somebody else's note had it sent."""
    monkeypatch.setattr(relay, "FULL_INTERVAL", 10 * DEADLINE)
    async with relaying(capacity=1) as server:
        held, waits = server.send(0, 1)
        assert await server.take(1) == [0]

        def refuse(channel: str, content: Any) -> None:
            raise MessageTooLarge("too large")

        with monkeypatch.context() as patched:
            patched.setattr(server.layer, "post", refuse)
            server.settle(0)
            with pytest.raises(MessageTooLarge):
                await asyncio.wait_for(waits, DEADLINE)
        await held
        monkeypatch.setattr(server.layer, "post", posts)
        [event] = server.send(2)
        [(_, _, answer)] = await posts.next(1)
        answer.set_exception(MessageTooLarge("too large"))
        with pytest.raises(MessageTooLarge):
            await asyncio.wait_for(event, DEADLINE)


async def test_what_is_said_of_others(caplog: pytest.LogCaptureFixture) -> None:
    """Notes about events that are over, or of another life of the server, tell nothing."""
    async with relaying() as server:
        [event] = server.send(0)
        assert await server.take(1) == [0]
        mark = server.taken[0]
        server.layer.sync.send(mark.notes, running_note([mark.number, 4711]))
        server.layer.sync.send(mark.notes, settled_note(4711, None))
        server.settle(0)
        await asyncio.wait_for(event, DEADLINE)
        server.layer.sync.send(mark.notes, settled_note(mark.number, "nobody"))
        server.layer.sync.send(mark.notes, running_note([mark.number]))
        assert server.consumers._relayed == {}
        assert server.consumers._destinations[RECEIVE].taken == mark.number
        [event] = server.send(1)
        assert await server.take(1) == [1]
        assert not event.done()
        server.settle(1)
        await asyncio.wait_for(event, DEADLINE)
    assert logged(caplog) == []


def ticking(message: Message) -> Iterator[dict[str, Any]]:
    number = 0
    while True:
        yield {"text": str(number)}
        number += 1
        time.sleep(0.001)


async def aticking(message: Message) -> AsyncIterator[dict[str, Any]]:
    number = 0
    while True:
        yield {"text": str(number)}
        number += 1
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("stream", [ticking, aticking])
async def test_streams_end_with_their_socket(default_layer: SyncChannelLayer, stream: Any) -> None:
    """design section 4: streams run in the worker, beside later events; all end when the socket closes."""
    ended = []

    def watched(message: Message) -> Iterator[dict[str, Any]]:
        try:
            yield from ticking(message)
        finally:
            ended.append(message["text"])

    async def awatched(message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            async for item in aticking(message):
                yield item
        finally:
            ended.append(message["text"])

    def receive(message: Message) -> None:
        message.reply_channel.send({"text": "beside"})

    consumer = watched if stream is ticking else awatched
    routing = [
        route("websocket.connect", accept),
        route("websocket.receive", consumer, text="^go$"),
        route("websocket.receive", receive),
        route("websocket.disconnect", nothing),
    ]
    async with working(default_layer, *routing), serving(default_layer) as application, Client(application) as client:
        await client.open()
        for _ in range(2):
            client.send("go")
            while await client.text() != "0":
                pass
        client.send("other")
        while await client.text() != "beside":
            pass
        assert ended == []
        client.leave()
        await client.over()
        await until(lambda: ended == ["go", "go"], "both streams end")


async def test_streams_end_with_their_server(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that died tells nobody: the worker looks whether it is still there."""
    monkeypatch.setattr("routechan.channel_consumers.SERVERS_LOOKED_AT_EVERY", 0.05)
    ended = asyncio.Event()

    async def stream(message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            async for item in aticking(message):
                yield item
        finally:
            ended.set()

    notes, socket = "specific.x.nobody!", "websocket.send.x.nobody!1"
    async with working(default_layer, route("websocket.receive", stream)):
        await default_layer.layer.send(
            "websocket.receive", marked({"reply_channel": socket}, Mark(notes, 1, time.time() + 60))
        )
        await asyncio.wait_for(ended.wait(), DEADLINE)


async def test_requests_through_a_worker(default_layer: SyncChannelLayer) -> None:
    """With ``relay_http`` requests are consumers' work too; else they are the HTTP application's."""

    def view(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": message["path"].encode() + message["body"]})

    async with working(default_layer, route("http.request", view)):
        async with serving(default_layer, relay_http=True) as application:
            assert await get(application, "/page/", "POST", b"body") == (200, b"/page/body")
        async with serving(default_layer) as application:
            assert (await get(application, "/page/"))[0] == 404


async def test_requests_that_a_router_takes(default_layer: SyncChannelLayer) -> None:
    """RT-33: with a router, what its routes take, the body included, goes to workers; the rest is answered here."""
    routes = [route("http.request", answer, path="^/routed/$", body="^yes"), route("http.disconnect", told)]
    async with working(default_layer, *routes), serving(default_layer, relay_http=Router(routes)) as application:
        assert await get(application, "/routed/", "POST", b"yes") == (200, b"answered")
        assert (await get(application, "/routed/", "POST", b"no"))[0] == 404
        assert (await get(application, "/other/", "POST", b"yes"))[0] == 404
        await until(lambda: gone)
    assert gone == ["/routed/"]
    gone.clear()


gone: list[str] = []


def answer(message: Message) -> None:
    message.reply_channel.send({"status": 200, "content": b"answered"})


def told(message: Message) -> None:
    gone.append(message["path"])


async def test_draining(default_layer: SyncChannelLayer) -> None:
    """A worker told to stop takes nothing more, ends what it runs, and leaves the rest to others."""
    begun, release, by = threading.Event(), threading.Event(), []

    def named(name: str) -> Any:
        def consumer(message: Message) -> None:
            begun.set()
            release.wait(DEADLINE)
            by.append((name, message["n"]))

        return consumer

    first = WorkerProcess(Dispatcher(Router([route("x", named("first"))])), default_layer, ["x"], threads=1)
    running = asyncio.create_task(first.run())
    for number in range(2):
        await default_layer.layer.send("x", {"n": number})
    await until(begun.is_set)
    first.stop()
    async with working(default_layer, route("x", named("second"))):
        release.set()
        await until(lambda: len(by) == 2)
    assert await asyncio.wait_for(running, DEADLINE) == 0
    assert sorted(by) == [("first", 0), ("second", 1)]


@pytest.mark.parametrize("again", [False, True])
async def test_no_patience_left(default_layer: SyncChannelLayer, again: bool) -> None:
    """What does not end within the drain time is broken off, and counted; a second ``stop`` waits for nothing."""
    begun = asyncio.Event()

    async def forever(message: Message) -> None:
        begun.set()
        await asyncio.Event().wait()

    worker = WorkerProcess(
        Dispatcher(Router([route("x", forever)])), default_layer, ["x"], drain=DEADLINE if again else 0.05
    )
    running = asyncio.create_task(worker.run())
    await default_layer.layer.send("x", {})
    await asyncio.wait_for(begun.wait(), DEADLINE)
    worker.stop()
    if again:
        worker.stop()
    assert await asyncio.wait_for(running, DEADLINE / 2) == 1


async def test_one_at_a_time(default_layer: SyncChannelLayer) -> None:
    """``threads=1``: a message is taken when it can be run at once; the others are left to other processes."""
    begun, release = threading.Event(), threading.Event()

    def consumer(message: Message) -> None:
        begun.set()
        release.wait(DEADLINE)

    async with working(default_layer, route(["x", "y", "z"], consumer), threads=1):
        for channel in "xyz":
            await default_layer.layer.send(channel, {})
        await until(begun.is_set)
        await asyncio.sleep(0.05)
        waiting = [default_layer.receive([channel])[0] for channel in "xyz"]
        release.set()
    assert sorted(filter(None, waiting)) in (["x", "y"], ["x", "z"], ["y", "z"])


async def test_async_consumers_need_no_thread(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where async consumers alone take a channel's messages, many run at once, whatever ``threads`` is; bounded."""
    monkeypatch.setattr("routechan.channel_consumers.TAKEN_LIMIT", 40)
    begun, release, hold = [], asyncio.Event(), threading.Event()

    async def consumer(message: Message) -> None:
        begun.append(message["n"])
        await release.wait()

    def plain(message: Message) -> None:
        hold.wait(DEADLINE)

    routing = [
        route("x", consumer, kind="a"),
        include([route("x", consumer)]),
        route("mixed", consumer, kind="a"),
        route("mixed", plain),
    ]
    async with working(default_layer, *routing, threads=1):
        await default_layer.layer.send("mixed", {})  # holds the only thread
        for number in range(50):
            await default_layer.layer.send("x", {"n": number})
        await default_layer.layer.send("mixed", {"kind": "a", "n": "never"})
        await until(lambda: len(begun) == 40)
        await asyncio.sleep(0.05)
        assert sorted(begun) == list(range(40))
        assert [default_layer.receive(["mixed"])[0] for _ in range(2)] == ["mixed", None]
        release.set()
        hold.set()
        await until(lambda: len(begun) == 50)


async def test_an_async_consumer_gives_its_place_back(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where plain consumers take messages too, the one thread is free meanwhile; bounded all the same."""
    monkeypatch.setattr("routechan.channel_reader.TAKEN_LIMIT", 8)
    begun, release, ran = [], asyncio.Event(), []

    async def consumer(message: Message) -> None:
        begun.append(message["n"])
        await release.wait()

    def plain(message: Message) -> None:
        ran.append(message["n"])

    routing = [route("mixed", consumer, kind="a"), route("mixed", plain)]
    async with working(default_layer, *routing, threads=1):
        for number in range(7):
            await default_layer.layer.send("mixed", {"kind": "a", "n": number})
        await until(lambda: begun == list(range(7)))
        await default_layer.layer.send("mixed", {"n": "beside"})
        await until(lambda: ran == ["beside"])
        for number in range(7, 10):
            await default_layer.layer.send("mixed", {"kind": "a", "n": number})
        await until(lambda: len(begun) == 8)
        await asyncio.sleep(0.05)
        assert len(begun) == 8  # whose place is the only one
        release.set()
        await until(lambda: begun == list(range(10)))


async def test_the_settle_note_leaves_with_the_replies(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design section 3: replies first, then the note, in one tick of the loop; one note for each event."""
    layer = default_layer.layer
    posted: list[tuple[str, Any]] = []
    ticks: list[int] = []
    post = layer.post

    def watched(channel: str, content: Any, delay: float = 0.0) -> Any:
        if "!" in channel:
            posted.append((channel.partition(".")[0], sorted(content)))
            ticks.append(0)
            asyncio.get_running_loop().call_soon(ticks.clear)
            most.append(len(ticks))
        return post(channel, content, delay)

    most: list[int] = []
    monkeypatch.setattr(layer, "post", watched)
    tries: list[int] = []

    def wrapped(message: Message) -> Any:
        return aecho(message)

    def later(message: Message) -> None:
        message.reply_channel.send({"text": "trying"})
        tries.append(1)
        if len(tries) == 1:
            raise ConsumeLater

    for consumer, replies in ((echo, 1), (aecho, 1), (wrapped, 1), (later, 2), (nothing, 0)):
        posted.clear()
        most.clear()
        notes, socket = "specific.x.nobody!", "websocket.send.x.nobody!1"
        async with working(default_layer, route("websocket.receive", consumer)):
            event = marked({"reply_channel": socket, "text": "hello"}, Mark(notes, 7, time.time() + 60))
            await layer.send("websocket.receive", event)
            await until(lambda: posted and posted[-1][0] == "specific", "it is settled")
        assert posted == [("websocket", ["text"])] * replies + [("specific", ["settled"])], consumer
        assert max(most) >= min(replies, 1) + 1, consumer
