"""A client that plays a case frame by frame, and says what the server made of it.

It writes what no WebSocket library would: broken frames, single octets, bytes after a close frame.
"""

from __future__ import annotations

import asyncio
import os
import reprlib
import socket
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: What the server sent: the opcode of a whole message, or of a control frame, and its payload.
Event = tuple[int, bytes]

#: Stands for the close code of a connection that ended without a close frame: a library calls it 1006.
DROPPED = 1006

#: Stands for the look at a server that has not ended the connection yet; see ``Look``.
STILL_OPEN: Event = (-1, b"still open")


class Answers(NamedTuple):
    """A step: wait until so many events have come."""

    count: int


class Look(NamedTuple):
    """A step: give the server time to fail the connection, then note as ``STILL_OPEN`` if it has not.

    The time is that of an echo on a second socket: what the server does at once, it has done by then.
    """


class Compressed(NamedTuple):
    """A step: send a message as the negotiated permessage-deflate wants it, in frames of ``size`` octets (0: one)."""

    opcode: int
    payload: bytes
    size: int = 0


Step = bytes | Answers | Look | Compressed


class Verdict(Enum):
    """What a server's behaviour is: as RFC 6455 says, within what it lets be, or neither."""

    OK = "OK"
    NON_STRICT = "NON-STRICT"
    FAILED = "FAILED"
    UNIMPLEMENTED = "UNIMPLEMENTED"


class Case(NamedTuple):
    """What a client sends, and what may come back.

    Attributes:
        id: The number that Autobahn's suite gives it.
        about: What is sent.
        steps: What the client does, one after another, until the connection ends.
        expected: The events that are right, in one of these ways.
        non_strict: Events that are within what the RFC lets be.
        codes: The codes that the server's close frame may have; None is a close frame without a code.
        offer: The extension that the client offers.
    """

    id: str
    about: str
    steps: tuple[Step, ...]
    expected: tuple[tuple[Event, ...], ...] = ((),)
    non_strict: tuple[tuple[Event, ...], ...] = ()
    codes: frozenset[int | None] = frozenset({1000})
    offer: str = ""

    @property
    def fails(self) -> bool:
        """Whether the server has to fail the connection."""
        return not self.codes & {None, 1000}


class Outcome(NamedTuple):
    """What a server made of a case, and how that looked."""

    verdict: Verdict
    seen: str


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A masked frame, whatever RFC 6455 says of its parts."""
    first = fin << 7 | rsv << 4 | opcode
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65536:
        head = bytes((first, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + length.to_bytes(8, "big")
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def close_frame(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close frame with a code, or without."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def fragments(opcode: int, payload: bytes, size: int, *, rsv: int = 0) -> list[bytes]:
    """The frames of a message, of ``size`` octets each."""
    parts = [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]
    last = len(parts) - 1
    return [
        frame(CONTINUATION if number else opcode, part, fin=number == last, rsv=0 if number else rsv)
        for number, part in enumerate(parts)
    ]


def _masked(payload: bytes, mask: bytes) -> bytes:
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


async def play(case: Case, port: int, path: str, seconds: float) -> Outcome:
    """Play a case against the server on ``port``, whose ``path`` echoes."""
    peer = Peer(port, path)
    try:
        await asyncio.wait_for(peer.play(case), seconds)
    except asyncio.TimeoutError:
        return Outcome(Verdict.FAILED, f"{peer.told()}; then the connection stayed open")
    finally:
        await peer.end()
    return peer.judge(case)


class Peer:
    """The client's side of one connection. Lifetime: one case."""

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path
        self.events: list[Event] = []
        self.code: int | None = DROPPED
        self.deflate: _Deflate | None = None
        self.closing = False  # we have sent a close frame
        self.changed = asyncio.Event()
        self.socket = socket.socket()
        self.reading: asyncio.Task[None] | None = None

    async def play(self, case: Case) -> None:
        rest, extensions = await self.open(case.offer)
        if case.offer and "permessage-deflate" in extensions:
            self.deflate = _Deflate(extensions)
        if case.offer and self.deflate is None:
            return
        self.reading = asyncio.create_task(self.read(rest))
        for step in case.steps:
            await self.take(step)
            if self.reading.done():
                break
        await self.reading

    async def leave(self, data: bytes) -> None:
        """Have an echo, then send what ends the connection; without it, just leave."""
        rest, _ = await self.open("")
        self.reading = asyncio.create_task(self.read(rest))
        await self.take(frame(TEXT, b"are you there?"))
        await self.take(Answers(1))
        if data:
            await self.take(data)
            await self.reading

    def judge(self, case: Case) -> Outcome:
        if case.offer and self.deflate is None:
            return Outcome(Verdict.UNIMPLEMENTED, "the extension is not offered")
        events = tuple(self.events)
        if events in case.expected:
            verdict = Verdict.OK
        elif events in case.non_strict:
            verdict = Verdict.NON_STRICT
        else:
            verdict = Verdict.FAILED
        if self.code not in case.codes:
            dropped = case.fails and self.code == DROPPED and verdict is not Verdict.FAILED
            verdict = Verdict.NON_STRICT if dropped else Verdict.FAILED
        return Outcome(verdict, self.told())

    def told(self) -> str:
        """What was seen, in short."""
        names = {TEXT: "text", BINARY: "binary", PONG: "pong", STILL_OPEN[0]: "look"}
        events = [f"{names.get(opcode, opcode)} {reprlib.repr(payload)}" for opcode, payload in self.events[:4]]
        if len(self.events) > len(events):
            events.append(f"{len(self.events)} events in all")
        return ", ".join([*events, f"closed with {self.code}"])

    async def open(self, offer: str) -> tuple[bytes, str]:
        """The handshake: what follows it already, and the extensions that the server takes."""
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self.port))
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        if offer:
            lines.append(f"Sec-WebSocket-Extensions: {offer}")
        await self.write("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = await self.receive()
            if not data:
                raise ConnectionError(f"the server left within the handshake: {head!r}")
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"the server refused the handshake: {head!r}")
        headers = [line.partition(":") for line in head.decode("latin-1").split("\r\n")]
        return rest, ", ".join(
            value.strip() for name, _, value in headers if name.lower() == "sec-websocket-extensions"
        )

    async def take(self, step: Step) -> None:
        if isinstance(step, bytes):
            self.closing = self.closing or step[:1] == b"\x88"  # no case sends a close frame in parts
            await self.write(step)
        elif isinstance(step, Answers):
            while len(self.events) < step.count and not self.ended():
                self.changed.clear()
                await self.changed.wait()
        elif isinstance(step, Look):
            await echo(self.port, self.path)
            if not self.ended():
                self.events.append(STILL_OPEN)
        else:
            for part in self.compressed(step):
                await self.write(part)

    def ended(self) -> bool:
        return (self.closing and self.code != DROPPED) or self.reading is None or self.reading.done()

    def compressed(self, step: Compressed) -> list[bytes]:
        payload, rsv = (step.payload, 0) if self.deflate is None else (self.deflate.shrink(step.payload), 4)
        return fragments(step.opcode, payload, step.size or len(payload) or 1, rsv=rsv)

    async def write(self, data: bytes) -> None:
        with suppress(OSError):  # the server has left: the reader says how
            await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self.socket, 1 << 18)
        except OSError:
            return b""

    async def read(self, rest: bytes) -> None:
        """Note what comes, until the server has ended the connection."""
        try:
            async for opcode, payload in self.messages(rest):
                if opcode == CLOSE:
                    self.code = int.from_bytes(payload[:2], "big") if payload else None
                    if not self.closing:
                        self.closing = True
                        await self.write(frame(CLOSE, payload[:2]))
                elif opcode == PING:
                    await self.write(frame(PONG, payload))
                else:
                    self.events.append((opcode, payload))
                self.changed.set()
        finally:
            self.changed.set()

    async def messages(self, rest: bytes) -> AsyncIterator[Event]:
        """Whole messages and control frames."""
        buffer = bytearray(rest)
        opened: tuple[int, bool, list[bytes]] | None = None
        while True:
            for first, payload in _frames(buffer):
                opcode, fin, rsv = first & 15, bool(first & 0x80), first >> 4 & 7
                if opcode >= CLOSE:
                    yield opcode, payload
                    continue
                if opened is None:
                    opened = (opcode, rsv == 4 and self.deflate is not None, [])
                elif opcode != CONTINUATION:
                    opened = (-opcode, False, [])  # an event that no case expects
                opened[2].append(payload)
                if fin:
                    whole = b"".join(opened[2])
                    yield opened[0], self.deflate.grow(whole) if opened[1] and self.deflate else whole
                    opened = None
            data = await self.receive()
            if not data:
                return
            buffer += data

    async def end(self) -> None:
        if self.reading is not None and not self.reading.done():
            self.reading.cancel()
            with suppress(asyncio.CancelledError):
                await self.reading
        self.socket.close()


def _frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Takes the whole frames out of ``buffer``: the first octet and the payload of each."""
    while len(buffer) >= 2:
        length, start = (
            buffer[1],
            2,
        )  # never masked; a frame with a mask is one of 128 octets and more, and does not fit
        if length in (126, 127):
            start = 4 if length == 126 else 10
            if len(buffer) < start:
                return
            length = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + length:
            return
        first, payload = buffer[0], bytes(buffer[start : start + length])
        del buffer[: start + length]
        yield first, payload


class _Deflate:
    """permessage-deflate (RFC 7692) as negotiated. Lifetime: one connection."""

    def __init__(self, extensions: str) -> None:
        parameters = dict(part.strip().partition("=")[::2] for part in extensions.split(";")[1:])
        self.window = int(parameters.get("client_max_window_bits", "").strip('"') or 15)
        self.forgets = "client_no_context_takeover" in parameters
        self.server_window = int(parameters.get("server_max_window_bits", "").strip('"') or 15)
        self.server_forgets = "server_no_context_takeover" in parameters
        self.out = zlib.compressobj(wbits=-self.window)
        self.into = zlib.decompressobj(wbits=-self.server_window)

    def shrink(self, payload: bytes) -> bytes:
        data = self.out.compress(payload) + self.out.flush(zlib.Z_SYNC_FLUSH)
        if self.forgets:
            self.out = zlib.compressobj(wbits=-self.window)
        return data[:-4]

    def grow(self, data: bytes) -> bytes:
        payload = self.into.decompress(data + b"\0\0\xff\xff")
        if self.server_forgets:
            self.into = zlib.decompressobj(wbits=-self.server_window)
        return payload


async def echo(port: int, path: str) -> None:
    """An echo on a socket of its own.

    Raises:
        ConnectionError: The server does not serve it.
    """
    peer = Peer(port, path)
    try:
        await peer.leave(close_frame(1000))
    finally:
        await peer.end()
    if peer.events != [(TEXT, b"are you there?")]:
        raise ConnectionError(f"the server does not echo: {peer.told()}")


async def play_all(
    cases: Sequence[Case], port: int, path: str, *, seconds: float, together: int = 16
) -> dict[str, Outcome]:
    """Play cases, some of them at the same time.

    Returns:
        The outcome of each, by its id.
    """
    room = asyncio.Semaphore(together)

    async def one(case: Case) -> Outcome:
        async with room:
            return await play(case, port, path, seconds)

    return dict(zip((case.id for case in cases), await asyncio.gather(*map(one, cases)), strict=True))
