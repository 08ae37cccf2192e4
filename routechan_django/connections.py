"""Old database connections are closed around each consumer, as Django does around each request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from asgiref.sync import sync_to_async
from django.db import connections

from .signals import consumer_finished, consumer_started

#: Seconds within which the connections of async consumers are looked at; a hop to their thread for each
#: message would cost ten times what the message costs.
ASYNC_INTERVAL = 1.0

#: How the signals know the receiver.
RECEIVER = "routechan_close_old_connections"

#: The loops on which a look is due. One may end before it is; held weakly, it can go.
_scheduled: WeakSet[asyncio.AbstractEventLoop] = WeakSet()

_closing: set[asyncio.Task[None]] = set()


def watch_connections() -> None:
    """Connect to the signals; doing so again changes nothing."""
    for signal in (consumer_started, consumer_finished):
        signal.connect(close_around_consumer, dispatch_uid=RECEIVER)


@contextmanager
def left_open() -> Iterator[None]:
    """Inside the ``with`` block consumers close no connections, for these are a test's (TC-13)."""
    watched = [signal for signal in (consumer_started, consumer_finished) if signal.disconnect(dispatch_uid=RECEIVER)]
    try:
        yield
    finally:
        if watched:
            watch_connections()


def close_old() -> None:
    """Close this thread's unusable or too old connections; none inside a transaction, which is that of a test."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def close_around_consumer(**kwargs: Any) -> None:
    """In a consumer's thread: close its old connections. On the loop: have those of async code closed soon."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        close_old()
        return
    if loop not in _scheduled:
        _scheduled.add(loop)
        loop.call_later(ASYNC_INTERVAL, _close_async, loop)


def _close_async(loop: asyncio.AbstractEventLoop) -> None:
    _scheduled.discard(loop)
    # Async code reaches the database in asgiref's one thread for such calls; its connections live there.
    task = loop.create_task(sync_to_async(close_old)())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
