"""One HTTP request's life: routed to a consumer, given to the HTTP application, or answered with 404."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routechan import Channel, Group, Message, route
from routechan.layers import SyncChannelLayer, channel_layers
from tests.waiting import until

from ..harness import Connection, get
from .clients import logged
from .conftest import Serve

HTTP = ("http.request", "http.disconnect")


class Request(Connection):
    """One request whose body the test sends; leaving says nothing about the client."""

    def __init__(self, application: Any, path: str = "/", method: str = "GET", **scope: Any) -> None:
        super().__init__(
            application,
            {
                "type": "http",
                "http_version": "1.1",
                "method": method,
                "path": path,
                "headers": [(b"host", b"testserver")],
                "query_string": b"",
                **scope,
            },
        )

    async def __aenter__(self) -> Request:
        await super().__aenter__()
        return self

    def body(self, content: bytes = b"", more: bool = False) -> None:
        self.push({"type": "http.request", "body": content, "more_body": more})

    def leave(self) -> None:
        self.push({"type": "http.disconnect"})

    async def over(self) -> None:
        await asyncio.wait_for(self.task, 5)

    def events(self) -> list[dict[str, Any]]:
        return [self.from_application.get_nowait() for _ in range(self.from_application.qsize())]


class Log:
    """Keeps the messages of requests and answers each with ``replies``. Lifetime: test."""

    def __init__(self, *replies: dict[str, Any]) -> None:
        self.replies = replies
        self.requests: list[dict[str, Any]] = []
        self.disconnects: list[dict[str, Any]] = []

    def routing(self) -> list[Any]:
        return [route("http.request", self.request), route("http.disconnect", self.disconnect)]

    def request(self, message: Message) -> None:
        self.requests.append(message.content)
        for reply in self.replies:
            message.reply_channel.send(reply)  # type: ignore[union-attr]

    def disconnect(self, message: Message) -> None:
        self.disconnects.append(message.content)


async def test_a_routed_request(serve: Serve) -> None:
    """6.2, items 142, 150: the whole message in, the whole response out."""
    log = Log({"status": 201, "headers": [[b"X-A", b"1"]], "content": b"made"})
    async with Request(await serve(log.routing()), "/a/", "POST", query_string=b"b=1") as request:
        request.body(b"one ", more=True)
        request.body(b"two")
        assert await request.event() == {"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1")]}
        assert await request.event() == {"type": "http.response.body", "body": b"made", "more_body": False}
        await request.over()
    [content] = log.requests
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


async def test_the_request_is_sent_when_its_body_is_there(serve: Serve) -> None:
    """6.2: once the whole body has arrived."""
    log = Log({"status": 200})
    async with Request(await serve(log.routing()), method="POST") as request:
        request.body(b"one", more=True)
        await until(request.to_application.empty)
        assert log.requests == []
        request.body(b"two")
        await request.event()
        assert log.requests[0]["body"] == b"onetwo"


async def test_a_response_in_chunks(serve: Serve) -> None:
    """6.4: one message starts it, the others continue; nothing follows the last."""
    log = Log(
        {"status": 200, "content": b"a", "more_content": True},
        {"content": b"b", "more_content": True},
        {"content": b"c"},
        {"content": b"too late"},
    )
    assert await get(await serve(log.routing()), "/") == (200, b"abc")


async def test_a_response_comes_chunk_by_chunk(serve: Serve) -> None:
    """7.5: another process may answer, at any later time; each chunk goes out when it is sent."""
    log = Log()
    async with Request(await serve(log.routing())) as request:
        request.body()
        await until(lambda: log.requests)
        reply_channel = Channel(log.requests[0]["reply_channel"])
        await asyncio.to_thread(reply_channel.send, {"status": 200, "content": b"a", "more_content": True})
        assert [(await request.event())["type"] for _ in range(2)] == ["http.response.start", "http.response.body"]
        assert not request.task.done()
        reply_channel.send({"content": b"b"})
        assert await request.event() == {"type": "http.response.body", "body": b"b", "more_body": False}
        await request.over()


async def test_changing_a_reply_after_the_send_changes_nothing(serve: Serve) -> None:
    """item 30, for a thread that sends to a waiting request: the message is taken as it was."""
    log = Log()
    async with Request(await serve(log.routing())) as request:
        request.body()
        await until(lambda: log.requests)
        reply: dict[str, Any] = {"status": 200, "headers": [[b"x-a", b"sent"]], "content": b"sent"}

        def send() -> None:
            Channel(log.requests[0]["reply_channel"]).send(reply)
            reply["headers"].append([b"x-a", b"changed"])
            reply["content"] = b"changed"

        thread = threading.Thread(target=send)
        thread.start()
        thread.join()  # the loop comes to it only after the change
        assert (await request.event())["headers"] == [(b"x-a", b"sent")]
        assert (await request.event())["body"] == b"sent"
        await request.over()


async def test_an_async_consumer_answers(serve: Serve) -> None:
    """design section 4: equal citizens."""

    async def answer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": message["path"].encode()})  # type: ignore[union-attr]

    assert await get(await serve([route("http.request", answer)]), "/a/") == (200, b"/a/")


async def test_a_stream_answers(serve: Serve) -> None:
    """design section 4: a generator's dicts are the messages of the response."""

    async def answer(message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {"status": 200, "content": b"a", "more_content": True}
        yield {"content": b"b", "more_content": True}
        yield {"content": b"c"}

    assert await get(await serve([route("http.request", answer)]), "/") == (200, b"abc")


async def test_a_long_poll_through_a_group(serve: Serve) -> None:
    """7.5: a broadcast to the reply channels of waiting requests."""

    def wait(message: Message) -> None:
        Group("polls").add(message.reply_channel)  # type: ignore[arg-type]

    application = await serve([route("http.request", wait)])
    async with Request(application) as first, Request(application) as second:
        first.body()
        second.body()
        await until(lambda: len(channel_layers["default"].group_channels("polls")) == 2)
        Group("polls").send({"status": 200, "content": b"news"})
        for request in (first, second):
            assert (await request.event())["status"] == 200
            assert (await request.event())["body"] == b"news"
            await request.over()


async def test_one_member_of_a_group_that_has_answered_already(serve: Serve) -> None:
    """2.2: it misses the message; the other waiting request gets its response."""

    def answer(message: Message) -> None:
        if message["path"] == "/started":
            message.reply_channel.send({"status": 200, "more_content": True})  # type: ignore[union-attr]
        Group("polls").add(message.reply_channel)  # type: ignore[arg-type]

    def publish(message: Message) -> None:
        Group("polls").send({"status": 200, "content": b"news"})

    application = await serve([route("http.request", answer), route("publish", publish)])
    async with Request(application, "/started") as started, Request(application, "/waits") as waits:
        started.body()
        await until(lambda: len(channel_layers["default"].group_channels("polls")) == 1)
        waits.body()
        await until(lambda: len(channel_layers["default"].group_channels("polls")) == 2)
        Channel("publish").send({})
        assert (await waits.event())["status"] == 200


# Who answers


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """An HTTP application of the project's own."""
    if scope["type"] == "lifespan":
        raise ValueError("not here")
    event = await receive()
    await send({"type": "http.response.start", "status": 299, "headers": [(b"X-Case", b"Kept")]})
    await send({"type": "http.response.body", "body": scope["path"].encode() + event["body"], "more_body": False})


async def test_without_an_http_application_nothing_answers(serve: Serve) -> None:
    """issue: routed consumers, else the application given, else 404."""
    log = Log({"status": 200})
    application = await serve([route("http.request", log.request, path="^/routed")])
    assert await get(application, "/routed/") == (200, b"")
    assert await get(application, "/other/") == (404, b"Nothing here answers HTTP on this path.")
    assert len(log.requests) == 1


async def test_the_http_application_is_untouched(serve: Serve) -> None:
    """issue: it gets scope, receive and send themselves."""
    given = []

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        given.append((scope, receive, send))
        await inner(scope, receive, send)

    application = await serve([route("http.request", Log().request, path="^/routed")], http=spy)
    assert await get(application, "/other/", body=b"!") == (299, b"/other/!")
    request = Connection(
        application, {"type": "http", "http_version": "1.1", "method": "GET", "path": "/x", "headers": [(b"A", b"b")]}
    )
    async with request:
        request.push({"type": "http.request", "body": b""})
        assert (await request.event())["headers"] == [(b"X-Case", b"Kept")]
        scope, receive, send = given[-1]
        assert scope is request.scope
        assert receive == request.to_application.get
        assert send == request.from_application.put


async def test_what_the_http_application_raises_is_its_own(serve: Serve) -> None:
    """issue: its server reports it, as without us."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    application = await serve([route("websocket.receive", Log().request)], http=broken)
    with pytest.raises(ZeroDivisionError):
        await application({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)  # type: ignore[arg-type]


class Custom:
    """A route of the project's own, which takes no request but those that ask for it."""

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer

    def match(self, message: Message) -> tuple[Any, dict[str, Any]] | None:
        if b"fail" in message.get("query_string", b""):
            raise LookupError("on purpose")
        return (self.consumer, {}) if b"mine" in message.get("query_string", b"") else None

    def channel_names(self) -> set[str]:
        return set(HTTP)


async def test_a_custom_route_is_asked(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """RT-01: what it does not take goes to the HTTP application, body and all, and is no error."""
    log = Log({"status": 200})
    application = await serve([Custom(log.request)], http=inner)
    assert await get(application, "/", body=b"the body") == (299, b"/the body")
    async with Request(application, query_string=b"mine") as request:
        request.body()
        assert (await request.event())["status"] == 200
        await request.over()
    assert len(log.requests) == 1
    assert logged(caplog) == []


async def test_a_custom_route_without_an_http_application(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """RT-01, WK-28: nobody takes the request, at once; an error in matching is logged."""
    application = await serve([Custom(Log().request)])
    assert (await get(application, "/"))[0] == 404
    async with Request(application, query_string=b"fail") as request:
        request.body()
        assert (await request.event())["status"] == 404
        await request.over()
    assert logged(caplog) == ["Routing a message on http.request failed; no consumer takes it"]


async def test_a_filter_on_the_body(serve: Serve) -> None:
    """RT-07: any content key may be one; without a match the request is another's."""
    log = Log({"status": 200})
    application = await serve([route("http.request", log.request, body="^hello")], http=inner)
    assert await get(application, "/", "POST", b"hello you") == (200, b"")
    assert await get(application, "/", "POST", b"goodbye") == (299, b"/goodbye")


async def test_a_large_body_that_is_anothers(serve: Serve) -> None:
    """OB-24: the limit is that of requests a consumer takes; other applications have limits of their own."""

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("not here")
        body, more = b"", True
        while more:
            event = await receive()
            body += event["body"]
            more = event["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    application = await serve([Custom(Log().request)], http=whole, body_limit=10)
    async with Request(application, method="POST") as request:
        for part in (b"one two ", b"three ", b"four "):
            request.body(part, more=True)
        request.body(b"five")
        await request.event()
        assert (await request.event())["body"] == b"one two three four five"
        await request.over()


# Responses from a thread


@pytest.mark.parametrize("leaves", [False, True])
async def test_immediate_sends_keep_the_pace_of_the_client(serve: Serve, leaves: bool) -> None:
    """6.4: from the consumer's thread too, nothing of a response is lost; when the client has left it is told."""
    sent = 0
    told = threading.Event()

    def answer(message: Message) -> None:
        nonlocal sent
        reply_channel = message.reply_channel
        assert reply_channel is not None
        reply_channel.send({"status": 200, "more_content": True}, immediately=True)
        for sent in range(1, 501):
            if reply_channel.closed:
                told.set()
                return
            reply_channel.send({"content": b"%d," % sent, "more_content": sent < 500}, immediately=True)

    request = Request(await serve([route("http.request", answer)]))
    request.from_application = asyncio.Queue(maxsize=1)
    async with request:
        request.body()
        await until(lambda: request.from_application.full())
        await asyncio.sleep(0.05)
        assert sent < 5
        await request.event()
        if leaves:
            request.leave()
            await until(told.is_set)
            return
        content = b""
        while (event := await request.event())["more_body"]:
            content += event["body"]
        assert content + event["body"] == b"".join(b"%d," % number for number in range(1, 501))
        await request.over()


async def test_a_bad_immediate_send_is_the_senders_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.4: raised where it was sent."""

    def answer(message: Message) -> None:
        try:
            message.reply_channel.send({"content": "text"}, immediately=True)  # type: ignore[union-attr]
        except TypeError as error:
            message.reply_channel.send({"status": 400, "content": str(error).encode()})  # type: ignore[union-attr]

    status, content = await get(await serve([route("http.request", answer)]), "/")
    assert status == 400
    assert b"has to be bytes, not str" in content


def test_other_channels_know_nothing_of_connections(default_layer: SyncChannelLayer) -> None:
    """DM-05: only a message's own reply channel knows that its client has left."""
    assert Channel("http.response.here!x").closed is False


# Limits


async def test_a_body_over_the_limit(serve: Serve) -> None:
    """OB-24: 413, and no consumer sees it; a body of exactly the limit is fine."""
    log = Log({"status": 200})
    application = await serve(log.routing(), body_limit=10)
    assert (await get(application, "/", "POST", b"x" * 10))[0] == 200
    assert await get(application, "/", "POST", b"x" * 11) == (413, b"The request body is larger than 10 bytes.")
    async with Request(application, method="POST") as request:
        request.body(b"x" * 6, more=True)
        request.body(b"x" * 6, more=True)  # more is to come, but is not waited for
        assert (await request.event())["status"] == 413
    assert len(log.requests) == 1


@pytest.mark.parametrize("kind", ["sync", "async", "blocking"])
async def test_a_request_that_is_not_answered_in_time(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """6.7: 503 after the HTTP time, whatever the consumer is doing."""
    go_on, hang = threading.Event(), asyncio.Event()
    log = Log()

    async def asynchronous(message: Message) -> None:
        await hang.wait()

    def blocking(message: Message) -> None:
        go_on.wait(5)

    consumer = {"sync": log.request, "async": asynchronous, "blocking": blocking}[kind]
    async with Request(await serve([route("http.request", consumer)], http_timeout=0.05), "/slow/") as request:
        request.body()
        try:
            assert (await asyncio.wait_for(request.event(), 1))["status"] == 503
            assert await request.event() == {
                "type": "http.response.body",
                "body": b"The server did not answer in time.",
            }
        finally:
            go_on.set()
            hang.set()
        await request.over()
    assert logged(caplog) == ["'/slow/' was not answered within 0.05 s"]


async def test_a_response_that_stops_midway(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.7: a started response is not followed by a 503; it ends where it is, and the server cuts it off."""
    log = Log({"status": 200, "content": b"a", "more_content": True})
    async with Request(await serve(log.routing(), http_timeout=0.05)) as request:
        request.body()
        await request.over()
        assert [event["type"] for event in request.events()] == ["http.response.start", "http.response.body"]
    assert logged(caplog) == ["'/' was not answered within 0.05 s"]


async def test_a_reply_after_the_timeout(serve: Serve) -> None:
    """DM-05: discarded."""
    log = Log()
    async with Request(await serve(log.routing(), http_timeout=0.02)) as request:
        request.body()
        await request.over()
        Channel(log.requests[0]["reply_channel"]).send({"status": 200})
        assert [event.get("status") for event in request.events()] == [503, None]


# Disconnects


async def test_a_disconnect_follows_each_response(serve: Serve) -> None:
    """6.6, item 151: on client loss and after every completed response."""
    log = Log({"status": 200})
    application = await serve(log.routing())
    async with Request(application, "/a/é/") as request:
        request.body()
        await request.over()
    assert log.disconnects == [{"reply_channel": log.requests[0]["reply_channel"], "path": "/a/é/"}]


async def test_a_client_that_leaves(serve: Serve) -> None:
    """6.6: at once; replies sent later go nowhere."""
    log = Log()
    async with Request(await serve(log.routing()), "/a/") as request:
        request.body()
        await until(lambda: log.requests)
        request.leave()
        await request.over()
        Channel(log.requests[0]["reply_channel"]).send({"status": 200})
        assert request.events() == []
    assert log.disconnects == [{"reply_channel": log.requests[0]["reply_channel"], "path": "/a/"}]


async def test_a_client_that_leaves_before_the_body_is_there(serve: Serve) -> None:
    """6.2: an incomplete request is no message."""
    log = Log()
    async with Request(await serve(log.routing()), method="POST") as request:
        request.body(b"one", more=True)
        request.leave()
        await request.over()
        assert request.events() == []
    assert (log.requests, log.disconnects) == ([], [])


async def test_a_disconnect_waits_for_the_request(serve: Serve) -> None:
    """design section 3: the events of one connection do not overlap."""
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
        request.body()
        await until(entered.is_set)
        request.leave()
        go_on.set()
        await request.over()
    assert done == ["request", "disconnect"]


async def test_no_route_for_the_disconnect_is_no_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.6: few care about it."""
    application = await serve([route("http.request", Log({"status": 200}).request)])
    assert await get(application, "/") == (200, b"")
    assert logged(caplog) == []


# Bad replies


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"content": b"no status"}, "the first message of a response has a 'status'"),
        ({"status": 200, "content": "text"}, "'content' has to be bytes, not str"),
        ({"status": "200"}, "'status' is an int such as 200"),
    ],
)
async def test_a_bad_reply_is_logged_and_the_next_one_counts(
    serve: Serve, caplog: pytest.LogCaptureFixture, bad: dict[str, Any], text: str
) -> None:
    """6.4, item 149: in daphne the response counted as started; here nothing of it was sent."""
    log = Log(bad, {"status": 200, "content": b"good"})
    assert await get(await serve(log.routing()), "/") == (200, b"good")
    [line] = logged(caplog, logging.ERROR)
    assert text in line


async def test_a_second_status_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.4: the response goes on."""
    log = Log({"status": 200, "more_content": True}, {"status": 500}, {"content": b"end"})
    assert await get(await serve(log.routing()), "/") == (200, b"end")
    [line] = logged(caplog, logging.ERROR)
    assert "this response has started already" in line


async def test_a_consumer_that_fails(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.7, design section 4: logged; the client is told when the time is over."""

    def broken(message: Message) -> None:
        raise ZeroDivisionError

    assert (await get(await serve([route("http.request", broken)], http_timeout=0.05), "/"))[0] == 503
    assert "broken on http.request" in logged(caplog, logging.ERROR)[0]


async def test_nothing_is_left_of_a_request(serve: Serve, default_layer: SyncChannelLayer) -> None:
    """design section 4: its reply channel is forgotten, answered or not."""
    log = Log()
    application = await serve(log.routing())
    async with Request(application) as request:
        request.body()
        await until(lambda: log.requests)
        assert application._server is not None
        assert len(application._server.responses) == 1
        request.leave()
        await request.over()
        assert len(application._server.responses) == 0


async def test_nothing_is_left_of_a_request_whose_server_fails(serve: Serve) -> None:
    """design section 4: nor where the server's ``receive`` raises; the error is the server's to see."""
    log = Log()
    application = await serve(log.routing())
    events = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if not events:
            raise ConnectionError("on purpose")
        return events.pop()

    async def send(event: Any) -> None: ...

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    with pytest.raises(ConnectionError, match="on purpose"):
        await asyncio.wait_for(application(scope, receive, send), 5)
    assert application._server is not None
    assert len(application._server.responses) == 0
