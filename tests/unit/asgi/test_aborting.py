"""A client that was closed for not reading is gone, on a server that can abort connections; elsewhere it is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from routechan import Group, Message, route
from routechan.asgi.aborting import WebSocketProtocol
from routechan.server import WebSocketProtocol as OurProtocol
from tests.waiting import until

from .clients import logged
from .conftest import Serve
from .consumers import join

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Aborting(WebSocketProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = 0.1


class Ours(OurProtocol):
    close_timeout = 0.1


#: The protocols that abort.
ABORT = pytest.mark.parametrize("protocol", [Aborting, Ours])


@asynccontextmanager
async def serving(application: Any, protocol: type[asyncio.Protocol], **options: Any) -> AsyncIterator[uvicorn.Server]:
    """A server of ``application`` on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, ws=protocol, log_level="critical", **options))
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield server
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]
        server.should_exit = True
        await task


async def deaf(server: uvicorn.Server) -> asyncio.StreamWriter:
    """A client that opens a socket and reads nothing behind the handshake."""
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return writer


async def overflow() -> None:
    """Send more to the group than the kernel takes and the socket may keep."""
    for _ in range(40):
        await Group("all").asend({"text": "x" * 1_000_000})


ROUTING = [route("websocket.connect", join)]


@pytest.mark.parametrize("protocol", [Aborting, Ours, WebSocketsSansIOProtocol])
async def test_a_deaf_client(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, protocol: type[asyncio.Protocol]
) -> None:
    """Its descriptor is closed soon after; where the server cannot do that, the log says what remains and what can."""
    monkeypatch.setattr("routechan.asgi.websocket.CLOSE_TIMEOUT", 0.1)
    application = await serve(ROUTING)
    async with serving(application, protocol) as server:
        client = await deaf(server)
        await until(lambda: len(application._server.sockets) == 1)  # type: ignore[union-attr]
        await overflow()
        await until(lambda: len(application._server.sockets) == 0)  # type: ignore[union-attr]
        if protocol is not WebSocketsSansIOProtocol:
            await until(lambda: not server.server_state.connections, "the end of the connection")
            assert len(logged(caplog)) == 1
        else:
            [connection] = server.server_state.connections
            assert connection.transport.get_write_buffer_size() != 0  # type: ignore[union-attr]
            assert "does not even take its close" in logged(caplog)[1]
        client.transport.abort()


@ABORT
async def test_a_deaf_client_that_a_consumer_closes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, protocol: type[asyncio.Protocol]
) -> None:
    """Also where a consumer closes it, behind what the client does not read."""
    monkeypatch.setattr("routechan.asgi.websocket.CLOSE_TIMEOUT", 0.1)

    async def close(message: Message) -> None:
        message.reply_channel.send({"accept": True, "text": "x" * 10_000_000, "close": True})

    application = await serve([route("websocket.connect", close)])
    async with serving(application, protocol) as server:
        client = await deaf(server)
        await until(lambda: not server.server_state.connections, "the end of the connection")
        client.transport.abort()


@ABORT
async def test_a_client_that_answers_no_ping(serve: Serve, protocol: type[asyncio.Protocol]) -> None:
    """Nor reads what was sent before: its consumer sees the disconnect."""
    seen: list[int] = []

    async def connect(message: Message) -> None:
        message.reply_channel.send({"text": "x" * 10_000_000})

    async def disconnect(message: Message) -> None:
        seen.append(message["code"])

    application = await serve([route("websocket.connect", connect), route("websocket.disconnect", disconnect)])
    async with serving(application, protocol, ws_ping_interval=0.05, ws_ping_timeout=0.05) as server:
        client = await deaf(server)
        await until(lambda: seen, "the disconnect")
        await until(lambda: not server.server_state.connections)
        client.transport.abort()
