"""Clients that mean harm: what they send costs the server little, and other clients nothing."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import pytest

from routechan.server.inbox import Inbox
from tests.waiting import until

from ..asgi.test_incoming import PING, PONG, TEXT, frame
from .applications import CLOSE, Application, Part, close_at_once, echo, listen, opened, raw, served


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
