"""The streams that workers run for a server's connections, and what is done when such a worker is gone."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Protocol

from ..concurrency import end_tasks
from ..exceptions import ChannelLayerUnavailable
from ..inspection import counted
from ..layers.base import BaseChannelLayer
from .protocol import HEARTBEAT_INTERVAL

logger = logging.getLogger("routechan")

#: Seconds without a heartbeat after which a worker that streams is suspected, and for which the suspicion has to last.
#: Longer than for events: a connection goes on without an event, but is closed without its stream.
SILENCE = 4 * HEARTBEAT_INTERVAL
SUSPICION = 4 * HEARTBEAT_INTERVAL


class Streamed(Protocol):
    """A connection that workers stream to. Lifetime: connection."""

    def stream_began(self, number: int, streams_at: str, order: object) -> None:
        """The event ``number`` streams from the worker with the control channel ``streams_at``.

        ``order`` is its place among the events of the connection.
        """

    def stream_ended(self, number: int, failed: bool) -> None:
        """Forget the stream of the event ``number``, which may have ``failed``."""

    def interrupt(self) -> None:
        """Tell the client that what streamed to it is gone, and end the connection."""


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker that streams, known by its control channel. Lifetime: that of its streams.

    ``heard_at`` and ``suspected_at`` are seconds of the loop's clock; ``connections`` are those it streams to, by the
    number of the event that began the stream.
    """

    heard_at: float
    suspected_at: float | None = None
    connections: dict[int, Streamed] = field(default_factory=dict)


class RunningStreams:
    """All streams that run in workers. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        layer: tells whether a worker is there.
    """

    def __init__(self, layer: BaseChannelLayer) -> None:
        self._layer = layer
        self._workers: dict[str, _Worker] = {}
        self._workers_of: dict[int, str] = {}

    def start(self) -> None:
        """Look for workers that are gone, on the running event loop, as long as there are streams."""
        self._loop = asyncio.get_running_loop()
        self._looking: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            await end_tasks(self._looking)

    def began(self, number: int, streams_at: str, connection: Streamed) -> None:
        """The event ``number`` streams to ``connection`` from the worker with the control channel ``streams_at``."""
        worker = self._workers.get(streams_at)
        if worker is None:
            worker = self._workers[streams_at] = _Worker(self._loop.time())
        worker.connections[number] = connection
        self._workers_of[number] = streams_at
        if self._looking is None or self._looking.done():
            self._looking = self._loop.create_task(self._look())

    def ended(self, number: int, cut: bool, failed: bool) -> None:
        """The stream of the event ``number`` has ended; ``cut``: because its worker ends; ``failed``: with an error."""
        connection = self.forget(number)
        if connection is None:
            return
        connection.stream_ended(number, failed)
        if cut:
            connection.interrupt()

    def forget(self, number: int) -> Streamed | None:
        """Look no more after the stream of the event ``number``.

        Returns:
            The connection it streamed to; None for one that is not known.
        """
        streams_at = self._workers_of.pop(number, None)
        if streams_at is None:
            return None
        worker = self._workers[streams_at]
        connection = worker.connections.pop(number)
        if not worker.connections:
            del self._workers[streams_at]
        return connection

    def heard(self, streams_at: str) -> None:
        """A heartbeat came from the worker with the control channel ``streams_at``."""
        worker = self._workers.get(streams_at)
        if worker is not None:
            worker.heard_at = self._loop.time()
            worker.suspected_at = None

    async def _look(self) -> None:
        while self._workers:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            for streams_at, worker in tuple(self._workers.items()):
                if self._loop.time() - worker.heard_at > SILENCE:
                    try:
                        await self._suspect(streams_at, worker)
                    except ChannelLayerUnavailable:  # no heartbeat could come either
                        worker.suspected_at = None
                    except Exception:  # nothing that happens here may end the task
                        logger.exception("Looking for lost streams failed")

    async def _suspect(self, streams_at: str, worker: _Worker) -> None:
        served = await self._layer.is_served(streams_at)
        now = self._loop.time()
        if now - worker.heard_at <= SILENCE:
            return
        if worker.suspected_at is None:
            worker.suspected_at = now
        if served and now - worker.suspected_at <= SUSPICION:
            return
        logger.error(
            "A worker is gone, and with it %s; each client is told to connect again",
            counted(len(worker.connections), "stream"),
        )
        for number, connection in tuple(worker.connections.items()):
            self.forget(number)  # the connection still tells the worker, which may come back, that it is closed
            connection.interrupt()
