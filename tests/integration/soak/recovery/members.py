"""A client of one group on ``routechan.v1``, whose network is cut again and again.

It is written from ``docs/spec/client-protocol.rst`` alone.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

PROTOCOL = "routechan.v1"

#: Seconds without a network.
CUT = 2.0

#: Seconds between two tries to come back, on average.
RETRY = 0.5

#: Seconds that a handshake may take.
OPEN_TIMEOUT = 20.0

#: In the place of numbers in ``Member.heard``: the client was told that it misses messages.
GAP = -1


class Member:
    """It is not cut off until ``go``. Lifetime: one run.

    Args:
        urls: where it connects to, any of them.
        group: the group that its path names.
        pause: seconds between two cuts, on average.
    """

    def __init__(self, urls: list[str], group: str, pause: float) -> None:
        self.group = group
        #: The numbers that it was given, and ``GAP``, since the last call of ``forget``.
        self.heard: list[int] = []
        self.last = 0
        #: What became of its connections: a line of the protocol -> how often.
        self.told: Counter[str] = Counter()
        self.cuts = 0
        self.open = False
        self._urls = urls
        self._pause = pause
        self._id = ""
        self._stays = True
        self._wait = 0.0

    def stay(self) -> None:
        """Have no network cut until ``go``."""
        self._stays = True

    def go(self) -> None:
        self._stays = False

    def forget(self) -> None:
        self.heard.clear()
        self.told.clear()
        self.cuts = 0

    async def run(self) -> None:
        """Connect, be cut off, come back, until cancelled."""
        while True:
            offered = [Subprotocol(PROTOCOL)]
            if self._id:
                offered.append(Subprotocol(f"{PROTOCOL}.since.{self._id}"))
            url = f"{random.choice(self._urls)}/{self.group}/"
            with suppress(OSError, WebSocketException, TimeoutError, EOFError):
                socket = await connect(
                    url, subprotocols=offered, compression=None, ping_interval=None, open_timeout=OPEN_TIMEOUT
                )
                assert socket.subprotocol == PROTOCOL, socket.subprotocol
                await self._talk(socket, back=bool(self._id))
            self.open = False
            await asyncio.sleep(max(self._wait, random.uniform(0, 2 * RETRY)))
            self._wait = 0.0

    async def _talk(self, socket: ClientConnection, back: bool) -> None:
        self.open = True
        cutting = asyncio.create_task(self._cut(socket))
        outcome = False
        try:
            with suppress(ConnectionClosed):
                while True:
                    line = self._take(await socket.recv())
                    if line in ("joined", "recovered", "gap") and not outcome:
                        outcome = True
                        self.told[f"back: {line}" if back else f"new: {line}"] += 1
        finally:
            cutting.cancel()
            socket.transport.abort()
            if back and not outcome:
                self.told["back: cut before it was told"] += 1

    async def _cut(self, socket: ClientConnection) -> None:
        """Lose the network: at once, or after two seconds in which nothing arrives and nobody knows."""
        await asyncio.sleep(random.expovariate(1 / self._pause))
        while self._stays:
            await asyncio.sleep(random.expovariate(1 / self._pause))
        self.cuts += 1
        if random.random() < 0.5:
            socket.transport.pause_reading()
            await asyncio.sleep(CUT)
            socket.transport.abort()
        else:
            self._wait = CUT
            socket.transport.abort()

    def _take(self, frame: str | bytes) -> str:
        """The word of a line that tells something, or "" for a message."""
        assert isinstance(frame, str), frame
        line, _, body = frame.partition("\n")
        if not line.startswith("!"):
            self.heard.append(int(body))
            self.last = int(body)
            self._id = line or self._id
            return ""
        word, _, rest = line[1:].partition(" ")
        if word == "retry":
            self._wait = float(rest)
        elif word in ("joined", "recovered", "gap"):
            if word == "gap":
                self.heard.append(GAP)
            self._id = rest
        else:
            raise AssertionError(f"the server says {line!r}")
        return word
