"""From threads to the event loop, many things at a time: waking the loop costs more than most of them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

logger = logging.getLogger("routechan")

Item = TypeVar("Item")


class Crossing(Generic[Item]):
    """Has ``take(item)`` called on ``loop`` for what threads put, in order. Lifetime: that of ``loop``.

    The loop is woken once for all that is put until it gets to it. What is put before a thread calls the loop by other
    means is taken before that call. ``take`` runs in the context this was made in, not in those of the threads; an
    exception it raises is logged, and costs no other item.
    """

    __slots__ = ("_context", "_items", "_lock", "_loop", "_take", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[Item], object]) -> None:
        self._loop = loop
        self._take = take
        self._context = copy_context()
        self._lock = threading.RLock()  # a finalizer may put something in the midst of a put
        self._items: deque[Item] = deque()
        self._woken = False

    def put(self, item: Item) -> None:
        """From any thread. Raises ``RuntimeError`` when the loop is closed; ``item`` is not kept then."""
        with self._lock:  # or a second thread would go on while the first has yet to wake the loop for both
            self._items.append(item)
            if not self._woken or self._loop.is_closed():
                self._woken = True  # before the call: the loop may have its turn, and unset it, at once
                try:
                    self._loop.call_soon_threadsafe(self._drain, context=self._context)
                except RuntimeError:
                    self._items.pop()
                    raise

    def waiting(self) -> tuple[Item, ...]:
        """What has been put and not taken. From any thread."""
        return tuple(self._items)

    def clear(self) -> list[Item]:
        """Have what waits taken no more; returns it. On the loop."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items

    def _drain(self) -> None:
        # Before anything is taken: what is put from here on wakes the loop again, so that it has its turn in between.
        self._woken = False
        items, take = self._items, self._take
        for _ in range(len(items)):
            if not items:  # cleared by what was taken
                break
            try:
                take(items.popleft())
            except (Exception, asyncio.CancelledError):  # whatever one item brings about must not cost the others
                logger.exception("What came from a thread could not be taken")
