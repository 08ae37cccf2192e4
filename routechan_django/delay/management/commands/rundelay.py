"""``manage.py rundelay``: the delay server (CM-25)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from routechan.layers import DEFAULT_CHANNEL_LAYER, SyncChannelLayer

from ....log import setup_logger
from ....management.layers import named_layer, refuse_local
from ...worker import Worker


class Command(BaseCommand):
    """The command. Lifetime: process."""

    help = "Stores the messages that are sent to asgi.delay, and sends them on when they are due, until it is stopped."

    leave_locale_alone = True

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        super().add_arguments(parser)
        parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")
        parser.add_argument(
            "--sleep",
            dest="sleep_duration",
            type=float,
            default=1,
            help="Seconds between two queries for due messages (default: 1).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the delay server until it is stopped."""
        logger = setup_logger("routechan", options.get("verbosity", 1))
        layer = self.get_layer(options.get("layer", DEFAULT_CHANNEL_LAYER))
        logger.info("Running the delay server against channel layer %s", layer)
        with suppress(KeyboardInterrupt):
            Worker(layer, database_sleep_duration=options.get("sleep_duration", 1)).run()

    def get_layer(self, alias: str) -> SyncChannelLayer:
        """The layer ``alias``; ``CommandError`` where there is none, or no other process can send to it."""
        layer = named_layer(alias)
        refuse_local(
            layer,
            "nothing that other processes send to asgi.delay would arrive here",
            'without this command, route("asgi.delay", "routechan_django.delay.consumers.send_later")',
        )
        return layer
