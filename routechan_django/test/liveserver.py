"""``ChannelLiveServerTestCase``: a real server in front of the project, for browsers and socket clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from django.test import TransactionTestCase
from django.test.utils import modify_settings

from routechan.layers import DEFAULT_CHANNEL_LAYER

from .. import conf
from ..asgi import ChannelLayerManager
from ..management.server import Server
from ..staticfiles import StaticFilesConsumer
from ..worker import Worker, WorkerGroup
from .layers import use_test_config
from .servers import DaphneProcess, ProcessSetup, WorkerProcess

__all__ = [
    "ChannelLayerManager",
    "ChannelLiveServerTestCase",
    "DaphneProcess",
    "ProcessSetup",
    "Server",
    "StaticFilesConsumer",
    "Worker",
    "WorkerGroup",
    "WorkerProcess",
]


class ChannelLiveServerTestCase(TransactionTestCase):
    """A test case whose tests each have a server on a thread; with ``"CONSUMERS": "workers"`` a worker on another.

    The server passes HTTP to Django and sockets to the consumers of the routing. It listens at ``host``, on a port that
    the system chooses. ``serve_static`` says whether it serves the files of the staticfiles app. ``worker_threads`` is
    how many plain consumers run side by side, and how many plain generators stream. The layers are made from
    ``TEST_CONFIG`` and flushed; without one they are in memory.

    An SQLite database in memory is one connection, which the server's threads share with the test. Tests in which much
    happens at once need a database in a file (``DATABASES["default"]["TEST"]["NAME"]``). Lifetime: test.
    """

    host: ClassVar[str] = "localhost"
    ProtocolServerProcess: ClassVar[Any] = DaphneProcess
    WorkerProcess: ClassVar[Any] = WorkerProcess
    worker_threads: ClassVar[int] = 1
    serve_static: ClassVar[bool] = True

    @property
    def live_server_url(self) -> str:
        """The address of the server for HTTP, ``http://host:port`` (TC-37)."""
        return self._server.url

    @property
    def live_server_ws_url(self) -> str:
        """The address of the server for sockets, ``ws://host:port``."""
        return self._server.ws_url

    def _callSetUp(self) -> None:
        # The server runs from before ``setUp``, overridden or not, until all cleanups have run.
        with ExitStack() as stack:
            self._server = stack.enter_context(
                serving(
                    self.host,
                    threads=self.worker_threads,
                    serve_static=self.serve_static,
                    server=self.ProtocolServerProcess,
                    worker=self.WorkerProcess,
                )
            )
            self.addCleanup(stack.pop_all().close)
        super()._callSetUp()  # type: ignore[misc]


@contextmanager
def serving(
    host: str = "localhost",
    *,
    threads: int = 1,
    serve_static: bool = True,
    server: Any = DaphneProcess,
    worker: Any = WorkerProcess,
) -> Iterator[DaphneProcess]:
    """A ``with`` block with a server on a thread, and with ``"CONSUMERS": "workers"`` a worker on another.

    The layers are made from ``TEST_CONFIG`` and flushed; without one they are in memory.

    Args:
        host: Where to listen, on a port that the system chooses.
        threads: How many plain consumers run side by side, and how many plain generators stream.
        serve_static: Whether to serve the files of the staticfiles app.
        server: The class of the server.
        worker: The class of the worker.

    Yields:
        The server.
    """
    with ExitStack() as stack:
        stack.enter_context(modify_settings(ALLOWED_HOSTS={"append": host}))
        layer = stack.enter_context(use_test_config())[DEFAULT_CHANNEL_LAYER]
        running = stack.enter_context(server(layer, host, threads=threads, serve_static=serve_static))
        if conf.runs_in_workers(layer.alias):
            stack.enter_context(worker(layer, threads=threads))
        yield running
