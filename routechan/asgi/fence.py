"""The fence between a server that was taken for dead and its sockets, whose disconnects others have handed in."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Collection
from functools import partial

from ..exceptions import ChannelLayerUnavailable
from ..layers.base import BaseChannelLayer
from ..layers.leased import Leased
from .reply_channels import ReplyChannels
from .translation import SocketReply

logger = logging.getLogger("routechan")

#: Seconds between the signs of life of the event loop.
TICK = 1.0

#: Seconds for the layer to say whether others took this process for dead.
PATIENCE = 5.0


class Fence:
    """Closes the sockets of a server that was stopped for so long that others took it for dead. Lifetime: server.

    A process that is stopped, or a machine that sleeps, notices it by a gap in its own time. From then on no event of a
    socket is taken until the layer has said whether others have cleared this process away. If they have, they have run
    the disconnect consumers too: the sockets are closed, and run none here.

    Args:
        layer: The layer that others know this process by.
        sockets: The open sockets.
    """

    def __init__(self, layer: BaseChannelLayer, sockets: ReplyChannels[SocketReply]) -> None:
        self._layer = layer
        self._sockets = sockets
        #: While it is not known whether this process was taken for dead; None otherwise.
        self.doubt: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running event loop, if processes on this layer can be taken for dead."""
        if isinstance(self._layer, Leased):
            self._loop = asyncio.get_running_loop()
            self._thread = threading.get_ident()
            self._interval = min(self._layer.lease / 6, TICK)
            self._longest = self._layer.lease / 2
            self._layer.on_cleared_away(self._cleared_away)
            self._seen_at = time.monotonic()
            self._timer = self._loop.call_later(self._interval, self._tick, self._layer)

    def stop(self) -> None:
        """End what ``start`` began."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def settled(self) -> None:
        """Wait until there is no ``doubt``."""
        while self.doubt is not None:
            await asyncio.wait([self.doubt])

    def _tick(self, layer: Leased) -> None:
        # asyncio and uvloop call timers that are due before tasks that were woken by what came meanwhile.
        now = time.monotonic()
        if now - self._seen_at > self._longest and self.doubt is None and len(self._sockets):
            self.doubt = self._loop.create_future()
            self._asking = self._loop.create_task(self._ask(layer, self.doubt))
        self._seen_at = now
        self._timer = self._loop.call_later(self._interval, self._tick, layer)

    async def _ask(self, layer: Leased, doubt: asyncio.Future[None]) -> None:
        try:
            await asyncio.wait_for(layer.prove_life(), PATIENCE)
        except (ChannelLayerUnavailable, asyncio.TimeoutError) as error:
            logger.warning(
                "This process stood still for some time, and cannot learn whether others took it for dead: %s",
                str(error) or f"no answer within {PATIENCE:g} s",
            )
        finally:
            self.doubt = None
            doubt.set_result(None)

    def _cleared_away(self, told: Collection[str]) -> None:
        if threading.get_ident() == self._thread:
            self._close(told)
        else:
            try:
                self._loop.call_soon_threadsafe(partial(self._close, told))
            except RuntimeError:  # the loop was closed, and its sockets with it
                logger.debug("This process was taken for dead after its event loop had ended")

    def _close(self, told: Collection[str]) -> None:
        closed = self._sockets.fence(told)
        logger.warning(
            "Others took this process for dead, and ran the disconnect consumers of its sockets: %d are closed with "
            "1012, and clients connect again. It was stopped, or cut off from Redis, for longer than the lease",
            closed,
        )
