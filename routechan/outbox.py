"""The outbox: sends that wait for their consumer to end, and their delivery.

``dispatch`` makes an outbox the current one around each consumer, ``Channel.send`` and ``Group.send`` fill it, and when
the consumer has ended its entries are delivered in order (PM-04). The current outbox is a context variable: what a
consumer calls sees it, other threads and connections do not. Once the consumer has ended the outbox is closed, so a
task that outlives its consumer sends at once. So does a process that a consumer forks: its copy of the outbox is
closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable
from contextvars import ContextVar
from types import CodeType
from typing import Any, Protocol

from .concurrency import current_outbox, ends_task
from .encoding import Content
from .exceptions import ChannelFull, UselessContent
from .inspection import place_of
from .telemetry.counters import counters
from .telemetry.log_fields import log_fields
from .telemetry.repeats import Repeats

logger = logging.getLogger("routechan")

#: Seconds for which a full channel is tried again when an outbox is flushed, and between two tries (PM-05).
FULL_RETRY_TIME = 2.0
FULL_RETRY_INTERVAL = 0.2


class Sender(Protocol):
    """What an entry of an outbox is sent through: a ``Channel``, a ``Group``, or one of their sends with a delay."""

    def post(self, content: Content) -> Awaitable[None] | None:
        """Start to send ``content`` on the event loop.

        Returns:
            What is awaited for the outcome; None where it is sent.
        """

    def send(self, content: Content, immediately: bool = False) -> None:
        """Send ``content`` from a thread that may wait; ``immediately``, past any outbox."""


#: A send: through what, what, and the code and the instruction that sent it, for errors.
Entry = tuple[Sender, Content, "CodeType | None", int]


class Outbox:
    """What one consumer has sent so far. Lifetime: message."""

    __slots__ = ("closed", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.closed = False

    def add(self, sender: Sender, content: Content) -> None:
        """Add a send of ``content`` through ``sender``, of no place in particular.

        The content is kept by reference: changing it later changes what is sent (CH-07).
        """
        self.entries.append((sender, content, None, 0))

    def take(self) -> list[Entry]:
        """The entries to be delivered now; the outbox goes on empty."""
        entries = self.entries
        self.entries = []
        return entries

    def log_fields(self) -> dict[str, Any]:
        """The fields of log records about failed deliveries."""
        return log_fields()


#: The outbox of the running consumer, None outside of one.
current: ContextVar[Outbox | None] = current_outbox


def open_outbox() -> Outbox | None:
    """The outbox that takes sends here, or None where sends are immediate."""
    outbox = current.get()
    return None if outbox is None or outbox.closed else outbox


def _close_copy() -> None:
    """In a forked child: nobody would ever flush its copy of the outbox."""
    outbox = current.get()
    if outbox is not None:
        outbox.closed = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_close_copy)


# Delivery: in order, one by one. A send that fails costs only itself, and is logged in the name of its consumer.

_Started = tuple[Entry, "asyncio.Future[None]"]

#: Tasks that look after failed sends: the event loop holds its tasks only weakly.
_retrying: set[asyncio.Task[None]] = set()


def flush(outbox: Outbox) -> Awaitable[None] | None:
    """Deliver the sends of ``outbox`` on the event loop, in order.

    Returns:
        None where all are delivered, else what is awaited for the last of them: a future where all have been
        started.
    """
    entries = outbox.entries
    if not entries:
        return None
    outbox.entries = []
    counters.sent += len(entries)
    started: list[_Started] = []
    for index, entry in enumerate(entries):
        try:
            pending = entry[0].post(entry[1])
        except ChannelFull:
            return _flush_one_by_one(outbox, started, entries[index:], None)
        except BaseException as error:  # a layer of another make may raise anything
            _log_lost(outbox, entry, error)
            continue
        if pending is None:
            continue
        if asyncio.isfuture(pending):  # it is on its way: the next ones follow it in order, all in one batch
            started.append((entry, pending))
        else:
            return _flush_one_by_one(outbox, started, entries[index:], pending)
    return _outcome(outbox, started) if started else None


def _outcome(outbox: Outbox, started: list[_Started]) -> asyncio.Future[None]:
    """A future that is done with the last of ``started``; a task looks after those that failed first."""
    last = started[-1][1]
    outcome: asyncio.Future[None] = last.get_loop().create_future()

    def done(_: object) -> None:
        for _, each in started:
            if not each.done() or each.cancelled() or each.exception() is not None:
                task = each.get_loop().create_task(_flush_one_by_one(outbox, started, [], None))
                _retrying.add(task)
                task.add_done_callback(retried)
                return
        if not outcome.done():
            outcome.set_result(None)

    def retried(task: asyncio.Task[None]) -> None:
        _retrying.discard(task)
        if not outcome.done():
            outcome.set_result(None)

    last.add_done_callback(done)
    return outcome


async def _flush_one_by_one(
    outbox: Outbox,
    started: list[_Started],
    entries: list[Entry],
    pending: Awaitable[None] | None,
) -> None:
    """Wait for what has been started, then deliver ``entries``, of which ``pending`` is the first."""
    for entry, outcome in started:
        await _deliver(outbox, entry, outcome)
    for entry in entries:
        await _deliver(outbox, entry, pending)
        pending = None


async def _deliver(outbox: Outbox, entry: Entry, pending: Awaitable[None] | None) -> None:
    sender, content = entry[:2]
    deadline = time.monotonic() + FULL_RETRY_TIME
    while True:
        try:
            if pending is None:
                pending = sender.post(content)
            if pending is not None:
                await pending
        except BaseException as error:
            if ends_task(error):
                raise
            if _is_full(sender, error) and time.monotonic() < deadline:
                pending = None
                await asyncio.sleep(FULL_RETRY_INTERVAL)
                continue
            _log_lost(outbox, entry, error)
        return


def flush_sync(outbox: Outbox) -> None:
    """Deliver the sends of ``outbox`` from a worker thread or a test client, where waiting is allowed."""
    for entry in outbox.take():
        sender, content = entry[:2]
        deadline = time.monotonic() + FULL_RETRY_TIME
        while True:
            try:
                sender.send(content, immediately=True)
            except Exception as error:
                if _is_full(sender, error) and time.monotonic() < deadline:
                    time.sleep(FULL_RETRY_INTERVAL)
                    continue
                _log_lost(outbox, entry, error)
            break


def _log_lost(outbox: Outbox, entry: Entry, error: BaseException) -> None:
    """Log a send that cannot be delivered, with the line that sent it.

    In 1.x it took the other sends and the worker along (OB-01).
    """
    sender, content, code, instruction = entry
    name = getattr(sender, "name", None)
    fields = {**outbox.log_fields(), "channel": name}
    if isinstance(error, UselessContent):
        log_useless(f"{outbox}: a message to {name or sender}", error, code, instruction, fields, outbox)
        return
    counters.lost += 1
    more = _more(code, instruction, outbox, type(error))
    if more is None:
        return
    place = place_of(code, instruction)
    logger.error(
        "%s: a message to %s could not be delivered and is lost: %s; it was %.100r%s%s",
        outbox,
        name or sender,
        error,
        content,
        "" if place is None else f", sent at {place}",
        more,
        extra=fields,
    )


def log_useless(
    what: str,
    error: UselessContent,
    code: CodeType | None,
    instruction: int,
    fields: dict[str, Any],
    outbox: Outbox | None = None,
) -> None:
    """Log a message that asked a socket for nothing, once in a while for each place.

    Args:
        what: The message, for the text.
        error: Why it is useless.
        code: The code that sent it, if that is known.
        instruction: Its instruction.
        fields: The fields of the log record.
        outbox: The outbox that it waited in.
    """
    more = _more(code, instruction, outbox, type(error))
    if more is not None:
        place = place_of(code, instruction)
        where = "" if place is None else f", sent at {place},"
        logger.warning("%s%s does nothing: %s%s", what, where, error, more, extra=fields)


#: Lines of consumers that send what cannot be delivered.
_repeats = Repeats()


def _more(code: CodeType | None, instruction: int, outbox: Outbox | None, kind: type[BaseException]) -> str | None:
    """The end of a log line about a send that failed with ``kind``; None where the same was logged a moment ago."""
    return _repeats.more((id(getattr(outbox, "consumer", None)), code, instruction, kind))


def _is_full(sender: Sender, error: BaseException) -> bool:
    """Whether a channel is full; a layer of another make has a ``ChannelFull`` of its own (PM-05)."""
    layer = getattr(sender, "channel_layer", None)
    return isinstance(error, (ChannelFull, getattr(layer, "ChannelFull", ChannelFull)))
