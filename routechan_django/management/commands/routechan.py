"""``manage.py routechan``: ``top``, ``send``, ``listen``, and ``upgrade`` for code of Channels 1.x."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.exceptions import ChannelLayerUnavailable, MissingExtra
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.monitor import terminal, top
from routechan.upgrade import command as upgrade

from ..layers import named_layer, refuse_local


class Command(BaseCommand):
    """The command. Lifetime: process."""

    help = "Shows what servers and workers of this project do, sends and hears messages, or rewrites old code."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        super().add_arguments(parser)
        commands = parser.add_subparsers(dest="view", required=True, metavar="top | send | listen | upgrade")
        of_top = _add_command(commands, "top", "Show a live table of processes, channels and consumers.")
        _add_layer(of_top)
        of_top.add_argument(
            "--interval", type=_interval, default=2.0, metavar="SECONDS", help="Time between two updates (default: 2)."
        )
        of_top.add_argument("--once", action="store_true", help="Print one page and end.")
        for name, text, add_arguments in (
            ("send", "Send one message to a channel or a group.", terminal.add_send_arguments),
            ("listen", "Print what is sent to a group.", terminal.add_listen_arguments),
        ):
            command = _add_command(commands, name, text)
            add_arguments(command)
            _add_layer(command)
        # What ``python -m routechan upgrade`` does, which needs no project that starts.
        upgrade.add_arguments(_add_command(commands, "upgrade", upgrade.DESCRIPTION))

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run without checks where the project is to be rewritten, which they may refuse."""
        if options["view"] == "upgrade":
            options["skip_checks"] = True
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the name of the command says.

        Args:
            *args: Unused.
            **options: The command's options.

        Raises:
            CommandError: What is asked for cannot be done.
        """
        if options["view"] == "upgrade":
            self.upgrade(**options)
        elif options["view"] == "send":
            self.send(**options)
        elif options["view"] == "listen":
            self.listen(**options)
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

    def send(self, **options: Any) -> None:
        """Send one message; ``CommandError`` where nothing was sent.

        Args:
            **options: The command's options.
        """
        face = named_layer(options["layer"])
        refuse_local(face, "nobody but this command would hear this", "send from code of the server's process")
        try:
            terminal.send(face.layer, options, self.stdout, self.stderr)
        except terminal.REFUSALS as error:
            raise CommandError(f"Nothing was sent: {error}") from error

    def listen(self, **options: Any) -> None:
        """Print what a group is told; ``CommandError`` where it cannot be joined.

        Args:
            **options: The command's options.
        """
        face = named_layer(options["layer"])
        refuse_local(face, "nobody else can be heard through it", "listen in code of the server's process")
        try:
            terminal.listen(face.layer, options["group"], self.stdout, self.stderr)
        except terminal.REFUSALS as error:
            raise CommandError(str(error)) from error

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


def _add_command(commands: Any, name: str, text: str) -> CommandParser:
    parser: CommandParser = commands.add_parser(name, help=text, description=text)
    shared = parser.add_argument_group("options of every command")
    shared.add_argument("--settings", default=argparse.SUPPRESS, help="The Python path of the settings.")
    shared.add_argument("--pythonpath", default=argparse.SUPPRESS, help="A folder to import from.")
    shared.add_argument("-v", "--verbosity", default=argparse.SUPPRESS, type=int, choices=[0, 1, 2, 3])
    for flag in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        shared.add_argument(flag, action="store_true", default=argparse.SUPPRESS)
    return parser


def _add_layer(parser: CommandParser) -> None:
    parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"an interval is a number of seconds from 0.1 to 3600, not {text!r}")
    return seconds
