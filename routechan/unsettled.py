"""Events that no worker will settle: those that are late, and those lost with the worker that took them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from .encoding import Content
from .exceptions import ChannelLayerUnavailable
from .layers.base import BaseChannelLayer
from .observe.counters import counters
from .observe.failures import about
from .relayed import Outcome, Relayed
from .relaying import SAID_EVERY

logger = logging.getLogger("routechan")

#: Seconds without a word about an event after which it may be lost, and for which that has to hold.
SILENCE = 3 * SAID_EVERY
SUSPICION = 2 * SAID_EVERY

#: Seconds between looks for lost events.
LOOKED_AT_EVERY = 0.1


class Unsettled:
    """Looks through ``events`` for those that are over all the same. Lifetime: from ``start`` to ``stop``.

    Workers say again and again what they are running. An event that was taken, and that nobody says to be running, is
    lost with its worker.
    """

    def __init__(self, layer: BaseChannelLayer, events: Mapping[int, Relayed]) -> None:
        self._layer = layer
        self._events = events

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watching = [self._loop.create_task(watch()) for watch in (self._end_late, self._find_lost)]

    async def stop(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.wait(self._watching)

    async def _end_late(self) -> None:
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY)
            now = self._loop.time()
            for event in self._events.values():
                if now > event.until and not event.outcome.done():
                    event.outcome.set_result(Outcome.LATE)

    async def _find_lost(self) -> None:
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY)
            try:
                await self._look_for_losses()
            except ChannelLayerUnavailable:
                logger.debug("Whether events are lost cannot be told now", exc_info=True)
            except Exception:  # nothing that happens here may end the watch
                logger.exception("Looking for lost events failed")

    async def _look_for_losses(self) -> None:
        now = self._loop.time()
        silent = [event for event in self._events.values() if now - event.heard > SILENCE]
        for destination in {event.destination for event in silent}:
            waiting = (await self._layer.channel_statistics(destination.channel))["messages_pending"]
            now = self._loop.time()
            for event in silent:
                if event.destination is destination and now - event.heard > SILENCE and not event.outcome.done():
                    self._suspect(event, now, waiting)

    def _suspect(self, event: Relayed, now: float, waiting: int) -> None:
        # Channels are FIFO: what was sent after it and has been taken tells that it was taken too.
        if waiting and event.number > event.destination.taken:
            event.suspected = None
        elif event.suspected is None:
            event.suspected = now
        elif now - event.suspected > SUSPICION:
            event.outcome.set_result(Outcome.LOST)


def log_unsettled(outcome: Outcome, channel: str, content: Content, event_timeout: float) -> None:
    """Log and count it. ``event_timeout`` is in seconds."""
    path = content.get("path")
    extra = about(channel, content)
    if outcome is Outcome.LATE:
        counters.events_late += 1
        logger.error(
            "The event on %s of %r was not settled within %g s; its connection goes on without it",
            channel,
            path,
            event_timeout,
            extra=extra,
        )
    else:
        counters.events_lost += 1
        logger.error(
            "The event on %s of %r is lost with the worker that took it; its connection goes on",
            channel,
            path,
            extra=extra,
        )
