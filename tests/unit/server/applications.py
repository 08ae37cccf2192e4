"""Applications that an ASGI server runs in these tests, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from websockets.asyncio.client import connect

from routechan.server import WebSocketProtocol

from ..asgi.test_aborting import HANDSHAKE, serving

Part = Callable[["Application", Callable[[dict[str, Any]], Awaitable[None]]], Awaitable[object]]

CLOSE, BINARY = 0x88, 0x82


class Hasty(WebSocketProtocol):
    close_timeout = 0.1


class Application:
    """An ASGI application that does what a test says once it has the handshake, and keeps what it is given.

    It serves one connection; or it is made for each, with its ``receive``.
    """

    def __init__(self, part: Part, receive: Any = None) -> None:
        self.part = part
        self.receive = receive
        self.scope: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.ended: object = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["place"] = "of the lifespan"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.scope, self.receive = scope, receive
        assert await self.next() == {"type": "websocket.connect"}
        try:
            await self.part(self, send)
        except BaseException as error:
            self.ended = error
            raise
        self.ended = True

    async def next(self) -> dict[str, Any]:
        self.events.append(await self.receive())
        return self.events[-1]

    async def until_the_end(self) -> None:
        while (await self.next())["type"] != "websocket.disconnect":
            pass


async def echo(application: Application, send: Any) -> None:
    await send({"type": "websocket.accept"})
    while (event := await application.next())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def listen(application: Application, send: Any) -> None:
    await send({"type": "websocket.accept"})
    await application.until_the_end()


async def wait(application: Application, send: Any) -> None:
    await application.until_the_end()


async def close_at_once(application: Application, send: Any) -> None:
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})
    await application.until_the_end()


def busy_until(may_go_on: asyncio.Event) -> Part:
    """A part that accepts, and receives nothing until it may."""

    async def busy(application: Application, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await may_go_on.wait()
        await application.until_the_end()

    return busy


@asynccontextmanager
async def served(
    part: Part, protocol: Any = WebSocketProtocol, **options: Any
) -> AsyncIterator[tuple[Application, Any]]:
    application = Application(part)
    async with serving(application, protocol, **options) as server:
        yield application, server


def port_of(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


#: Connections that a test leaves open.
OPENED: list[asyncio.StreamWriter] = []


def client(server: uvicorn.Server, path: str = "/", **options: Any) -> Any:
    return connect(f"ws://127.0.0.1:{port_of(server)}{path}", compression=None, **options)


async def raw(server: uvicorn.Server, request: bytes = HANDSHAKE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    OPENED.append(writer)
    writer.write(request)
    return reader, writer


async def opened(server: uvicorn.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await raw(server)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer
