"""Many WebSocket clients in one process, as light as can be, that all come at once: as pages do after a restart."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from types import TracebackType

HOST = "127.0.0.1"

#: Seconds until a client that was refused tries again, on average; and until one that gets no answer gives up.
RETRY = 1.0
PATIENCE = 60.0

HELLO = b"hello"


def handshake(path: str) -> bytes:
    """The request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame of a client, of less than 126 bytes; its mask changes nothing."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


class Client(asyncio.Protocol):
    """Says hello once it is accepted, and answers pings. Lifetime: one connection.

    ``outcome`` is "in" once hello has come back; else the status of the refusal, the code of the close, or "cut off".
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._accepted = False
        self._data = b""
        self.outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(handshake(self._path))

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._accepted:
            self._take_response()
        while self._accepted and self._take_frame():
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._come_to("cut off")

    def _take_response(self) -> None:
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        status = int(head.split(None, 2)[1])
        if status == 101:
            self._accepted, self._data = True, rest
            self.transport.write(frame(1, HELLO))
        else:
            self._come_to(status)
            self.transport.close()

    def _take_frame(self) -> bool:
        """Whether there was one; longer ones are not looked at."""
        size = self._data[1] if len(self._data) > 1 else 0
        if len(self._data) < 2 + size:
            return False
        opcode, payload, self._data = self._data[0] & 15, self._data[2 : 2 + size], self._data[2 + size :]
        if opcode == 1 and payload == HELLO:
            self._come_to("in")
        elif opcode == 8:
            self._come_to(int.from_bytes(payload[:2], "big"))
            self.transport.close()
        elif opcode == 9:
            self.transport.write(frame(10, payload))
        return True

    def _come_to(self, outcome: object) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Crowd:
    """``count`` clients of ``path`` on ``ports`` in turn. Use with ``async with``: all come at once, and leave at once.

    A client that is refused comes again, and again. ``refusals`` has why and how often, ``seconds`` how long it took
    until all were in.
    """

    def __init__(self, ports: list[int], path: str, count: int) -> None:
        self._places = [(ports[number % len(ports)], path) for number in range(count)]
        self.clients: list[Client] = []
        self.refusals: Counter[object] = Counter()
        self.seconds = 0.0

    async def __aenter__(self) -> Crowd:
        await self.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    async def enter(self) -> None:
        began = time.monotonic()
        self.clients = list(await asyncio.gather(*(self._enter(*place) for place in self._places)))
        self.seconds = time.monotonic() - began

    def leave(self) -> None:
        for client in self.clients:
            client.transport.abort()

    @property
    def lost(self) -> int:
        """How many were in and are not any more."""
        return sum(client.lost for client in self.clients)

    async def _enter(self, port: int, path: str) -> Client:
        while True:
            try:
                _, client = await asyncio.get_running_loop().create_connection(lambda: Client(path), HOST, port)
            except OSError as error:
                outcome: object = type(error).__name__
            else:
                try:
                    outcome = await asyncio.wait_for(client.outcome, PATIENCE)
                except asyncio.TimeoutError:
                    outcome = "no answer"
                    client.transport.abort()
                if outcome == "in":
                    return client
            self.refusals[outcome] += 1
            await asyncio.sleep(random.uniform(0.5, 1.5) * RETRY)
