"""``manage.py runserver``: Django's development server, with sockets."""

from __future__ import annotations

import errno
import os
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

    help = "Starts a development server that serves HTTP, static files and WebSockets, and reloads on change."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi", action="store_false", dest="use_asgi", help="Run Django's WSGI server instead, without sockets."
        )

    def inner_run(self, *args: Any, **options: Any) -> None:
        if not options.get("use_asgi", True) or DEFAULT_CHANNEL_LAYER not in conf.layer_aliases():
            super().inner_run(*args, **options)
            return
        autoreload.raise_last_exception()
        try:
            import uvicorn
        except ImportError as error:
            raise CommandError(MISSING_SERVER) from error
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        application = self.get_application(**options)
        host = self.addr.strip("[]")
        quit_key = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"Serving HTTP and WebSockets at {self.protocol}://{self.addr}:{self.port}/ with settings "
            f"{settings.SETTINGS_MODULE!r}\nQuit the server with {quit_key}."
        )
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                host=host,
                port=int(self.port),
                lifespan="on",
                log_level="info",
                timeout_graceful_shutdown=1,  # the pages reconnect; a developer waits for nothing
            )
        )
        try:
            server.run()
        except KeyboardInterrupt:
            pass
        except OSError as error:
            reason = "that port is in use" if error.errno == errno.EADDRINUSE else str(error)
            self.stderr.write(self.style.ERROR(f"Error: {self.addr}:{self.port}: {reason}"))
            os._exit(1)  # sys.exit in the thread autoreload runs us in would be ignored
        shutdown_message = options.get("shutdown_message", "")
        if shutdown_message:
            self.stdout.write(shutdown_message)

    def get_application(self, **options: Any) -> Any:
        """``ASGI_APPLICATION`` if it is set, else the default layer's; with static files in development."""
        path = getattr(settings, "ASGI_APPLICATION", None)
        application: Any = _import_application(path) if path else get_asgi_application()
        static = apps.is_installed("django.contrib.staticfiles") and options.get("use_static_handler", True)
        if static and (settings.DEBUG or options.get("insecure_serving", False)):
            from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

            application = ASGIStaticFilesHandler(application)
        return application


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
