"""Reports of all servers and workers of a layer, collected for ``manage.py routechan top`` and for Django's admin.

Each process is a member of one group, under a channel of its own. A ``Question`` goes to the group and carries the
channel to answer on; the ``Responder`` of each process sends its report there. Nothing is stored, and nothing is sent
while nobody asks. A process that died leaves the group as its sockets leave theirs: when its lease ends.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

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

#: The most groups in one report, those with the most members here; and how many a process looks at to find them.
MAX_GROUPS = 50
GROUPS_SEEN = 10_000

#: How the names of the library's own groups begin, which are in no report.
OWN_GROUPS = "routechan."

#: Layers of this process only, served here -> what serves them and since when. Lifetime: process.
_served_here: WeakKeyDictionary[BaseChannelLayer, tuple[str, float]] = WeakKeyDictionary()


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
        self._since = time.monotonic()
        if not self._layer.crosses_processes:  # no other process could ask
            _served_here[self._layer] = self._kind, self._since
            return
        self._loop = asyncio.get_running_loop()
        self._queue = f"specific.{names.random_part(6)}.{self._layer.process}!"
        self._member = f"{self._queue}report"
        self._layer.attach(self._queue, self._asked)
        self._joining = self._loop.create_task(self._join())

    async def stop(self) -> None:
        """Leave the group."""
        if self._queue is None:
            _served_here.pop(self._layer, None)
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
            task = self._loop.create_task(self._tell(to, content))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, to: str, asked: Content) -> None:
        report = report_of(self._layer, self._kind, self._since, groups=bool(asked.get("groups")))
        answer = {"question": asked.get("question"), "member": self._member, **report}
        try:
            await maybe_await(self._layer.post(to, answer))
        except (ChannelFull, ChannelLayerUnavailable, TypeError) as error:  # the asker is gone, or named no channel
            logger.debug("A report could not be sent to %s: %s", to, error)


def report_of(layer: BaseChannelLayer, kind: str, since: float, *, groups: bool = False) -> dict[str, Any]:
    """The counters of this process, as values that msgpack can carry.

    Args:
        layer: The layer that is asked about.
        kind: What this process is: ``"server"`` or ``"worker"``.
        since: When it began, on the monotonic clock.
        groups: Whether the groups that its channels are in are wanted too.
    """
    consumers = sorted(counters.consumers.values(), key=lambda figures: -figures.seconds)[:MAX_CONSUMERS]
    worker = kind == "worker"
    found = {
        "kind": kind,
        "pid": os.getpid(),
        "host": platform.node(),
        "process": layer.process,
        "up": time.monotonic() - since,
        "sockets": counters.sockets_open,
        "in": sum(tuple(counters.received.values())) + counters.events_relayed,
        "out": counters.sent if worker else counters.frames_sent,
        "running": sum(len(figures.running) for figures in counters.consumers.copy().values()),
        "waiting": counters.events_waiting,
        "failed": sum(figures.failures for figures in counters.consumers.copy().values()),
        "lost": counters.lost + counters.unrouted + counters.events_lost + counters.events_late,
        "channels": layers_in_use.channels().get(layer, []),
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
    if groups:
        sizes = [item for item in layer.local_groups(GROUPS_SEEN).items() if not item[0].startswith(OWN_GROUPS)]
        found["groups"] = dict(heapq.nlargest(MAX_GROUPS, sizes, key=lambda item: item[1]))
    return found


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

    async def ask(self, within: float, *, groups: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
        """Ask every process in the group; returns as soon as all have answered.

        Of a layer that lives in this process, it is asked whether it serves that.

        Args:
            within: Seconds to wait for the answers.
            groups: Ask for the groups that the channels of each process are in, too.

        Returns:
            The reports that arrived in time (see ``report_of``), and the names of the processes that sent none.
        """
        if not self._layer.crosses_processes:
            served = _served_here.get(self._layer)
            return ([{"member": "", **report_of(self._layer, *served, groups=groups)}] if served else []), []
        self._number += 1
        self._reports = {}
        members = set(await self._layer.group_channels(GROUP))
        question = {"answer_to": f"{self._queue}answer", "question": self._number, "groups": groups}
        await self._layer.group_send(GROUP, question)
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
