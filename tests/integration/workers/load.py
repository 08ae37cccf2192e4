"""Sockets that send numbered messages, and what became of these. For the tests, and for ``scripts/soak``.

Each socket sends its messages at a steady pace, a few at once, whether or not those before were answered, and expects
each to come back once, in order. What it hears as ``g<n>`` was said to a group, and has to come once and in order too.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.waiting import stretched

#: How many messages a socket sends at once: with one there would be no order to keep.
TOGETHER = 3

#: Seconds after the last message, and after the last answer, in which missing ones may still come; stretched.
GRACE = 1.7

#: Seconds between two tries of a client to connect again, on average.
RETRY = 0.5

#: Seconds within which all sockets are open again when nothing is in their way; stretched.
REOPENED = 30.0


@dataclass
class Report:
    """What became of all messages. Times are seconds."""

    sent: int = 0
    answered: int = 0
    lost: int = 0
    twice: int = 0
    misordered: int = 0
    #: Unanswered when its socket ended: its client knows that it does not know.
    in_doubt: int = 0
    #: Close code -> sockets that ended with it, though nobody closed them here.
    codes: Counter[int | None] = field(default_factory=Counter)
    #: Handshakes of clients that came back and were refused, or got no answer.
    refused: int = 0
    #: Messages to the group that open sockets did not hear.
    unheard: int = 0
    heard: int = 0
    #: The longest that one socket waited for an answer, to whichever of its messages.
    silence: float = 0.0
    most_lost_by_a_socket: int = 0
    most_unheard_by_a_socket: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def closed(self) -> int:
        return self.codes.total()

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0

    def add(self, other: Report) -> None:
        """What became of other messages."""
        for name in ("sent", "answered", "lost", "twice", "misordered", "in_doubt", "refused", "unheard", "heard"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("silence", "most_lost_by_a_socket", "most_unheard_by_a_socket"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        self.codes += other.codes
        self.latencies += other.latencies

    def __str__(self) -> str:
        times = ", ".join(f"p{share:g} {self.percentile(share / 100) * 1000:.1f}" for share in (50, 90, 99, 99.9))
        return (
            f"{self.sent} messages, {self.answered} answered, {self.lost} lost (at most {self.most_lost_by_a_socket} "
            f"of a socket), {self.in_doubt} in doubt, {self.twice} twice, {self.misordered} out of order; "
            f"{self.closed} sockets closed {dict(self.codes) or ''}, {self.refused} handshakes in vain; "
            f"{self.heard} heard of the group, {self.unheard} not; "
            f"longest silence {self.silence:.2f} s; latency {times} ms, worst {self.percentile(1) * 1000:.0f} ms"
        )

    def broken(self) -> list[str]:
        """What must not happen whatever happens to workers."""
        wrong = {"answered twice": self.twice, "out of order": self.misordered, "sockets closed": self.closed}
        return [f"{count} {what}" for what, count in wrong.items() if count]


class Load:
    """Sockets over ``urls`` in turn, each sending a message per ``pause`` seconds on average.

    Use with ``async with``; ``report`` is there when it has ended, and after ``settle``. With ``reopen``, a socket that
    ends is opened again, as a page does. ``grace`` is how long missing answers may take.
    """

    def __init__(
        self, urls: list[str], *, sockets: int, pause: float, reopen: bool = False, grace: float = GRACE
    ) -> None:
        self.talks = [_Talk(urls[number % len(urls)], pause, reopen) for number in range(sockets)]
        self._grace = grace
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
        """Send, also again after ``settle``."""
        for talk in self.talks:
            talk.begin()

    def reconnect(self) -> None:
        """All sockets end at once, as they do when a proxy is restarted, and are opened again."""
        for talk in self.talks:
            talk.socket.transport.abort()

    async def settle(
        self, last_words: Callable[[], Awaitable[int]] | None = None, given_up: Callable[[], int] = lambda: 0
    ) -> None:
        """Send no more, wait for what is missing, and give ``report`` of all messages since the last time.

        ``last_words`` says something to the group, and returns its number: whoever listens has heard it all then.
        ``given_up`` is how many messages are known to be lost, which need not be waited for.
        """
        for talk in self.talks:
            talk.stop_sending()
        last = None
        if last_words is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(
                    asyncio.gather(*(talk.opened.wait() for talk in self.talks)), stretched(REOPENED)
                )
            last = await last_words()
        stopped = time.monotonic()
        while (missing := self._missing) or not all(talk.has_heard(last) for talk in self.talks):
            quiet = time.monotonic() - max(stopped, *(talk.heard for talk in self.talks))
            if quiet > stretched(self._grace) or (quiet > GRACE and 0 < missing <= given_up()):
                break
            await asyncio.sleep(0.05)
        self.report = Report()
        for talk in self.talks:
            talk.add_to(self.report, last)

    @property
    def _missing(self) -> int:
        return sum(talk.missing for talk in self.talks)

    @property
    def answered(self) -> int:
        """How many messages were answered since ``settle``."""
        return sum(talk.answered for talk in self.talks)


class _Talk:
    """One client. Lifetime: that of the load."""

    socket: ClientConnection

    def __init__(self, url: str, pause: float, reopen: bool) -> None:
        self._url = url
        self._pause = pause
        self._reopen = reopen
        self._number = 0
        self._expected = 0
        self._listened: int | None = None  # the latest that this socket heard of the group
        self._sending: asyncio.Task[None] | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._closing = False
        self.opened = asyncio.Event()
        self.heard = 0.0
        self._reset()

    def _reset(self) -> None:
        self._sent: dict[int, float] = {}  # on their way
        self._unheard = 0
        self._here = Report()

    @property
    def missing(self) -> int:
        return len(self._sent)

    @property
    def answered(self) -> int:
        return self._here.answered

    def has_heard(self, number: int | None) -> bool:
        return number is None or not self.opened.is_set() or self._listened == number

    async def open(self) -> None:
        self.socket = await connect(self._url, compression=None, open_timeout=20, ping_interval=None)
        self.opened.set()

    def begin(self) -> None:
        self.heard = time.monotonic()
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        if self._receiving is None:
            self._receiving = asyncio.create_task(self._receive())

    def stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    async def close(self) -> None:
        self._closing = True
        await self.socket.close()
        if self._receiving is not None:
            await self._receiving

    async def _send(self) -> None:
        await asyncio.sleep(random.uniform(0, self._pause * TOGETHER))
        while True:
            await self.opened.wait()
            await self._send_some()
            await asyncio.sleep(random.uniform(0.5, 1.5) * self._pause * TOGETHER)

    async def _send_some(self) -> None:
        for _ in range(TOGETHER):
            number, self._number = self._number, self._number + 1
            self._sent[number] = time.monotonic()
            self._here.sent += 1
            try:
                await self.socket.send(str(number))
            except ConnectionClosed:
                self._here.in_doubt += self._sent.pop(number, None) is not None
                return

    async def _receive(self) -> None:
        while True:
            if self._closing:
                await self.socket.close()
            with suppress(ConnectionClosed):
                async for text in self.socket:
                    self._hear(str(text))
            self.opened.clear()
            if self._closing:
                return
            self._here.codes[self.socket.close_code] += 1
            if not self._reopen:
                return
            await self._open_again()

    async def _open_again(self) -> None:
        self._here.in_doubt += len(self._sent)
        self._sent.clear()
        self._listened = None
        while not self._closing:
            try:
                await self.open()
            except (OSError, asyncio.TimeoutError, WebSocketException):
                self._here.refused += 1
                await asyncio.sleep(random.uniform(0.5, 1.5) * RETRY)
            else:
                return

    def _hear(self, text: str) -> None:
        if text.startswith("g"):
            self._listen(int(text[1:]))
        else:
            self._take_answer(int(text))

    def _listen(self, number: int) -> None:
        last, here = self._listened, self._here
        here.heard += 1
        if last is not None and number <= last:
            here.twice += number == last
            here.misordered += number < last
            return
        self._unheard += 0 if last is None else number - last - 1
        self._listened = number

    def _take_answer(self, number: int) -> None:
        here, now = self._here, time.monotonic()
        sent = self._sent.pop(number, None)
        if sent is None:
            here.twice += 1
            return
        here.answered += 1
        here.latencies.append(now - sent)
        here.misordered += number < self._expected
        waiting_since = min((at for other, at in self._sent.items() if other >= self._expected), default=sent)
        here.silence = max(here.silence, now - max(self.heard, min(sent, waiting_since)))
        self._expected = max(self._expected, number + 1)
        self.heard = now

    def add_to(self, report: Report, last: int | None) -> None:
        """Of all messages since the last time, ``last`` being what was said to the group last. And begin anew."""
        here = self._here
        if not self.has_heard(last):
            self._unheard += 1 if self._listened is None else (last or 0) - self._listened
            self._listened = last
        here.lost = here.most_lost_by_a_socket = self.missing
        here.unheard = here.most_unheard_by_a_socket = self._unheard
        report.add(here)
        self._reset()
