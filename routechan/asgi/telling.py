"""Messages of the server itself to channels of other processes, which nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from ..concurrency import ends_task
from ..encoding import Content
from ..layers.base import BaseChannelLayer
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats

logger = logging.getLogger("routechan")


class Telling:
    """Sends them, and logs what cannot be sent. Lifetime: that of the server, on one event loop.

    Args:
        layer: Carries them.
        repeats: Which log lines are written.
        what: What it means that one cannot be sent, for the log.
    """

    def __init__(self, layer: BaseChannelLayer, repeats: Repeats, what: str) -> None:
        self._layer = layer
        self._repeats = repeats
        self._what = what
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, channel: str, content: Content) -> None:
        """Send ``content`` to ``channel``."""
        try:
            pending = self._layer.post(channel, content)
        except Exception as error:  # a layer of another make has errors of its own
            self._untold(error)
        else:
            if pending is not None:
                task = asyncio.get_running_loop().create_task(self._wait(pending))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Wait for nothing any more."""
        for task in self._tasks:
            task.cancel()

    async def _wait(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except BaseException as error:
            if ends_task(error):
                raise
            self._untold(error)

    def _untold(self, error: BaseException) -> None:
        more = self._repeats.more(("untold", self._what))
        if more is not None:
            logger.warning("%s: %s%s", self._what, error, more, extra=log_fields())
