"""Clients that mean harm: what they send costs the server little, and other clients nothing."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import pytest

from routechan.server import WebSocketProtocol
from routechan.server.inbox import Inbox
from tests.waiting import until

from ..asgi.test_aborting import HANDSHAKE, serving
from ..asgi.test_incoming import PING, PONG, TEXT, frame
from .applications import CLOSE, Application, Hasty, Part, close_at_once, echo, listen, opened, raw, served


@pytest.mark.parametrize("early", [False, True])
async def test_tiny_frames(early: bool) -> None:
    """However many a client sends at once, few are taken apart at a time: others are served meanwhile."""
    may_go_on = asyncio.Event()

    async def busy(application: Application, send: Any) -> None:
        if early:
            await may_go_on.wait()
        await send({"type": "websocket.accept"})
        await may_go_on.wait()
        await application.until_the_end()

    async with served(busy) as (application, server):
        reader, writer = await raw(server)
        if not early:
            await reader.readuntil(b"\r\n\r\n")
        await until(lambda: application.scope)
        [connection] = server.server_state.connections
        most: list[int] = []
        put = Inbox.put_soon

        def measured(self: Inbox, event: Any) -> None:
            put(self, event)
            most.append(len(self))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Inbox, "put_soon", measured)
            writer.write(frame(PONG) * 100_000 + frame(TEXT) * 100_000 + frame(CLOSE, b"\x03\xe8"))
            await asyncio.sleep(0.3)
            may_go_on.set()
            await until(lambda: application.ended)
        assert max(most) < 3000
        assert len(application.events) == 100_002
        assert len(connection._early) == 0


@pytest.mark.parametrize("part", [listen, echo], ids=["pings", "messages"])
async def test_a_client_is_lost_with_many_answers_to_come(part: Part, caplog: pytest.LogCaptureFixture) -> None:
    """They are not lines in the log."""
    async with served(part) as (application, server):
        _, writer = await opened(server)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(frame(PING if part is listen else TEXT, b"x") * 200)
        writer.transport.abort()
        time.sleep(0.05)  # the reset is there before anything is read
        await until(lambda: application.ended)
        assert caplog.text == ""


@pytest.mark.parametrize(
    "sent",
    [b"\x83\x80", b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4)],
    ids=["a reserved opcode", "too large"],
)
async def test_a_client_that_breaks_a_rule_after_the_close(sent: bytes) -> None:
    """Nothing of what it sends is kept."""
    async with served(close_at_once) as (application, server):
        reader, writer = await opened(server)
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"
        writer.write(sent + bytes(1000))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await until(lambda: not server.server_state.connections)
        assert application.events[-1]["code"] == 1000


async def test_parts_of_a_message_after_the_close() -> None:
    """They are not put together."""
    async with served(close_at_once) as (_, server):
        reader, writer = await opened(server)
        [connection] = server.server_state.connections
        for head in (0x02, *[0x00] * 100, TEXT | 0x40, PING):
            writer.write(frame(head, b"x" * 100))
        await asyncio.sleep(0.05)
        assert not connection._fragments
        writer.write(frame(CLOSE, b"\x03\xe8"))
        assert await reader.read() == b"\x88\x02\x03\xe8"
        await until(lambda: not server.server_state.connections)


def conversation() -> list[bytes]:
    """A handshake, messages and a close, in the steps that a client may break off after: each byte that matters."""
    steps = [HANDSHAKE[:1], HANDSHAKE[1:40], HANDSHAKE[40:-1], HANDSHAKE[-1:]]
    for data in (
        frame(TEXT, b"whole"),
        frame(0x01, b"a part"),
        frame(PING, b"between"),
        frame(0x80, b"the rest"),
        frame(0x82, b"x" * 3000),
        frame(CLOSE, b"\x03\xe8"),
    ):
        steps += [data[:1], data[1:2], data[2:5], data[5:7], data[7:]]
    return [step for step in steps if step]


@pytest.mark.parametrize("part", [listen, echo, close_at_once], ids=["listen", "echo", "close"])
async def test_a_reset_at_every_step(part: Part, caplog: pytest.LogCaptureFixture) -> None:
    """Whenever a client breaks off, its application is told, nothing is left of it, and nothing is logged."""
    steps = conversation()
    applications: list[Application] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        applications.append(Application(part))
        await applications[-1](scope, receive, send)

    async with serving(application, WebSocketProtocol) as server:
        for count in range(len(steps) + 1):
            _, writer = await raw(server, b"")
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for step in steps[:count]:
                writer.write(step)
                await asyncio.sleep(0)
            writer.transport.abort()
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)
    sockets = [each for each in applications if each.scope]
    assert len(sockets) > 10
    assert all(each.ended for each in sockets)
    assert caplog.text == ""


async def test_a_frame_that_never_ends() -> None:
    """Bytes that trickle in are no sign of life: the answer to a ping cannot come before the frame has ended."""
    async with served(echo, Hasty, ws_ping_interval=0.05, ws_ping_timeout=0.3) as (application, server):
        _, writer = await opened(server)
        writer.write(bytes((TEXT, 0xFF)) + (100_000).to_bytes(8, "big") + bytes(4))
        sent = 0
        while not application.ended:
            writer.write(b"x")
            sent += 1
            await asyncio.sleep(0.01)
        assert application.events[-1]["code"] == 1011
        assert sent < 100_000
        await until(lambda: not server.server_state.connections)


async def test_a_stop_while_clients_do_harm() -> None:
    """A server that spreads its closes ends in time, whatever its clients do meanwhile."""

    class Draining(Hasty):
        drain_time = 0.2

    ended: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        one = Application(echo)
        await one(scope, receive, send)
        if one.scope:
            ended.append(one.events[-1]["code"])

    async with serving(application, Draining) as server:
        writers = [(await opened(server))[1] for _ in range(12)]
        _, early = await raw(server, HANDSHAKE[:50])
        server.should_exit = True
        end = asyncio.get_running_loop().time() + 10
        while server.server_state.connections and asyncio.get_running_loop().time() < end:
            for number, writer in enumerate(writers):
                if writer.transport.is_closing():
                    continue
                writer.write((frame(TEXT, b"more"), frame(PING, b"?"), bytes((TEXT,)), b"\x83\x80")[number % 4])
            await asyncio.sleep(0.01)
        assert not server.server_state.connections
        early.close()
    assert len(ended) == 12
    assert set(ended) <= {1002, 1012}
