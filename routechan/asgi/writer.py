"""The outgoing side of a connection: a bounded queue of what its client has not taken yet."""

from __future__ import annotations

import asyncio
import functools
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from sys import getsizeof
from types import CoroutineType
from typing import Any

from ..concurrency import ends_task
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from .outgoing import Outgoing
from .translation import LATEST, Event
from .waiting import Waiting, payload_of

logger = logging.getLogger("routechan")

Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class Writer:
    """The outgoing side of a connection, the base of sockets and responses: hands events to ``send`` in order.

    Lifetime: connection. Not thread-safe: use it on the connection's event loop.

    As long as ``send`` returns without suspending, each event is sent within ``write``. Once ``send`` suspends, because
    the client is slow, further events are queued. Senders never wait for the client; a full queue makes ``write``
    return False.

    Args:
        send: The ASGI ``send`` of the connection.
        most_bytes: The largest size of queued events; None for any. A larger event is taken where no other waits.
        waiting: Counts what waits for all clients.
        take: Takes an event at once and says whether it has; None where the server has only ``send``.
    """

    __slots__ = ("_changed", "_gone", "_most_bytes", "_send", "_take", "_task", "_waiting", "queue", "waiting_bytes")

    def __init__(
        self,
        send: Send,
        most_bytes: int | None = None,
        waiting: Waiting | None = None,
        take: Callable[[Event], bool] | None = None,
    ) -> None:
        self._send = send
        self._take = take
        self._most_bytes = most_bytes
        self._waiting = waiting or Waiting()
        self._task: asyncio.Task[None] | None = None
        self._changed: asyncio.Future[None] | None = None
        self._gone = False
        #: Events that ``send`` has not taken yet; None while there are none and ``send`` is idle.
        self.queue: Outgoing | None = None
        self.waiting_bytes = 0  # the size of what is in the queue

    def write(self, event: Event, capacity: int) -> bool:
        """Send an event, or queue it.

        Args:
            event: The ASGI event; one with ``LATEST`` takes the place of another that waits with the same subject.
            capacity: The largest number of queued events.

        Returns:
            False if the queue is full and the event was not taken.
        """
        queue = self.queue
        if queue is not None:
            subject = event.get(LATEST)
            replaced = None if subject is None else queue.withdraw(subject)
            if replaced is not None:
                counters.frames_replaced += 1
                self._waiting.remove(self, replaced)
            if len(queue) >= capacity or self.is_over(event):
                return False
            if subject is None:
                queue.append(event)
            else:
                queue.append_last(subject, event, replaces=replaced is not None)
            self._waiting.add(self, event)
            return True
        if self._take is not None and self._take(event):
            return True
        sending = self._send(event)
        if type(sending) is not CoroutineType:
            sending = _coroutine(sending)
        # A task per event would cost as much as the send itself, so run the coroutine's first step here: almost always
        # it finishes in that step.
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return True
        except BaseException as error:  # whatever a server raises, it is this connection's end and nobody else's
            self._fail(error)
            return True
        self.queue = Outgoing()
        self._task = asyncio.get_running_loop().create_task(self._drain(_resume(sending, waits_for)))
        return True

    def is_over(self, event: Event) -> bool:
        """Whether ``event`` is too large to wait behind those that do."""
        waiting = self.waiting_bytes
        return (
            self._most_bytes is not None and waiting > 0 and waiting + getsizeof(payload_of(event)) > self._most_bytes
        )

    def overflow(self, limit: str) -> None:
        """Give the client up, because ``limit``, an option, is reached; drop what waits for it."""
        raise NotImplementedError

    def drop(self) -> int:
        """Discard all queued events.

        Returns:
            The number of discarded events.
        """
        if self.queue is None:
            return 0
        dropped = len(self.queue)
        while self.queue:
            self._waiting.remove(self, self.queue.popleft())
        self._waiting.forget(self)
        return dropped

    async def flushed(self) -> None:
        """Wait until ``send`` has taken everything, or the connection is gone."""
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
        self._take = None
        self.drop()
        if self._task is not None:
            self._task.cancel()
        self._wake()

    async def _drain(self, sending: Awaitable[None]) -> None:
        queue = self.queue
        try:
            await sending
            while queue:
                event = queue.popleft()
                self._waiting.remove(self, event)
                await self._send(event)
        except BaseException as error:
            if ends_task(error):
                raise
            self._fail(error)
        finally:
            self.drop()
            self.queue = None
            self._task = None
            self._wake()

    def _fail(self, error: BaseException) -> None:
        self._gone = True
        self._send = _discard
        self._take = None
        if _says_left(error):  # what servers raise on a send to a client that has left
            logger.debug("The server did not take an event: %r", error)
            self._left()
        else:
            self._refused(error)

    def _left(self) -> None:
        """``send`` raised because the client has left; the disconnect event should follow."""

    def _refused(self, error: BaseException) -> None:
        """``send`` raised, and not because the client has left."""
        logger.warning(
            "The server refused an event, and the connection is given up: %r",
            error,
            extra=log_fields(connection=getattr(self, "name", None)),
        )

    def _wake(self) -> None:
        if self._changed is not None:
            if not self._changed.done():
                self._changed.set_result(None)
            self._changed = None


def _says_left(error: BaseException) -> bool:
    """Whether a server's ``send`` raised because the client has left.

    That is an OSError (ASGI 2.4), or daphne's own class. uvicorn has closed the socket by itself, because of what the
    client sent, and calls that an event "after sending 'websocket.close'": this side sends none after its own close.
    """
    return (
        isinstance(error, OSError)
        or type(error).__name__ == "Disconnected"
        or "after sending 'websocket.close'" in str(error)
    )


async def _discard(event: Event) -> None:
    """Stands in for ``send`` once the connection is gone."""


async def _coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Resume a coroutine whose first step has been run, as if the awaiting task had run that step too."""
    while True:
        try:
            value = yield waits_for
        except BaseException as error:  # such as CancelledError: the coroutine must see it
            step = functools.partial(coroutine.throw, error)
        else:
            step = functools.partial(coroutine.send, value)
        try:
            waits_for = step()
        except StopIteration:
            return
