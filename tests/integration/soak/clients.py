"""Clients that come all at once, that do not read, that vanish, that never finish their handshake."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack

from tests.crowd import Crowd, handshake
from tests.integration.workers.fleet import descriptors, resident
from tests.integration.workers.load import Load
from tests.waiting import stretched

from .announcer import Announcer
from .faults import CUT_OFF, Cost
from .site import PING, Site

#: Deaf clients of each kind.
DEAF = 10

#: How the documented limits refuse those who come: the time a handshake has, room on a channel.
REFUSALS = {403, 503, 1013}

#: Bytes of a message that fills the buffers of those who do not read.
LONG = 100_000

#: Seconds until clients that were told goodbye and do not listen are aborted, and some for the rest; stretched.
GONE = PING * 2 + 10.0 + 10.0


class Clients:
    """Each method is something that clients do, and what it may cost the others. Lifetime: one run."""

    def __init__(self, site: Site, load: Load, announcer: Announcer, crowds: list[int]) -> None:
        self._site = site
        self._load = load
        self._announcer = announcer
        self._crowds = crowds  # the last is for all further times

    async def storm(self) -> Cost:
        """All sockets end and come back at once, and a crowd with them: nobody is left out."""
        site, count = self._site, self._crowds[0]
        if len(self._crowds) > 1:
            self._crowds.pop(0)
        pid, ports = site.servers[0].process.pid, [server.port for server in site.servers]
        before = resident(pid), descriptors(pid)
        self._load.reconnect()
        async with Crowd(ports, "/crowd/", count) as crowd:
            during = resident(pid), descriptors(pid)
            if crowd.lost:
                site.complaints.append(f"{crowd.lost} of a crowd were closed")
        await self._until_gone()
        after = resident(pid), descriptors(pid)
        print(
            f"         {count} more came at once: all in after {crowd.seconds:.1f} s, refused before: "
            f"{dict(crowd.refusals) or 'nobody'}; the server before, with them and after: "
            + ", ".join(f"{memory / 1024:.0f} MiB, {files} descriptors" for memory, files in (before, during, after)),
            flush=True,
        )
        if not set(crowd.refusals) <= REFUSALS:
            site.complaints.append(f"a crowd was refused: {dict(crowd.refusals)}")
        return Cost(codes={CUT_OFF}, at_once=False)

    async def deaf(self) -> Cost:
        """Clients that read nothing while much is said, that answer no ping, that send half a handshake or just leave.

        Nobody else notices anything.
        """
        port = self._site.servers[0].port
        with ExitStack() as stack:
            for _ in range(DEAF):
                stack.enter_context(await asyncio.to_thread(_open, port, "/deaf/"))
                stack.enter_context(await asyncio.to_thread(_open, port, "/vanished/"))
                stack.enter_context(_connect(port, handshake("/stalled/")[:60]))
                _connect(port, handshake("/left/")).close()
            began = time.monotonic()
            while time.monotonic() < began + 6:
                await self._announcer.layer.group_send("deaf", {"text": "x" * LONG})
                await asyncio.sleep(0.05)
            await self._until_gone()
        return Cost(at_once=False)

    async def _until_gone(self) -> None:
        """Wait until the disconnects of all but the load have run."""
        deadline = time.monotonic() + stretched(GONE)
        while (extra := self._site.ledger.open() - len(self._load.talks)) > 0:
            if time.monotonic() > deadline:
                self._site.complaints.append(f"{extra} clients that left, or are deaf, were not disconnected")
                return
            await asyncio.sleep(0.1)


def _connect(port: int, request: bytes) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(stretched(20.0))
    made.connect(("127.0.0.1", port))
    made.sendall(request)
    return made


def _open(port: int, path: str) -> socket.socket:
    """A WebSocket that reads nothing from now on."""
    made = _connect(port, handshake(path))
    head = b""
    while b"\r\n\r\n" not in head:
        head += made.recv(1) or b"\r\n\r\n"
    assert head.split()[1] == b"101", head
    return made
