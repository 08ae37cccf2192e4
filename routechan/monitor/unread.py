"""Channels that this process sends to and that no process reads, found before what was sent expires."""

from __future__ import annotations

import asyncio
import difflib
import logging
from contextlib import suppress
from weakref import WeakKeyDictionary

from .. import names
from ..concurrency import end_tasks
from ..exceptions import ChannelLayerUnavailable, InvalidName
from ..inspection import counted
from ..layers.base import BaseChannelLayer
from ..telemetry.log_fields import log_fields
from .layers import layers_in_use
from .reports import Question

logger = logging.getLogger("routechan")

#: Seconds between two looks; at least four come before the first message expires.
LOOK_INTERVAL = 10.0
SHORTEST_INTERVAL = 0.05

#: Seconds that other processes have to say which channels they read.
ANSWER_TIME = 2.0

#: How many channels of a layer are looked at; names that are made up for each message must not fill the memory.
MAX_CHANNELS = 1000

#: The normal channels that this process has sent to, by layer. Lifetime: process.
_sent_to: WeakKeyDictionary[BaseChannelLayer, set[str]] = WeakKeyDictionary()


def note_sent(layer: object, channel: str) -> None:
    """Note that this process sends to ``channel``, a normal one, on ``layer``, if that is one of ours.

    From any thread.
    """
    if not isinstance(layer, BaseChannelLayer):
        return
    channels = _sent_to.get(layer)
    if channels is None:
        channels = _sent_to.setdefault(layer, set())
    if channel not in channels and len(channels) < MAX_CHANNELS:
        with suppress(InvalidName):  # its send is refused
            channels.add(names.check_channel_name(channel))


class UnreadChannels:
    """Logs each channel that nobody reads, once. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        layer: that the channels are on.
    """

    def __init__(self, layer: BaseChannelLayer) -> None:
        self._layer = layer
        self._told: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            await end_tasks(self._task)

    async def _run(self) -> None:
        interval = min(LOOK_INTERVAL, max(self._layer.expiry / 4, SHORTEST_INTERVAL))
        while True:
            await asyncio.sleep(interval)
            try:
                await self._look(interval)
            except ChannelLayerUnavailable as error:
                logger.debug("Whether channels are read cannot be told now: %s", error)
            except Exception:  # monitoring must never end the process it monitors
                logger.exception("Looking for channels that nobody reads failed")

    async def _look(self, patience: float) -> None:
        for channel in sorted(_sent_to.get(self._layer, set()) - self._told):
            found = await self._layer.channel_statistics(channel)
            if not found["messages_pending"] or found["messages_max_age"] < patience:
                continue
            read = await self._read_channels()
            if channel in read:  # slowly
                continue
            self._told.add(channel)
            near = difflib.get_close_matches(channel, read, 1)
            logger.warning(
                "Nobody reads the channel %r, which this process sends to: it holds %s, the oldest for %.1f s, "
                "and each expires after %g s. No server or worker that is running has a route for it%s",
                channel,
                counted(found["messages_pending"], "message"),
                found["messages_max_age"],
                self._layer.expiry,
                f"; did you mean {near[0]!r}?" if near else "",
                extra=log_fields(channel),
            )

    async def _read_channels(self) -> set[str]:
        """The channels that the servers and workers of the layer read."""
        read = set(layers_in_use.channels().get(self._layer, ()))
        if self._layer.crosses_processes:
            async with Question(self._layer) as question:
                reports, _ = await question.ask(ANSWER_TIME)
            read.update(name for report in reports for name in report["channels"])
        return read
