"""What a client has sent and its application has not received yet.

asyncio wakes a task in a later turn of its loop, which costs as much as all the rest of a small message. Here the task
that waits is woken within the call that puts an event, so it has consumed the event when ``put`` returns.

The task is an ordinary one. Only what it waits for is not: the inbox itself, which does what asyncio asks of a future
(``asyncio.isfuture``), and calls the one callback that the task gives it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any

from ..asgi.translation import Event


class Inbox:
    """The events of one connection, in order. Lifetime: connection, on one event loop.

    Args:
        loop: the event loop.
        emptied: called when everything has been received, if ``held`` is set.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_cancelled",
        "_context",
        "_emptied",
        "_events",
        "_loop",
        "_others",
        "_wakeup",
        "held",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, emptied: Callable[[], object]) -> None:
        self._asyncio_future_blocking = False  # set while a task is about to wait: the protocol of futures
        self._loop = loop
        self._emptied = emptied
        self._events: list[Event] = []  # a deque takes ten times the memory, and there are few
        self._wakeup: Callable[[Any], object] | None = None  # of the task that waits
        self._context: Context | None = None
        self._cancelled: BaseException | None = None
        self._others: deque[asyncio.Future[None]] | None = None  # tasks that receive beside it, which is rare
        #: Whether whoever puts events has stopped until all are received.
        self.held = False

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Add ``event``; called on the event loop, from no task.

        The task that waits for one has run on, until it waits again, when this returns.
        """
        self._events.append(event)
        wakeup = self._wakeup
        if wakeup is not None:
            self._wakeup = None
            self._context.run(wakeup, self)  # type: ignore[union-attr]

    def put_soon(self, event: Event) -> None:
        """Add ``event``, from anywhere on the event loop.

        The task that waits runs on in the next turn.
        """
        self._events.append(event)
        self._wake_soon()

    def close(self) -> None:
        """Nothing comes any more; what has come may be received."""
        self.held = False
        self._emptied = _nothing  # breaks a reference cycle: a connection that is gone is freed at once

    async def receive(self) -> Event:
        """The next event: what the application is given as its ``receive``."""
        events = self._events
        try:
            while not events:
                await (self if self._wakeup is None and self._cancelled is None else self._turn())
        finally:
            if self._others:
                self._others.popleft().set_result(None)
        event = events.pop(0)
        if self.held and not events:
            self._emptied()
        return event

    async def _turn(self) -> None:
        """Wait until the task that waits for the inbox itself does so no longer."""
        if self._others is None:
            self._others = deque()
        turn: asyncio.Future[None] = self._loop.create_future()
        self._others.append(turn)
        try:
            await asyncio.shield(turn)
        finally:
            if not turn.done():
                self._others.remove(turn)

    # What a task asks of a future

    def __await__(self) -> Generator[Any, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        return self._loop

    def add_done_callback(self, wakeup: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Take what wakes the task that begins to wait.

        Args:
            wakeup: called with this.
            context: that it is called in.
        """
        self._wakeup, self._context = wakeup, context

    def result(self) -> None:
        """What ends the wait: an event, or the cancellation of the task."""
        if self._cancelled is not None:
            cancelled, self._cancelled = self._cancelled, None
            raise cancelled

    def cancel(self, msg: Any = None) -> bool:
        """End the wait of the task, which is being cancelled.

        Args:
            msg: why.

        Returns:
            False if it is about to run anyway.
        """
        if self._wakeup is None:
            return False
        self._cancelled = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self._wake_soon()
        return True

    def _wake_soon(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            self._loop.call_soon(wakeup, self, context=self._context)


def _nothing() -> None:
    """Stands in for what was to be called."""
