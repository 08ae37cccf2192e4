"""``manage.py routechan top``: what servers and workers are doing, in the terminal."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.exceptions import ChannelLayerUnavailable, MissingExtra, UnknownChannelLayer
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.observe import top

from ...asgi import channel_layers


class Command(BaseCommand):
    help = "Shows what the servers and workers of this project are doing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("view", choices=["top"], help="top: a live table of processes, channels and consumers.")
        parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")
        parser.add_argument(
            "--interval", type=_interval, default=2.0, metavar="SECONDS", help="Between two looks (default: 2)."
        )
        parser.add_argument("--once", action="store_true", help="Print one page and end.")

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["layer"]
        try:
            face = channel_layers[alias]
        except UnknownChannelLayer as error:
            known = ", ".join(channel_layers.configs) or "none"
            raise CommandError(f"CHANNEL_LAYERS has no alias {alias!r} for --layer; it has {known}") from error
        if not face.layer.crosses_processes:
            raise CommandError(
                f"The channel layer {face} lives in one process, so no other can be asked through it; use "
                "routechan.layers.RedisChannelLayer, or look at the metrics page of the server"
            )
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
