"""A server for one test, on a thread of the test's own process.

The names are those of 1.x, where server and workers were processes made by a fork: macOS and Windows start processes
in another way, and a database in memory cannot be seen from another process (PL-17).
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
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler

from routechan.app import inline_application, relay_application
from routechan.asgi import Application
from routechan.worker.process import WorkerProcess as Worker

from .. import conf
from ..asgi import dispatcher
from ..layer import ChannelLayerWrapper
from .databases import SharedDatabases

#: Seconds within which a server starts, and within which it stops.
START_TIME = 30.0
STOP_TIME = 10.0

#: Seconds that connections which are open at the end of a test have to close in.
GRACE = 2

Self = TypeVar("Self", bound="ProcessSetup")


class ProcessSetup:
    """Something that runs beside a test, on a thread. Lifetime: its ``with`` block."""

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
        """End it and wait for that; raises ``RuntimeError`` where it does not."""
        self.stop()
        self._thread.join(STOP_TIME)
        if self._thread.is_alive():
            raise RuntimeError(f"{type(self).__name__} did not end within {STOP_TIME:g} s")

    def run(self) -> None:
        """What the thread does; calls ``ready`` when it has begun."""
        raise NotImplementedError

    def stop(self) -> None:
        """Have ``run`` return; called from another thread."""
        raise NotImplementedError

    def ready(self) -> None:
        self._ready.set()

    def _run(self) -> None:
        try:
            self.run()
        except SystemExit as error:  # how uvicorn says that it cannot start; the test run is to go on
            self._error = RuntimeError(f"{type(self).__name__} could not start, see the log: {error!r}")
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()


class DaphneProcess(ProcessSetup):
    """Serves ``layer`` and Django with uvicorn at ``host``, on ``port``, which the system chooses."""

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
        if self._socket is None:
            raise RuntimeError("the server has not been started")
        port: int = self._socket.getsockname()[1]
        return port

    def __enter__(self) -> DaphneProcess:
        self._server = _uvicorn_server(self._application(), self._begun)
        self._socket = socket.create_server((self._host, 0))
        self._databases.share()
        return super().__enter__()

    def terminate(self) -> None:
        try:
            super().terminate()
        finally:
            self._databases.end()
            if self._socket is not None:
                self._socket.close()

    def run(self) -> None:
        # Async consumers reach the database in asgiref's one thread for such calls.
        asyncio.run(_in_database_thread(self._databases.use_here))
        try:
            self._server.run(sockets=[self._socket])
        finally:
            asyncio.run(_in_database_thread(self._databases.leave_here))

    def stop(self) -> None:
        self._server.should_exit = True

    async def _begun(self) -> None:
        self.ready()

    def _application(self) -> Application:
        layer = self._layer
        options = conf.server_options()
        options = dataclasses.replace(options, allowed_origins=[*(options.allowed_origins or ()), self._host])
        http = _http_application(self._serve_static)
        if runs_in_workers(layer):
            return relay_application(layer.layer, http, options=options, relay_http=layer.router)
        layer.router.check_default()
        return inline_application(dispatcher(layer), layer, http=http, options=options, threads=self._threads)


class WorkerProcess(ProcessSetup):
    """Runs the consumers of ``layer`` beside the server, for ``"CONSUMERS": "workers"``."""

    def __init__(self, layer: ChannelLayerWrapper, *, threads: int) -> None:
        super().__init__()
        self._layer = layer
        self._threads = threads
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        layer = self._layer
        layer.router.check_default()
        self._worker = Worker(
            dispatcher(layer), layer, layer.router.channels, threads=self._threads, drain=GRACE, ready=self.ready
        )
        self._loop = asyncio.get_running_loop()
        await self._worker.run()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._worker.stop)


def runs_in_workers(layer: ChannelLayerWrapper) -> bool:
    """Whether the settings leave the consumers of ``layer`` to workers."""
    return (conf.layer_config(layer.alias) or {}).get("CONSUMERS") == conf.WORKERS


async def _in_database_thread(function: Callable[[], None]) -> None:
    await sync_to_async(function)()


def _http_application(serve_static: bool) -> Any:
    handler = ASGIHandler()
    return (
        ASGIStaticFilesHandler(handler) if serve_static and apps.is_installed("django.contrib.staticfiles") else handler
    )


def _uvicorn_server(application: Application, begun: Callable[[], Awaitable[None]]) -> Any:
    try:
        uvicorn = importlib.import_module("uvicorn")  # an extra; the rest of the package for tests needs none
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
        callback_notify=begun,  # called at once when the server serves, and not again within this time:
        timeout_notify=86400,
    )
    return uvicorn.Server(config)
