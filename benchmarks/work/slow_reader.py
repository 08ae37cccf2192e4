"""A client that never reads: does it slow down the others of its group?"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import picows
import systems
import uvloop
from client import TEXT, Load, LoadError, Socket, spread
from sample import Sample, percentiles

from .base import Work
from .echo import Echoes

if TYPE_CHECKING:
    from bench import Bench

MEMBERS, RATE, SIZE, STAMP = 50, 300, 4000, 20
LEAST_SECONDS = 8.0
DROPPED = "does not read"


class Member(Socket):
    """One that reads; notes how long each message took. Lifetime: one connection."""

    load: Echoes

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            return  # the end of the sample
        self.load.received += 1
        self.load.times.append(time.perf_counter() - int(frame.get_payload_as_bytes()[:STAMP]) / 1e9)


def never_reading(port: int, path: str) -> socket.socket:
    """A client that does the handshake and never reads again, with a small buffer of its own."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    if b" 101 " not in answer.splitlines()[0]:
        raise LoadError(f"the handshake was refused: {answer!r}")
    return client


async def send_at_rate(load: Load, sender: Socket) -> None:
    """Messages of 4 kB that say when they left."""
    filler = b"x" * (SIZE - STAMP)
    began, sends = time.perf_counter(), 0
    while load.sending:
        load.due += MEMBERS
        sender.transport.send(TEXT, b"%0*d" % (STAMP, time.perf_counter_ns()) + filler)
        sends += 1
        await asyncio.sleep(max(0.0, began + sends / RATE - time.perf_counter()))


async def _take(bench: Bench, name: str, slow: int) -> Sample:
    with bench.running(name, "fanout", known=(DROPPED,)) as running:
        load = Echoes(running, bench.cpus(name))
        stuck = None
        sending: asyncio.Future[None] | None = None
        try:
            members = await load.open(spread(running.urls(), MEMBERS), lambda: Member(load))
            if slow:
                stuck = await asyncio.to_thread(never_reading, running.ports[0], running.target.path)
            sending = asyncio.ensure_future(send_at_rate(load, members[0]))
            sample = await load.window(bench.warmup, max(bench.seconds, LEAST_SECONDS))
            values = percentiles(load.times)
        finally:
            load.sending = False
            if sending is not None:
                await sending
            await load.close()
            if stuck is not None:
                stuck.close()
        if slow and not running.says(DROPPED):
            raise LoadError("the client that never reads was not closed; choose more --seconds")
        return replace(sample, values=values)


def take(bench: Bench, name: str, slow: int) -> Sample:
    """The time of a delivery to those who read."""
    return uvloop.run(_take(bench, name, slow))


SLOW_READER = Work(
    "slow_reader",
    f"A client that never reads: {RATE} messages/s of {SIZE} bytes to a group of {MEMBERS} others, without and with it",
    "deliveries/s",
    take,
    {0: (systems.PLAIN, systems.ASYNC), 1: (systems.PLAIN, systems.ASYNC)},
    axis="never reading",
    shown={"p50": "p50 (ms)", "p99": "p99 (ms)"},
    drawn="p99",
    smoke=1,
)
