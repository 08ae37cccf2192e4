"""``manage.py rundelay``: the delay server (CM-25)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.exceptions import UnknownChannelLayer
from routechan.layers import DEFAULT_CHANNEL_LAYER, SyncChannelLayer, channel_layers

from ....log import setup_logger
from ...worker import Worker


class Command(BaseCommand):
    help = "Stores the messages that are sent to asgi.delay, and sends them on when they are due, until it is stopped."

    leave_locale_alone = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")
        parser.add_argument(
            "--sleep",
            dest="sleep_duration",
            type=float,
            default=1,
            help="Seconds between two looks into the database (default: 1).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        logger = setup_logger("routechan", options.get("verbosity", 1))
        layer = self.get_layer(options.get("layer", DEFAULT_CHANNEL_LAYER))
        logger.info("Running the delay server against channel layer %s", layer)
        with suppress(KeyboardInterrupt):
            Worker(layer, database_sleep_duration=options.get("sleep_duration", 1)).run()

    def get_layer(self, alias: str) -> SyncChannelLayer:
        """The layer to work on; ``CommandError`` where no other process could send anything to it."""
        try:
            layer = channel_layers[alias]
        except UnknownChannelLayer as error:
            raise CommandError(f"CHANNEL_LAYERS has no alias {alias!r} for --layer") from error
        if not layer.layer.crosses_processes:
            raise CommandError(
                f"The channel layer {layer} lives in one process, so nothing that other processes send to asgi.delay "
                "would arrive here; use routechan.layers.RedisChannelLayer, or, without this command, "
                'route("asgi.delay", "routechan_django.delay.consumers.send_later")'
            )
        return layer
