"""The databases of a test, shared with the threads of a live server."""

from __future__ import annotations

import threading
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import connections

from ..signals import consumer_finished, consumer_started


class SharedDatabases:
    """Lets the threads of a live server use the databases of the test. Lifetime: that of the server.

    A database in memory is one connection, which all threads share, as in Django's live server. For any other database
    each thread opens its own connection, which is closed after each consumer and request: an open one would prevent
    the database from being removed.
    """

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}
        self._test: int | None = None

    def share(self) -> None:
        """Begin to share; called in the thread of the test."""
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
        """Undo ``share``; called in the thread of the test."""
        for started in (consumer_started, request_started):
            started.disconnect(self.use_here)
        for finished in (consumer_finished, request_finished):
            finished.disconnect(self.leave_here)
        for connection in self._shared.values():
            connection.dec_thread_sharing()
        self._shared = {}

    def use_here(self, **kwargs: Any) -> None:
        """Use the shared connections in this thread.

        A receiver of signals.

        Args:
            **kwargs: What the signal carries; unused.
        """
        if threading.get_ident() != self._test:
            for alias, connection in self._shared.items():
                connections[alias] = connection

    def leave_here(self, **kwargs: Any) -> None:
        """Undo ``use_here``, and close this thread's own connections.

        A receiver of signals.

        Args:
            **kwargs: What the signal carries; unused.
        """
        if threading.get_ident() != self._test:
            for connection in connections.all(initialized_only=True):
                if connection.alias in self._shared:
                    del connections[connection.alias]
            connections.close_all()
