"""``ChannelLiveServerTestCase``: a real server in front of the project, for browsers and socket clients."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar

from django.test import TransactionTestCase
from django.test.utils import modify_settings

from routechan.layers import DEFAULT_CHANNEL_LAYER

from ..asgi import ChannelLayerManager
from ..staticfiles import StaticFilesConsumer
from ..worker import Worker, WorkerGroup
from .layers import live_layers
from .servers import DaphneProcess, ProcessSetup, WorkerProcess, runs_in_workers

__all__ = [
    "ChannelLayerManager",
    "ChannelLiveServerTestCase",
    "DaphneProcess",
    "ProcessSetup",
    "StaticFilesConsumer",
    "Worker",
    "WorkerGroup",
    "WorkerProcess",
]


class ChannelLiveServerTestCase(TransactionTestCase):
    """Each test has a server of its own, on a thread: Django for HTTP, the routing's consumers for sockets; with
    ``"CONSUMERS": "workers"`` a worker on another.

    ``host`` is where it listens, on a port the system chooses; ``serve_static`` has it serve the files of the
    staticfiles app. ``worker_threads`` is how many plain consumers run side by side, and how many plain generators
    stream. The layers are made from ``TEST_CONFIG`` and flushed; without one they are in memory.

    An SQLite database in memory is one connection, which the server's threads share with the test; a test in which
    much happens at once wants a database in a file (``DATABASES["default"]["TEST"]["NAME"]``).
    """

    host: ClassVar[str] = "localhost"
    ProtocolServerProcess: ClassVar[Any] = DaphneProcess
    WorkerProcess: ClassVar[Any] = WorkerProcess
    worker_threads: ClassVar[int] = 1
    serve_static: ClassVar[bool] = True

    @property
    def live_server_url(self) -> str:
        """``http://host:port`` (TC-37)."""
        return f"http://{self.host}:{self._server.port}"

    @property
    def live_server_ws_url(self) -> str:
        """``ws://host:port``."""
        return f"ws://{self.host}:{self._server.port}"

    def _callSetUp(self) -> None:
        # The server is there before ``setUp``, overridden or not, and until all cleanups have run.
        with ExitStack() as stack:
            stack.enter_context(modify_settings(ALLOWED_HOSTS={"append": self.host}))
            layer = stack.enter_context(live_layers())[DEFAULT_CHANNEL_LAYER]
            self._server = stack.enter_context(
                self.ProtocolServerProcess(
                    layer, self.host, threads=self.worker_threads, serve_static=self.serve_static
                )
            )
            if runs_in_workers(layer):
                stack.enter_context(self.WorkerProcess(layer, threads=self.worker_threads))
            self.addCleanup(stack.pop_all().close)
        super()._callSetUp()  # type: ignore[misc]
