"""The databases of a test, as seen from the threads of a live server."""

from __future__ import annotations

import threading
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import connections

from ..signals import consumer_finished, consumer_started


class SharedDatabases:
    """Lets the threads of a live server use the databases of the test. Lifetime: the server's.

    A database in memory is one connection, which all threads are given, as Django's live server does. For others each
    thread opens its own, closed after each consumer and request: one left open would keep the database from being
    removed.
    """

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}
        self._test: int | None = None

    def share(self) -> None:
        """To be called in the thread of the test."""
        self._test = threading.get_ident()
        for connection in connections.all():
            if connection.vendor == "sqlite" and connection.is_in_memory_db():  # type: ignore[attr-defined]
                connection.inc_thread_sharing()
                self._shared[connection.alias] = connection
        for started in (consumer_started, request_started):
            started.connect(self.use_here)
        for finished in (consumer_finished, request_finished):
            finished.connect(self.leave_here)

    def end(self) -> None:
        """Take back what ``share`` did, in the thread of the test."""
        for started in (consumer_started, request_started):
            started.disconnect(self.use_here)
        for finished in (consumer_finished, request_finished):
            finished.disconnect(self.leave_here)
        for connection in self._shared.values():
            connection.dec_thread_sharing()
        self._shared = {}

    def use_here(self, **kwargs: Any) -> None:
        """Have this thread use the shared connections."""
        if threading.get_ident() != self._test:
            for alias, connection in self._shared.items():
                connections[alias] = connection

    def leave_here(self, **kwargs: Any) -> None:
        """End that, and close this thread's own connections."""
        if threading.get_ident() != self._test:
            for connection in connections.all(initialized_only=True):
                if connection.alias in self._shared:
                    del connections[connection.alias]
            connections.close_all()
