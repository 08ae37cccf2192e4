"""What a client may send and wait before its request or handshake has begun, on uvicorn with our protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
import websockets

from routechan.asgi.aborting import WebSocketProtocol
from routechan.asgi.heads import HEAD_BYTES, HTTPProtocol
from tests.waiting import until

from ..helpers import DEADLINE
from .test_aborting import HANDSHAKE, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"

#: What websockets answers to large headers; it tells them from bad ones since version 17.
TOO_LARGE = 431 if int(websockets.__version__.partition(".")[0]) >= 17 else 400


class Hasty(HTTPProtocol):
    head_timeout = 0.05


class Application:
    """Answers requests, when it may."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.scopes.append(scope)
            await self.may_answer.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def server(application: Application, request: pytest.FixtureRequest) -> AsyncIterator[uvicorn.Server]:
    protocol = getattr(request, "param", HTTPProtocol)
    async with serving(application, WebSocketProtocol, http=protocol, lifespan="off") as server:
        yield server


async def connected(server: uvicorn.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2])


async def answer(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection is closed."""
    return await asyncio.wait_for(reader.read(), DEADLINE)


@pytest.mark.parametrize(
    "head",
    [
        REQUEST + b"X: " + b"a" * HEAD_BYTES,
        b"GET /" + b"a" * HEAD_BYTES,
        REQUEST + b"".join(b"X%d: a\r\n" % number for number in range(HEAD_BYTES // 8)),
        REQUEST + b"X: " + b"a" * HEAD_BYTES + b"\r\n\r\n",
        REQUEST + b"\r\n" + REQUEST + b"X: " + b"a" * HEAD_BYTES,
    ],
    ids=["header", "path", "many", "complete", "second"],
)
async def test_a_head_that_is_too_large(server: uvicorn.Server, application: Application, head: bytes) -> None:
    """It is refused with 431, whether it ends or not, and no application hears of it."""
    reader, writer = await connected(server)
    writer.write(head)
    received = await answer(reader)
    assert b"HTTP/1.1 431 " in received
    assert received.endswith(b"is too large.")
    assert len(application.scopes) == head.count(b"\r\n\r\n") * (b"X: " not in head.partition(b"\r\n\r\n")[0])
    writer.close()


async def test_a_head_of_some_size(server: uvicorn.Server) -> None:
    """Long cookies and a large body behind the head are no large head."""
    reader, writer = await connected(server)
    for _ in range(3):
        writer.write(REQUEST + b"Cookie: " + b"a" * (HEAD_BYTES - 1000) + b"\r\nContent-Length: 200000\r\n\r\n")
        await writer.drain()
        writer.write(b"b" * 200_000)
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)
    writer.close()


@pytest.mark.parametrize("server", [Hasty], indirect=True)
@pytest.mark.parametrize("head", [b"", REQUEST])
async def test_a_head_that_does_not_arrive(server: uvicorn.Server, head: bytes) -> None:
    """Its connection is closed, also where nothing comes at all."""
    reader, writer = await connected(server)
    writer.write(head)
    assert await answer(reader) == b""
    writer.close()


async def test_a_head_behind_another_request(server: uvicorn.Server, application: Application) -> None:
    """It is late once the request before it is answered: until then the server does not read it."""
    application.may_answer.clear()
    reader, writer = await connected(server)
    writer.write(REQUEST + b"\r\n" + REQUEST)
    await until(lambda: application.scopes)
    [connection] = server.server_state.connections
    assert isinstance(connection, HTTPProtocol)
    connection._late()
    assert connection._head_timer is not None
    assert not connection.transport.is_closing()
    application.may_answer.set()
    assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)
    await until(lambda: connection.cycle.response_complete)
    connection._late()
    assert await answer(reader) == b""
    writer.close()


async def test_a_handshake_behind_another_request(server: uvicorn.Server, application: Application) -> None:
    """It is refused as long as that one is not answered, whose application is told that the client has left."""
    application.may_answer.clear()
    reader, writer = await connected(server)
    writer.write(REQUEST + b"\r\n" + HANDSHAKE)
    assert (await answer(reader)).startswith(b"HTTP/1.1 400 ")
    writer.close()
    await until(lambda: application.scopes)
    application.may_answer.set()
    reader, writer = await connected(server)
    writer.write(REQUEST + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HANDSHAKE)
    assert b" 500 " in await reader.readuntil(b"\r\n\r\n")  # the application takes no sockets
    writer.close()
    await until(lambda: not server.server_state.tasks and not server.server_state.connections)


@pytest.mark.parametrize(
    ("extra", "status"),
    [(b"X: " + b"a" * 20_000, TOO_LARGE), (b"\r\n".join([b"X: a"] * 300), TOO_LARGE), (b"Content-Length: 5", 400)],
)
async def test_a_handshake_that_websockets_cannot_read(server: uvicorn.Server, extra: bytes, status: int) -> None:
    """It is answered, and its connection closed."""
    reader, writer = await connected(server)
    writer.write(HANDSHAKE[:-2] + extra + b"\r\n\r\n")
    assert (await answer(reader)).startswith(b"HTTP/1.1 %d " % status)
    writer.close()
