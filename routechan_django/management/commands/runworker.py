"""``manage.py runworker``: consumers of a layer's channels, in processes of their own."""

from __future__ import annotations

import asyncio
import errno
import sys
import threading
from contextlib import nullcontext
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import autoreload

from routechan.exceptions import UnknownChannelLayer
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.message import Message
from routechan.observe.prometheus import exposition
from routechan.worker.filters import filter_channels
from routechan.worker.health import Health, listener, parse_address
from routechan.worker.link import ParentLink
from routechan.worker.process import DRAIN_TIME, WorkerProcess
from routechan.worker.processes import Processes
from routechan.worker.shutdown import GRACE, run
from routechan.worker.watched import watched_dispatcher

from ...asgi import channel_layers
from ...handler import ViewConsumer
from ...layer import ChannelLayerWrapper
from ...log import setup_logger
from ...signals import hooks, worker_process_ready, worker_ready
from ...staticfiles import StaticFilesConsumer
from ...worker import Worker, WorkerGroup

__all__ = ["Command", "Worker", "WorkerGroup"]

NO_PROCESSES = "--processes does not work on Windows; start runworker as often as there are to be processes"


class Command(BaseCommand):
    """May be subclassed: ``get_layer``, ``get_worker``, ``inner_run`` and ``consumer_called`` are small for that."""

    help = "Runs the consumers of messages that are sent to the channels of the routing, until it is stopped."

    leave_locale_alone = True

    #: With ``--reload``: the worker that runs beside the reloader, and whether it has ended.
    worker: WorkerProcess | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")
        parser.add_argument(
            "--only-channels",
            action="append",
            dest="only_channels",
            help="Take messages of these channels only: a name or a pattern such as images.*; may be given often.",
        )
        parser.add_argument(
            "--exclude-channels",
            action="append",
            dest="exclude_channels",
            help="Leave these channels to other workers; may be given often.",
        )
        parser.add_argument(
            "--threads",
            type=int,
            default=1,
            metavar="N",
            help="Plain consumers side by side, each on a thread, which may hold a database connection (default: 1). "
            "Async consumers need no threads.",
        )
        parser.add_argument(
            "--processes",
            type=int,
            default=1,
            metavar="N",
            help="Worker processes, kept running by this one (default: 1).",
        )
        parser.add_argument(
            "--drain",
            type=float,
            default=DRAIN_TIME,
            metavar="SECONDS",
            help=f"Time for running consumers to end in, when the worker is stopped (default: {DRAIN_TIME:g}).",
        )
        parser.add_argument(
            "--reload", action="store_true", help="Start again when code changes, for development; drains first."
        )
        parser.add_argument(
            "--health",
            metavar="[HOST:]PORT",
            help="Answer /healthz, /livez and /metrics there; the second of several processes on the next port, and so "
            "on.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.verbosity = options.get("verbosity", 1)
        self.logger = setup_logger("routechan", self.verbosity)
        self.parent = ParentLink.take()
        self.health = self.check_options(**options)
        if options["reload"]:
            self.reload(**options)
        elif options["processes"] > 1 and self.parent is None:
            self.get_channels(self.prepare_layer(**options), **options)
            self.run_processes(**options)
        else:
            self.inner_run(**options)

    def check_options(self, **options: Any) -> tuple[str, int] | None:
        """Where ``--health`` is to be answered; ``CommandError`` for options that make no sense."""
        for name in ("threads", "processes"):
            if options[name] < 1:
                raise CommandError(f"--{name} is a number from 1 on, not {options[name]}")
        if not 0 <= options["drain"] < float("inf"):
            raise CommandError(f"--drain is a number of seconds of at least 0, not {options['drain']:g}")
        several = options["processes"] > 1
        if several and options["reload"]:
            raise CommandError("--reload is for one process in development; leave --processes out")
        if several and sys.platform == "win32":
            raise CommandError(NO_PROCESSES)
        if options["health"] is None:
            return None
        try:
            host, port = parse_address(str(options["health"]))
        except ValueError as error:
            raise CommandError(f"--health: {error}") from error
        last = port + options["processes"] - 1
        if last > 65535:
            raise CommandError(f"--health: the last process would be at port {last}, and 65535 is the last there is")
        return host, port

    # One process

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Run one worker."""
        if options["reload"]:
            autoreload.raise_last_exception()
        channel_layer = self.prepare_layer(**options)
        worker = self.get_worker(channel_layer, **options)
        threads = options["threads"]
        self.logger.info("Using %s for each worker process", "one thread" if threads == 1 else f"{threads} threads")
        self.logger.info("Running worker against channel layer %s", channel_layer)
        health = self.get_health(worker)
        worker_process_ready.send(sender=worker)
        worker_ready.send(sender=worker)
        if options["reload"]:
            self.run_beside_reloader(worker, health)
        else:
            run(worker, health=health, parent=self.parent)

    def prepare_layer(self, **options: Any) -> ChannelLayerWrapper:
        """The layer with ``http.request`` in its routing (CM-21)."""
        channel_layer = self.get_layer(options["layer"])
        static = settings.DEBUG and apps.is_installed("django.contrib.staticfiles")
        channel_layer.router.check_default(http_consumer=StaticFilesConsumer() if static else ViewConsumer())
        return channel_layer

    def get_worker(self, channel_layer: ChannelLayerWrapper, **options: Any) -> WorkerProcess:
        """The worker; what it sends signals as is ``routechan_django.worker.Worker`` (SG-01)."""
        watch = self.consumer_called if self.verbosity > 1 else None
        return WorkerProcess(
            watched_dispatcher(channel_layer.router, watch, **hooks(Worker, environ={})),
            channel_layer,
            self.get_channels(channel_layer, **options),
            threads=options["threads"],
            drain=options["drain"],
            ready=None if self.parent is None else self.parent.ready,
        )

    def get_layer(self, alias: str) -> ChannelLayerWrapper:
        """The layer to work on; ``CommandError`` where no other process could send anything to it."""
        try:
            layer = channel_layers[alias]
        except UnknownChannelLayer as error:
            known = ", ".join(channel_layers.configs) or "none"
            raise CommandError(f"CHANNEL_LAYERS has no alias {alias!r} for --layer; it has {known}") from error
        if not isinstance(layer, ChannelLayerWrapper):
            raise CommandError(f"The channel layer {alias!r} was set by hand and has no routing; workers need one.")
        if layer.local_only():
            raise CommandError(
                f"The channel layer {layer} lives in one process, so a worker would get no messages; use "
                "routechan.layers.RedisChannelLayer, or leave the consumers to the server process"
            )
        return layer

    def get_channels(self, channel_layer: ChannelLayerWrapper, **options: Any) -> list[str]:
        """The channels of the routing that the options keep; ``CommandError`` where they keep none."""
        channels = sorted(channel_layer.router.channels)
        kept = filter_channels(channels, options["only_channels"], options["exclude_channels"])
        if channels and not kept:
            raise CommandError(
                f"--only-channels and --exclude-channels leave no channel to work on; the routing has "
                f"{', '.join(channels)}"
            )
        return list(kept)

    def consumer_called(self, channel: str, message: Message) -> None:
        """Called for each message with ``--verbosity`` above 1, before its consumer is."""
        self.logger.debug("%s", channel)

    def get_health(self, worker: WorkerProcess) -> Health | None:
        """What answers ``--health``, on a port that is taken already."""
        if self.health is None:
            return None
        host, port = self.health
        health = Health(worker, host, port + (self.parent.number - 1 if self.parent else 0), metrics=exposition)
        try:
            health.listen()
        except OSError as error:
            raise CommandError(_not_to_be_had(health.port, error)) from error
        return health

    # Several processes

    def run_processes(self, **options: Any) -> None:
        """Have this very command run several times, and exit with their status if that is none of success."""
        if self.health is not None:
            self.check_ports(*self.health, options["processes"])
        command = [str(argument) for argument in autoreload.get_child_arguments()]
        status = Processes(command, options["processes"], drain=options["drain"]).run()
        if status:
            sys.exit(status)

    def check_ports(self, host: str, first: int, count: int) -> None:
        """Say now what the processes would say again and again."""
        for port in range(first, first + count):
            try:
                listener(host, port).close()
            except OSError as error:
                raise CommandError(_not_to_be_had(port, error)) from error

    # In development

    def reload(self, **options: Any) -> None:
        """Run the worker beside Django's reloader, and have it drain before the reloader ends the process."""
        self.ended = threading.Event()
        try:
            autoreload.run_with_reloader(self.inner_run, **options)
        finally:
            if self.worker is not None:
                self.worker.stop()
                self.ended.wait(self.worker.drain + GRACE)

    def run_beside_reloader(self, worker: WorkerProcess, health: Health | None) -> None:
        self.worker = worker
        try:
            with health or nullcontext():
                asyncio.run(worker.run())
        finally:
            self.ended.set()


def _not_to_be_had(port: int, error: OSError) -> str:
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror or error}"
    return f"--health: port {port} {reason}; choose another one"
