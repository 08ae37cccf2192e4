"""What uvicorn holds of what one client sends, in ``routechan.asgi.aborting``."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import uvicorn

from routechan import Message, route
from routechan.asgi.aborting import WebSocketProtocol
from tests.waiting import until

from .conftest import Serve
from .consumers import accept
from .test_aborting import HANDSHAKE, serving

COMPRESSED = HANDSHAKE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n"

TEXT, PING, PONG = 0x81, 0x89, 0x8A


async def opened(server: uvicorn.Server, handshake: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
    """A client with an open socket, and the server's side of it."""
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    [connection] = server.server_state.connections
    return reader, writer, connection


def frame(head: int, data: bytes = b"") -> bytes:
    """A frame of a client, with a mask of zeros."""
    assert len(data) < 65536
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([head]) + length + bytes(4) + data


def compressed(text: bytes) -> bytes:
    """The frame of a compressed message."""
    deflate = zlib.compressobj(wbits=-12)
    return frame(TEXT | 0x40, (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4])


async def test_compressed_messages_of_a_busy_consumer(serve: Serve) -> None:
    """A few bytes become a large message, and few of them are there before the consumer has taken those before."""
    held, seen = asyncio.Event(), []

    async def receive(message: Message) -> None:
        seen.append(message["text"][:3])
        await held.wait()

    application = await serve([route("websocket.connect", accept), route("websocket.receive", receive)])
    numbers = [f"{number:03}" for number in range(200)]
    sent = b"".join(compressed(number.encode() + b"0" * 60_000) for number in numbers)
    assert len(sent) > 4 * 4096
    async with serving(application, WebSocketProtocol) as server:
        _, client, connection = await opened(server, COMPRESSED)
        client.write(sent)
        await until(lambda: seen)
        assert connection.queue.qsize() < 100
        client.write(compressed(b"the last"))
        held.set()
        await until(lambda: len(seen) == 201)
        assert seen == [*numbers, "the"]
        client.close()


async def test_a_disconnect_behind_compressed_messages(serve: Serve) -> None:
    """The consumers see all of what a client sent before it closed, and its close code."""
    seen: list[object] = []

    async def receive(message: Message) -> None:
        seen.append(len(message["text"]))

    async def disconnect(message: Message) -> None:
        seen.append(message["code"])

    application = await serve(
        [
            route("websocket.connect", accept),
            route("websocket.receive", receive),
            route("websocket.disconnect", disconnect),
        ]
    )
    async with serving(application, WebSocketProtocol) as server:
        _, client, _ = await opened(server, COMPRESSED)
        client.write(compressed(b"0" * 60_000) * 200 + frame(0x88, (4001).to_bytes(2, "big")))
        await until(lambda: 4001 in seen)
        assert seen == [60_000] * 200 + [4001]
        client.close()


async def test_a_message_in_many_parts(serve: Serve) -> None:
    """Nothing is kept for each part, however small it is."""
    seen: list[str] = []

    async def receive(message: Message) -> None:
        seen.append(message["text"])

    application = await serve([route("websocket.connect", accept), route("websocket.receive", receive)])
    async with serving(application, WebSocketProtocol) as server:
        reader, client, connection = await opened(server, HANDSHAKE)
        for _ in range(2):
            client.write(frame(0x01, b"a") + frame(0x00) * 1000 + frame(0x00, b"b") * 1000 + frame(PING))
            assert await reader.readexactly(2) == bytes([PONG, 0])
            assert max(len(value) for value in vars(connection).values() if isinstance(value, list)) < 10
            client.write(frame(0x80, b"c"))
        await until(lambda: len(seen) == 2)
        assert seen == ["a" + "b" * 1000 + "c"] * 2
        client.write(frame(0x01, b"x") + frame(0x80, b"y") + frame(TEXT, b"z"))
        await until(lambda: len(seen) == 4)
        assert seen[2:] == ["xy", "z"]
        client.close()


async def test_pings_of_a_client_that_does_not_read(serve: Serve) -> None:
    """They are answered once it reads, by one pong."""
    seen: list[str] = []

    async def receive(message: Message) -> None:
        seen.append(message["text"])

    application = await serve([route("websocket.connect", accept), route("websocket.receive", receive)])
    async with serving(application, WebSocketProtocol) as server:
        reader, client, connection = await opened(server, HANDSHAKE)
        connection.pause_writing()
        client.write(b"".join(frame(PING, b"%03d" % number) for number in range(1000)) + frame(TEXT, b"go"))
        await until(lambda: seen)
        connection.resume_writing()
        client.write(frame(PING, b"end"))
        assert await reader.readexactly(10) == bytes([PONG, 3]) + b"999" + bytes([PONG, 3]) + b"end"
        client.close()
