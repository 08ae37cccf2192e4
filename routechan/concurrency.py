"""Threads and event loops: a queue from ones to the other, and small helpers for code that may run on either."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from types import coroutine
from typing import Any, Generic, TypeVar

from .exceptions import WouldBlock

logger = logging.getLogger("routechan")

Item = TypeVar("Item")

#: Seconds that a cancelled task has to end before it is cancelled again.
CANCEL_INTERVAL = 0.5

#: The outbox of the running consumer, None outside of one. Here, because layers ask too whether a consumer runs.
current_outbox: ContextVar[Any] = ContextVar("routechan_outbox", default=None)


def in_consumer() -> bool:
    """Whether this is called from a consumer that has not ended."""
    outbox = current_outbox.get()
    return outbox is not None and not outbox.closed


class LoopQueue(Generic[Item]):
    """A queue from threads to an event loop, in order: batched ``call_soon_threadsafe``. Lifetime: that of ``loop``.

    One wake-up serves all items since the loop's last turn, because waking the loop costs more than most items. An item
    that is put before a thread calls the loop by other means is taken before that call.

    Args:
        loop: the event loop.
        take: called with each item on the loop, in the context that this was made in. An exception it raises is logged,
            and costs no other item.
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
        """Have ``item`` taken on the loop; from any thread.

        Raises:
            RuntimeError: the loop is closed; ``item`` is not kept.
        """
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
        """The items that were put and not taken yet; from any thread."""
        return tuple(self._items)

    def clear(self) -> list[Item]:
        """The items that were put and not taken yet, and are not taken any more; on the loop."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items

    def _drain(self) -> None:
        # Before anything is taken: an item put from here on wakes the loop again, which has its turn in between.
        self._woken = False
        items, take = self._items, self._take
        for _ in range(len(items)):
            if not items:  # cleared by what was taken
                break
            try:
                take(items.popleft())
            except (Exception, asyncio.CancelledError):  # the error of one item must not cost the others
                logger.exception("What came from a thread could not be taken")


def in_context(context: Context, work: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run ``work`` in this task, with the context variables of ``context`` in place of the task's own.

    What it changes in them stays in ``context``. A task of its own would do the same at ten times the cost.

    Returns:
        What is awaited for the rest of it, in the same task; None where it has ended without waiting for anything.
    """
    try:
        waiting = context.run(work.send, None)
    except StopIteration:
        return None
    return _rest(context, work, waiting)


@coroutine
def _rest(context: Context, work: Coroutine[Any, Any, None], waiting: Any) -> Generator[Any, Any, None]:
    step: Callable[[Any], Any]
    while True:
        try:
            result = yield waiting
        except BaseException as error:  # a cancellation, or the error of what was waited for
            step, argument = work.throw, error
        else:
            step, argument = work.send, result
        try:
            waiting = context.run(step, argument)
        except StopIteration:
            return


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel ``tasks``, and wait until all have ended.

    Before Python 3.12 ``asyncio.wait_for`` swallows a cancellation that arrives together with what it waits for, and a
    task that loops goes on. So each is cancelled again until it ends.
    """
    left: set[asyncio.Task[Any]] = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_INTERVAL)


async def maybe_await(pending: Awaitable[None] | None) -> None:
    """Await ``pending``, unless it is None: what ``handle``, ``post`` or ``flush`` have returned."""
    if pending is not None:
        await pending


def ends_task(error: BaseException) -> bool:
    """Whether ``error`` ends the coroutine that catches it: its task is being cancelled, or it is being closed.

    Call it where the exception was caught. What a coroutine awaits may be cancelled, or raise ``GeneratorExit``,
    without that. Before Python 3.11 a task does not say whether it is being cancelled; it is believed to be.
    """
    if isinstance(error, asyncio.CancelledError):
        cancelling = getattr(asyncio.current_task(), "cancelling", None)
        return cancelling is None or bool(cancelling())
    # ``close()`` raises it at the await itself; what user code raises comes from a frame further in.
    traceback = error.__traceback__
    return isinstance(error, GeneratorExit) and (traceback is None or traceback.tb_next is None)


def uncancel() -> None:
    """Clear the cancellation of this task, which goes on after all."""
    task = asyncio.current_task()
    if task is not None and hasattr(task, "uncancel"):  # Python 3.11
        task.uncancel()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop this thread runs, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def refuse_on_loop(what: str, twin: str) -> None:
    """Raise ``WouldBlock`` on a running event loop, which ``what`` would block; the text names its async ``twin``."""
    if running_loop() is not None:
        raise WouldBlock(f"{what} would block the event loop; write: {twin}")
