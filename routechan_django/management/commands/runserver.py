"""``manage.py runserver``: Django's development server, with sockets."""

from __future__ import annotations

import datetime
import errno
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.runserver import Command as DjangoCommand
from django.db import connections
from django.utils import autoreload
from django.utils.module_loading import import_string

from routechan.kinds import Consumer
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.routing import Route

from ... import conf
from ...asgi import channel_layers, get_asgi_application
from ...handler import ViewConsumer
from ...log import setup_logger
from ...staticfiles import StaticFilesConsumer
from ...worker import Worker
from ..server import Server, build_endpoint_description_strings

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


#: Status, or its first digit -> the style of the line (CM-14).
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
    addr: str
    port: str
    use_ipv6: bool

    help = "Starts a development server that serves HTTP, static files and WebSockets, and reloads on change."

    #: What serves, without and with sockets; Django's own is used with ``--noasgi``.
    socket_server_cls = Server

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi", action="store_false", dest="use_asgi", help="Run Django's WSGI server instead, without sockets."
        )
        parser.add_argument(
            "--noworker",
            action="store_false",
            dest="run_worker",
            help="Leave the messages that are sent to the routing's own channels to runworker.",
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
        # Said here, since what is raised in the thread the reloader runs us in ends the thread and not the process.
        if _serves_sockets(options) and importlib.util.find_spec("uvicorn") is None:
            raise CommandError(MISSING_SERVER)
        self.logger = setup_logger("routechan", options.get("verbosity", 1))
        self.http_timeout = options.get("http_timeout")
        self.websocket_handshake_timeout = options.get("websocket_handshake_timeout")
        return super().handle(*args, **options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        if not _serves_sockets(options):
            super().inner_run(*args, **options)
            return
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        for connection in connections.all(initialized_only=True):  # which consumers would find open (PL-09)
            connection.close()
        conf.serve_with(
            threads=None if options.get("use_threading", True) else 1,
            read_channels=None if options.get("run_worker", True) else False,
        )
        self.channel_layer: Any = channel_layers[DEFAULT_CHANNEL_LAYER]
        server = self.socket_server_cls(
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
        self.listen(server)
        host = f"[{self.addr}]" if ":" in self.addr else self.addr
        quit_key = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"{datetime.datetime.now():%B %d, %Y - %X}\n"
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"Serving HTTP and WebSockets at {self.protocol}://{host}:{self.port}/ with channel layer "
            f"{self.channel_layer}\nQuit the server with {quit_key}."
        )
        with suppress(KeyboardInterrupt):
            server.run()
        shutdown_message = options.get("shutdown_message", "")
        if shutdown_message:
            self.stdout.write(shutdown_message)

    def listen(self, server: Server) -> None:
        """Have the port taken; ends the process, with what to do, where it is not to be had."""
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
        """Print a line for what a client did to ``sys.stderr`` (CM-13)."""
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
        """The consumer of ``http.request`` (CM-12).

        A subclass that overrides this has all requests, but those for static files, answered by what it returns;
        without one Django's own handler answers them.
        """
        return StaticFilesConsumer() if self._serves_static(options) else ViewConsumer()

    def get_application(self, **options: Any) -> Any:
        """``ASGI_APPLICATION`` if it is set, else the default layer's; with static files in development."""
        path = getattr(settings, "ASGI_APPLICATION", None)
        application: Any = _import_application(path) if path else get_asgi_application()
        if self._serves_static(options):
            application = ASGIStaticFilesHandler(application)
        return application

    def _serves_static(self, options: dict[str, Any]) -> bool:
        static = apps.is_installed("django.contrib.staticfiles") and options.get("use_static_handler", True)
        return bool(static and (settings.DEBUG or options.get("insecure_serving", False)))


class WorkerThread(threading.Thread):
    """A worker beside whatever else the process does (CM-08). Lifetime: that of the process."""

    def __init__(self, channel_layer: Any, logger: logging.Logger) -> None:
        super().__init__(daemon=True)
        self.channel_layer = channel_layer
        self.logger = logger

    def run(self) -> None:
        self.logger.debug("Worker thread running")
        worker = Worker(channel_layer=self.channel_layer, signal_handlers=False)
        worker.ready()
        worker.run()
        self.logger.debug("Worker thread exited")


def _serves_sockets(options: dict[str, Any]) -> bool:
    return bool(options.get("use_asgi", True)) and DEFAULT_CHANNEL_LAYER in conf.layer_aliases()


def _import_application(path: str) -> Any:
    advice = 'write the module and the name in it, such as "project.asgi.application", or leave the setting out'
    try:
        application = import_string(path)
    except ImportError as error:
        raise CommandError(f"ASGI_APPLICATION is {path!r}, which cannot be imported: {error}; {advice}") from error
    if not callable(application):
        kind = "a module" if type(application).__name__ == "module" else repr(application)
        raise CommandError(f"ASGI_APPLICATION is {path!r}, which is {kind} and no ASGI application; {advice}")
    return application
