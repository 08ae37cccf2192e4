"""From threads to the event loop, many things at a time: waking the loop costs more than most of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

logger = logging.getLogger("routechan")

#: How many things are taken before the loop has its turn.
TAKEN_AT_ONCE = 500

Item = TypeVar("Item")


class Crossing(Generic[Item]):
    """Has ``take(item)`` called on ``loop`` for what threads put, in order. Lifetime: that of ``loop``.

    The loop is woken once for all that is put until it gets to it. ``take`` runs in the context this was made in, not
    in those of the threads; an exception it raises is logged, and costs no other item.
    """

    __slots__ = ("_context", "_items", "_loop", "_take", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[Item], object]) -> None:
        self._loop = loop
        self._take = take
        self._context = copy_context()
        self._items: deque[Item] = deque()
        self._woken = False

    def put(self, item: Item) -> None:
        """From any thread. Raises ``RuntimeError`` when the loop is closed; nothing is kept then."""
        self._items.append(item)
        if not self._woken or self._loop.is_closed():
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._drain, context=self._context)
            except RuntimeError:
                self._items.clear()
                raise

    def waiting(self) -> tuple[Item, ...]:
        """What has been put and not taken. From any thread."""
        return tuple(self._items)

    def clear(self) -> list[Item]:
        """Have what waits taken no more; returns it. On the loop."""
        items = list(self._items)
        self._items.clear()
        return items

    def _drain(self) -> None:
        # Before anything is taken: what is put from here on either is still taken below or wakes the loop again.
        # Two threads may both do so; then one of the turns finds less, or nothing.
        self._woken = False
        items, take = self._items, self._take
        for _ in range(min(len(items), TAKEN_AT_ONCE)):
            if not items:  # ``take`` has had the rest cleared
                break
            try:
                take(items.popleft())
            except Exception:  # whatever one item brings about must not cost the others
                logger.exception("What came from a thread could not be taken")
        if items and not self._woken:
            self._woken = True
            self._loop.call_soon(self._drain, context=self._context)
