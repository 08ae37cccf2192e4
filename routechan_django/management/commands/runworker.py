"""``manage.py runworker``: a process, or several, that run the consumers of a layer's channels."""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
import threading
from collections.abc import Collection
from contextlib import nullcontext, suppress
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import autoreload

from routechan.consumers.dispatch import Dispatcher
from routechan.interfaces import HTTP_CHANNELS, SOCKET_CHANNELS
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.message import Message
from routechan.monitor.prometheus import exposition
from routechan.worker.classic import filter_channels
from routechan.worker.health import STUCK_TIME, Health, listener, parse_address
from routechan.worker.process import DRAIN_TIME, WorkerProcess
from routechan.worker.shutdown import GRACE, run
from routechan.worker.supervisor import ParentLink, Supervisor

from ... import conf
from ...asgi import channel_layers
from ...handler import ViewConsumer
from ...layer import ChannelLayerWrapper
from ...log import setup_logger
from ...signals import hooks, worker_process_ready, worker_ready
from ...staticfiles import StaticFilesConsumer
from ...worker import Worker, WorkerGroup
from ..layers import named_layer, refuse_local

__all__ = ["Command", "Worker", "WorkerGroup", "channel_layers"]

#: What the names were before anybody patched them.
WORKERS = (Worker, WorkerGroup)

NO_PROCESSES = "--processes does not work on Windows; start runworker as often as there are to be processes"


class Command(BaseCommand):
    """The command; a subclass may override ``get_layer``, ``get_worker``, ``inner_run`` and ``consumer_called``.

    Lifetime: process.
    """

    help = "Runs the consumers of messages that are sent to the channels of the routing, until it is stopped."

    leave_locale_alone = True

    #: With ``--reload``: the worker that runs beside the reloader.
    worker: WorkerProcess | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
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
            "on. Without a host it is 127.0.0.1; *:PORT is every interface.",
        )
        parser.add_argument(
            "--stuck",
            type=float,
            default=STUCK_TIME,
            metavar="SECONDS",
            help="/livez is 503 once all threads have been held by the same consumers for that long; 0: never "
            f"(default: {STUCK_TIME:g}).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the options, then run one worker, or supervise several, until stopped."""
        self.verbosity = options.get("verbosity", 1)
        self.logger = setup_logger("routechan", self.verbosity)
        self.parent = ParentLink.take()
        self.health = self.check_options(**options)
        self.stuck = options["stuck"] or None
        if options["reload"]:
            self.reload(**options)
        elif options["processes"] > 1 and self.parent is None:
            self.get_channels(self.prepare_layer(**options), **options)
            self.run_processes(**options)
        else:
            self.inner_run(**options)

    def check_options(self, **options: Any) -> tuple[str, int] | None:
        """The host and port of ``--health``, or None without it.

        Args:
            **options: The command's options.

        Raises:
            CommandError: An option is out of range, or two exclude each other.
        """
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
        """Run one worker until it is stopped.

        Args:
            *args: Unused, as in 1.x.
            **options: The command's options.
        """
        if options["reload"]:
            autoreload.raise_last_exception()
        channel_layer = self.prepare_layer(**options)
        if (Worker, WorkerGroup) != WORKERS:
            self.run_own(channel_layer, **options)
            return
        worker = self.get_worker(channel_layer, **options)
        threads = options["threads"]
        self.logger.info("Using %s for each worker process", "one thread" if threads == 1 else f"{threads} threads")
        self.logger.info("Running worker against channel layer %s", channel_layer)
        self.tell_of_inline_servers(channel_layer.alias, worker.channels)
        health = self.get_health(worker)
        worker_process_ready.send(sender=worker)
        worker_ready.send(sender=worker)
        if options["reload"]:
            self.run_beside_reloader(worker, health)
        else:
            run(worker, health=health, parent=self.parent)

    def tell_of_inline_servers(self, alias: str, channels: Collection[str]) -> None:
        """Log what is left for a worker where ``CONSUMERS`` is ``"inline"``.

        Args:
            alias: The layer.
            channels: That the worker takes messages of.
        """
        if conf.runs_in_workers(alias):
            return
        own = [name for name in channels if name not in SOCKET_CHANNELS + HTTP_CHANNELS]
        self.logger.log(
            logging.INFO if own else logging.WARNING,
            'CHANNEL_LAYERS[%r] has no "CONSUMERS": "workers": servers of this project run the consumers of sockets '
            "themselves, and %s. (A server of python -m routechan serve runs none.)",
            alias,
            f"leave {', '.join(own)} to this worker" if own else "leave nothing for this worker to do",
        )

    def run_own(self, channel_layer: ChannelLayerWrapper, **options: Any) -> None:
        """Run the class that a project or a test put in the place of ``Worker`` in this module, as 1.x did (CM-22).

        Args:
            channel_layer: The layer to receive messages from.
            **options: The command's options.
        """
        given = {
            "channel_layer": channel_layer,
            "callback": self.consumer_called if self.verbosity > 1 else None,
            "only_channels": options["only_channels"],
            "exclude_channels": options["exclude_channels"],
        }
        threads = options["threads"]
        worker = Worker(**given) if threads == 1 else WorkerGroup(n_threads=threads, **given)
        worker_process_ready.send(sender=worker)
        worker.ready()
        with suppress(KeyboardInterrupt):
            worker.run()

    def prepare_layer(self, **options: Any) -> ChannelLayerWrapper:
        """The layer of ``--layer``, with a default consumer for ``http.request`` in its routing (CM-21).

        Args:
            **options: The command's options.
        """
        channel_layer = self.get_layer(options["layer"])
        static = settings.DEBUG and apps.is_installed("django.contrib.staticfiles")
        channel_layer.router.check_default(http_consumer=StaticFilesConsumer() if static else ViewConsumer())
        return channel_layer

    def get_worker(self, channel_layer: ChannelLayerWrapper, **options: Any) -> WorkerProcess:
        """The worker; the sender of its signals is ``routechan_django.worker.Worker`` (SG-01).

        Args:
            channel_layer: The layer to receive messages from.
            **options: The command's options.
        """
        callback = self.consumer_called if self.verbosity > 1 else None
        return WorkerProcess(
            Dispatcher(
                channel_layer.router, callback=callback, timeout=conf.consumer_timeout(), **hooks(Worker, environ={})
            ),
            channel_layer,
            self.get_channels(channel_layer, **options),
            threads=options["threads"],
            stream_threads=conf.stream_thread_limit(),
            socket_streams=conf.socket_stream_limit(),
            drain=options["drain"],
            ready=None if self.parent is None else self.parent.ready,
        )

    def get_layer(self, alias: str) -> ChannelLayerWrapper:
        """The layer ``alias``.

        Raises:
            CommandError: There is none, it has no routing, or no other process can send to it.
        """
        layer = named_layer(alias)
        if not isinstance(layer, ChannelLayerWrapper):
            raise CommandError(f"The channel layer {alias!r} was set by hand and has no routing; workers need one.")
        refuse_local(layer, "a worker would get no messages", "leave the consumers to the server process")
        return layer

    def get_channels(self, channel_layer: ChannelLayerWrapper, **options: Any) -> list[str]:
        """The channels to consume: those of the routing, as ``--only-channels`` and ``--exclude-channels`` filter them.

        Args:
            channel_layer: The layer with the routing.
            **options: The command's options.

        Raises:
            CommandError: The filters leave none.
        """
        channels = sorted(channel_layer.router.channels)
        kept = filter_channels(channels, options["only_channels"], options["exclude_channels"])
        if channels and not kept:
            raise CommandError(
                f"--only-channels and --exclude-channels leave no channel to work on; the routing has "
                f"{', '.join(channels)}"
            )
        return list(kept)

    def consumer_called(self, channel: str, message: Message) -> None:
        """Log a message before its consumer runs; called with ``--verbosity`` above 1.

        Args:
            channel: The channel it came on.
            message: The message.
        """
        self.logger.debug("%s", channel)

    def get_health(self, worker: WorkerProcess) -> Health | None:
        """The server of ``--health`` for ``worker``, which listens already; None without the option.

        Raises:
            CommandError: Its port cannot be used.
        """
        if self.health is None:
            return None
        host, port = self.health
        port += self.parent.number - 1 if self.parent else 0
        health = Health(worker, host, port, metrics=exposition, stuck_time=self.stuck)
        try:
            health.listen()
        except OSError as error:
            raise CommandError(_port_error(health.port, error)) from error
        return health

    # Several processes

    def run_processes(self, **options: Any) -> None:
        """Start this command several times, keep the processes running, and exit with their status if one failed.

        Args:
            **options: The command's options; ``processes`` is their number.
        """
        if self.health is not None:
            self.check_ports(*self.health, options["processes"])
        command = [str(argument) for argument in autoreload.get_child_arguments()]
        status = Supervisor(command, options["processes"], drain=options["drain"]).run()
        if status:
            sys.exit(status)

    def check_ports(self, host: str, first: int, count: int) -> None:
        """Report a port that cannot be used once, before each process reports it at every restart.

        Args:
            host: Where the processes listen.
            first: The port of the first one; each further one has the next port.
            count: The number of processes.

        Raises:
            CommandError: One of the ports cannot be used.
        """
        for port in range(first, first + count):
            try:
                listener(host, port).close()
            except OSError as error:
                raise CommandError(_port_error(port, error)) from error

    # In development

    def reload(self, **options: Any) -> None:
        """Run the worker under Django's reloader, and let it drain before the reloader ends the process.

        Args:
            **options: The command's options.
        """
        self.ended = threading.Event()
        try:
            autoreload.run_with_reloader(self.inner_run, **options)
        finally:
            if self.worker is not None:
                self.worker.stop()
                self.ended.wait(self.worker.drain + GRACE)

    def run_beside_reloader(self, worker: WorkerProcess, health: Health | None) -> None:
        """Run ``worker`` and ``health`` in the thread that the reloader starts."""
        self.worker = worker
        try:
            with health or nullcontext():
                asyncio.run(worker.run())
        finally:
            self.ended.set()


def _port_error(port: int, error: OSError) -> str:
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror or error}"
    return f"--health: port {port} {reason}; choose another one"
