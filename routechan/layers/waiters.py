"""Waiters for messages of a store, on event loops and on threads."""

from __future__ import annotations

import asyncio
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from ..concurrency import running_loop
from .envelope import Envelope


class Waiter:
    """A wait for one message of some queues. Lifetime: one ``receive`` call.

    Args:
        queues: the names of the queues.
    """

    __slots__ = ("item", "queues")

    #: How many messages it takes.
    slots = 1

    #: How many of its slots the messages of one queue may hold; None where there is but one slot.
    share: int | None = None

    #: The one channel whose messages it takes; None for whatever its queues get.
    channel: str | None = None

    def __init__(self, queues: Sequence[str]) -> None:
        self.queues = queues
        self.item: Envelope | None = None

    def room(self, queue: str) -> int:
        """How many messages of ``queue`` it takes now."""
        return self.slots

    def accepts(self, channel: str) -> bool:
        """Whether this waiter takes a message to ``channel``; always True where its own ``channel`` is None."""
        return self.channel is None or self.channel in (channel, self.queues[0])

    def received(self) -> Envelope:
        """The message that was given to this waiter.

        Call it after ``wake``, or after ``Store.take`` returned True.

        Raises:
            RuntimeError: there is no message.
        """
        if self.item is None:
            raise RuntimeError("woken without a message")
        return self.item

    def give(self, item: Envelope) -> bool:
        """Whether the waiter, which takes ``item``, goes on waiting for more, so that it need not be woken."""
        self.item = item
        return False

    def give_back(self) -> list[Envelope]:
        """The messages that were given to this waiter and not received yet; it has them no longer."""
        item, self.item = self.item, None
        return [] if item is None else [item]


class LoopWaiter(Waiter):
    """A task that waits for a message. Lifetime: one ``receive`` call.

    Args:
        queues: the names of the queues.
        channel: the one channel whose messages it takes; None for all messages of ``queues``.
    """

    __slots__ = ("channel", "future", "loop")

    def __init__(self, queues: Sequence[str], channel: str | None = None) -> None:
        self.queues = queues  # not through super(), for speed: each message received makes one
        self.item = None
        self.channel = channel
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()


class ThreadWaiter(Waiter):
    """A thread that waits for any message of ``queues``. Lifetime: one ``receive`` call."""

    __slots__ = ("woken",)

    def __init__(self, queues: Sequence[str]) -> None:
        super().__init__(queues)
        self.woken = threading.Event()


class Subscriber(Waiter, ABC):
    """A reader that takes messages of its queues, in turn, as long as slots are free. Lifetime: subscription."""

    __slots__ = ("share", "slots")

    queues: list[str]  # in rotation: the one whose message came last is the last
    slots: int
    share: int

    @abstractmethod
    def vacate(self, queue: str) -> Sequence[str]:
        """The queues that have room again, and had none, when the slot of a message of ``queue`` is freed."""


def wake(waiters: Iterable[Waiter]) -> list[Waiter]:
    """The waiters whose event loop is closed; all other ``waiters`` learn that they have their message.

    Each event loop is woken once.
    """
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


def _resolve(waiters: list[LoopWaiter]) -> None:
    for waiter in waiters:
        if not waiter.future.done():
            waiter.future.set_result(None)


def in_turn(queues: Sequence[str]) -> Sequence[str]:
    """The ``queues`` in random order, so that a busy channel does not starve a quiet one (2.3)."""
    return queues if len(queues) < 2 else random.sample(queues, len(queues))


def remember(waiters: dict[str, list[Waiter]], waiter: Waiter) -> None:
    """Put ``waiter`` among ``waiters``, by queue, behind the others."""
    for queue in waiter.queues:
        if queue in waiters:
            waiters[queue].append(waiter)
        else:
            waiters[queue] = [waiter]


def forget(waiters: dict[str, list[Waiter]], waiter: Waiter) -> None:
    """Take ``waiter`` out of ``waiters``, which are by queue."""
    for queue in waiter.queues:
        waiting = waiters.get(queue)
        if waiting is not None and waiter in waiting:
            waiting.remove(waiter)
            if not waiting:
                del waiters[queue]
