"""Who reads the transport of an open connection: a parser, or nobody while there is nothing to parse."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.waiting import until

from ..asgi.test_incoming import PING, PONG, TEXT, frame
from .applications import (
    CLOSE,
    Application,
    Hasty,
    busy_until,
    client,
    close_at_once,
    echo,
    listen,
    opened,
    raw,
    served,
)


def has_parser(connection: Any) -> bool:
    return connection.transport.get_protocol() is not connection


def head_of(kind: int, size: int) -> bytes:
    """The beginning of a frame of any size, with a mask of zeros."""
    if size < 65_536:
        return frame(kind, b"x" * size)[:-size]
    return bytes((kind, 0xFF)) + size.to_bytes(8, "big") + bytes(4)


async def test_a_connection_that_says_nothing_has_no_parser() -> None:
    """It gets one with its first frame; the answer to a ping alone needs none, and frees it."""
    async with served(echo, ws_ping_interval=0.02, ws_ping_timeout=5) as (_, server), client(server) as socket:
        [connection] = server.server_state.connections
        parsers = 0
        for text in ("first", "after a silence", "é" * 10_000):
            assert not has_parser(connection)
            await socket.send(text)
            assert await socket.recv() == text
            parsers += has_parser(connection)
            await until(lambda: not has_parser(connection), "a pong")
            await until(lambda: not connection._keepalive._pending, "a pong without a parser")
        assert parsers > 0


async def test_the_memory_of_a_large_message_is_freed() -> None:
    """A parser keeps what its largest frame took, so it goes with it."""
    async with served(echo) as (_, server), client(server, max_size=None) as socket:
        [connection] = server.server_state.connections
        for size in (10, 1_000_000, 10, 1_000_000):
            await socket.send(b"x" * size)
            assert len(await socket.recv()) == size
            assert has_parser(connection) is (size == 10)


@pytest.mark.parametrize("size", [100, 2_000, 70_000])
async def test_a_frame_that_comes_in_pieces(size: int) -> None:
    """A parser that holds a part of a frame is not freed, whatever the keepalive does meanwhile."""
    async with served(echo, ws_ping_interval=0.02, ws_ping_timeout=5) as (application, server):
        reader, writer = await opened(server)
        data = head_of(0x81, size) + b"x" * size
        for times, at in enumerate((1, 2, 10, 14, 50, size), 1):
            writer.write(data[:at])
            ping = await reader.readexactly(6)
            writer.write(data[at:] + frame(PONG, ping[2:]))
            while (head := await reader.readexactly(2)) == b"\x89\x04":
                writer.write(frame(PONG, await reader.readexactly(4)))
            assert head[0] == 0x81
            await reader.readexactly({100: 0, 2_000: 2, 70_000: 8}[size])
            assert await reader.readexactly(size) == b"x" * size
            assert len(application.events) == 1 + times


async def test_all_that_comes_at_once_after_a_silence() -> None:
    """Small frames before and behind one that frees the parser; no more is taken than the application reads."""
    sizes = [3, 65_535, 5, *range(200), 65_000, 7]
    frames = b"".join(frame(TEXT, b"x" * size) for size in sizes)
    large = head_of(0x82, 80_000) + b"y" * 80_000
    may_go_on = asyncio.Event()
    async with served(busy_until(may_go_on)) as (application, server):
        _, writer = await opened(server)
        writer.write(frames + large + frame(TEXT, b"last") + frame(CLOSE, b"\x03\xe8"))
        may_go_on.set()
        await until(lambda: application.ended)
        received = [event.get("text") or event.get("bytes") or "" for event in application.events[1:-1]]
        assert [len(message) for message in received] == [*sizes, 80_000, 4]
        assert application.events[-1]["code"] == 1000


async def test_what_comes_before_the_handshake_is_answered() -> None:
    asked, may_accept = asyncio.Event(), asyncio.Event()

    async def late(application: Application, send: Any) -> None:
        asked.set()
        await may_accept.wait()
        await echo(application, send)

    async with served(late) as (_, server):
        reader, writer = await raw(server)
        await asked.wait()
        [connection] = server.server_state.connections
        writer.write(frame(TEXT, b"1") + frame(TEXT, b"2")[:3])
        await until(lambda: connection._early)
        may_accept.set()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(3) == b"\x81\x011"
        writer.write(frame(TEXT, b"2")[3:] + frame(PING, b"?"))
        assert await reader.readexactly(6) == b"\x81\x012\x8a\x01?"


async def test_the_close_of_a_client_that_never_said_anything() -> None:
    """It ends the connection at once, whichever side closed first."""
    async with served(listen) as (application, server):
        reader, writer = await opened(server)
        writer.write(frame(CLOSE, b"\x0f\xa1bye"))
        assert await reader.read() == b"\x88\x02\x0f\xa1"
        await until(lambda: application.ended)
        assert application.events[-1] == {"type": "websocket.disconnect", "code": 4001, "reason": "bye"}
    async with served(close_at_once) as (application, server):
        reader, writer = await opened(server)
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"
        [connection] = server.server_state.connections
        writer.write(frame(TEXT, b"crossed"))
        writer.write(frame(CLOSE, b"\x03\xe8"))
        assert await reader.read() == b""
        await until(lambda: not server.server_state.connections)
        assert connection._early == b""


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", 1005),
        (b"\x03\xe9", 1001),
        (b"\x03\xed", 1002),  # 1005 may not travel
        (b"\x03", 1002),
        (b"\x03\xe8\xff", 1007),  # a reason that is not UTF-8
    ],
)
async def test_closes_without_a_parser(sent: bytes, code: int) -> None:
    """What is wrong is found as by the parser."""
    async with served(listen) as (application, server):
        reader, writer = await opened(server)
        writer.write(frame(CLOSE, sent))
        answer = await reader.read()
        assert answer[2:4] == (b"" if code == 1005 else code.to_bytes(2, "big"))
        await until(lambda: application.ended)
        assert application.events[-1]["code"] == code


async def test_pings_without_a_parser() -> None:
    """They are answered with what they carry, masked or not by zeros; none after the close of this side."""
    async with served(listen) as (_, server):
        reader, writer = await opened(server)
        [connection] = server.server_state.connections
        for payload in (b"", b"?", b"x" * 125):
            mask = b"\x01\x02\x03\x04"
            masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
            writer.write(bytes((PING, 0x80 | len(payload))) + mask + masked)
            assert await reader.readexactly(2 + len(payload)) == bytes((PONG, len(payload))) + payload
            assert not has_parser(connection)
    async with served(close_at_once) as (_, server):
        reader, writer = await opened(server)
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"
        writer.write(frame(PING, b"late"))
        await asyncio.sleep(0.05)
        writer.write(frame(CLOSE, b"\x03\xe8"))
        assert await reader.read() == b""


async def test_a_wrong_pong_without_a_parser() -> None:
    """One that answers no ping keeps nobody alive."""
    async with served(listen, Hasty, ws_ping_interval=0.02, ws_ping_timeout=0.2) as (application, server):
        reader, writer = await opened(server)
        ping = await reader.readexactly(6)
        writer.write(frame(PONG, bytes(byte ^ 1 for byte in ping[2:])))
        await until(lambda: application.ended)
        assert application.events[-1]["code"] == 1011
