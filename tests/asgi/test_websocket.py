"""One socket's life in an application: what its consumers see, and what its client sees."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routechan import Channel, DenyConnection, Group, Message, WebsocketCloseException, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from .clients import Client, logged, ticks
from .conftest import Serve

EVENTS = ("websocket.connect", "websocket.receive", "websocket.disconnect")


class Log:
    """Consumers that keep what came; ``connect`` answers with ``reply``. Lifetime: test."""

    def __init__(self, reply: dict[str, Any] | None = None) -> None:
        self.reply = reply
        self.seen: list[dict[str, Any]] = []

    def routing(self) -> list[Any]:
        return [route(EVENTS, self.consume)]

    def consume(self, message: Message) -> None:
        self.seen.append({"channel": message.channel_name, **message.content})
        if message.channel_name == "websocket.connect" and self.reply is not None:
            message.reply_channel.send(self.reply)  # type: ignore[union-attr]

    @property
    def last(self) -> dict[str, Any]:
        return self.seen[-1]

    def orders(self) -> list[tuple[str, int]]:
        return [(entry["channel"].partition(".")[2], entry["order"]) for entry in self.seen]


async def test_the_messages_of_one_socket(serve: Serve) -> None:
    """6.8, 6.10, 6.11, appendix D: reply channel and path in each, order from 0 without gaps."""
    log = Log({"accept": True})
    async with Client(await serve(log.routing()), "/chat/", query_string=b"a=1") as client:
        await client.open()
        client.push({"type": "websocket.receive", "text": "hello", "bytes": None})
        client.push({"type": "websocket.receive", "bytes": b"\x00", "text": None})
        client.leave(4001)
        await client.over()
    assert log.orders() == [("connect", 0), ("receive", 1), ("receive", 2), ("disconnect", 3)]
    [name] = {entry["reply_channel"] for entry in log.seen}
    assert name.startswith("websocket.send.")
    common = {"reply_channel": name, "path": "/chat/"}
    assert log.seen[0]["query_string"] == b"a=1"
    assert log.seen[1:] == [
        {"channel": "websocket.receive", **common, "order": 1, "text": "hello"},
        {"channel": "websocket.receive", **common, "order": 2, "bytes": b"\x00"},
        {"channel": "websocket.disconnect", **common, "order": 3, "code": 4001},
    ]


@pytest.mark.parametrize(("code", "expected"), [(1000, 1000), (4001, 4001), (1001, 1001), (1005, None), (1006, 1006)])
async def test_the_code_a_client_left_with(serve: Serve, code: int, expected: int | None) -> None:
    """6.11: its own code, None without one, 1006 when it was lost."""
    log = Log({"accept": True})
    async with Client(await serve(log.routing())) as client:
        await client.open()
        client.leave(code)
        await client.over()
    assert (log.last["code"], log.last["order"]) == (expected, 1)


async def test_a_client_that_left_before_the_decision(serve: Serve) -> None:
    """6.11: 1006 with order 1; what is decided later goes nowhere."""
    log = Log()
    async with Client(await serve(log.routing())) as client:
        await until(lambda: log.seen)
        client.leave(1006)
        await client.over()
        Channel(log.last["reply_channel"]).send({"accept": True})
        assert client.events() == []
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 1006


@pytest.mark.parametrize("reply", [{"accept": False}, {"close": True}, {"close": 4001}, {"accept": False, "text": "a"}])
async def test_a_denied_socket(serve: Serve, reply: dict[str, Any]) -> None:
    """6.9, 6.11, items 154, 156: HTTP 403 for the client, a disconnect with 1006 and order 1 for consumers."""
    log = Log(reply)
    async with Client(await serve(log.routing())) as client:
        assert (await client.event())["type"] == "websocket.close"
        client.leave(1000)  # whatever the server says after a denial
        await client.over()
        assert client.events() == []
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 1006


async def test_deny_connection(serve: Serve) -> None:
    """WK-16: raised by a connect consumer."""

    def connect(message: Message) -> None:
        raise DenyConnection

    async with Client(await serve([route("websocket.connect", connect)])) as client:
        assert await client.event() == {"type": "websocket.close", "code": 1000}


async def test_an_opening_reply_opens_the_socket(serve: Serve) -> None:
    """6.9, item 155: data accepts."""
    async with Client(await serve(Log({"text": "welcome"}).routing())) as client:
        assert [(await client.event())["type"], await client.text()] == ["websocket.accept", "welcome"]


async def test_a_server_close(serve: Serve) -> None:
    """6.11: the client echoes the code, and consumers see it; frames that crossed the close are not theirs."""
    log = Log({"text": "bye", "close": 4005})
    async with Client(await serve(log.routing())) as client:
        events = [await client.event() for _ in range(3)]
        client.send("crossed the close")
        client.leave(4005)
        await client.over()
    assert events[1:] == [
        {"type": "websocket.send", "text": "bye"},
        {"type": "websocket.close", "code": 4005},
    ]
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 4005


async def test_websocket_close_exception(serve: Serve) -> None:
    """EX-07, 2.9: our reply channels are ones it accepts."""

    async def receive(message: Message) -> None:
        raise WebsocketCloseException(4002)

    async with Client(await serve([route("websocket.receive", receive)])) as client:
        await client.open()
        client.send("a")
        assert await client.event() == {"type": "websocket.close", "code": 4002}


async def test_a_client_that_does_not_answer_our_close(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """6.11: it is not waited for for ever; the disconnect comes all the same."""
    monkeypatch.setattr("routechan.asgi.websocket.CLOSE_TIME", 0.02)
    log = Log({"accept": True, "close": 4005})
    async with Client(await serve(log.routing())) as client:
        await client.over()
        assert [event["type"] for event in client.events()] == ["websocket.accept", "websocket.close"]
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 4005


# Before any consumer


async def test_a_socket_no_route_could_serve_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """design section 7 (OB-16): 1.x accepted and ignored it."""
    log = Log({"accept": True})
    application = await serve([route(EVENTS, log.consume, path=r"^/chat/")])
    async with Client(application, "/other/") as client:
        assert await client.event() == {"type": "websocket.close", "code": 1000}
        await client.over()
    assert log.seen == []
    assert logged(caplog) == [
        "WebSocket '/other/' is refused: no route for websocket.connect, websocket.receive, websocket.disconnect "
        "matches this path"
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "other"), [("^/chat/$", "/chat", "/chat/"), ("^/chat$", "/chat/", "/chat")]
)
async def test_a_slash_too_many_or_too_few(
    serve: Serve, caplog: pytest.LogCaptureFixture, pattern: str, path: str, other: str
) -> None:
    """issue, errors that teach: the most frequent mistake behind a 403 is named."""
    async with Client(await serve([route(EVENTS, Log().consume, path=pattern)]), path) as client:
        assert await client.event() == {"type": "websocket.close", "code": 1000}
        await client.over()
    [line] = logged(caplog)
    assert line.endswith(f"; one matches '{other}', so change the slash at the end, in the page or in the pattern")


async def test_a_route_for_frames_alone_serves_a_socket(serve: Serve) -> None:
    """apps, row 2: one route, ``websocket.receive`` only; the default consumer accepts."""

    def echo(message: Message) -> None:
        message.reply_channel.send({"text": message["text"]})  # type: ignore[union-attr]

    async with Client(await serve([route("websocket.receive", echo)])) as client:
        await client.open()
        client.send("hello")
        assert await client.text() == "hello"


async def test_a_foreign_origin_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """design section 7, LD-09: before any consumer; the log says how to allow it."""
    log = Log({"accept": True})
    headers = [(b"host", b"example.com"), (b"origin", b"http://evil.com")]
    async with Client(await serve(log.routing()), "/chat/", headers=headers) as client:
        assert await client.event() == {"type": "websocket.close", "code": 1000}
        await client.over()
    assert log.seen == []
    [line] = logged(caplog)
    assert line.startswith("WebSocket '/chat/' is refused: the page's origin 'http://evil.com' is not this host")


@pytest.mark.parametrize(
    ("origins", "origin"), [(None, None), (None, b"http://example.com:8000"), (["evil.com"], b"http://evil.com")]
)
async def test_an_expected_origin(serve: Serve, origins: list[str] | None, origin: bytes | None) -> None:
    """item 159, and ``allowed_origins``."""
    headers = [(b"host", b"example.com"), *([(b"origin", origin)] if origin else [])]
    application = await serve(Log({"accept": True}).routing(), allowed_origins=origins)
    async with Client(application, headers=headers) as client:
        await client.open()


async def test_the_subprotocol(serve: Serve) -> None:
    """6.8: ``subprotocols`` of the options; the client's first choice among them."""
    application = await serve(Log({"accept": True}).routing(), subprotocols=["v1", "v2"])
    for offered, chosen in ((["v3", "v2", "v1"], "v2"), (["v3"], None), ([], None)):
        async with Client(application, subprotocols=offered) as client:
            assert (await client.event()).get("subprotocol") == chosen


# The handshake time


@pytest.mark.parametrize("kind", ["says nothing", "hangs"])
async def test_a_socket_never_accepted_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """6.12, 6.11: after the handshake time, with a line that says what to write; code 1006."""
    log, hang = Log(), asyncio.Event()

    async def hanging(message: Message) -> None:
        log.consume(message)
        await hang.wait()

    routing = log.routing()
    if kind == "hangs":
        routing.insert(0, route("websocket.connect", hanging))
    async with Client(await serve(routing, handshake_timeout=0.02), "/chat/") as client:
        assert await client.event() == {"type": "websocket.close", "code": 1000}
        hang.set()
        client.leave(1006)
        await client.over()
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 1006
    assert logged(caplog) == [
        "WebSocket '/chat/' was not accepted within 0.02 s and is refused; "
        'the websocket.connect consumer has to send {"accept": True}'
    ]


async def test_an_accepted_socket_stays(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.12: the handshake time is for the handshake."""
    async with Client(await serve(Log({"accept": True}).routing(), handshake_timeout=1.0)) as client:
        await client.open()
        assert await client.nothing(1.1)
    assert logged(caplog) == []


async def test_somebody_else_may_accept(serve: Serve) -> None:
    """7.5: any code that knows the reply channel may answer, in any thread and at any later time."""
    log = Log()
    async with Client(await serve(log.routing())) as client:
        await until(lambda: log.seen)
        assert client.events() == []
        await asyncio.to_thread(Channel(log.last["reply_channel"]).send, {"accept": True, "text": "later"})
        await client.open()
        assert await client.text() == "later"


# One at a time, in order


class Overlap:
    """Counts the consumers of each connection that run at the same time. Lifetime: test."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.most = 0
        self.lock = threading.Lock()
        self.orders: dict[str, list[int]] = {}

    def enter(self, message: Message) -> str:
        name: str = message["reply_channel"]
        with self.lock:
            self.running[name] = self.running.get(name, 0) + 1
            self.most = max(self.most, self.running[name])
            self.orders.setdefault(name, []).append(message["order"])
        return name

    def leave(self, name: str) -> None:
        with self.lock:
            self.running[name] -= 1


@pytest.mark.parametrize("kind", ["sync", "async", "by turns"])
async def test_the_events_of_one_socket_never_overlap(serve: Serve, kind: str) -> None:
    """design section 3 (fixed): each event after the one before has ended, in order, on each of several sockets."""
    overlap = Overlap()

    def plain(message: Message) -> None:
        name = overlap.enter(message)
        time.sleep(0.001)
        message.reply_channel.send({"text": str(message["order"])})  # type: ignore[union-attr]
        overlap.leave(name)

    async def asynchronous(message: Message) -> None:
        name = overlap.enter(message)
        await asyncio.sleep(0.001)
        message.reply_channel.send({"text": str(message["order"])})  # type: ignore[union-attr]
        overlap.leave(name)

    routing = {
        "sync": [route(EVENTS, plain)],
        "async": [route(EVENTS, asynchronous)],
        "by turns": [
            route("websocket.receive", plain, text="^plain$"),
            route(EVENTS, asynchronous),
        ],
    }[kind]
    application = await serve(routing)
    clients = [Client(application) for _ in range(4)]
    for client in clients:
        await client.__aenter__()
        for number in range(20):
            client.send("plain" if number % 3 else "async")
    for client in clients:
        await client.open()
        assert [await client.text() for _ in range(21)] == [str(number) for number in range(21)]
        client.leave()
        await client.over()
    assert overlap.most == 1
    assert list(overlap.orders.values()) == [list(range(22))] * 4


async def test_a_slow_consumer_holds_up_its_own_socket_only(serve: Serve) -> None:
    """issue: a consumer that blocks holds up nobody else."""
    blocked = threading.Event()

    def receive(message: Message) -> None:
        if message["text"] == "block":
            blocked.wait(5)
        message.reply_channel.send({"text": message["text"]})  # type: ignore[union-attr]

    application = await serve([route("websocket.receive", receive)])
    async with Client(application) as slow, Client(application) as quick:
        await slow.open()
        await quick.open()
        slow.send("block")
        slow.send("after")
        for number in range(5):
            quick.send(str(number))
            assert await quick.text() == str(number)
        assert slow.events() == []
        blocked.set()
        assert [await slow.text(), await slow.text()] == ["block", "after"]


async def test_a_disconnect_waits_for_the_running_consumer(serve: Serve) -> None:
    """design section 3: also when the client leaves meanwhile; what was sent too late is dropped."""
    entered, go_on, done = threading.Event(), threading.Event(), []

    def receive(message: Message) -> None:
        entered.set()
        go_on.wait(5)
        message.reply_channel.send({"text": "too late"})  # type: ignore[union-attr]
        done.append("receive")

    def disconnect(message: Message) -> None:
        done.append("disconnect")

    routing = [route("websocket.receive", receive), route("websocket.disconnect", disconnect)]
    async with Client(await serve(routing)) as client:
        await client.open()
        client.send("a")
        await until(entered.is_set)
        client.leave()
        await ticks()
        assert done == []
        go_on.set()
        await client.over()
        assert client.events() == []
    assert done == ["receive", "disconnect"]


async def test_an_error_costs_one_message(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """design section 4: logged with the consumer's name; the connection goes on."""

    def receive(message: Message) -> None:
        message.reply_channel.send({"text": str(int(message["text"]))})  # type: ignore[union-attr]

    async with Client(await serve([route("websocket.receive", receive)])) as client:
        await client.open()
        client.send("no number")
        client.send("5")
        assert await client.text() == "5"
    [line] = logged(caplog, logging.ERROR)
    assert "test_an_error_costs_one_message" in line or "receive on websocket.receive" in line


async def test_a_reply_that_is_refused_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.9: the log names the consumer and what was wrong; later replies go out."""

    def receive(message: Message) -> None:
        message.reply_channel.send({"message": "hello"})  # type: ignore[union-attr]
        message.reply_channel.send({"text": "hello"})  # type: ignore[union-attr]

    async with Client(await serve([route("websocket.receive", receive)])) as client:
        await client.open()
        client.send("a")
        assert await client.text() == "hello"
    [line] = logged(caplog, logging.ERROR)
    assert "receive on websocket.receive" in line
    assert "has the keys 'accept', 'text', 'bytes' and 'close', not 'message'" in line


# Back-pressure


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_client_that_does_not_read_is_not_read(serve: Serve, kind: str) -> None:
    """issue: what the socket sends too fast waits in TCP, not in memory; all of it is answered in the end."""

    def plain(message: Message) -> None:
        message.reply_channel.send({"text": message["text"]})  # type: ignore[union-attr]

    async def asynchronous(message: Message) -> None:
        message.reply_channel.send({"text": message["text"]})  # type: ignore[union-attr]

    application = await serve([route("websocket.receive", plain if kind == "sync" else asynchronous)])
    async with Client(application) as client:
        await client.open()
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
    """issue, 6.10: 1013 when its outbox is full, logged once; consumers see the disconnect (1.x gave none)."""
    codes = []

    def connect(message: Message) -> None:
        message.reply_channel.send({"accept": True})  # type: ignore[union-attr]
        Group("all").add(message.reply_channel)  # type: ignore[arg-type]

    def disconnect(message: Message) -> None:
        codes.append(message["code"])

    routing = [route("websocket.connect", connect), route("websocket.disconnect", disconnect)]
    application = await serve(routing, socket_capacity=5)
    async with Client(application) as slow, Client(application) as quick:
        await slow.open()
        await quick.open()
        await until(lambda: len(default_layer.group_channels("all")) == 2)
        slow.reads.clear()
        for number in range(20):
            default_layer.send_group("all", {"text": str(number)})
            assert await quick.text() == str(number)
        await until(lambda: codes)
        slow.reads.set()
        await slow.over()
        assert slow.events() == [{"type": "websocket.send", "text": "0"}, {"type": "websocket.close", "code": 1013}]
    assert codes[0] == 1013
    [line] = logged(caplog)
    assert "does not read: 6 messages to it are dropped and it is closed with 1013" in line


# Streams


async def test_a_stream_runs_beside_later_events(serve: Serve) -> None:
    """design section 4 (fixed): what is yielded goes out at once, while the consumer still runs."""
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

    def receive(message: Message) -> None:
        message.reply_channel.send({"text": message["text"]})  # type: ignore[union-attr]

    routing = [route("websocket.connect", connect), route("websocket.receive", receive)]
    async with Client(await serve(routing)) as client:
        await client.open()
        assert await client.text() == "first"
        client.send("between")
        assert await client.text() == "between"
        go_on.set()
        assert await client.text() == "second"
        assert ended == []
        client.leave()
        await until(lambda: ended)
        await client.over()


async def test_a_plain_stream_is_closed_at_its_next_step(serve: Serve) -> None:
    """design section 4: a plain generator on its thread; ended when the socket closes."""
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

    async with Client(await serve([route("websocket.connect", connect)])) as client:
        await client.open()
        assert [await client.text() for _ in range(3)] == ["0", "1", "2"]
        client.leave()
        await client.over()
        await until(ended.is_set)


async def test_a_stream_waits_for_a_slow_client(serve: Serve) -> None:
    """design section 4: it is never closed for what it yields itself; it waits."""
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


# Groups and other sockets


async def test_a_group_of_sockets(serve: Serve) -> None:
    """design section 1: the chat of the first page; who left gets nothing, and nobody notices."""

    def connect(message: Message) -> None:
        message.reply_channel.send({"accept": True})  # type: ignore[union-attr]
        Group("chat").add(message.reply_channel)  # type: ignore[arg-type]

    def receive(message: Message) -> None:
        Group("chat").send({"text": message["text"]})

    application = await serve([route("websocket.connect", connect), route("websocket.receive", receive)])
    async with Client(application) as first, Client(application) as second:
        await first.open()
        await second.open()
        first.send("hello")
        assert [await first.text(), await second.text()] == ["hello", "hello"]
        second.leave()
        await second.over()
        first.send("again")
        assert await first.text() == "again"
        assert second.events() == []


@pytest.mark.parametrize("end", ["leaves", "is closed", "is denied"])
async def test_a_socket_that_is_gone_leaves_its_groups(serve: Serve, default_layer: SyncChannelLayer, end: str) -> None:
    """design section 5: its membership would not expire; no disconnect consumer has to discard it."""

    def connect(message: Message) -> None:
        Group("all").add(message.reply_channel)  # type: ignore[arg-type]
        reply = {"leaves": {"accept": True}, "is closed": {"accept": True, "close": True}, "is denied": {"close": True}}
        message.reply_channel.send(reply[end])  # type: ignore[union-attr]

    async with Client(await serve([route("websocket.connect", connect)])) as client:
        await client.event()
        assert len(default_layer.group_channels("all")) == 1
        client.leave()
        await client.over()
    assert default_layer.group_channels("all") == []


async def test_a_server_that_raises_on_send(serve: Serve) -> None:
    """ASGI 2.4: the client has left; the consumer is not bothered, and its disconnect comes."""
    log = Log({"accept": True})
    application = await serve(log.routing())
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(event: Any) -> None:
        raise OSError("the client has left")

    events.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    running = asyncio.create_task(application(scope, events.get, send))
    await until(lambda: log.seen)
    events.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await asyncio.wait_for(running, 5)
    assert log.orders() == [("connect", 0), ("disconnect", 1)]


async def test_nothing_is_left_of_a_closed_socket(serve: Serve) -> None:
    """design section 4: its reply channel is forgotten, however it ended."""
    application = await serve(Log({"accept": True}).routing())
    for end in ("leaves", "cancelled"):
        client = Client(application)
        await client.__aenter__()
        await client.open()
        server = application._server
        assert server is not None
        assert len(server.sockets) == 1
        if end == "leaves":
            client.leave()
            await client.over()
        else:  # a server that shuts down
            client.task.cancel()
            await client.over()
        assert len(server.sockets) == 0
