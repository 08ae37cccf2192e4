"""Those who wait for a message, on event loops and on threads."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..exceptions import WouldBlock


class Stored(NamedTuple):
    """A message that waits for its reader. ``expires`` is a time of the store's clock, in seconds."""

    number: int
    expires: float
    channel: str
    data: bytes


#: ``Stored`` of a tuple of its items, at a third of the price: a group message makes one for each member.
make_stored = functools.partial(tuple.__new__, Stored)


class Waiter:
    """Somebody waiting for one message of some queues. Lifetime: one ``receive`` call."""

    __slots__ = ("item", "queues")

    #: How many messages it takes.
    room = 1

    def __init__(self, queues: Sequence[str]) -> None:
        self.queues = queues
        self.item: Stored | None = None

    def accepts(self, channel: str) -> bool:
        """Whether this waiter takes what was sent to ``channel``."""
        return True

    def received(self) -> Stored:
        """What it was given. Only for who was woken, or has taken something: the store gives before it wakes."""
        if self.item is None:
            raise RuntimeError("woken without a message")
        return self.item

    def give(self, item: Stored) -> bool:
        """Take ``item``; whether it waits for more, and need not be told with ``wake``."""
        self.item = item
        return False

    def give_back(self) -> list[Stored]:
        """What it was given, and nobody has taken yet."""
        item, self.item = self.item, None
        return [] if item is None else [item]


class LoopWaiter(Waiter):
    """A task that waits for a message of ``channel``, or without one for whatever its queues get."""

    __slots__ = ("channel", "future", "loop")

    def __init__(self, queues: Sequence[str], channel: str | None = None) -> None:
        self.queues = queues  # not through super(): one is made for each message received
        self.item = None
        self.channel = channel
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()

    def accepts(self, channel: str) -> bool:
        return self.channel is None or self.channel in (channel, self.queues[0])


class ThreadWaiter(Waiter):
    """A thread that waits for whatever its queues get."""

    __slots__ = ("woken",)

    def __init__(self, queues: Sequence[str]) -> None:
        super().__init__(queues)
        self.woken = threading.Event()


class Subscriber(Waiter):
    """Somebody who takes messages of its queues as long as there is room. Lifetime: subscription."""

    __slots__ = ("room",)

    def __init__(self, queues: Sequence[str], room: int) -> None:
        super().__init__(queues)
        self.room = room


def wake(waiters: Iterable[Waiter]) -> list[Waiter]:
    """Tell ``waiters`` that they have their message, each event loop once; returns those whose loop is closed."""
    loops: dict[asyncio.AbstractEventLoop, list[LoopWaiter]] = {}
    for waiter in waiters:
        if isinstance(waiter, LoopWaiter):
            waiting = loops.get(waiter.loop)
            if waiting is None:
                waiting = loops[waiter.loop] = []
            waiting.append(waiter)
        elif isinstance(waiter, ThreadWaiter):
            waiter.woken.set()
    gone: list[Waiter] = []
    if loops:
        here = running_loop()
        for loop, together in loops.items():
            if loop is here:
                _resolve(together)
            else:
                try:
                    loop.call_soon_threadsafe(_resolve, together)
                except RuntimeError:  # closed while they waited
                    gone += together
    return gone


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop this thread runs, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def refuse_on_loop(what: str, twin: str) -> None:
    """Raise ``WouldBlock`` on a running event loop."""
    if running_loop() is not None:
        raise WouldBlock(f"{what} would block the event loop; write: {twin}")


def _resolve(waiters: list[LoopWaiter]) -> None:
    for waiter in waiters:
        if not waiter.future.done():
            waiter.future.set_result(None)
