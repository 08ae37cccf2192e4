"""The server and the worker of a live test, on threads of the test's process.

The names are those of 1.x, where both were forked processes. Threads work on macOS and Windows too, which do not fork,
and share a database in memory (PL-17).
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import importlib.util
import socket
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler

from routechan.asgi import Application
from routechan.worker.process import WorkerProcess as Worker

from .. import conf
from ..application import application_with, dispatcher
from ..layer import ChannelLayerWrapper
from ..staticfiles import ASGIStaticFiles
from .databases import SharedDatabases

#: Seconds within which a server has to start, and to stop.
START_TIME = 30.0
STOP_TIME = 10.0

#: Seconds that connections have to close in at the end of a test.
GRACE = 2

Self = TypeVar("Self", bound="ProcessSetup")


class ProcessSetup:
    """A thread beside a test; a subclass defines ``run`` and ``stop``. Lifetime: its ``with`` block."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"routechan-{type(self).__name__}", daemon=True)
        self._ready = threading.Event()
        self._error: BaseException | None = None

    def __enter__(self: Self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_TIME):
            self._error = TimeoutError(f"{type(self).__name__} was not ready within {START_TIME:g} s")
        if self._error is not None:  # in 1.x the test went on and failed later (TC-41)
            self.terminate()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.terminate()

    def terminate(self) -> None:
        """Stop the thread and wait until it ends; ``RuntimeError`` if it does not within ``STOP_TIME``."""
        self.stop()
        self._thread.join(STOP_TIME)
        if self._thread.is_alive():
            raise RuntimeError(f"{type(self).__name__} did not end within {STOP_TIME:g} s")

    def run(self) -> None:
        """Do the work of the thread, and call ``ready`` when it has begun; ``NotImplementedError`` unless defined."""
        raise NotImplementedError

    def stop(self) -> None:
        """Make ``run`` return; called from another thread.

        ``NotImplementedError`` unless defined.
        """
        raise NotImplementedError

    def ready(self) -> None:
        """Let the test go on."""
        self._ready.set()

    def _run(self) -> None:
        try:
            self.run()
        except SystemExit as error:  # uvicorn cannot start; this must not end the test run
            self._error = RuntimeError(f"{type(self).__name__} could not start, see the log: {error!r}")
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()


class DaphneProcess(ProcessSetup):
    """A server of ``layer`` and Django, uvicorn on a thread. Lifetime: its ``with`` block.

    Args:
        layer: The layer, with the routing of its consumers.
        host: Where to listen, on a port that the system chooses.
        threads: How many plain consumers run side by side.
        serve_static: Whether to serve the files of the staticfiles app.
    """

    def __init__(self, layer: ChannelLayerWrapper, host: str, *, threads: int, serve_static: bool) -> None:
        super().__init__()
        self._layer = layer
        self._host = host
        self._threads = threads
        self._serve_static = serve_static
        self._databases = SharedDatabases()
        self._socket: socket.socket | None = None
        self._server: Any = None

    @property
    def port(self) -> int:
        """The port it listens on; ``RuntimeError`` before it was started."""
        if self._socket is None:
            raise RuntimeError("the server has not been started")
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The address for HTTP, ``http://host:port``."""
        return f"http://{self._host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The address for sockets, ``ws://host:port``."""
        return f"ws://{self._host}:{self.port}"

    def __enter__(self) -> DaphneProcess:
        self._server = _uvicorn_server(self._application(), self._notify_ready)
        self._socket = socket.create_server((self._host, 0))
        self._databases.share()
        return super().__enter__()

    def terminate(self) -> None:
        """Stop the server, and take the databases back."""
        try:
            super().terminate()
        finally:
            self._databases.end()
            if self._socket is not None:
                self._socket.close()

    def run(self) -> None:
        """Serve until ``stop``."""
        # Async consumers use the database in asgiref's one thread for such calls.
        asyncio.run(_in_database_thread(self._databases.use_here))
        try:
            self._server.run(sockets=[self._socket])
        finally:
            asyncio.run(_in_database_thread(self._databases.leave_here))

    def stop(self) -> None:
        """Make the server end."""
        self._server.should_exit = True

    async def _notify_ready(self) -> None:
        self.ready()

    def _application(self) -> Application:
        options = conf.server_options()
        options = dataclasses.replace(options, allowed_origins=[*(options.allowed_origins or ()), self._host])
        http = _http_application(self._serve_static)
        return application_with(self._layer, http=http, options=options, threads=self._threads)


class WorkerProcess(ProcessSetup):
    """A worker of ``layer`` beside the server, for ``"CONSUMERS": "workers"``. Lifetime: its ``with`` block.

    Args:
        layer: The layer, with the routing of its consumers.
        threads: How many plain consumers run side by side.
    """

    def __init__(self, layer: ChannelLayerWrapper, *, threads: int) -> None:
        super().__init__()
        self._layer = layer
        self._threads = threads
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Run consumers until ``stop``."""
        asyncio.run(self._run_worker())

    async def _run_worker(self) -> None:
        layer = self._layer
        layer.router.check_default()
        self._worker = Worker(
            dispatcher(layer), layer, layer.router.channels, threads=self._threads, drain=GRACE, ready=self.ready
        )
        self._loop = asyncio.get_running_loop()
        await self._worker.run()

    def stop(self) -> None:
        """Make the worker end."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._worker.stop)


async def _in_database_thread(function: Callable[[], None]) -> None:
    await sync_to_async(function)()


def _http_application(serve_static: bool) -> Any:
    handler = ASGIHandler()
    return ASGIStaticFiles(handler) if serve_static and apps.is_installed("django.contrib.staticfiles") else handler


def _uvicorn_server(application: Application, notify_ready: Callable[[], Awaitable[None]]) -> Any:
    try:
        uvicorn = importlib.import_module("uvicorn")  # an extra, which the other test cases do not need
    except ImportError as error:
        raise ImproperlyConfigured("a live server needs uvicorn: pip install 'routechan[server]'") from error
    config = uvicorn.Config(
        application,
        lifespan="on",
        loop="asyncio",
        ws="websockets-sansio" if importlib.util.find_spec("websockets") else "auto",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        callback_notify=notify_ready,  # called when the server serves, and again after ``timeout_notify``
        timeout_notify=86400,
    )
    return uvicorn.Server(config)
