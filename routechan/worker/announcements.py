"""Announcements: workers say which channels they read, and inline servers leave these to them.

Servers and workers that take messages of one channel side by side mix up their order. So a worker that starts announces
its channels to all inline servers, and waits until they have finished what they took. A server that starts asks the
workers that are there. When the worker ends, or its lease runs out, the servers read its channels again.

All of these processes are members of one of two groups, under a channel of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from .. import names
from ..concurrency import end_tasks, maybe_await
from ..encoding import Content
from ..exceptions import ChannelFull, ChannelLayerUnavailable
from ..interfaces import HTTP_CHANNELS, SOCKET_CHANNELS
from ..layers.base import BaseChannelLayer
from ..relay.protocol import WORKERS

logger = logging.getLogger("routechan")

#: The group of inline servers.
SERVERS = "routechan.inline"

#: Seconds between two announcements; a flush of the layer ends memberships, and a message may be lost.
INTERVAL = 5.0

#: Seconds that a worker waits for servers to leave its channels, and a server for workers to say what they read.
PATIENCE = 5.0

#: Seconds that saying good-bye may take when the process ends, and before another try where the layer was away.
LEAVE_TIME = 1.0
RETRY_INTERVAL = 0.5


class _Member:
    """A process in one of the groups. Lifetime: from ``attach`` to ``detach``, on one event loop."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        self.layer = layer
        self._queue = f"specific.{names.random_part(6)}.{layer.process}!"
        self.name = f"{self._queue}reads"
        self.arrived: asyncio.Queue[Content] = asyncio.Queue()

    def attach(self) -> None:
        """Begin to put what is sent to this member into ``arrived``."""
        loop = asyncio.get_running_loop()

        def deliver(channels: Sequence[str], content: Content) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self.arrived.put_nowait, content)

        self.layer.attach(self._queue, deliver)

    async def detach(self) -> None:
        """Leave the group."""
        await maybe_await(self.layer.detach(self._queue))

    async def tell(self, channel: str, content: Content) -> None:
        """Send ``content`` to the member with this ``channel``, which may be gone."""
        with suppress(ChannelFull, ChannelLayerUnavailable):
            await self.layer.send(channel, content)


class Announcer:
    """Announces the channels of a worker. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        layer: the layer of the channels.
        channels: that the worker reads.
        read: called with them when their messages are to be taken.
    """

    def __init__(
        self, layer: BaseChannelLayer, channels: Collection[str], *, read: Callable[[Collection[str]], object]
    ) -> None:
        self._me = _Member(layer)
        self._layer = layer
        self._channels = sorted(channels)
        self._read = read
        self._started = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the channels, when inline servers have left them, or after ``PATIENCE``."""
        if not self._layer.crosses_processes or not self._channels:
            self._read(self._channels)
            return
        self._started = True
        self._me.attach()
        try:
            await asyncio.wait_for(self._announce_and_wait(), PATIENCE)
        except asyncio.TimeoutError:
            logger.warning(
                "Servers that run consumers themselves did not say within %g s that they have left %s to this worker; "
                "messages may overtake those that they still run",
                PATIENCE,
                ", ".join(self._channels),
            )
        except ChannelLayerUnavailable as error:
            logger.debug("This worker is announced later: %s", error)
        self._read(self._channels)
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def stop(self) -> None:
        """Say that the worker reads nothing any more."""
        if self._task is not None:
            await end_tasks(self._task)
        if self._started:
            with suppress(ChannelLayerUnavailable, asyncio.TimeoutError):  # the end of its lease says so too
                await asyncio.wait_for(self._leave(), LEAVE_TIME)

    async def _leave(self) -> None:
        await self._layer.group_send(SERVERS, self._announcement([]))
        await self._me.detach()

    def _announcement(self, channels: list[str]) -> Content:
        return {"worker": self._me.name, "reads": channels}

    async def _announce_and_wait(self) -> None:
        await self._layer.group_add(WORKERS, self._me.name)
        servers = set(await self._layer.group_channels(SERVERS))
        if not servers:
            return
        await self._layer.group_send(SERVERS, self._announcement(self._channels))
        inline = 0
        while servers:
            content = await self._me.arrived.get()
            servers.discard(str(content.get("left")))
            inline += bool(content.get("inline"))
            await self._answer(content)
        if inline:
            self._warn(inline)

    def _warn(self, servers: int) -> None:
        own = [name for name in self._channels if name not in SOCKET_CHANNELS + HTTP_CHANNELS]
        logger.warning(
            'Server processes run consumers themselves, because their CONSUMERS is "inline": %d now. They keep the '
            'events of sockets, and %s. To have workers run all consumers, set CONSUMERS to "workers"',
            servers,
            f"leave the channels {', '.join(own)} to this worker" if own else "leave nothing for this worker to do",
        )

    async def _repeat(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + INTERVAL
        while True:
            try:
                await self._answer(await asyncio.wait_for(self._me.arrived.get(), max(due - loop.time(), 0.0)))
                continue
            except asyncio.TimeoutError:
                due = loop.time() + INTERVAL
            try:
                await self._layer.group_add(WORKERS, self._me.name)
                await self._layer.group_send(SERVERS, self._announcement(self._channels))
            except ChannelLayerUnavailable as error:
                logger.debug("This worker is announced later: %s", error)
            except Exception:  # the worker works all the same
                logger.exception("Announcing this worker failed; trying again in %g s", INTERVAL)

    async def _answer(self, content: Content) -> None:
        server = content.get("asks")
        if isinstance(server, str):
            await self._me.tell(server, self._announcement(self._channels))


class Deference:
    """Reads the channels of an inline server, but leaves those to workers that they read.

    Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        layer: the layer of the channels.
        channels: that the routing names.
        read: called with channels whose messages are to be taken from now on.
        leave: called with channels whose messages are to be taken no longer; awaited until those taken are done.
        inline: whether the process runs the consumers of its own sockets.
    """

    def __init__(
        self,
        layer: BaseChannelLayer,
        channels: Collection[str],
        *,
        read: Callable[[Collection[str]], object],
        leave: Callable[[Collection[str]], Awaitable[None]],
        inline: bool = True,
    ) -> None:
        self._layer = layer
        self._channels = frozenset(channels)
        self._read = read
        self._leave = leave
        self._inline = inline
        self._reading: frozenset[str] = frozenset()
        self._workers: dict[str, frozenset[str]] = {}  # member -> the channels it reads
        self._me = _Member(layer)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the channels as soon as it is known which of them workers read: at once on a layer of one process."""
        if not self._layer.crosses_processes or not self._channels:
            self._read(self._channels)
            return
        self._me.attach()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Change nothing any more, and leave the group."""
        if self._task is not None:
            await end_tasks(self._task)
            with suppress(ChannelLayerUnavailable, asyncio.TimeoutError):  # the end of its lease says so too
                await asyncio.wait_for(self._me.detach(), LEAVE_TIME)

    async def _run(self) -> None:
        while True:
            try:
                await self._find_workers()
                break
            except ChannelLayerUnavailable as error:
                logger.debug("Whether workers read channels of this server is not known yet: %s", error)
                await asyncio.sleep(RETRY_INTERVAL)
            except Exception:
                logger.exception(
                    "Workers could not be asked which channels they read; this server reads all of its own"
                )
                break
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self._adjust()
                try:
                    await self._take(await asyncio.wait_for(self._me.arrived.get(), max(due - loop.time(), 0.0)))
                except asyncio.TimeoutError:
                    due = loop.time() + INTERVAL
                    await self._layer.group_add(SERVERS, self._me.name)
                    await self._forget_dead()
            except ChannelLayerUnavailable as error:
                logger.debug("Whether workers are there is not known now: %s", error)
            except Exception:  # the server goes on to read what it reads
                logger.exception("Following what workers read failed")
                await asyncio.sleep(RETRY_INTERVAL)

    async def _find_workers(self) -> None:
        await self._layer.group_add(SERVERS, self._me.name)
        waiting = set(await self._layer.group_channels(WORKERS))
        if waiting:
            await self._layer.group_send(WORKERS, {"asks": self._me.name})
        with suppress(asyncio.TimeoutError):  # one that has died is a member until its lease ends
            await asyncio.wait_for(self._hear(waiting), PATIENCE)

    async def _hear(self, waiting: set[str]) -> None:
        while waiting:
            waiting.discard(await self._take(await self._me.arrived.get()))

    async def _take(self, content: Content) -> str:
        """Note what a worker reads from now on, and leave it to that one.

        Returns:
            The member of the worker.
        """
        worker, reads = str(content.get("worker")), frozenset(content.get("reads", ()))
        if worker not in self._workers and reads:
            common = ", ".join(sorted(self._channels & reads))
            logger.info("A worker reads %s; this server leaves that to it", common or "none of this server's channels")
        self._workers.pop(worker, None)
        if reads:
            self._workers[worker] = reads
        if self._reading:  # else it is not known yet what other workers read
            await self._adjust()
        if reads:
            await self._me.tell(worker, {"left": self._me.name, "inline": self._inline})
        return worker

    async def _forget_dead(self) -> None:
        for worker in tuple(self._workers):
            if not await self._layer.is_served(worker):
                logger.warning("A worker has died; this server reads its channels again")
                self._workers.pop(worker, None)

    async def _adjust(self) -> None:
        """Read what no worker reads, and no more."""
        wanted = self._channels.difference(*self._workers.values())
        left, more = self._reading - wanted, wanted - self._reading
        self._reading = wanted
        if left:
            with suppress(asyncio.TimeoutError):  # a consumer may take its time; no worker waits longer
                await asyncio.wait_for(self._leave(left), PATIENCE)
        if more:
            self._read(more)
