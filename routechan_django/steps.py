"""What Django does around each request, done around each step of a consumer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any

import asgiref.local
from asgiref.sync import SyncToAsync, sync_to_async

from routechan.outbox import Outbox

from . import caching
from .connections import ThreadConnections, shared_connections, thread_connections
from .ends import ends

#: From asgiref 3.12 on, what its ``Local`` keeps in a context variable is seen only on the thread that it is meant for.
_Storage: Any = getattr(asgiref.local, "_Storage", None)
_rehome: Any = getattr(asgiref.local, "_rehome", None)


class StepHooks:
    """The ``StepHooks`` of a Django project. Lifetime: that of its dispatcher.

    Before a step ``connection.queries`` is emptied; after it, connections that are unusable or past ``CONN_MAX_AGE``
    are closed, and the caches are. After the last step of a connection its channel session is removed. What is kept in
    context variables (the language, the time zone, the URL configuration) needs no more: the core gives each event a
    context of its own.

    Args:
        keep_connections: Leave the database alone: its connections are a test's.
    """

    def __init__(self, *, keep_connections: bool = False) -> None:
        self._keep_connections = keep_connections
        self._queries: ThreadConnections | None = None  # of the thread in which asgiref runs queries of async consumers

    def enter(self, outbox: Any) -> None:
        """Begin a step of a plain consumer, the run of ``outbox``, on its thread."""
        if outbox.context:
            _bring_locals(outbox.context)
        if not self._keep_connections:
            connections = thread_connections()
            if connections.known:
                connections.reset_queries()

    def leave(self, outbox: Outbox) -> None:
        """End what ``enter`` began for ``outbox``."""
        if ends.is_over is not None and outbox.closed and ends.is_over(outbox):
            ends.remove(outbox)
        if caching.in_use():
            caching.leave(outbox)
        if not self._keep_connections:
            connections = thread_connections()
            if connections.known:
                connections.close_old(over=outbox.closed)

    # Async consumers use the database in a thread of asgiref's. What is asked here costs no hop to it, which takes ten
    # times as long as a short consumer; only closing something does.

    def aenter(self, outbox: Any) -> Awaitable[None] | None:
        """Begin a step of an async consumer, the run of ``outbox``, on its event loop.

        Returns:
            What is awaited before the step; None where there is nothing to wait for.
        """
        if outbox.context:
            _bring_locals(outbox.context)
        if self._keep_connections or _thread_of_its_own() is not None:
            return None
        queries = self._queries
        if queries is None:
            return self._find_queries()
        queries.reset_queries()
        return None

    def aleave(self, outbox: Outbox) -> Awaitable[None] | None:
        """End what ``aenter`` began for ``outbox``.

        Returns:
            What is awaited after the step; None where there is nothing to wait for.
        """
        if ends.is_over is not None and outbox.closed and ends.is_over(outbox):
            return self._remove_session(outbox)
        return self._aleave(outbox)

    def watches_ends(self) -> bool:
        """Whether something is kept for a connection that its ``websocket.disconnect`` has to end."""
        return ends.is_over is not None

    async def _remove_session(self, outbox: Outbox) -> None:
        try:
            await sync_to_async(ends.remove)(outbox)
        except asyncio.CancelledError:  # perhaps before the thread has begun
            await sync_to_async(ends.remove)(outbox)
            raise
        finally:
            pending = self._aleave(outbox)
            if pending is not None:
                await pending

    def _aleave(self, outbox: Outbox) -> Awaitable[None] | None:
        backends = caching.aleave(outbox) if caching.in_use() else []
        if self._keep_connections:
            return sync_to_async(caching.close)(backends) if backends else None
        if _thread_of_its_own() is not None:
            return sync_to_async(_leave_there)(backends, outbox) if _has_thread() else None
        queries, old = self._queries, False
        if queries is not None and queries.users and outbox in queries.users:
            queries.users.discard(outbox)
            old = queries.has_old()
        return sync_to_async(_leave)(backends, queries if old else None) if old or backends else None

    async def _find_queries(self) -> None:
        self._queries = await sync_to_async(shared_connections)()


def _leave(backends: list[Any], queries: ThreadConnections | None) -> None:
    caching.close(backends)
    if queries is not None:
        queries.check()


def _leave_there(backends: list[Any], outbox: Outbox) -> None:
    caching.close(backends)
    thread_connections().close_old(over=outbox.closed)


def _thread_of_its_own() -> Any:
    """The ``ThreadSensitiveContext`` around the consumer, if there is one: its queries have a thread of their own."""
    return SyncToAsync.thread_sensitive_context.get(None)


def _has_thread() -> bool:
    return _thread_of_its_own() in SyncToAsync.context_to_thread_executor


def _bring_locals(context: Any) -> None:
    """Have this thread see what asgiref's ``Local`` objects keep in ``context``, as ``sync_to_async`` does."""
    if _rehome is None:
        return
    here = threading.get_ident()
    for variable, value in context.items():
        if isinstance(value, _Storage) and value.thread_id != here:
            variable.set(_rehome(value))
