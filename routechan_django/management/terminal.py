"""``manage.py routechan send`` and ``listen``: messages by hand."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.encoding import Content
from routechan.exceptions import ChannelFull, ChannelLayerUnavailable, InvalidContent, InvalidName, MessageTooLarge
from routechan.inspection import with_article
from routechan.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer
from routechan.layers.base import check_delay
from routechan.monitor import messages

from .layers import named_layer, refuse_local

#: What a person can mistake, or what the layer refuses; its text says what to do.
REFUSALS = (ChannelFull, ChannelLayerUnavailable, InvalidContent, InvalidName, MessageTooLarge, ValueError)


def add_send_arguments(parser: CommandParser) -> None:
    """Declare the arguments of ``send`` on ``parser``."""
    parser.add_argument("target", metavar="CHANNEL", help="The channel; with --group, the group.")
    parser.add_argument("content", type=_content, metavar="JSON", help="""The content, such as '{"text": "hello"}'.""")
    parser.add_argument("--group", action="store_true", help="Send to the members of the group of this name.")
    parser.add_argument("--delay", type=_delay, default=0.0, metavar="SECONDS", help="Have the layer keep it so long.")
    _add_layer(parser)


def add_listen_arguments(parser: CommandParser) -> None:
    """Declare the arguments of ``listen`` on ``parser``."""
    parser.add_argument("group", metavar="GROUP", help="The group to join.")
    _add_layer(parser)


def _add_layer(parser: CommandParser) -> None:
    parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="Alias of the layer (default: default).")


def send(command: BaseCommand, **options: Any) -> None:
    """Send one message, and say what became of it.

    Args:
        command: Where to print.
        **options: Those of ``add_send_arguments``.

    Raises:
        CommandError: Nothing was sent, and why.
    """
    face = named_layer(options["layer"])
    refuse_local(face, "nobody but this command would hear this", "send from code of the server's process")
    try:
        if options["group"]:
            asyncio.run(_send_to_group(command, face.layer, options))
        else:
            asyncio.run(_send_to_channel(command, face.layer, options))
    except REFUSALS as error:
        raise CommandError(f"Nothing was sent: {error}") from error


async def _send_to_group(command: BaseCommand, layer: BaseChannelLayer, options: dict[str, Any]) -> None:
    group, later = options["target"], _later(options["delay"])
    members = await layer.group_count(group)
    await layer.group_send(group, options["content"], options["delay"])
    if members:
        command.stdout.write(f"Sent to the group {group}{later}: {_count(members, 'member')}.")
    else:
        command.stderr.write(f"The group {group} has no members now: nobody hears this{later}.")


async def _send_to_channel(command: BaseCommand, layer: BaseChannelLayer, options: dict[str, Any]) -> None:
    channel, later = options["target"], _later(options["delay"])
    sent = await messages.send(layer, channel, options["content"], options["delay"])
    if sent is None:
        raise CommandError(
            f"Nothing was sent: {channel} is a channel of one process, and that process is gone, or was never on this "
            "layer; sockets that came back have new channels"
        )
    if "!" in channel:
        command.stdout.write(
            f"Sent to {channel}{later}: its process is alive. Whether the connection is still open, only that knows."
        )
    elif sent.readers:
        readers = _count(sent.readers, "process reads", "processes read")
        command.stdout.write(f"Sent to {channel}{later}: {readers} it, {_waiting(sent.waiting)}.")
    else:
        unsure = f" (no answer from: {', '.join(sent.silent)})" if sent.silent else ""
        command.stderr.write(
            f"Sent to {channel}{later}, but no process says that it reads this channel{unsure}, "
            f"{_waiting(sent.waiting)}. A message that nobody reads expires after {layer.expiry:g} s. Is the name in "
            "the routing, and is a worker running? manage.py routechan top shows the channels that are read."
        )


def listen(command: BaseCommand, **options: Any) -> None:
    """Print what is sent to a group, one line of JSON for each message, until CONTROL-C.

    Args:
        command: Where to print.
        **options: Those of ``add_listen_arguments``.

    Raises:
        CommandError: The group cannot be joined, and why.
    """
    face = named_layer(options["layer"])
    refuse_local(face, "nobody else can be heard through it", "listen in code of the server's process")
    group = options["group"]

    def show(content: Content) -> None:
        command.stdout.write(messages.as_json(content))
        command.stdout.flush()

    def joined(others: int) -> None:
        command.stderr.write(
            f"Listening to the group {group}, with {_count(others, 'other member')}; CONTROL-C ends it."
        )

    try:
        with suppress(KeyboardInterrupt, BrokenPipeError):
            asyncio.run(messages.listen(face.layer, group, show, joined))
    except REFUSALS as error:
        raise CommandError(str(error)) from error


def _later(delay: float) -> str:
    return f", {delay:g} s from now" if delay else ""


def _waiting(count: int) -> str:
    return f"{_count(count, 'message waits', 'messages wait')} there now"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _delay(text: str) -> float:
    try:
        delay = float(text)
        check_delay(delay)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a delay is a number of seconds such as 2.5, not {text!r}") from error
    return delay


def _content(text: str) -> Content:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"""{text!r:.100} is no JSON: {error}; expected an object, such as '{{"text": "hello"}}'"""
        ) from error
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(
            f"""expected a JSON object, such as '{{"text": "hello"}}', not {with_article(type(content).__name__)}"""
        )
    return content
