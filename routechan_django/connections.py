"""The database connections of a thread: looked after around consumers, as Django does around requests."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextvars import Context
from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from routechan.outbox import Outbox, current

logger = logging.getLogger("routechan")

#: Seconds after which a connection is looked at that was used in asgiref's thread by no consumer, say by a task that
#: outlived one.
LATER = 1.0

#: ``connections`` of a thread that runs consumers or their queries.
_here = threading.local()


def connect_signals() -> None:
    """Learn of the connections that are opened from now on.

    Idempotent.
    """
    connection_created.connect(_opened, dispatch_uid="routechan_connection_opened")


def close_old_connections() -> None:
    """Close this thread's unusable or expired connections.

    Unlike Django's function of this name it leaves a connection inside a transaction alone: that is a test's.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def thread_connections() -> ThreadConnections:
    """The connections of this thread."""
    try:
        return _here.connections  # type: ignore[no-any-return]
    except AttributeError:
        known = _here.connections = ThreadConnections()
        return known


def shared_connections() -> ThreadConnections:
    """The connections of this thread, in which all async consumers of the process query."""
    known = thread_connections()
    known.shared = True
    return known


def _opened(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    known: ThreadConnections | None = getattr(_here, "connections", None)
    if known is not None:
        known.add(connection)


class ThreadConnections:
    """The connections of one thread. Lifetime: thread.

    What needs no query may be asked from the event loop, which is ten times cheaper than a hop to the thread.
    """

    def __init__(self) -> None:
        self.known: list[_Connection] = []
        self.shared = False
        #: The running steps of async consumers that have queried here.
        self.users: set[Outbox] = set()
        self._checks_on: asyncio.AbstractEventLoop | None = None  # which will look at the connections soon
        for connection in connections.all(initialized_only=True):
            self.add(connection)

    def add(self, wrapper: BaseDatabaseWrapper) -> None:
        """Know ``wrapper``, which has connected just now."""
        if self.shared:
            self.used()
        for connection in self.known:
            if connection.wrapper is wrapper:
                connection.cursors = set()
                return
        self.known.append(_Connection(wrapper, self))

    def used(self) -> None:
        """Note that there was a query for the running consumer, or for what has outlived one."""
        outbox = current.get()
        if outbox is not None and not outbox.closed:
            self.users.add(outbox)
        elif self._checks_on is None or self._checks_on.is_closed():
            loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
            if loop is not None and not loop.is_closed():
                self._checks_on = loop
                loop.call_soon_threadsafe(self._check_later, loop, context=Context())

    def reset_queries(self) -> None:
        """Empty ``connection.queries``, unless a test captures them; from any thread."""
        for connection in self.known:
            wrapper = connection.wrapper
            if wrapper.queries_log and not wrapper.force_debug_cursor:
                wrapper.queries_log.clear()

    def close_old(self, *, over: bool) -> None:
        """Close what is unusable or expired; in the thread itself.

        A connection in a transaction is left alone, and before the end of a consumer (``over``) one with an open
        cursor: a generator goes on with both after its ``yield``.
        """
        for connection in self.known:
            connection.step_ended()
            if connection.wrapper.connection is not None and not connection.busy(over=over and not self.shared):
                try:
                    connection.wrapper.close_if_unusable_or_obsolete()
                except Exception:  # it costs this connection, not the consumer
                    logger.exception("The database connection %r could not be closed", connection.wrapper.alias)

    # Async consumers: from their event loop

    def has_old(self) -> bool:
        """Whether ``check`` has something to do: a connection may be unusable, or has expired.

        The others are checked for their health before the next query, if the settings say so.
        """
        for connection in self.known:
            connection.step_ended()
            wrapper = connection.wrapper
            if wrapper.connection is None or wrapper.in_atomic_block:
                continue
            if connection.may_be_old() or wrapper.autocommit != wrapper.settings_dict["AUTOCOMMIT"]:
                return True
            wrapper.health_check_done = False  # type: ignore[attr-defined]
        return False

    def check(self) -> None:
        """Close what is unusable or expired and not in use; in the thread itself."""
        self.close_old(over=False)

    def _check_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(LATER, self._start_check, loop)

    def _start_check(self, loop: asyncio.AbstractEventLoop) -> None:
        self._checks_on = None
        task = loop.create_task(sync_to_async(self.check)())
        _checks.add(task)
        task.add_done_callback(_checks.discard)


#: Tasks that run a check; a loop itself keeps only weak references to its tasks.
_checks: set[asyncio.Task[None]] = set()


class _Connection:
    """One connection of a thread, which counts its open cursors. Lifetime: thread.

    It is an execute wrapper: Django calls it for each query. And it is asked before each cursor and each transaction,
    where Django looks at the health of a connection: a step may begin hours before its first query, and go on after one
    that has broken the connection.
    """

    __slots__ = ("_thread", "_used", "cursors", "wrapper")

    def __init__(self, wrapper: BaseDatabaseWrapper, thread: ThreadConnections) -> None:
        self.wrapper = wrapper
        self.cursors: set[int] = set()  # those that have executed something and are not closed
        self._thread = thread
        self._used = True  # since the end of the last step
        wrapper.execute_wrappers.append(self)
        wrapper.close_if_health_check_failed = self._before_use  # type: ignore[method-assign]

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        cursor = context["cursor"]
        if "close" not in cursor.__dict__:
            cursor.close = _Closing(cursor.cursor, self.cursors)
        if self._thread.shared:
            self._thread.used()
        return execute(sql, params, many, context)

    def _before_use(self) -> None:
        wrapper, first, self._used = self.wrapper, not self._used, True
        # Not its age later in a step, which may count on what it has set up there: a lock, a temporary table.
        if wrapper.connection is not None and self.may_be_old(ages=first) and not self.busy(over=False):
            wrapper.close_if_unusable_or_obsolete()
        type(wrapper).close_if_health_check_failed(wrapper)

    def step_ended(self) -> None:
        """Have the next query look at the age of the connection: it may come after a long time."""
        self._used = False

    def may_be_old(self, *, ages: bool = True) -> bool:
        """Whether a query failed that may have broken the connection; or, if it ``ages``, whether it has expired."""
        wrapper = self.wrapper
        return wrapper.errors_occurred or (
            ages and wrapper.close_at is not None and time.monotonic() >= wrapper.close_at
        )

    def busy(self, *, over: bool) -> bool:
        """Whether something goes on with a transaction; or, unless the consumer is ``over``, with a cursor."""
        wrapper = self.wrapper
        if wrapper.in_atomic_block:
            return True
        return not over and (bool(self.cursors) or wrapper.autocommit != wrapper.settings_dict["AUTOCOMMIT"])


class _Closing:
    """The ``close`` of a cursor, which is among ``cursors`` until it is called, or is garbage with its cursor."""

    __slots__ = ("_cursor", "_cursors")

    def __init__(self, cursor: Any, cursors: set[int]) -> None:
        self._cursor = cursor
        self._cursors = cursors
        cursors.add(id(self))

    def __call__(self) -> None:
        self._cursors.discard(id(self))
        self._cursor.close()

    def __del__(self) -> None:
        self._cursors.discard(id(self))
