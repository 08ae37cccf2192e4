"""Reports of all servers and workers of a layer, collected for ``manage.py routechan top``.

Each process is a member of one group, under a channel of its own. A ``Question`` goes to the group and carries the
channel to answer on; the ``Responder`` of each process sends its report there. Nothing is stored, and nothing is sent
while nobody asks. A process that died leaves the group as its sockets leave theirs: when its lease ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from .. import names
from ..concurrency import maybe_await
from ..encoding import Content
from ..exceptions import ChannelFull, ChannelLayerUnavailable
from ..layers.base import BaseChannelLayer
from ..telemetry.counters import counters
from .layers import layers_in_use

logger = logging.getLogger("routechan")

#: The group of all servers and workers of a layer.
GROUP = "routechan.processes"

#: Seconds between two joins. A flush of the layer ends memberships, and so does a Redis that restarts empty.
JOIN_INTERVAL = 30.0

#: Seconds that leaving the group may take when the process ends.
LEAVE_TIMEOUT = 2.0

#: The most consumers in one report; those that took the most time are kept.
MAX_CONSUMERS = 100


class Responder:
    """Answers questions about this process. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        layer: The layer that questions come from. If it is down, the process runs on and joins later.
        kind: What this process is: ``"server"`` or ``"worker"``.
    """

    def __init__(self, layer: BaseChannelLayer, kind: str) -> None:
        self._layer = layer
        self._kind = kind
        self._queue: str | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        """Join the group in the background."""
        if not self._layer.crosses_processes:
            return  # no other process could ask
        self._loop = asyncio.get_running_loop()
        self._since = time.monotonic()
        self._queue = f"specific.{names.random_part(6)}.{self._layer.process}!"
        self._member = f"{self._queue}report"
        self._layer.attach(self._queue, self._asked)
        self._joining = self._loop.create_task(self._join())

    async def stop(self) -> None:
        """Leave the group."""
        if self._queue is None:
            return
        self._joining.cancel()
        await asyncio.wait([self._joining, *self._tasks], timeout=LEAVE_TIMEOUT)
        with suppress(ChannelLayerUnavailable, asyncio.TimeoutError):  # the lease ends the membership too
            await asyncio.wait_for(maybe_await(self._layer.detach(self._queue)), LEAVE_TIMEOUT)
        self._queue = None

    async def _join(self) -> None:
        while True:
            try:
                await self._layer.group_add(GROUP, self._member)
            except ChannelLayerUnavailable as error:
                logger.debug("This process is not in the group %s yet: %s", GROUP, error)
            except Exception:  # monitoring must never end the process it monitors
                logger.exception("Joining the group %s failed; trying again in %g s", GROUP, JOIN_INTERVAL)
            await asyncio.sleep(JOIN_INTERVAL)

    def _asked(self, channels: Sequence[str], content: Content) -> None:
        """Called by the layer in any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._answer, content)

    def _answer(self, content: Content) -> None:
        to = content.get("answer_to")
        if isinstance(to, str):
            task = self._loop.create_task(self._tell(to, content.get("question")))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, to: str, question: Any) -> None:
        try:
            await maybe_await(self._layer.post(to, {"question": question, "member": self._member, **self.report()}))
        except (ChannelFull, ChannelLayerUnavailable, TypeError) as error:  # the asker is gone, or named no channel
            logger.debug("A report could not be sent to %s: %s", to, error)

    def report(self) -> dict[str, Any]:
        """The counters of this process, as values that msgpack can carry."""
        consumers = sorted(counters.consumers.values(), key=lambda figures: -figures.seconds)[:MAX_CONSUMERS]
        worker = self._kind == "worker"
        return {
            "kind": self._kind,
            "pid": os.getpid(),
            "host": platform.node(),
            "process": self._layer.process,
            "up": time.monotonic() - self._since,
            "sockets": counters.sockets_open,
            "in": sum(tuple(counters.received.values())) + counters.events_relayed,
            "out": counters.sent if worker else counters.frames_sent,
            "running": sum(len(figures.running) for figures in counters.consumers.copy().values()),
            "waiting": counters.events_waiting,
            "failed": sum(figures.failures for figures in counters.consumers.copy().values()),
            "lost": counters.lost + counters.unrouted + counters.events_lost + counters.events_late,
            "channels": layers_in_use.channels().get(self._layer, []),
            "consumers": {
                figures.name: {
                    "buckets": list(figures.buckets),
                    "seconds": figures.seconds,
                    "failures": figures.failures,
                    "running": len(figures.running),
                    "longest": figures.longest(),
                }
                for figures in consumers
            },
        }


class Question:
    """Asks all processes of a layer for their reports. Lifetime: one ``async with`` block.

    Args:
        layer: The layer whose servers and workers are asked.
    """

    def __init__(self, layer: BaseChannelLayer) -> None:
        self._layer = layer
        self._number = 0
        self._reports: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> Question:
        self._loop = asyncio.get_running_loop()
        self._answered = asyncio.Event()
        self._queue = f"specific.{names.random_part(6)}.{self._layer.process}!"
        self._layer.attach(self._queue, self._arrived)
        return self

    async def __aexit__(self, *error: object) -> None:
        with suppress(ChannelLayerUnavailable):
            await maybe_await(self._layer.detach(self._queue))

    async def ask(self, within: float) -> tuple[list[dict[str, Any]], list[str]]:
        """Ask every process in the group; returns as soon as all have answered.

        Args:
            within: Seconds to wait for the answers.

        Returns:
            The reports that arrived in time (see ``Responder.report``), and the names of the processes that sent none.
        """
        self._number += 1
        self._reports = {}
        members = set(await self._layer.group_channels(GROUP))
        await self._layer.group_send(GROUP, {"answer_to": f"{self._queue}answer", "question": self._number})
        deadline = self._loop.time() + within
        while not members <= self._reports.keys() and self._loop.time() < deadline:
            self._answered.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._answered.wait(), max(deadline - self._loop.time(), 0))
        silent = [member.partition("!")[0].rpartition(".")[2] for member in sorted(members - self._reports.keys())]
        return list(self._reports.values()), silent

    def _arrived(self, channels: Sequence[str], content: Content) -> None:
        """Called by the layer in any thread."""
        self._loop.call_soon_threadsafe(self._take, content)

    def _take(self, content: Content) -> None:
        if content.get("question") == self._number:
            self._reports[content["member"]] = content
            self._answered.set()
