"""What a review found: each of these lost, repeated, reordered or held up something."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from routechan import ChannelFull, ChannelSocketException, Group, Message, application, route
from routechan.asgi import ServerOptions
from routechan.asgi.translation import response_reply
from routechan.exceptions import InvalidContent
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.threads import Threads
from tests.harness import Connection, WebSocket


def text_of(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})  # type: ignore[union-attr]


async def test_a_lone_surrogate_silences_nobody(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """Text that UTF-8 cannot carry is refused before any socket sees it."""
    application_ = application([route("websocket.receive", text_of)])
    async with WebSocket(application_) as socket:
        await socket.accepted()
        socket.send("\ud800")
        socket.send("gr\u00f6\u00dfer")
        assert await socket.text() == "gr\u00f6\u00dfer"
    assert "a lone surrogate" in caplog.text


async def test_an_event_the_server_refuses_ends_the_connection(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A socket that cannot be written to any more is not left open and mute; its disconnect consumer runs."""
    codes: list[Any] = []
    gone = asyncio.Event()

    async def disconnected(message: Message) -> None:
        codes.append(message["code"])
        gone.set()

    inner = application([route("websocket.receive", text_of), route("websocket.disconnect", disconnected)])

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        async def refusing(event: Any) -> None:
            if event.get("text") == "bad":
                raise ValueError("not this one")
            await send(event)

        await inner(scope, receive, refusing)

    async with WebSocket(outer) as socket:
        await socket.accepted()
        socket.send("bad")
        await asyncio.wait_for(gone.wait(), 5)
    assert codes == [1006]
    assert "The server refused an event" in caplog.text


async def test_a_queue_that_keeps_moving_gets_more_threads() -> None:
    """Short blocking functions run side by side, although the queue's head is never the same for long."""
    pool = Threads(16)
    loop = asyncio.get_running_loop()
    threads: set[int] = set()
    done = loop.create_future()
    left = 100

    def block(argument: int) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.004)  # a query

    def finished(argument: int, result: None) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set_result(None)

    for number in range(left):
        pool.submit(block, number, finished)
    await asyncio.wait_for(done, 10)
    pool.stop()
    assert len(threads) > 2


async def test_an_immediate_send_is_not_overtaken(default_layer: SyncChannelLayer) -> None:
    """What a plain consumer sent at once comes before what it sent to leave at its end."""

    def both(message: Message) -> None:
        message.reply_channel.send({"text": "2"})  # type: ignore[union-attr]
        message.reply_channel.send({"text": "1"}, immediately=True)  # type: ignore[union-attr]

    application_ = application([route("websocket.receive", both)])
    sockets = [WebSocket(application_) for _ in range(20)]
    for socket in sockets:
        await socket.__aenter__()
        await socket.accepted()
    for _ in range(50):
        for socket in sockets:
            socket.send("go")
        for socket in sockets:
            assert (await socket.text(), await socket.text()) == ("1", "2")
    for socket in sockets:
        await socket.__aexit__(None, None, None)


def test_a_full_connection_in_a_group_costs_only_itself() -> None:
    """GR-06: a group send raises no ChannelFull; the other members get the message, once."""
    layer = InMemoryChannelLayer()

    def full(channels: Any, content: Any) -> None:
        raise ChannelFull("http.response.x!a", 100)

    queue = f"http.response.{layer.process}!"
    layer.attach(queue, full)
    layer.sync.group_add("g", queue + "a")
    layer.sync.group_add("g", "plain")
    layer.sync.send_group("g", {"status": 200})
    assert layer.sync.receive(["plain"]) == ("plain", {"status": 200})
    assert layer.sync.receive(["plain"]) == (None, None)
    assert layer.sync.global_statistics()["dropped_count"] == 1


async def test_a_long_response_to_a_slow_client_is_whole(default_layer: SyncChannelLayer) -> None:
    """6.4: a consumer waits for room; no part of a response is left out."""
    parts = 300

    def answer(message: Message) -> None:
        reply = message.reply_channel
        reply.send({"status": 200, "more_content": True})  # type: ignore[union-attr]
        for number in range(parts):
            last = number == parts - 1
            reply.send({"content": b"%d," % number, "more_content": not last})  # type: ignore[union-attr]

    inner = application([route("http.request", answer)])
    body = b""
    complete = asyncio.Event()

    async def slow(event: dict[str, Any]) -> None:
        nonlocal body
        await asyncio.sleep(0)
        body += event.get("body", b"")
        if event["type"] == "http.response.body" and not event["more_body"]:
            complete.set()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": b""})
    await asyncio.wait_for(inner(scope, incoming.get, slow), 10)
    assert complete.is_set()
    assert body == b"".join(b"%d," % number for number in range(parts))


async def test_a_body_that_never_ends(default_layer: SyncChannelLayer) -> None:
    """6.7: the time a request may take counts from its start, its body included."""
    inner = application([route("http.request", text_of)], options=ServerOptions(http_timeout=0.05))
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    async with Connection(inner, scope) as request:
        request.push({"type": "http.request", "body": b"part", "more_body": True})
        assert (await request.event())["status"] == 408


async def test_system_exit_in_an_action_ends_nothing(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-18, WK-20: nothing a consumer does ends the server, in ``run`` of its exception neither."""

    class Exiting(ChannelSocketException):
        def run(self, message: Message) -> None:
            raise SystemExit(3)

    async def consumer(message: Message) -> None:
        if message["text"] == "exit":
            raise Exiting
        text_of(message)

    async with WebSocket(application([route("websocket.receive", consumer)])) as socket:
        await socket.accepted()
        socket.send("exit")
        socket.send("here")
        assert await socket.text() == "here"
    assert "Error in consumer" in caplog.text


async def test_one_late_member_leaves_too(default_layer: SyncChannelLayer) -> None:
    """A name added to a group after its socket had gone leaves it at the next send, alone or among others."""
    names: list[str] = []

    def connect(message: Message) -> None:
        names.append(message.reply_channel.name)  # type: ignore[union-attr]
        message.reply_channel.send({"accept": True})  # type: ignore[union-attr]

    async with WebSocket(application([route("websocket.connect", connect)])) as socket:
        await socket.accepted()
    await Group("late").aadd(names[0])
    Group("late").send({"text": "x"})
    assert await Group("late").achannels() == []


@pytest.mark.parametrize("status", [99, 600, 99999])
async def test_a_status_no_server_sends(status: int) -> None:
    """6.4: it is refused where it is sent, with what was expected."""
    with pytest.raises(InvalidContent, match="'status' is an int such as 200"):
        response_reply({"status": status})


async def test_what_a_slow_client_misses_is_counted(default_layer: SyncChannelLayer) -> None:
    """A full outbox is logged and counted; ``dropped_count`` has the messages of sockets too."""

    def flood(message: Message) -> None:
        for number in range(8):
            message.reply_channel.send({"text": str(number)})  # type: ignore[union-attr]

    options = ServerOptions(socket_capacity=5)
    inner = application([route("websocket.connect", flood)], options=options)
    stuck = asyncio.Event()

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        async def slow(event: Any) -> None:
            if event["type"] == "websocket.send":
                await stuck.wait()
            await send(event)

        await inner(scope, receive, slow)

    async with WebSocket(outer) as socket:
        await socket.accepted()
        await asyncio.sleep(0)
        stuck.set()
    assert default_layer.global_statistics()["dropped_count"] == 6
