"""The commands ``send`` and ``listen``: messages by hand, of ``manage.py routechan`` and of ``python -m routechan``."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import suppress
from typing import Any, Protocol

from ..encoding import Content
from ..exceptions import ChannelFull, ChannelLayerUnavailable, InvalidContent, InvalidName, MessageTooLarge
from ..inspection import with_article
from ..layers.base import BaseChannelLayer, check_delay
from . import messages

#: What a person can mistake, or what the layer refuses; its text says what to do.
REFUSALS = (ChannelFull, ChannelLayerUnavailable, InvalidContent, InvalidName, MessageTooLarge, ValueError)


class Output(Protocol):
    """Where lines go: a text file, or what Django has for one."""

    def write(self, text: str, /) -> object:
        """Write ``text``, which ends a line.

        Returns:
            Something, of which nothing is expected.
        """

    def flush(self) -> None:
        """Have what was written seen."""


def add_send_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``send`` on ``parser``."""
    parser.add_argument("target", metavar="CHANNEL", help="The channel; with --group, the group.")
    parser.add_argument("content", type=_content, metavar="JSON", help="""The content, such as '{"text": "hello"}'.""")
    parser.add_argument("--group", action="store_true", help="Send to the members of the group of this name.")
    parser.add_argument("--delay", type=_delay, default=0.0, metavar="SECONDS", help="Have the layer keep it so long.")


def add_listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``listen`` on ``parser``."""
    parser.add_argument("group", metavar="GROUP", help="The group to join.")


def send(layer: BaseChannelLayer, options: dict[str, Any], out: Output, err: Output) -> None:
    """Send one message, and say what became of it.

    Args:
        layer: A layer that crosses processes.
        options: Those of ``add_send_arguments``.
        out: Where it is said that the message has a reader.
        err: Where it is said that it has none.

    Raises:
        ValueError: Nothing was sent, as with the other ``REFUSALS``: the channel is of a process that is gone.
    """
    asyncio.run((_send_to_group if options["group"] else _send_to_channel)(layer, options, out, err))


async def _send_to_group(layer: BaseChannelLayer, options: dict[str, Any], out: Output, err: Output) -> None:
    group, later = options["target"], _later(options["delay"])
    members = await layer.group_count(group)
    await layer.group_send(group, options["content"], options["delay"])
    if members:
        out.write(f"Sent to the group {group}{later}: {_count(members, 'member')}.\n")
    else:
        err.write(f"The group {group} has no members now: nobody hears this{later}.\n")


async def _send_to_channel(layer: BaseChannelLayer, options: dict[str, Any], out: Output, err: Output) -> None:
    channel, later = options["target"], _later(options["delay"])
    sent = await messages.send(layer, channel, options["content"], options["delay"])
    if sent is None:
        raise ValueError(
            f"{channel} is a channel of one process, and that process is gone, or was never on this layer; sockets "
            "that came back have new channels"
        )
    if "!" in channel:
        out.write(
            f"Sent to {channel}{later}: its process is alive. Whether the connection is still open, only that knows.\n"
        )
    elif sent.readers:
        readers = _count(sent.readers, "process reads", "processes read")
        out.write(f"Sent to {channel}{later}: {readers} it, {_waiting(sent.waiting)}.\n")
    else:
        unsure = f" (no answer from: {', '.join(sent.silent)})" if sent.silent else ""
        err.write(
            f"Sent to {channel}{later}, but no process says that it reads this channel{unsure}, "
            f"{_waiting(sent.waiting)}. A message that nobody reads expires after {layer.expiry:g} s. Is the name in "
            "the routing, and is a worker running? manage.py routechan top shows the channels that are read.\n"
        )


def listen(layer: BaseChannelLayer, group: str, out: Output, err: Output) -> None:
    """Print what is sent to a group, one line of JSON for each message, until CONTROL-C.

    Args:
        layer: A layer that crosses processes.
        group: The name of the group.
        out: Where messages go.
        err: Where it is said that it listens.
    """

    def show(content: Content) -> None:
        out.write(messages.as_json(content) + "\n")
        out.flush()

    def joined(others: int) -> None:
        err.write(f"Listening to the group {group}, with {_count(others, 'other member')}; CONTROL-C ends it.\n")
        err.flush()

    with suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(messages.listen(layer, group, show, joined))


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
