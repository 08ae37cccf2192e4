"""``manage.py routechan top``: a live table of what servers and workers are doing."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.exceptions import ChannelLayerUnavailable, MissingExtra
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.monitor import top

from ..layers import named_layer, refuse_local


class Command(BaseCommand):
    """The command. Lifetime: process."""

    help = "Shows what the servers and workers of this project are doing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        super().add_arguments(parser)
        parser.add_argument("view", choices=["top"], help="top: a live table of processes, channels and consumers.")
        parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")
        parser.add_argument(
            "--interval", type=_interval, default=2.0, metavar="SECONDS", help="Time between two updates (default: 2)."
        )
        parser.add_argument("--once", action="store_true", help="Print one page and end.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show the table until CONTROL-C; ``CommandError`` where the layer reaches no other process."""
        face = named_layer(options["layer"])
        refuse_local(face, "no other can be asked through it", "look at the metrics page of the server")
        try:
            with suppress(KeyboardInterrupt):
                top.run(
                    face.layer,
                    str(face),
                    interval=options["interval"],
                    single=options["once"],
                    file=options.get("stdout"),
                )
        except (MissingExtra, ChannelLayerUnavailable) as error:
            raise CommandError(str(error)) from error


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"an interval is a number of seconds from 0.1 to 3600, not {text!r}")
    return seconds
