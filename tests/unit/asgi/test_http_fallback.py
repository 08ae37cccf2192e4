"""Who answers a request: a consumer, else the HTTP application, else a 404."""

from __future__ import annotations

from typing import Any

import pytest

from routechan import Message, route

from ...harness import Connection, get, http_scope
from .clients import Request, logged
from .conftest import Serve
from .consumers import HTTP, Log


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """An HTTP application of the project's own: answers with the path and the whole body."""
    if scope["type"] == "lifespan":
        raise ValueError("not here")
    body, more = b"", True
    while more:
        event = await receive()
        body += event["body"]
        more = event.get("more_body", False)
    await send({"type": "http.response.start", "status": 299, "headers": [(b"X-Case", b"Kept")]})
    await send({"type": "http.response.body", "body": scope["path"].encode() + body, "more_body": False})


async def test_without_an_http_application_nothing_answers(serve: Serve) -> None:
    """Routed consumers, else the application given, else 404."""
    log = Log({"status": 200})
    application = await serve(log.routing(path="^/routed"))
    assert await get(application, "/routed/") == (200, b"")
    assert await get(application, "/other/") == (404, b"Nothing here answers HTTP on this path.")
    assert len(log.of("http.request")) == 1


async def test_the_http_application_is_untouched(serve: Serve) -> None:
    """The HTTP application gets the server's own scope, receive and send."""
    given = []

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        given.append((scope, receive, send))
        await inner(scope, receive, send)

    application = await serve(Log().routing(path="^/routed"), http=spy)
    assert await get(application, "/other/", body=b"!") == (299, b"/other/!")
    async with Connection(application, http_scope("/x")) as request:
        request.push({"type": "http.request", "body": b""})
        assert (await request.event())["headers"] == [(b"X-Case", b"Kept")]
        scope, receive, send = given[-1]
        assert scope is request.scope
        assert receive == request.to_application.get
        assert send == request.from_application.put


async def test_what_the_http_application_raises_is_its_own(serve: Serve) -> None:
    """The exception reaches the server unchanged."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    application = await serve([route("websocket.receive", Log().consume)], http=broken)
    with pytest.raises(ZeroDivisionError):
        await application(http_scope("/"), None, None)


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
    """RT-01: a request it does not take goes to the HTTP application with its body, and is no error."""
    log = Log({"status": 200})
    application = await serve([Custom(log.consume)], http=inner)
    assert await get(application, "/", body=b"the body") == (299, b"/the body")
    async with Request(application, query_string=b"mine") as request:
        assert (await request.event())["status"] == 200
        await request.over()
    assert len(log.seen) == 1
    assert logged(caplog) == []


async def test_a_custom_route_without_an_http_application(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """RT-01, WK-28: a request that nothing takes gets a 404 at once; an error in matching is logged."""
    application = await serve([Custom(Log().consume)])
    assert (await get(application, "/"))[0] == 404
    async with Request(application, query_string=b"fail") as request:
        assert (await request.event())["status"] == 404
        await request.over()
    assert logged(caplog) == ["Routing a message on http.request failed; no consumer takes it"]


async def test_a_filter_on_the_body(serve: Serve) -> None:
    """RT-07: any key may be filtered on; a request that does not match goes to the HTTP application."""
    application = await serve(Log({"status": 200}).routing(body="^hello"), http=inner)
    assert await get(application, "/", "POST", b"hello you") == (200, b"")
    assert await get(application, "/", "POST", "hello café".encode()) == (200, b"")
    assert await get(application, "/", "POST", b"goodbye") == (299, b"/goodbye")
    assert await get(application, "/") == (299, b"/")


async def test_a_large_body_that_is_anothers(serve: Serve) -> None:
    """OB-24: the limit is that of requests a consumer takes; other applications have limits of their own."""
    async with Request(await serve([Custom(Log().consume)], http=inner, body_limit=10), "/", "POST", None) as request:
        for part in (b"one two ", b"three ", b"four "):
            request.body(part, more=True)
        request.body(b"five")
        await request.event()
        assert (await request.event())["body"] == b"/one two three four five"
        await request.over()
