"""The open connections of this process, found by their reply channel."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from .. import names
from ..concurrency import LoopQueue, maybe_await
from ..encoding import Content
from ..exceptions import ChannelFull, InvalidContent
from ..layers.base import BaseChannelLayer
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields

logger = logging.getLogger("routechan")

Reply = TypeVar("Reply")
Reply_co = TypeVar("Reply_co", covariant=True)
Reply_contra = TypeVar("Reply_contra", contravariant=True)


class Replied(Protocol[Reply_contra]):
    """A connection that takes replies."""

    def reply(self, reply: Reply_contra) -> None:
        """Carry out a parsed ``reply``."""

    def overflow(self, limit: str) -> None:
        """Give the client up, because ``limit``, an option, is reached."""

    def end(self, told: bool = False) -> None:
        """Close, because the server process stops or was taken for dead; ``told`` if others tell the consumers so."""

    def end_untaken(self) -> None:
        """Close, if the ASGI server waits for this connection before it stops, and no consumer has begun with it."""


class Read(Protocol[Reply_co]):
    """What parses a message into a reply."""

    def __call__(self, content: Content, latest: str | None = None) -> Reply_co:
        """The reply that ``Replied.reply`` takes.

        Args:
            content: The message.
            latest: Its subject, if a client that is slow is to be sent the last one of that only.

        Raises:
            InvalidContent: No connection can take it.
        """


class ReplyChannels(Generic[Reply]):
    """All connections of one kind, by reply channel. Lifetime: server process, on one event loop.

    The layer's ``send`` calls ``deliver`` directly; no queue lies between a sender in this process and a connection.

    Args:
        prefix: How reply channels begin: ``websocket.send`` or ``http.response``.
        read: Parses a message.
        layer: The layer that delivers the messages.
        missed: Called with a reply to a connection that is gone.
    """

    def __init__(
        self,
        prefix: str,
        read: Read[Reply],
        layer: BaseChannelLayer,
        missed: Callable[[Reply], object] | None = None,
    ) -> None:
        self.queue = f"{prefix}.{names.random_part(6)}.{layer.process}!"
        self.layer = layer
        self._read = read
        self._missed = missed
        self._open: dict[str, Replied[Reply]] = {}
        self._takers: dict[str, Callable[[Content], object]] = {}
        self._empty: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def attach(self) -> None:
        """Have the layer deliver messages for these reply channels here, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._from_threads: LoopQueue[Callable[[], object]] = LoopQueue(self._loop, _call)
        self.layer.attach(self.queue, self.deliver)

    async def detach(self) -> None:
        """End what ``attach`` began.

        Raises:
            ChannelLayerUnavailable: The layer could not be told; what this process had there ends with its lease.
        """
        await maybe_await(self.layer.detach(self.queue))

    async def end(self, within: float) -> int:
        """Close every connection, and wait up to ``within`` seconds until all are gone.

        Returns:
            The number of connections that are still there.
        """
        for connection in tuple(self._open.values()):
            connection.end()
        if self._open:
            self._empty = self._loop.create_future()
            await asyncio.wait([self._empty], timeout=within)
        return len(self._open)

    def end_untaken(self) -> None:
        """Close every connection that would keep the server process from stopping for an event nobody has taken."""
        for connection in tuple(self._open.values()):
            connection.end_untaken()

    def fence(self, told: Collection[str]) -> int:
        """How many connections this closes; others hand in the disconnects of those that are ``told``."""
        connections = tuple(self._open.items())
        for name, connection in connections:
            connection.end(name in told)
        return len(connections)

    def new_name(self) -> str:
        """A new reply channel."""
        return self.queue + names.random_part(10)

    def channel(self, take: Callable[[Content], object]) -> str:
        """A new channel whose messages go to ``take`` on the event loop, until ``detach`` (see ``Replies.channel``)."""
        name = self.new_name()
        self._takers[name] = take
        return name

    def add(self, name: str, connection: Replied[Reply]) -> None:
        """Deliver what is sent to the reply channel ``name`` to ``connection``."""
        self._open[name] = connection

    def remove(self, name: str) -> None:
        """Forget the connection ``name``, which is gone, and take it out of every group it is still in."""
        self._open.pop(name, None)
        try:
            self.layer.forget(name)
        except Exception:  # of a layer of another make; what is left expires
            logger.exception("The layer could not be told that %s is gone", name, extra=log_fields(name))
        if self._empty is not None and not self._open and not self._empty.done():
            self._empty.set_result(None)

    def deliver(self, channels: Sequence[str], content: Content, latest: str | None = None) -> None:
        """Deliver one message to several connections; called by the layer in any thread.

        The message is parsed once for all of them. Connections that are gone are skipped (DM-05). Where several are
        addressed, an error of one is logged and does not keep the message from the others.

        Args:
            channels: Reply channels, at least one. A channel of ``channel`` comes alone.
            content: The message.
            latest: Its subject, where a slow client is to get the last one of that only.

        Raises:
            InvalidContent: No connection of this kind can take the message.
            ChannelFull: The only connection addressed has no room for it.
        """
        here = threading.get_ident() == self._thread
        take = self._takers.get(channels[0])
        if take is not None:
            if here:
                take(content)
            else:
                self._from_threads.put(partial(take, content))
            return
        reply = self._read(content) if latest is None else self._read(content, latest)
        if not here:
            self._from_threads.put(partial(self._deliver, tuple(channels), reply))
        elif len(channels) == 1:
            connection = self._open.get(channels[0])
            if connection is not None:
                connection.reply(reply)
            else:
                self._miss(channels[0], reply)
        else:
            self._deliver(channels, reply)

    def _miss(self, name: str, reply: Reply) -> None:
        self.layer.forget(name)  # a member that was added to a group after it had gone
        if self._missed is not None:
            self._missed(reply)

    def _deliver(self, channels: Sequence[str], reply: Reply) -> None:
        find = self._open.get
        for name in channels:
            connection = find(name)
            if connection is None:
                self._miss(name, reply)
                continue
            try:
                connection.reply(reply)
            except ChannelFull:  # of a response: its sender hears of nothing, and what came next would follow a gap
                counters.lost += 1
                connection.overflow("socket_bytes")
            except InvalidContent as error:
                counters.lost += 1
                logger.error("A message to %s is lost: %s", name, error, extra=log_fields(name, connection=name))


def _call(job: Callable[[], object]) -> None:
    job()
