"""What ``test_file_database`` runs with Django's own test runner."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.backends.signals import connection_created
from django.test import override_settings

from . import test_liveserver
from .test_liveserver import SITE


@override_settings(**SITE)
class FileTests(test_liveserver.LiveTestCase):
    def test_threads_have_their_own_connections(self) -> None:
        """Those of the server's threads are closed when the server has ended, though they might be kept."""
        assert not connection.is_in_memory_db()  # type: ignore[attr-defined]
        opened: list[Any] = []

        def keep(connection: Any, **kwargs: Any) -> None:
            opened.append(connection)

        connection_created.connect(keep)
        self.addCleanup(connection_created.disconnect, keep)
        so_far = []
        for path in ("plain", "async", "stream"):
            so_far.append(path)
            socket = self.open(f"/{path}/")
            socket.send(path)
            assert socket.recv(test_liveserver.PATIENCE) == " ".join(so_far)
        assert self.get("/users/") == "plain async stream of-the-view"
        assert len(opened) >= 3
        self._server.terminate()
        assert [each for each in opened if each.connection is not None and each is not connection] == []
