"""Messages that a person sends and hears by hand: from a terminal into a running site, and out of it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from .. import names
from ..concurrency import maybe_await
from ..encoding import Content
from ..exceptions import ChannelLayerUnavailable
from ..layers.base import NOW, BaseChannelLayer
from .reports import Question

#: Messages that wait to be printed. A terminal may be slower than a group; beyond these the oldest are left out.
MAX_WAITING = 10_000

#: Seconds between two memberships: a Redis that has lost its data has lost those too.
JOIN_INTERVAL = 10.0

#: How the channels begin that servers hand to workers; a server that names one does not read it.
_RELAYED = ("websocket.", "http.")


class Sent(NamedTuple):
    """What has become of a message to a channel, as far as can be known from outside.

    Args:
        readers: How many processes say that they read the channel.
        silent: Names of the processes that did not say what they read.
        waiting: How many messages wait in the channel now.
    """

    readers: int
    silent: list[str]
    waiting: int


async def send(
    layer: BaseChannelLayer, channel: str, content: Content, delay: float = NOW, *, within: float = 1.0
) -> Sent | None:
    """Send ``content`` to ``channel``, and ask all processes whether they read it.

    Args:
        layer: A layer that crosses processes.
        channel: A full channel name.
        content: A dict.
        delay: Seconds after which the layer sends it.
        within: Seconds to wait for the answers of processes.

    Returns:
        What has become of it; None where ``channel`` is of a process that is gone, so that nothing was sent.

    Raises:
        InvalidName: It is no channel name.
        InvalidContent: ``content`` cannot travel.
        ChannelFull: The channel takes no more.
        ChannelLayerUnavailable: The layer cannot be reached.
    """
    if "!" in names.check_channel_name(channel):
        if not await layer.is_served(channel):
            return None
        await layer.send(channel, content, delay)
        return Sent(1, [], 0)
    await layer.send(channel, content, delay)
    async with Question(layer) as question:
        reports, silent = await question.ask(within)
    readers = [
        report
        for report in reports
        if channel in report["channels"] and (report["kind"] == "worker" or not channel.startswith(_RELAYED))
    ]
    return Sent(len(readers), silent, await layer.length(channel))


async def listen(
    layer: BaseChannelLayer, group: str, show: Callable[[Content], object], joined: Callable[[int], object]
) -> None:
    """Be a member of ``group``, with a channel of its own, until cancelled.

    Args:
        layer: A layer that crosses processes.
        group: The name of the group.
        show: Called with the content of each message, in order; it may take its time.
        joined: Called once, with the number of the other members.

    Raises:
        InvalidName: It is no group name.
        ChannelLayerUnavailable: The layer cannot be reached at the start.
    """
    queue = f"specific.{names.random_part(6)}.{layer.process}!"
    member = f"{queue}listen"
    waiting: deque[Content] = deque(maxlen=MAX_WAITING)
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def deliver(channels: Sequence[str], content: Content) -> None:
        """Called by the layer in any thread."""
        waiting.append(content)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(arrived.set)

    names.check_group_name(group)
    layer.attach(queue, deliver)
    try:
        await layer.group_add(group, member)
        joined(await layer.group_count(group) - 1)
        while True:
            try:
                await asyncio.wait_for(arrived.wait(), JOIN_INTERVAL)
            except asyncio.TimeoutError:
                with suppress(ChannelLayerUnavailable):
                    await layer.group_add(group, member)
            arrived.clear()
            while waiting:
                show(waiting.popleft())
    finally:
        with suppress(ChannelLayerUnavailable):
            await maybe_await(layer.detach(queue))


def as_json(content: Content) -> str:
    """The ``content`` on one line of JSON: bytes as base64, and what JSON does not know either as its text."""
    return json.dumps(content, default=_as_json, ensure_ascii=False)


def _as_json(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
