"""Sockets that send numbered messages, and what became of these. For the tests, and for ``scripts/soak``.

Each socket sends its messages at a steady pace, a few at once, whether or not those before were answered, and expects
each to come back once, in order.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.waiting import stretched

#: How many messages a socket sends at once: with one there would be no order to keep.
TOGETHER = 3

#: Seconds after the last message, and after the last answer, in which missing ones may still come; stretched.
GRACE = 1.7


@dataclass
class Report:
    """What became of all messages. Times are seconds."""

    sent: int = 0
    answered: int = 0
    lost: int = 0
    twice: int = 0
    misordered: int = 0
    closed: int = 0
    #: The longest that one socket waited for an answer, to whichever of its messages.
    silence: float = 0.0
    most_lost_by_a_socket: int = 0
    latencies: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0

    def __str__(self) -> str:
        times = ", ".join(f"p{share:g} {self.percentile(share / 100) * 1000:.1f}" for share in (50, 90, 99, 99.9))
        return (
            f"{self.sent} messages, {self.answered} answered, {self.lost} lost (at most {self.most_lost_by_a_socket} "
            f"of a socket), {self.twice} twice, {self.misordered} out of order; {self.closed} sockets closed; "
            f"longest silence {self.silence:.2f} s; latency {times} ms, worst {self.percentile(1) * 1000:.0f} ms"
        )

    def broken(self) -> list[str]:
        """What must not happen whatever happens to workers."""
        wrong = {"answered twice": self.twice, "out of order": self.misordered, "sockets closed": self.closed}
        return [f"{count} {what}" for what, count in wrong.items() if count]


class Load:
    """Sockets over ``urls`` in turn, each sending a message per ``pause`` seconds on average.

    Use with ``async with``; ``report`` is there when it has ended, and after ``settle``.
    """

    def __init__(self, urls: list[str], *, sockets: int, pause: float) -> None:
        self.talks = [_Talk(urls[number % len(urls)], pause) for number in range(sockets)]
        self.report = Report()

    async def __aenter__(self) -> Load:
        for start in range(0, len(self.talks), 25):
            await asyncio.gather(*(talk.open() for talk in self.talks[start : start + 25]))
        self.go_on()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.settle()
        await asyncio.gather(*(talk.close() for talk in self.talks))

    def go_on(self) -> None:
        """Send again after ``settle``."""
        for talk in self.talks:
            talk.begin()

    async def settle(self) -> None:
        """Send no more, wait for what is missing, and give ``report`` of all messages since the last time."""
        for talk in self.talks:
            talk.stop_sending()
        stopped = time.monotonic()
        while any(talk.missing for talk in self.talks):
            heard = max(stopped, *(talk.heard for talk in self.talks))
            if time.monotonic() > heard + stretched(GRACE):
                break
            await asyncio.sleep(0.05)
        self.report = Report()
        for talk in self.talks:
            talk.add_to(self.report)

    @property
    def answered(self) -> int:
        """How many messages were answered since ``settle``."""
        return sum(talk.answered for talk in self.talks)


class _Talk:
    """One socket. Lifetime: that of the load."""

    socket: ClientConnection

    def __init__(self, url: str, pause: float) -> None:
        self._url = url
        self._pause = pause
        self._number = 0
        self._expected = 0
        self._sending: asyncio.Task[None]
        self._receiving: asyncio.Task[None] | None = None
        self._closing = False
        self.heard = 0.0
        self.closed = 0
        self._reset()

    def _reset(self) -> None:
        self._sent: dict[int, float] = {}  # on their way
        self.latencies: list[float] = []
        self.sent = 0
        self.answered = 0
        self.twice = 0
        self.misordered = 0
        self.silence = 0.0

    @property
    def missing(self) -> int:
        return len(self._sent)

    async def open(self) -> None:
        self.socket = await connect(self._url, compression=None, open_timeout=20, ping_interval=None)

    def begin(self) -> None:
        self.heard = time.monotonic()
        self._sending = asyncio.create_task(self._send())
        if self._receiving is None:
            self._receiving = asyncio.create_task(self._receive())

    def stop_sending(self) -> None:
        self._sending.cancel()

    async def close(self) -> None:
        self._closing = True
        await self.socket.close()
        if self._receiving is not None:
            await self._receiving

    async def _send(self) -> None:
        await asyncio.sleep(random.uniform(0, self._pause * TOGETHER))
        with suppress(ConnectionClosed):
            while True:
                for _ in range(TOGETHER):
                    number, self._number = self._number, self._number + 1
                    self._sent[number] = time.monotonic()
                    self.sent += 1
                    await self.socket.send(str(number))
                await asyncio.sleep(random.uniform(0.5, 1.5) * self._pause * TOGETHER)

    async def _receive(self) -> None:
        try:
            async for text in self.socket:
                self._hear(int(text))
        except ConnectionClosed:
            pass
        self.closed += not self._closing

    def _hear(self, number: int) -> None:
        now = time.monotonic()
        sent = self._sent.pop(number, None)
        if sent is None:
            self.twice += 1
            return
        self.answered += 1
        self.latencies.append(now - sent)
        self.misordered += number < self._expected
        waiting_since = min((at for other, at in self._sent.items() if other >= self._expected), default=sent)
        self.silence = max(self.silence, now - max(self.heard, min(sent, waiting_since)))
        self._expected = max(self._expected, number + 1)
        self.heard = now

    def add_to(self, report: Report) -> None:
        """And begin anew."""
        report.sent += self.sent
        report.answered += self.answered
        report.lost += len(self._sent)
        report.most_lost_by_a_socket = max(report.most_lost_by_a_socket, len(self._sent))
        report.twice += self.twice
        report.misordered += self.misordered
        report.closed += self.closed
        report.silence = max(report.silence, self.silence)
        report.latencies += self.latencies
        self._reset()
