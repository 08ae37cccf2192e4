"""``manage.py routechan``: ``top``, a live table of servers and workers; ``upgrade``, for code of Channels 1.x."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.exceptions import ChannelLayerUnavailable, MissingExtra
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.monitor import top
from routechan.upgrade import command as upgrade

from ..layers import named_layer, refuse_local


class Command(BaseCommand):
    """The command. Lifetime: process."""

    help = "Shows what the servers and workers of this project are doing, or rewrites code of Channels 1.x."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        super().add_arguments(parser)
        parser.add_argument(
            "view",
            choices=["top", "upgrade"],
            help="top: a live table of processes, channels and consumers; upgrade: what python -m routechan upgrade "
            "does, which needs no project that starts.",
        )
        of_top = parser.add_argument_group("top")
        of_top.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")
        of_top.add_argument(
            "--interval", type=_interval, default=2.0, metavar="SECONDS", help="Time between two updates (default: 2)."
        )
        of_top.add_argument("--once", action="store_true", help="Print one page and end.")
        upgrade.add_arguments(parser.add_argument_group("upgrade", upgrade.DESCRIPTION))

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run without checks where the project is to be rewritten, which they may refuse."""
        if options["view"] == "upgrade":
            options["skip_checks"] = True
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run ``upgrade``, or show the table of ``top`` until CONTROL-C.

        Args:
            *args: Unused.
            **options: The command's options.

        Raises:
            CommandError: What is asked for cannot be done.
        """
        if options["view"] == "upgrade":
            self.upgrade(**options)
        else:
            self.top(**options)

    def upgrade(self, **options: Any) -> None:
        """Rewrite code; ends the process with the exit code of ``python -m routechan upgrade``.

        Args:
            **options: The command's options.

        Raises:
            CommandError: A package is missing, or there is no such fixer or file.
        """
        try:
            code = upgrade.run(argparse.Namespace(**options), options.get("stdout") or sys.stdout)
        except (MissingExtra, ValueError) as error:
            raise CommandError(str(error)) from error
        if code:
            sys.exit(code)

    def top(self, **options: Any) -> None:
        """Show the table; ``CommandError`` where the layer reaches no other process.

        Args:
            **options: The command's options.
        """
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
