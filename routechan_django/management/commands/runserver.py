"""``manage.py runserver``: Django's development server, with sockets."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import sys
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.runserver import Command as DjangoCommand
from django.utils import autoreload
from django.utils.module_loading import import_string

from routechan.layers import DEFAULT_CHANNEL_LAYER

from ... import conf
from ...asgi import get_asgi_application

MISSING_SERVER = (
    "runserver needs uvicorn to serve sockets; install it with: pip install 'routechan[server]', "
    "or run Django's own server, without sockets, with: runserver --noasgi"
)


class Command(DjangoCommand):
    addr: str
    port: str
    use_ipv6: bool

    help = "Starts a development server that serves HTTP, static files and WebSockets, and reloads on change."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi", action="store_false", dest="use_asgi", help="Run Django's WSGI server instead, without sockets."
        )

    def handle(self, *args: Any, **options: Any) -> str | None:
        # Said here, since what is raised in the thread the reloader runs us in ends the thread and not the process.
        if _serves_sockets(options) and importlib.util.find_spec("uvicorn") is None:
            raise CommandError(MISSING_SERVER)
        return super().handle(*args, **options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        if not _serves_sockets(options):
            super().inner_run(*args, **options)
            return
        import uvicorn

        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        application = self.get_application(**options)
        listener = self.listen()
        quit_key = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"Serving HTTP and WebSockets at {self.protocol}://{self.addr}:{self.port}/ with settings "
            f"{settings.SETTINGS_MODULE!r}\nQuit the server with {quit_key}."
        )
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                lifespan="auto",
                log_level="info",
                timeout_graceful_shutdown=1,  # the pages reconnect; a developer waits for nothing
            )
        )
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            listener.close()
        shutdown_message = options.get("shutdown_message", "")
        if shutdown_message:
            self.stdout.write(shutdown_message)

    def listen(self) -> socket.socket:
        """The socket to serve on; ends the process, with what to do, where there is none to be had."""
        listener = socket.socket(socket.AF_INET6 if self.use_ipv6 else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.addr.strip("[]"), int(self.port)))
        except OSError as error:
            listener.close()
            reason = (
                f"port {self.port} is already in use; choose another one, such as: runserver {int(self.port) + 1}"
                if error.errno == errno.EADDRINUSE
                else f"{self.addr}:{self.port} cannot be used: {error.strerror or error}"
            )
            self.stderr.write(self.style.ERROR(f"Error: {reason}"))
            os._exit(1)  # as Django does: sys.exit would end the reloader's thread, not the process
        return listener

    def get_application(self, **options: Any) -> Any:
        """``ASGI_APPLICATION`` if it is set, else the default layer's; with static files in development."""
        path = getattr(settings, "ASGI_APPLICATION", None)
        application: Any = _import_application(path) if path else get_asgi_application()
        static = apps.is_installed("django.contrib.staticfiles") and options.get("use_static_handler", True)
        if static and (settings.DEBUG or options.get("insecure_serving", False)):
            from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

            application = ASGIStaticFilesHandler(application)
        return application


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
