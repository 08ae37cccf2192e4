"""One HTTP request that a consumer answers: message, response, limits, disconnect."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routechan import Channel, Group, Message, route
from routechan.consumers import connection
from routechan.inspection import name_that_thing
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ...harness import Connection, get, http_scope
from .clients import Request, logged
from .conftest import Serve
from .consumers import Log


def start(headers: list[tuple[bytes, bytes]], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def part(content: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def test_a_routed_request(serve: Serve) -> None:
    """6.2, items 142, 150: the whole message in, once the body is there; the whole response out."""
    log = Log({"status": 201, "headers": [[b"X-A", b"1"]], "content": b"made"})
    async with Request(await serve(log.routing()), "/a/", "POST", None, query_string=b"b=1") as request:
        request.body(b"one ", more=True)
        await until(request.to_application.empty)
        assert log.seen == []
        request.body(b"two")
        assert await request.event() == start([(b"x-a", b"1")], 201)
        assert await request.event() == part(b"made")
        await request.over()
    [content] = log.of("http.request")
    name = content.pop("reply_channel")
    assert name.startswith("http.response.")
    assert content == {
        "http_version": "1.1",
        "method": "POST",
        "path": "/a/",
        "root_path": "",
        "scheme": "http",
        "query_string": b"b=1",
        "headers": [[b"host", b"testserver"]],
        "body": b"one two",
        "client": None,
        "server": None,
    }


CHUNKS = [
    {"status": 200, "content": b"a", "more_content": True},
    {"content": b"b", "more_content": True},
    {"content": b"c"},
]


async def answer(message: Message) -> None:
    for chunk in CHUNKS:
        message.reply_channel.send(chunk)


async def stream(message: Message) -> AsyncIterator[dict[str, Any]]:
    for chunk in CHUNKS:
        yield chunk


@pytest.mark.parametrize(
    "consumer", [Log(*CHUNKS, {"content": b"too late"}).consume, answer, stream], ids=["sync", "async", "stream"]
)
async def test_a_response_in_chunks(serve: Serve, consumer: Any) -> None:
    """6.4: one message starts it, the others continue, nothing follows the last; from all kinds."""
    assert await get(await serve([route("http.request", consumer)]), "/") == (200, b"abc")


async def test_a_response_comes_chunk_by_chunk(serve: Serve) -> None:
    """7.5: another process may answer, at any later time; each chunk goes out when it is sent."""
    log = Log()
    async with Request(await serve(log.routing())) as request:
        await until(lambda: log.seen)
        reply_channel = Channel(log.last["reply_channel"])
        await asyncio.to_thread(reply_channel.send, {"status": 200, "content": b"a", "more_content": True})
        assert [await request.event(), await request.event()] == [start([]), part(b"a", more=True)]
        assert not request.task.done()
        reply_channel.send({"content": b"b"})
        assert await request.event() == part(b"b")
        await request.over()


async def test_changing_a_reply_after_the_send_changes_nothing(serve: Serve) -> None:
    """item 30, for a thread that sends to a waiting request: the message is taken as it was."""
    log = Log()
    async with Request(await serve(log.routing())) as request:
        await until(lambda: log.seen)
        reply: dict[str, Any] = {"status": 200, "headers": [[b"x-a", b"sent"]], "content": b"sent"}

        def send() -> None:
            Channel(log.last["reply_channel"]).send(reply)
            reply["headers"].append([b"x-a", b"changed"])
            reply["content"] = b"changed"

        thread = threading.Thread(target=send)
        thread.start()
        thread.join()  # the loop comes to it only after the change
        assert [await request.event(), await request.event()] == [start([(b"x-a", b"sent")]), part(b"sent")]
        await request.over()


async def test_a_long_poll_through_a_group(serve: Serve, default_layer: SyncChannelLayer) -> None:
    """7.5, 2.2: a broadcast to waiting requests; one that was answered already keeps it from none of the others."""

    def wait(message: Message) -> None:
        if message["path"] == "/started":
            message.reply_channel.send({"status": 200, "more_content": True})
        Group("polls").add(message.reply_channel)

    def publish(message: Message) -> None:
        Group("polls").send({"status": 200, "content": b"news"})

    application = await serve([route("http.request", wait), route("publish", publish)])
    async with Request(application, "/started"):
        await until(lambda: len(default_layer.group_channels("polls")) == 1)
        async with Request(application) as first, Request(application) as second:
            await until(lambda: len(default_layer.group_channels("polls")) == 3)
            Channel("publish").send({})
            for request in (first, second):
                assert [await request.event(), await request.event()] == [start([]), part(b"news")]
                await request.over()


# Responses from a thread


async def rest(request: Request) -> bytes:
    """What is still to come of the body."""
    content = b""
    while (event := await request.event())["more_body"]:
        content += event["body"]
    return content + event["body"]


@pytest.mark.parametrize("leaves", [False, True])
async def test_immediate_sends_keep_the_pace_of_the_client(serve: Serve, leaves: bool) -> None:
    """6.4: from the consumer's thread too, nothing of a response is lost; it is told when the client has left."""
    sent = 0
    told = threading.Event()

    def answer(message: Message) -> None:
        nonlocal sent
        message.reply_channel.send({"status": 200, "more_content": True}, immediately=True)
        for sent in range(1, 501):
            if message.reply_channel.closed:
                told.set()
                return
            message.reply_channel.send({"content": b"%d," % sent, "more_content": sent < 500}, immediately=True)

    request = Request(await serve([route("http.request", answer)]))
    request.from_application = asyncio.Queue(maxsize=1)
    async with request:
        await until(lambda: request.from_application.full())
        await asyncio.sleep(0.05)
        assert sent < 5
        await request.event()
        if leaves:
            request.leave()
            await until(told.is_set)
            return
        assert await rest(request) == b"".join(b"%d," % number for number in range(1, 501))
        await request.over()


async def test_a_response_from_elsewhere_that_finds_no_room(serve: Serve) -> None:
    """As from a worker, whose sends do not wait: it is cut off, and nothing follows the gap, nor is it completed."""
    names: list[str] = []
    application = await serve([route("http.request", lambda message: names.append(message.reply_channel.name))])

    def answer() -> None:
        Channel(names[0]).send({"status": 200, "more_content": True}, immediately=True)
        for number in range(200):
            Channel(names[0]).send({"content": b"%d," % number, "more_content": number < 199}, immediately=True)

    request = Request(application)
    request.from_application = asyncio.Queue(maxsize=1)
    async with request:
        await until(lambda: names)
        await asyncio.to_thread(answer)
        await until(lambda: not application._server.responses)  # type: ignore[union-attr]
        events = [await request.event()]
        while not request.from_application.empty():
            events.append(await request.event())
        content = b"".join(event.get("body", b"") for event in events)
        assert b"".join(b"%d," % number for number in range(200)).startswith(content)
        assert all(event.get("more_body", True) for event in events)


async def test_a_long_response_to_a_slow_client_is_whole(serve: Serve) -> None:
    """6.4: a consumer waits for room; no part of a response is left out."""

    def answer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "more_content": True})
        for number in range(300):
            message.reply_channel.send({"content": b"%d," % number, "more_content": number < 299})

    request = Request(await serve([route("http.request", answer)]))
    request.from_application = asyncio.Queue(maxsize=1)
    async with request:
        await request.event()
        assert await rest(request) == b"".join(b"%d," % number for number in range(300))
        await request.over()


async def test_a_bad_immediate_send_is_the_senders_error(serve: Serve) -> None:
    """6.4: raised where it was sent."""

    def answer(message: Message) -> None:
        try:
            message.reply_channel.send({"content": "text"}, immediately=True)
        except TypeError as error:
            message.reply_channel.send({"status": 400, "content": str(error).encode()})

    status, content = await get(await serve([route("http.request", answer)]), "/")
    assert status == 400
    assert b"has to be bytes, not str" in content


def test_other_channels_know_nothing_of_connections(default_layer: SyncChannelLayer) -> None:
    """DM-05: only a message's own reply channel knows that its client has left."""
    assert Channel("http.response.here!x").closed is False


# Limits


async def test_a_body_over_the_limit(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """OB-24: 413, and no consumer sees it; a body of exactly the limit is fine."""
    log = Log({"status": 200})
    application = await serve(log.routing(), body_limit=10)
    assert (await get(application, "/", "POST", b"x" * 10))[0] == 200
    assert await get(application, "/", "POST", b"x" * 11) == (413, b"The request body is larger than 10 bytes.")
    assert logged(caplog)[0].endswith("its body is larger than 10 bytes (BODY_LIMIT)")
    async with Request(application, "/", "POST", None) as request:
        request.body(b"x" * 6, more=True)
        request.body(b"x" * 6, more=True)  # more is to come, but is not waited for
        assert (await request.event())["status"] == 413
    assert len(log.of("http.request")) == 1


async def test_a_body_that_does_not_arrive(serve: Serve) -> None:
    """6.7: 408 after the HTTP timeout, and no consumer sees it."""
    log = Log({"status": 200})
    async with Request(await serve(log.routing(), http_timeout=0.05), "/", "POST", None) as request:
        request.body(b"x", more=True)
        assert (await request.event())["status"] == 408
        assert (await request.event())["body"] == b"The request body did not arrive in time."
        await request.over()
    assert log.seen == []


@pytest.mark.parametrize("kind", ["sync", "async", "blocking"])
async def test_a_request_that_is_not_answered_in_time(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """6.7, DM-05: 503 after the HTTP timeout, whatever the consumer is doing; a later reply goes nowhere."""
    go_on, hang, log = threading.Event(), asyncio.Event(), Log()

    async def asynchronous(message: Message) -> None:
        log.consume(message)
        await hang.wait()

    def blocking(message: Message) -> None:
        log.consume(message)
        go_on.wait(5)

    consumer = {"sync": log.consume, "async": asynchronous, "blocking": blocking}[kind]
    ended = "its consumer has ended without an answer"
    waits_for = ended if kind == "sync" else f"its consumer {name_that_thing(consumer)} is still running"
    async with Request(await serve([route("http.request", consumer)], http_timeout=0.05), "/slow/") as request:
        try:
            assert (await asyncio.wait_for(request.event(), 1))["status"] == 503
            assert (await request.event())["body"] == b"The server did not answer in time."
        finally:
            go_on.set()
            hang.set()
        await request.over()
        Channel(log.last["reply_channel"]).send({"status": 200})
        assert request.events() == []
    [line] = logged(caplog)
    assert line.startswith(f"'/slow/' was not answered within 0.05 s: {waits_for}")


# Disconnects


@pytest.mark.parametrize("answered", [True, False])
async def test_a_disconnect_follows_each_request(serve: Serve, answered: bool) -> None:
    """6.6, item 151: after every completed response, and at once on client loss; its reply channel is forgotten."""
    log = Log(*([{"status": 200}] if answered else []))
    application = await serve(log.routing())
    async with Request(application, "/a/é/") as request:
        if not answered:
            await until(lambda: log.seen)
            assert len(application._server.responses) == 1
            request.leave()
        await request.over()
        events = request.events()
        assert len(application._server.responses) == 0
        Channel(log.seen[0]["reply_channel"]).send({"status": 200})
        assert request.events() == []
    assert len(events) == (2 if answered else 0)
    assert log.of("http.disconnect") == [{"reply_channel": log.seen[0]["reply_channel"], "path": "/a/é/"}]


async def test_a_client_that_leaves_before_the_body_is_there(serve: Serve) -> None:
    """6.2: an incomplete request is no message."""
    log = Log()
    async with Request(await serve(log.routing()), "/", "POST", None) as request:
        request.body(b"one", more=True)
        request.leave()
        await request.over()
        assert request.events() == []
    assert log.seen == []


async def test_a_disconnect_waits_for_the_request(serve: Serve) -> None:
    """The events of one connection do not overlap."""
    done = []
    entered, go_on = threading.Event(), threading.Event()

    def answer(message: Message) -> None:
        entered.set()
        go_on.wait(5)
        time.sleep(0.005)
        done.append("request")

    def disconnect(message: Message) -> None:
        done.append("disconnect")

    routing = [route("http.request", answer), route("http.disconnect", disconnect)]
    async with Request(await serve(routing)) as request:
        await until(entered.is_set)
        request.leave()
        go_on.set()
        await request.over()
    assert done == ["request", "disconnect"]


async def test_no_route_for_the_disconnect_is_no_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.6: few consumers need it."""
    application = await serve([route("http.request", Log({"status": 200}).consume)])
    assert await get(application, "/") == (200, b"")
    assert logged(caplog) == []


# Errors


@pytest.mark.parametrize(
    ("replies", "text"),
    [
        ([{"content": b"no status"}, {"status": 200, "content": b"end"}], "first message of a response has a 'status'"),
        ([{"status": 200, "content": "text"}, {"status": 200, "content": b"end"}], "has to be bytes, not str"),
        ([{"status": "200"}, {"status": 200, "content": b"end"}], "'status' is an int such as 200"),
        ([{"status": 200, "more_content": True}, {"status": 500}, {"content": b"end"}], "has started already"),
    ],
    ids=["no status", "text", "a status that is text", "a second status"],
)
async def test_a_bad_reply_is_logged_and_the_next_one_counts(
    serve: Serve, caplog: pytest.LogCaptureFixture, replies: list[dict[str, Any]], text: str
) -> None:
    """6.4, item 149: in daphne the response counted as started; here nothing of the bad message was sent."""
    assert await get(await serve(Log(*replies).routing()), "/") == (200, b"end")
    [line] = logged(caplog, logging.ERROR)
    assert text in line


async def test_nothing_is_left_of_a_request_whose_server_fails(serve: Serve) -> None:
    """Also if the server's ``receive`` raises; the server gets the error."""
    application = await serve(Log().routing())
    connection = Connection(application, http_scope("/"))
    events = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if not events:
            raise ConnectionError("on purpose")
        return events.pop()

    with pytest.raises(ConnectionError, match="on purpose"):
        await asyncio.wait_for(application(connection.scope, receive, connection.from_application.put), 5)
    assert len(application._server.responses) == 0


async def test_a_disconnect_that_is_lost(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has its answer; that the disconnect reaches nobody is logged."""
    routing = [route("http.request", Log({"status": 200}).consume), route("http.disconnect", Log().consume)]
    application = await serve(routing)
    handle = connection.Connection.handle

    def refuse(self: Any, channel: str, *rest: Any) -> Any:
        if channel == "http.disconnect":
            raise OSError("no more threads")
        return handle(self, channel, *rest)

    monkeypatch.setattr(connection.Connection, "handle", refuse)
    assert await get(application, "/left/") == (200, b"")
    await until(lambda: "The http.disconnect of '/left/' is lost" in caplog.text)
