"""Disconnects that outlive their sockets: they wait for a worker, or could not reach their consumer and are owed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from ..concurrency import end_tasks, ends_task, maybe_await, running_loop
from ..encoding import Content
from ..interfaces import Consumers, Events
from ..layers.base import BaseChannelLayer
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats

logger = logging.getLogger("routechan")

#: Seconds before a disconnect that could not reach its consumer is handed in again; each time twice as long.
OWED_INTERVAL = 1.0
OWED_INTERVAL_MAX = 60.0

#: Seconds that the task of a socket, and a server that stops, wait for workers to consume what is left of it. ASGI
#: servers wait for the task when they stop, and no worker may be running.
LEAVE_TIMEOUT = 1.0

#: Seconds that a server which stops waits at most, while workers consume what its sockets left.
STOP_TIMEOUT = 10.0

DISCONNECT = "websocket.disconnect"


class Leaving:
    """What is left of the events of a socket that is gone. Lifetime: from there to the end of its disconnect.

    Args:
        events: Takes them; their consumers run in other processes.
        frames: The content of each ``websocket.receive`` that was not handed in yet.
        disconnect: The content of the disconnect.
        repeats: Which log lines are written.
    """

    def __init__(self, events: Events, frames: Sequence[Content], disconnect: Content, repeats: Repeats) -> None:
        self._events = events
        self._repeats = repeats
        self._frames = frames
        self._disconnect = disconnect
        self._last = False
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> Exception | None:
        """Hand the events in, in order; the error with which the disconnect was refused."""
        events = self._events
        for frame in self._frames:
            await events.idle()
            await handed_in(events, "websocket.receive", frame, self._repeats)
        await events.idle()
        self._last = True
        return await handed_in(events, DISCONNECT, self._disconnect, self._repeats)

    def give_up(self) -> None:
        """Wait no longer, because the server is stopping; a disconnect that has left this process is done."""
        if self._last and self._events.handed_over:
            self._events.release()
        else:
            self.task.cancel()


async def handed_in(events: Events, channel: str, content: Content, repeats: Repeats) -> Exception | None:
    """Hand an event in.

    Args:
        events: Takes it.
        channel: ``websocket.receive`` or ``websocket.disconnect``.
        content: Its content.
        repeats: Which log lines are written.

    Returns:
        The error with which it was refused, which is logged; None where it was taken.
    """
    try:
        await maybe_await(events.handle(channel, content))
    except BaseException as error:
        if ends_task(error):
            raise
        more = repeats.more(("not handed in", channel, type(error)))
        if more is not None:
            logger.error(
                "The %s of %r cannot reach its consumer now%s: %s%s",
                channel,
                content.get("path"),
                ", and is tried again" if channel == DISCONNECT else "",
                str(error) or repr(error),
                more,
                extra=log_fields(channel, content),
            )
        return error if isinstance(error, Exception) else RuntimeError(repr(error))
    return None


class Disconnects:
    """All disconnects of a server whose sockets are gone. Lifetime: that of the server, on one event loop.

    Args:
        consumers: What runs the consumers.
        layer: Keeps last wills.
        repeats: Which log lines are written.
    """

    def __init__(self, consumers: Consumers, layer: BaseChannelLayer, repeats: Repeats) -> None:
        self._repeats = repeats
        self._consumers = consumers
        self._layer = layer
        self._leaving: set[Leaving] = set()
        self._owed: set[asyncio.Task[None]] = set()
        self._stopping = False

    def keep(self, name: str, leaving: Leaving, disconnect: Content) -> None:
        """Go on with what is left of the socket ``name``, whose task ends now.

        Args:
            name: The socket's reply channel.
            leaving: What is left of its events.
            disconnect: The content of its ``websocket.disconnect``, which others hand in if this process dies.
        """
        if leaving.task.done():
            self._left(name, leaving, disconnect, leaving.task)
            return
        # Nobody knows which of the earlier events will have been consumed: order 0 waits for none.
        self._leave_will(name, {**disconnect, "order": 0})
        self._leaving.add(leaving)
        leaving.task.add_done_callback(partial(self._left, name, leaving, disconnect))

    def _left(self, name: str, leaving: Leaving, content: Content, task: asyncio.Task[Exception | None]) -> None:
        self._leaving.discard(leaving)
        if task.cancelled():  # others hand it in
            return
        self._layer.forget(name)
        if task.result() is not None:
            self.owe(name, content)

    def owe(self, name: str, disconnect: Content) -> None:
        """Hand in the disconnect of a socket that is gone until it reaches its consumer; others do if we die.

        Args:
            name: The socket's reply channel.
            disconnect: The content of its ``websocket.disconnect``.
        """
        self._leave_will(name, disconnect)
        if running_loop() is not None and not self._stopping:  # else this connection was never ended, but collected
            task = asyncio.get_running_loop().create_task(self._repay(name, disconnect))
            self._owed.add(task)
            task.add_done_callback(self._owed.discard)

    def _leave_will(self, name: str, disconnect: Content) -> None:
        try:
            self._layer.last_will(name, DISCONNECT, disconnect)
        except Exception as error:
            more = self._repeats.more("last will")
            if more is not None:
                fields = log_fields(name, disconnect)
                logger.error("The layer keeps no last will of %s: %s%s", name, error, more, extra=fields)

    async def _repay(self, name: str, disconnect: Content) -> None:
        delay = OWED_INTERVAL
        while True:
            await asyncio.sleep(delay)
            delay = min(2 * delay, OWED_INTERVAL_MAX)
            try:
                await maybe_await(self._consumers.connection(_Gone(name)).handle(DISCONNECT, disconnect))
            except BaseException as error:
                if ends_task(error):
                    raise
                more = self._repeats.more("owed")
                if more is not None:
                    text = "The websocket.disconnect of %s cannot reach its consumer yet: %s%s"
                    logger.info(text, name, error, more)
            else:
                self._layer.forget(name)
                return

    async def stop(self) -> None:
        """Wait for what is left as long as workers consume it; leave the rest to other processes, by last wills."""
        self._stopping = True
        tasks = {leaving.task for leaving in self._leaving}
        left, deadline = tasks, asyncio.get_running_loop().time() + STOP_TIMEOUT
        while left and asyncio.get_running_loop().time() < deadline:
            done, left = await asyncio.wait(left, timeout=LEAVE_TIMEOUT)
            if not done:
                break
        for leaving in tuple(self._leaving):
            leaving.give_up()
        await end_tasks(*self._owed)
        if tasks:
            await asyncio.wait(tasks)


class _Gone:
    """The outlet of a socket that is gone. Lifetime: that of its disconnect."""

    closed = True
    paced = False
    changes = 0
    recovery = None

    def __init__(self, name: str) -> None:
        self.name = self.client = name

    def deliver(self, content: Content) -> None:
        """Send nothing."""

    def interrupt(self) -> None:
        """Close nothing."""

    def failed(self, order: object) -> None:
        """Count nothing."""

    def look(self) -> None:
        """Look for nothing."""

    async def writable(self) -> None:
        """Return at once."""
