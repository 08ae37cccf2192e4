"""What a client has sent and its application has not received yet.

asyncio wakes a task in a later turn of its loop, which costs as much as all the rest of a small message. Here the task
that waits is woken within the call that puts an event, so it has consumed the event when ``put`` returns.

The task is an ordinary one. Only what it waits for is not: an object that does what asyncio asks of a future
(``asyncio.isfuture``), and that calls its one callback itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, MutableMapping
from contextvars import Context
from typing import Any

Event = MutableMapping[str, Any]


class Inbox:
    """The events of one connection, in order. Lifetime: connection, on one event loop.

    Args:
        loop: the event loop.
        emptied: called when the application has received everything that was put.
    """

    __slots__ = ("_emptied", "_events", "_loop", "_waits")

    def __init__(self, loop: asyncio.AbstractEventLoop, emptied: Callable[[], object]) -> None:
        self._loop = loop
        self._emptied = emptied
        self._events: deque[Event] = deque()
        self._waits: list[_Arrival] = []  # one, unless the application receives in several tasks at a time

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Add ``event``.

        The task that waits for one has run on, until it waits again, when this returns; unless a task calls this.
        """
        self._events.append(event)
        if self._waits:
            self._waits.pop(0).wake()

    async def receive(self) -> Event:
        """The next event: what the application is given as its ``receive``."""
        events = self._events
        while not events:
            arrival = _Arrival(self._loop)
            self._waits.append(arrival)
            try:
                await arrival
            except BaseException:
                if arrival in self._waits:
                    self._waits.remove(arrival)
                elif events and self._waits:  # it was woken for an event that another task has to take now
                    self._waits.pop(0).wake()
                raise
        event = events.popleft()
        if not events:
            self._emptied()
        return event


class _Arrival:
    """What a task waits for that receives; a future, as far as asyncio is concerned."""

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_context", "_done", "_loop", "_wakeup")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._wakeup: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._done = False
        self._cancelled: tuple[Any] | None = None  # with the message of the cancellation

    def __await__(self) -> Generator[Any, None, None]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        self.result()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def done(self) -> bool:
        return self._done

    def add_done_callback(self, wakeup: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Called by the task, once, with what wakes it."""
        self._wakeup, self._context = wakeup, context
        if self._done:  # before the task had stopped
            self._wake_soon()

    def result(self) -> None:
        if self._cancelled is not None:
            raise asyncio.CancelledError(*self._cancelled)

    def cancel(self, msg: Any = None) -> bool:
        """Called by the task that is cancelled."""
        if self._done:
            return False
        self._done = True
        self._cancelled = () if msg is None else (msg,)  # type: ignore[assignment]
        self._wake_soon()
        return True

    def wake(self) -> None:
        """Have the task run on: at once, or in the next turn of the loop where another task runs now."""
        self._done = True
        if self._wakeup is None:
            return
        if asyncio.current_task(self._loop) is None:
            self._context.run(self._wakeup, self)  # type: ignore[union-attr]
        else:
            self._wake_soon()

    def _wake_soon(self) -> None:
        if self._wakeup is not None:
            self._loop.call_soon(self._wakeup, self, context=self._context)
