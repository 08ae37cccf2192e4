"""Clients that speak ``routechan.v1``, and those that do not, on every kind of server."""

from __future__ import annotations

import asyncio
import json
import secrets

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.processes import ServerProcess
from tests.waiting import stretched

pytestmark = pytest.mark.slow

V1 = Subprotocol("routechan.v1")

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


def url(server: ServerProcess, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client, whose mask changes nothing."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


async def test_frames_behind_lines(server: ServerProcess) -> None:
    """Text and bytes travel behind an empty line in both directions, of replies and of messages to groups."""
    async with connect(url(server, "/echo/"), subprotocols=[V1], compression=None) as socket:
        assert socket.subprotocol == V1
        for frame in ("\ngrößer\n", b"\n\x00\n\xff"):
            await socket.send(frame)
            assert await socket.recv() == frame
    async with (
        connect(url(server, "/room/v1/"), subprotocols=[V1]) as one,
        connect(url(server, "/room/v1/")) as plain,
    ):
        await plain.send("hello")
        assert await plain.recv() == "hello"
        assert await one.recv() == "\nhello"


async def test_an_id_of_any_length_is_offered(server: ServerProcess) -> None:
    """The longest id that a client may have fits in its handshake, and consumers don't see it."""
    since = Subprotocol(f"routechan.v1.since.{'x' * 4000}")
    async with connect(url(server, "/tell/x/"), subprotocols=[V1, since]) as socket:
        assert socket.subprotocol == V1
        told = json.loads((await socket.recv()).partition("\n")[2])  # type: ignore[arg-type]
    assert "sec-websocket-protocol" not in dict(told["headers"])


async def test_a_broken_line(server: ServerProcess) -> None:
    """The server closes with 1002."""
    if server.kind == "daphne":
        pytest.skip("daphne sends no close codes but 1000 and those from 3000 on")
    async with connect(url(server, "/echo/"), subprotocols=[V1]) as socket:
        await socket.send("hello")
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1002


async def heard(socket: ClientConnection, last: str) -> list[tuple[str, str]]:
    """The lines and bodies of the frames up to the one whose line, or body, begins with ``last``."""
    frames: list[tuple[str, str]] = []
    while not frames or not any(part.startswith(last) for part in frames[-1]):
        line, _, body = str(await asyncio.wait_for(socket.recv(), stretched(10))).partition("\n")
        frames.append((line, body))
    return frames


async def say(server: ServerProcess, room: str, *texts: str) -> None:
    async with connect(url(server, f"/kept/{room}/")) as socket:
        await socket.recv()
        for text in texts:
            await socket.send(text)
            assert [await socket.recv() for _ in "ab"] == [f"a: {text}", f"b: {text}"]


async def test_a_client_comes_back(server: ServerProcess) -> None:
    """It is given what it missed of both groups, in order, and told so; if that is too much, it is told of gaps."""
    room = secrets.token_hex(4)
    path = url(server, f"/kept/{room}/")
    async with connect(path, subprotocols=[V1]) as socket:
        frames = await heard(socket, "!joined")
        assert [body for line, body in frames if not line] == ["[null, null]"]
        await say(server, room, "one")
        id, _ = (await heard(socket, "b: one"))[-1]
    await say(server, room, "two", "three")
    async with connect(path, subprotocols=[V1, Subprotocol(f"routechan.v1.since.{id}")]) as socket:
        assert socket.subprotocol == V1
        frames = await heard(socket, "!recovered")
        assert [body for line, body in frames if line and body] == ["a: two", "a: three", "b: two", "b: three"]
        assert [body for line, body in frames if not line] == ["[true, true]"]
    since = Subprotocol(f"routechan.v1.since.{frames[-1][0].partition(' ')[2]}")
    await say(server, room, *"123456")
    async with connect(path, subprotocols=[V1, since]) as socket:
        frames = await heard(socket, "[")
        assert [line.partition(" ")[0] for line, _ in frames] == ["!gap", "!gap", ""]
        assert frames[-1][1] == "[false, false]"
        await say(server, room, "newer")
        frames = await heard(socket, "b: newer")
        assert [body for _, body in frames] == ["a: newer", "b: newer"]  # and nothing is said behind the gaps


async def test_a_client_that_asks_for_nothing_gets_the_bytes_it_always_got(server: ServerProcess) -> None:
    """The recorded frames of an echo, of bytes and of a message to a group, byte for byte, and no subprotocol."""
    transcript = [
        ("/echo/", masked(1, b"hello"), bytes([0x81, 5]) + b"hello"),
        ("/echo/", masked(1, b"!ask 7\nwho?"), bytes([0x81, 11]) + b"!ask 7\nwho?"),
        ("/echo/", masked(2, b"\n\x00"), bytes([0x82, 2]) + b"\n\x00"),
        ("/room/raw/", masked(1, b"to all"), bytes([0x81, 6]) + b"to all"),
        ("/kept/raw/", masked(1, b"x"), b"\x81\x0c[null, null]" + b"\x81\x04a: x" + b"\x81\x04b: x"),
    ]
    for path, sent, expected in transcript:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE.format(path=path, port=server.port, more="").encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), stretched(10))
        assert head.startswith(b"HTTP/1.1 101")
        assert b"sec-websocket-protocol" not in head.lower()
        writer.write(sent)
        assert await asyncio.wait_for(reader.readexactly(len(expected)), stretched(10)) == expected
        writer.write(masked(8, (1000).to_bytes(2, "big")))
        end = await asyncio.wait_for(reader.read(), stretched(10))
        assert end in (b"", bytes([0x88, 2]) + (1000).to_bytes(2, "big")), end
        writer.close()


@pytest.mark.parametrize("path", ["/ask/", "/aask/"])
async def test_questions(server: ServerProcess, path: str) -> None:
    """Both sides ask and answer; an answer overtakes the messages that wait for the consumer which has asked."""
    async with connect(url(server, path), subprotocols=[V1]) as socket:

        async def hears() -> str:
            return str(await asyncio.wait_for(socket.recv(), stretched(10)))

        for number in (1, 2):
            await socket.send(f"!ask {number}\nwho?")
            assert await hears() == f"!answer {number}\nWHO?"
            await socket.send("\nsure?")
            assert await hears() == f"!ask {number}\nsure?"
            await socket.send(f"!ask {number + 100}\nwaits")
            await socket.send(f"!answer {number}\nyes")
            assert await hears() == "\n{'text': 'yes'}"
            assert await hears() == f"!answer {number + 100}\nWAITS"
