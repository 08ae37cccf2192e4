"""Delivers an outbox when its consumer has ended.

In order, and one by one: what cannot be delivered costs itself only, and is logged in the name of its
consumer. A full channel is tried again for a while (PM-05).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from .encoding import Content
from .exceptions import ChannelFull
from .observe.counters import counters
from .outbox import Outbox, Sender

logger = logging.getLogger("routechan")

#: What delivers the outbox of a consumer's run: ``flush``, or something around it.
Flush = Callable[[Any], "Awaitable[None] | None"]

_Started = tuple[Sender, Content, "asyncio.Future[None]"]

#: A full channel is tried again for so long, so often, when an outbox is flushed (PM-05); seconds.
FULL_RETRY_TIME = 2.0
FULL_RETRY_INTERVAL = 0.2


#: The event loop itself holds its tasks only weakly.
_seeing_to: set[asyncio.Task[None]] = set()


def flush(outbox: Outbox) -> Awaitable[None] | None:
    """Deliver the outbox on the event loop, in order; awaited if it cannot be done without waiting.

    A future if all has been started.
    """
    entries = outbox.entries
    if not entries:
        return None
    outbox.entries = []
    counters.sent += len(entries)
    started: list[_Started] = []
    for index, (sender, content) in enumerate(entries):
        try:
            pending = sender.post(content)
        except ChannelFull:
            return _flush_slowly(outbox, started, entries[index:], None)
        except Exception as error:
            _undelivered(outbox, sender, content, error)
            continue
        if pending is None:
            continue
        if asyncio.isfuture(pending):  # it is on its way: the next ones follow it in order, all in one batch
            started.append((sender, content, pending))
        else:
            return _flush_slowly(outbox, started, entries[index:], pending)
    return _outcome(outbox, started) if started else None


def _outcome(outbox: Outbox, started: list[_Started]) -> asyncio.Future[None]:
    """Done with the last of ``started``; what has failed is seen to before, by a task."""
    last = started[-1][2]
    outcome: asyncio.Future[None] = last.get_loop().create_future()

    def done(_: object) -> None:
        for _, _, each in started:
            if not each.done() or each.cancelled() or each.exception() is not None:
                task = each.get_loop().create_task(_flush_slowly(outbox, started, [], None))
                _seeing_to.add(task)
                task.add_done_callback(seen_to)
                return
        if not outcome.done():
            outcome.set_result(None)

    def seen_to(task: asyncio.Task[None]) -> None:
        _seeing_to.discard(task)
        if not outcome.done():
            outcome.set_result(None)

    last.add_done_callback(done)
    return outcome


async def _flush_slowly(
    outbox: Outbox,
    started: list[_Started],
    entries: list[tuple[Sender, Content]],
    pending: Awaitable[None] | None,
) -> None:
    """See to the outcome of what has started, then deliver ``entries``, of which the first is ``pending``."""
    for sender, content, outcome in started:
        await _deliver(outbox, sender, content, outcome)
    for sender, content in entries:
        await _deliver(outbox, sender, content, pending)
        pending = None


async def _deliver(outbox: Outbox, sender: Sender, content: Content, pending: Awaitable[None] | None) -> None:
    deadline = time.monotonic() + FULL_RETRY_TIME
    while True:
        try:
            if pending is None:
                pending = sender.post(content)
            if pending is not None:
                await pending
        except Exception as error:
            if _is_full(sender, error) and time.monotonic() < deadline:
                pending = None
                await asyncio.sleep(FULL_RETRY_INTERVAL)
                continue
            _undelivered(outbox, sender, content, error)
        return


def flush_sync(outbox: Outbox) -> None:
    """``flush`` for a worker thread or a test client, where waiting is allowed."""
    for sender, content in outbox.take():
        deadline = time.monotonic() + FULL_RETRY_TIME
        while True:
            try:
                sender.send(content, immediately=True)
            except Exception as error:
                if _is_full(sender, error) and time.monotonic() < deadline:
                    time.sleep(FULL_RETRY_INTERVAL)
                    continue
                _undelivered(outbox, sender, content, error)
            break


def _undelivered(outbox: Outbox, sender: Sender, content: Content, error: Exception) -> None:
    """A send that cannot be delivered costs itself only; in 1.x it took the rest and the worker along (OB-01)."""
    counters.lost += 1
    name = getattr(sender, "name", None)
    logger.error(
        "%s: a message to %s could not be delivered and is lost: %s; it was %.100r",
        outbox,
        name or sender,
        error,
        content,
        extra={**outbox.about(), "channel": name},
    )


def _is_full(sender: Sender, error: Exception) -> bool:
    """A layer of another make has a ``ChannelFull`` of its own (PM-05)."""
    layer = getattr(sender, "channel_layer", None)
    return isinstance(error, (ChannelFull, getattr(layer, "ChannelFull", ChannelFull)))
