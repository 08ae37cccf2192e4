"""``manage.py runserver``: Django's development server, with sockets."""

from __future__ import annotations

import contextlib
import datetime
import errno
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.runserver import Command as DjangoCommand
from django.core.servers.basehttp import WSGIServer
from django.db import connections
from django.utils import autoreload
from django.utils.module_loading import import_string

from routechan.inspection import Consumer, raised_at
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.routing import Route

from ... import conf
from ...asgi import channel_layers, get_asgi_application
from ...handler import ViewConsumer
from ...layer import ChannelLayerWrapper
from ...log import setup_logger
from ...staticfiles import ASGIStaticFiles, StaticFilesConsumer
from ...worker import Worker
from ..server import Server, build_endpoint_description_strings
from ..worker import BackgroundWorker

__all__ = [
    "Command",
    "Server",
    "StaticFilesConsumer",
    "ViewConsumer",
    "Worker",
    "WorkerThread",
    "build_endpoint_description_strings",
    "channel_layers",
    "setup_logger",
    "sys",
]

MISSING_SERVER = (
    "runserver needs uvicorn to serve sockets; install it with: pip install 'routechan[server]', "
    "or run Django's own server, without sockets, with: runserver --noasgi"
)


#: Status, or its first digit -> the style of its line in the log (CM-14).
HTTP_STYLES = {
    1: "HTTP_INFO",
    2: "HTTP_SUCCESS",
    3: "HTTP_REDIRECT",
    4: "HTTP_BAD_REQUEST",
    304: "HTTP_NOT_MODIFIED",
    404: "HTTP_NOT_FOUND",
}

SOCKET_ACTIONS = {
    "connected": "CONNECT",
    "disconnected": "DISCONNECT",
    "connecting": "HANDSHAKING",
    "rejected": "REJECT",
}


class Command(DjangoCommand):
    """The command; a subclass may override ``get_application``, ``get_consumer`` and ``log_action``.

    Lifetime: process.
    """

    addr: str
    port: str
    use_ipv6: bool

    help = "Starts a development server that serves HTTP, static files and WebSockets, and reloads on change."

    #: The class of the server; with ``--noasgi`` Django's own is used.
    socket_server_cls = Server

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi", action="store_false", dest="use_asgi", help="Run Django's WSGI server instead, without sockets."
        )
        parser.add_argument(
            "--noworker",
            action="store_false",
            dest="run_worker",
            help="Leave the messages that are sent to the routing's own channels to runworker; all consumers, where "
            'CONSUMERS is "workers".',
        )
        parser.add_argument(
            "--http_timeout",
            type=int,
            help="Seconds a request may take (default: ROUTECHAN['HTTP_TIMEOUT'], else 120).",
        )
        parser.add_argument(
            "--websocket_handshake_timeout",
            type=int,
            help="Seconds until a socket is accepted or refused (default: ROUTECHAN['HANDSHAKE_TIMEOUT'], else 5).",
        )

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Run the server, under the reloader unless told otherwise; ``CommandError`` without uvicorn."""
        # Checked here, because an error in the reloader's thread would end that thread and not the process.
        if _serves_sockets(options) and importlib.util.find_spec("uvicorn") is None:
            raise CommandError(MISSING_SERVER)
        self.logger = setup_logger("routechan", options.get("verbosity", 1))
        self.http_timeout = options.get("http_timeout")
        self.websocket_handshake_timeout = options.get("websocket_handshake_timeout")
        return super().handle(*args, **options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Check the project, then serve until stopped."""
        if not _serves_sockets(options):
            if not _is_wsgi_server(self.server_cls):
                self.server_cls = DjangoCommand.server_cls
            super().inner_run(*args, **options)
            return
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        for connection in connections.all(initialized_only=True):  # else consumers would use them (PL-09)
            connection.close()
        conf.override_from_command_line(
            threads=None if options.get("use_threading", True) else 1,
            read_channels=None if options.get("run_worker", True) else False,
        )
        server = self._make_server(options)
        self.listen(server)
        self._print_banner()
        with contextlib.suppress(KeyboardInterrupt), self._workers(options.get("run_worker", True)):
            server.run()
        shutdown_message = options.get("shutdown_message", "")
        if shutdown_message:
            self.stdout.write(shutdown_message)

    def _make_server(self, options: dict[str, Any]) -> Server:
        self.channel_layer: Any = channel_layers[DEFAULT_CHANNEL_LAYER]
        # In 1.x the attribute was ``server_cls``, which in Django's own command is the WSGI server.
        own: Any = None if _is_wsgi_server(self.server_cls) else self.server_cls
        server: Server = (own or self.socket_server_cls)(
            channel_layer=self.channel_layer,
            endpoints=build_endpoint_description_strings(host=self.addr, port=int(self.port)),
            signal_handlers=not options["use_reloader"],
            action_logger=self.log_action,
            http_timeout=self.http_timeout,
            ws_protocols=conf.server_options().subprotocols or None,
            root_path=getattr(settings, "FORCE_SCRIPT_NAME", None) or "",
            websocket_handshake_timeout=self.websocket_handshake_timeout,
        )
        server.application = self.get_application(**options)
        if type(self).get_consumer is not Command.get_consumer:
            self.channel_layer.router.add_route(Route("http.request", self.get_consumer(**options)))  # type: ignore[attr-defined]
        return server

    @contextlib.contextmanager
    def _workers(self, run: bool) -> Iterator[None]:
        """A worker for each layer whose consumers run in workers, unless they are left to ``runworker``."""
        aliases = [alias for alias in conf.layer_aliases() if conf.runs_in_workers(alias)]
        if aliases:
            self.stdout.write(
                f'The consumers of {", ".join(aliases)} run in workers (CONSUMERS is "workers"): '
                + ("in one beside this server, and in runworker processes" if run else "start manage.py runworker")
                + "."
            )
        with contextlib.ExitStack() as workers:
            for alias in aliases if run else ():
                layer = channel_layers[alias]
                if isinstance(layer, ChannelLayerWrapper):
                    workers.enter_context(BackgroundWorker(layer))
            yield

    def _print_banner(self) -> None:
        host = f"[{self.addr}]" if ":" in self.addr else self.addr
        quit_key = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"{datetime.datetime.now():%B %d, %Y - %X}\n"
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"Serving HTTP and WebSockets at {self.protocol}://{host}:{self.port}/ with channel layer "
            f"{self.channel_layer}\nQuit the server with {quit_key}."
        )

    def listen(self, server: Server) -> None:
        """Have ``server`` listen; where the port cannot be used, say why and end the process."""
        try:
            server.listen()
        except OSError as error:
            reason = (
                f"port {self.port} is already in use; choose another one, such as: runserver {int(self.port) + 1}"
                if error.errno == errno.EADDRINUSE
                else f"{self.addr}:{self.port} cannot be used: {error.strerror or error}"
            )
            self.stderr.write(self.style.ERROR(f"Error: {reason}"))
            os._exit(1)  # as Django does: sys.exit would end the reloader's thread, not the process

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Print a line for a request or a step of a socket to ``sys.stderr`` (CM-13).

        Args:
            protocol: ``"http"`` or ``"websocket"``.
            action: ``"complete"`` for HTTP; for a socket a key of ``SOCKET_ACTIONS``.
            details: ``path``, ``method`` and ``client``; for HTTP ``status`` and ``time_taken`` (seconds) too.
        """
        line = f"[{datetime.datetime.now():%Y/%m/%d %H:%M:%S}] "
        if protocol == "http" and action == "complete":
            text = "HTTP {method} {path} {status} [{time_taken:.2f}, {client}]\n".format(**details)
            line += self._http_style(details["status"])(text)
        elif protocol == "websocket" and action in SOCKET_ACTIONS:
            line += f"WebSocket {SOCKET_ACTIONS[action]} {details['path']} [{details['client']}]\n"
        sys.stderr.write(line)

    def _http_style(self, status: int) -> Callable[[str], str]:
        name = HTTP_STYLES.get(status) or HTTP_STYLES.get(status // 100, "HTTP_SERVER_ERROR")
        style: Callable[[str], str] = getattr(self.style, name)
        return style

    def get_consumer(self, *args: Any, **options: Any) -> Consumer:
        """The consumer of ``http.request``, used only where a subclass overrides this method (CM-12).

        It answers all requests except those for static files. Without an override Django's own handler answers.

        Args:
            *args: Unused, as in 1.x.
            **options: The command's options.
        """
        return StaticFilesConsumer() if self._serves_static(options) else ViewConsumer()

    def get_application(self, **options: Any) -> Any:
        """The application to serve: ``ASGI_APPLICATION``, else that of the default layer; with static files.

        Args:
            **options: The command's options.

        Returns:
            An ASGI application, which serves static files with ``DEBUG`` or ``--insecure``.
        """
        path = getattr(settings, "ASGI_APPLICATION", None)
        application: Any = _import_application(path) if path else get_asgi_application()
        if self._serves_static(options):
            application = ASGIStaticFiles(application)
        return application

    def _serves_static(self, options: dict[str, Any]) -> bool:
        static = apps.is_installed("django.contrib.staticfiles") and options.get("use_static_handler", True)
        return bool(static and (settings.DEBUG or options.get("insecure_serving", False)))


class WorkerThread(threading.Thread):
    """A thread that runs a ``Worker`` (CM-08). Lifetime: process.

    Args:
        channel_layer: The layer to receive messages from.
        logger: Where to log that the thread starts and ends.
    """

    def __init__(self, channel_layer: Any, logger: logging.Logger) -> None:
        super().__init__(daemon=True)
        self.channel_layer = channel_layer
        self.logger = logger

    def run(self) -> None:
        """Run the worker until the process ends."""
        self.logger.debug("Worker thread running")
        worker = Worker(channel_layer=self.channel_layer, signal_handlers=False)
        worker.ready()
        worker.run()
        self.logger.debug("Worker thread exited")


def _is_wsgi_server(server_cls: Any) -> bool:
    return isinstance(server_cls, type) and issubclass(server_cls, WSGIServer)


def _serves_sockets(options: dict[str, Any]) -> bool:
    return bool(options.get("use_asgi", True)) and DEFAULT_CHANNEL_LAYER in conf.layer_aliases()


def _import_application(path: str) -> Any:
    advice = 'write the module and the name in it, such as "project.asgi.application", or leave the setting out'
    try:
        application = import_string(path)
    except ImportError as error:
        at = raised_at(error)
        raise CommandError(f"ASGI_APPLICATION is {path!r}, which cannot be imported: {error}{at}; {advice}") from error
    if not callable(application):
        kind = "a module" if type(application).__name__ == "module" else repr(application)
        raise CommandError(f"ASGI_APPLICATION is {path!r}, which is {kind} and no ASGI application; {advice}")
    return application
