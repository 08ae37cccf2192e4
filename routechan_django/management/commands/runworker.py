"""``manage.py runworker``: consumers of a layer's channels, in a process of their own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.exceptions import UnknownChannelLayer
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.message import Message

from ...asgi import channel_layers
from ...handler import ViewConsumer
from ...layer import ChannelLayerWrapper
from ...log import setup_logger
from ...signals import worker_process_ready
from ...staticfiles import StaticFilesConsumer
from ...worker import Worker, WorkerGroup


class Command(BaseCommand):
    help = "Runs the consumers of messages that are sent to the channels of the routing, until it is stopped."

    leave_locale_alone = True

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
        parser.add_argument("--threads", type=int, default=1, help="Consumers side by side (default: 1).")

    def handle(self, *args: Any, **options: Any) -> None:
        self.verbosity = options.get("verbosity", 1)
        self.logger = setup_logger("routechan", self.verbosity)
        self.channel_layer = self.get_layer(options.get("layer", DEFAULT_CHANNEL_LAYER))
        static = settings.DEBUG and apps.is_installed("django.contrib.staticfiles")
        self.channel_layer.router.check_default(http_consumer=StaticFilesConsumer() if static else ViewConsumer())
        threads = options.get("threads", 1)
        arguments: dict[str, Any] = {
            "channel_layer": self.channel_layer,
            "callback": self.consumer_called if self.verbosity > 1 else None,
            "only_channels": options.get("only_channels"),
            "exclude_channels": options.get("exclude_channels"),
        }
        self.logger.info("Using %s for each worker process", "one thread" if threads == 1 else f"{threads} threads")
        self.logger.info("Running worker against channel layer %s", self.channel_layer)
        worker = Worker(**arguments) if threads == 1 else WorkerGroup(n_threads=threads, **arguments)
        worker_process_ready.send(sender=worker)
        worker.ready()
        with suppress(KeyboardInterrupt):
            worker.run()

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

    def consumer_called(self, channel: str, message: Message) -> None:
        """The worker's callback."""
        self.logger.debug("%s", channel)
