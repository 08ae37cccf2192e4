"""The bounded outbox between whoever sends and one connection of the server."""

from __future__ import annotations

import asyncio
import functools
import logging
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any

from ..observe.failures import about
from .translation import Event

logger = logging.getLogger("routechan")

Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class Writer:
    """The outgoing side of a connection, which sockets and responses extend: hands events to ``send``.

    Lifetime: connection. Only for its event loop. Events keep their order.

    While the server takes events without waiting, each goes out in the call that brings it. Once it makes
    us wait, further events queue up, at most ``capacity``; ``write`` then answers False. Nobody but the
    connection itself ever waits for a slow client.
    """

    __slots__ = ("_changed", "_gone", "_send", "_task", "queue")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._task: asyncio.Task[None] | None = None
        self._changed: asyncio.Future[None] | None = None
        self._gone = False
        #: What the server has not taken yet; None while it has taken everything.
        self.queue: deque[Event] | None = None

    def write(self, event: Event, capacity: int) -> bool:
        """Send or queue ``event``; False if it was not taken because the outbox is full."""
        queue = self.queue
        if queue is not None:
            if len(queue) >= capacity:
                return False
            queue.append(event)
            return True
        sending = self._send(event)
        if type(sending) is not CoroutineType:
            sending = _coroutine(sending)
        # A task for each event would cost as much as the send itself, so the first step is taken here:
        # almost always the server takes the event at once and the coroutine is at its end.
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return True
        except Exception as error:
            self._fail(error)
            return True
        self.queue = deque()
        self._task = asyncio.get_running_loop().create_task(self._drain(_resume(sending, waits_for)))
        return True

    def drop(self) -> int:
        """Forget what is queued; returns how many events that were."""
        if self.queue is None:
            return 0
        dropped = len(self.queue)
        self.queue.clear()
        return dropped

    async def flushed(self) -> None:
        """Return when the server has taken everything, or the connection is gone."""
        while self.queue is not None and not self._gone:
            await self._change()

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    def lost(self) -> None:
        """The connection is gone: send nothing more."""
        self._gone = True
        self._send = _discard
        if self._task is not None:
            self._task.cancel()
        self._wake()

    async def _drain(self, sending: Awaitable[None]) -> None:
        queue = self.queue
        try:
            await sending
            while queue:
                await self._send(queue.popleft())
        except Exception as error:
            self._fail(error)
        finally:
            self.queue = None
            self._task = None
            self._wake()

    def _fail(self, error: Exception) -> None:
        self._gone = True
        self._send = _discard
        # Servers raise an OSError on a send to a client that has left; the disconnect that follows says so properly.
        if isinstance(error, OSError):
            logger.debug("The server did not take an event: %r", error)
        else:
            self._refused(error)

    def _refused(self, error: Exception) -> None:
        """The server refused an event for another reason than that the client has left."""
        logger.warning(
            "The server refused an event, and the connection is given up: %r",
            error,
            extra=about(connection=getattr(self, "name", None)),
        )

    def _wake(self) -> None:
        if self._changed is not None:
            if not self._changed.done():
                self._changed.set_result(None)
            self._changed = None


async def _discard(event: Event) -> None:
    """The ``send`` of a connection that is gone."""


async def _coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine whose first step has been taken, as if the task had taken it."""
    while True:
        try:
            value = yield waits_for
        except BaseException as error:  # cancelled, say: the coroutine is told
            step = functools.partial(coroutine.throw, error)
        else:
            step = functools.partial(coroutine.send, value)
        try:
            waits_for = step()
        except StopIteration:
            return
