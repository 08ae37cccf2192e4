"""Handshakes: what an application sees of one, and what its client is answered."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from routechan.server import WebSocketProtocol
from tests.waiting import until

from ..asgi.test_aborting import HANDSHAKE, serving
from ..asgi.test_incoming import TEXT, frame
from .applications import Application, client, echo, port_of, raw, served, wait


async def test_the_scope() -> None:
    async with served(echo, root_path="/below") as (application, server):
        offers: Any = ["one", "two"]
        headers = {"X-Name": "a value"}
        async with client(server, "/caf%C3%A9?a=b", subprotocols=offers, additional_headers=headers) as socket:
            assert socket.subprotocol is None
        scope = application.scope
        assert scope["type"] == "websocket"
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
        assert (scope["http_version"], scope["scheme"]) == ("1.1", "ws")
        assert scope["server"] == ("127.0.0.1", port_of(server))
        assert scope["client"] == socket.local_address
        assert (scope["root_path"], scope["path"]) == ("/below", "/below/café")
        assert (scope["raw_path"], scope["query_string"]) == (b"/below/caf%C3%A9", b"a=b")
        assert (b"x-name", b"a value") in scope["headers"]
        assert (b"host", b"127.0.0.1:%d" % port_of(server)) in scope["headers"]
        assert scope["subprotocols"] == offers
        assert scope["state"] == {"place": "of the lifespan"}
        assert "websocket.http.response" in scope["extensions"]


async def test_accepting_with_a_subprotocol_and_headers() -> None:
    async def accept(application: Application, send: Any) -> None:
        headers = [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")]
        await send({"type": "websocket.accept", "subprotocol": "two", "headers": headers})
        await application.until_the_end()

    async with served(accept, headers=[("x-always", "here")]) as (_, server):
        offers: Any = ["one", "two"]
        async with client(server, subprotocols=offers) as socket:
            assert socket.subprotocol == "two"
            assert socket.response.headers.get_all("set-cookie") == ["a=1", "b=2"]
            assert socket.response.headers["x-always"] == "here"
            assert socket.response.headers["server"] == "uvicorn"


async def test_refusing() -> None:
    """A close before the socket is open is a 403, and the application is told that it is over."""

    async def refuse(application: Application, send: Any) -> None:
        await send({"type": "websocket.close"})
        await application.until_the_end()

    async with served(refuse) as (application, server):
        with pytest.raises(InvalidStatus) as refused:
            await client(server)
        assert refused.value.response.status_code == 403
        await until(lambda: application.ended)
        assert application.events[-1]["code"] == 1006


async def test_refusing_with_a_response() -> None:
    async def refuse(application: Application, send: Any) -> None:
        headers = [(b"content-type", b"text/html"), (b"retry-after", b"3")]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"too ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"many"})
        await application.until_the_end()

    async with served(refuse) as (application, server):
        with pytest.raises(InvalidStatus) as refused:
            await client(server)
        response = refused.value.response
        assert (response.status_code, response.body) == (429, b"too many")
        assert (response.headers["content-type"], response.headers["retry-after"]) == ("text/html", "3")
        await until(lambda: application.ended is True)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"GET", b"POST"), 405),
        ((b"Version: 13", b"Version: 8"), 426),
        ((b"Sec-WebSocket-Version: 13\r\n", b""), 426),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZQ=="), 400),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"?"), 400),
        ((b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
        ((b"GET /", b"GET /" + b"a" * 8192), 414),
        ((b"Host:", b"X: " + b"a" * 8192 + b"\r\nHost:"), 431),
        ((b"Host:", b"X: a\r\n" * 124 + b"Host:"), 431),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_handshakes_that_are_none(change: tuple[bytes, bytes], status: int) -> None:
    async with served(echo) as (application, server):
        request = HANDSHAKE.replace(*change)
        assert request != HANDSHAKE
        reader, _ = await raw(server, request)
        assert b" %d " % status in await asyncio.wait_for(reader.read(), 5)
        assert application.scope == {}


async def test_a_handshake_of_some_size() -> None:
    async with served(echo) as (_, server):
        head = HANDSHAKE.replace(b"GET /", b"GET /" + b"a" * 8000)
        more = b"X: " + b"a" * 8000 + b"\r\n" + b"X: a\r\n" * 122
        reader, _ = await raw(server, head.replace(b"Host:", more + b"Host:"))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")


async def test_an_application_that_fails_or_ends_before_it_answers(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A development server, which some test of this process may have made, keeps lines of uvicorn from the log.
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "filters", [])

    async def fail(application: Application, send: Any) -> None:
        raise ValueError("mine")

    async def end(application: Application, send: Any) -> None:
        pass

    for part, line in ((fail, "Exception in ASGI application"), (end, "returned without completing handshake")):
        async with served(part, log_config=None) as (_, server):
            logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
            with pytest.raises(InvalidStatus) as refused:
                await client(server)
            assert refused.value.response.status_code == 500
            assert line in caplog.text


async def test_what_a_client_sends_before_it_is_accepted() -> None:
    may_accept = asyncio.Event()

    async def later(application: Application, send: Any) -> None:
        await may_accept.wait()
        await echo(application, send)

    async with served(later) as (application, server):
        reader, writer = await raw(server)
        await until(lambda: application.scope)
        writer.write(frame(TEXT, b"one") + frame(TEXT, b"two")[:4])
        await asyncio.sleep(0.05)
        may_accept.set()
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(TEXT, b"two")[4:])
        assert await reader.readexactly(10) == b"\x81\x03one\x81\x03two"
        writer.close()


async def test_what_a_client_sends_before_it_is_accepted_for_another_task() -> None:
    """A task that receives, while another one accepts, is woken when that one has stopped."""

    async def both(application: Application, send: Any) -> None:
        receiving = asyncio.create_task(application.next())
        await asyncio.sleep(0.05)
        await send({"type": "websocket.accept"})
        await receiving
        await application.until_the_end()

    async with served(both) as (application, server):
        _, writer = await raw(server)
        await until(lambda: application.scope)
        writer.write(frame(TEXT, b"one") + frame(TEXT, b"two"))
        await until(lambda: len(application.events) == 3)
        assert [event["text"] for event in application.events[1:]] == ["one", "two"]
        writer.close()


async def test_large_messages_before_it_is_accepted() -> None:
    """They are read as if they had come later; the parser is replaced behind a large one."""
    may_accept = asyncio.Event()

    async def later(application: Application, send: Any) -> None:
        await may_accept.wait()
        await send({"type": "websocket.accept"})
        await application.until_the_end()

    async with served(later) as (application, server):
        _, writer = await raw(server)
        await until(lambda: application.scope)
        for size in (80_000, 80_001, 80_002):
            writer.write(bytes([TEXT, 0xFF]) + size.to_bytes(8, "big") + bytes(4) + b"x" * size)
        writer.write(frame(TEXT, b"end"))
        await asyncio.sleep(0.1)
        may_accept.set()
        await until(lambda: len(application.events) == 5)
        assert [len(event["text"]) for event in application.events[1:]] == [80_000, 80_001, 80_002, 3]
        writer.close()


async def test_a_connection_that_ends_before_the_application_begins() -> None:
    """It is given its scope, and told that the client has left."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})
        else:
            seen.extend([scope["type"], (await receive())["type"], (await receive())["type"]])

    async with serving(application, WebSocketProtocol, lifespan="off") as server:
        reader, _ = await raw(server, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HANDSHAKE)
        assert b" 200 " in await asyncio.wait_for(reader.read(), 5)
        await until(lambda: seen == ["websocket", "websocket.connect", "websocket.disconnect"])


async def test_a_client_that_leaves_before_it_is_accepted() -> None:
    async with served(wait) as (application, server):
        _, writer = await raw(server)
        await until(lambda: application.scope)
        writer.close()
        await until(lambda: application.ended)
        assert application.events[-1]["code"] == 1006
