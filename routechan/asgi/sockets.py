"""Reply channel name -> open connection of this process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from .. import names
from ..crossing import Crossing
from ..encoding import Content
from ..exceptions import ChannelFull, ChannelLayerUnavailable, InvalidContent
from ..handover import settled
from ..layers.base import BaseChannelLayer
from ..observe.counters import counters
from ..observe.failures import about
from .translation import SocketReply, may_close_with, socket_reply
from .writer import Send, Writer

logger = logging.getLogger("routechan")

#: The close code for "service restart", upon which clients come back.
RESTART = 1012

Reply = TypeVar("Reply")
Reply_contra = TypeVar("Reply_contra", contravariant=True)


class Replied(Protocol[Reply_contra]):
    """A connection that takes replies."""

    def reply(self, reply: Reply_contra) -> None: ...

    def end(self) -> None:
        """The server process ends, and the connection with it."""


class ReplyChannels(Generic[Reply]):
    """The connections of one kind, by reply channel. Lifetime: server process, on one event loop.

    Replies reach them straight from the layer's ``send``, with no queue in between.
    """

    def __init__(self, prefix: str, read: Callable[[Content], Reply], layer: BaseChannelLayer) -> None:
        self.queue = f"{prefix}.{names.random_part(6)}.{layer.process}!"
        self.layer = layer
        self._read = read
        self._open: dict[str, Replied[Reply]] = {}
        self._takers: dict[str, Callable[[Content], object]] = {}
        self._empty: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def attach(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._crossing: Crossing[Callable[[], object]] = Crossing(self._loop, _call)
        self.layer.attach(self.queue, self.deliver)

    async def detach(self) -> None:
        try:
            await settled(self.layer.detach(self.queue))
        except ChannelLayerUnavailable as error:
            logger.warning("The layer did not take notice that %s has ended: %s", self.queue, error)

    async def end(self, within: float) -> int:
        """Have every connection end and wait until all have, ``within`` seconds at most; how many have not."""
        for connection in tuple(self._open.values()):
            connection.end()
        if self._open:
            self._empty = self._loop.create_future()
            await asyncio.wait([self._empty], timeout=within)
        return len(self._open)

    def new_name(self) -> str:
        return self.queue + names.random_part(10)

    def channel(self, take: Callable[[Content], object]) -> str:
        """As ``Replies.channel``, until ``detach``."""
        name = self.new_name()
        self._takers[name] = take
        return name

    def add(self, name: str, connection: Replied[Reply]) -> None:
        self._open[name] = connection

    def remove(self, name: str) -> None:
        """The connection is gone, and leaves the groups its consumers left it in."""
        self._open.pop(name, None)
        self.layer.forget(name)
        if self._empty is not None and not self._open and not self._empty.done():
            self._empty.set_result(None)

    def deliver(self, channels: Sequence[str], content: Content) -> None:
        """Give ``content``, read once, to each connection; names that are gone are passed over (DM-05).

        Called by the layer in any thread. Raises ``InvalidContent`` for what no such connection can take. What
        only some of several cannot take now is logged.
        """
        here = threading.get_ident() == self._thread
        take = self._takers.get(channels[0])
        if take is not None:
            if here:
                take(content)
            else:
                self._crossing.put(partial(take, content))
            return
        reply = self._read(content)
        if not here:
            self._crossing.put(partial(self._deliver, tuple(channels), reply))
        elif len(channels) == 1:
            connection = self._open.get(channels[0])
            if connection is not None:
                connection.reply(reply)
            else:
                self.layer.forget(channels[0])
        else:
            self._deliver(channels, reply)

    def _deliver(self, channels: Sequence[str], reply: Reply) -> None:
        find = self._open.get
        for name in channels:
            connection = find(name)
            if connection is None:
                self.layer.forget(name)  # added to a group after it had gone
                continue
            try:
                connection.reply(reply)
            except (InvalidContent, ChannelFull) as error:
                counters.lost += 1
                logger.error("A message to %s is lost: %s", name, error, extra=about(name, connection=name))


def _call(job: Callable[[], object]) -> None:
    job()


class Socket(Writer):
    """One WebSocket's outgoing side. Lifetime: connection.

    Connecting, then open once accepted, then closed. What a reply does in each state: ``layers-and-protocol``
    6.9. ``ended`` is called when this side closes it, with whether the client's answer is worth waiting for.
    """

    paced = False  # a client that does not read must not hold a thread as long as its socket is open

    __slots__ = (
        "_capacity",
        "_ended",
        "_ending",
        "accepted",
        "close_code",
        "closed",
        "dropped",
        "name",
        "path",
        "subprotocol",
    )

    def __init__(
        self,
        name: str,
        path: str,
        send: Send,
        *,
        capacity: int,
        subprotocol: str | None,
        ended: Callable[[bool], object],
    ) -> None:
        super().__init__(send)
        self.name = name
        self.path = path
        self.subprotocol = subprotocol
        self.accepted = False
        self.closed = False
        self.close_code: int | None = None  # the code this side closed with
        self.dropped = 0  # messages its client did not take in time
        self._capacity = capacity
        self._ended = ended
        self._ending = False  # the server process ends

    def deliver(self, content: Content) -> None:
        """Take one message of this socket's reply channel; raises ``InvalidContent``."""
        self.reply(socket_reply(content))

    def reply(self, reply: SocketReply) -> None:
        """Take a message that has been read."""
        if self.closed:
            return
        accept, data, close = reply
        if self.accepted:
            if data is not None:
                if not self.write(data, self._capacity):
                    self._overflow()
                    return
                counters.frames_sent += 1
            if close is not None:
                self._close(close)
        elif accept is False:
            self._deny()
        elif accept or data is not None:
            self._accept()
            self.reply(reply)
        elif close is not None:
            self._deny()

    def deny(self) -> None:
        """Refuse the handshake: the client sees HTTP 403, consumers a disconnect with 1006 (6.11)."""
        self._end({"type": "websocket.close", "code": 1000}, 1006)

    def _deny(self) -> None:
        logger.info("WebSocket %r is refused by its consumer", self.path)
        self.deny()

    def end(self) -> None:
        """The server process ends: the client is told to come back, and not waited for."""
        self._ending = True
        if self.closed:
            self._ended(False)
        elif self.accepted:
            self._end({"type": "websocket.close", "code": RESTART}, RESTART, wait=False)
        else:
            self._end({"type": "websocket.close", "code": 1000}, 1006, wait=False)

    def lost(self) -> None:
        """The connection is gone: send nothing more."""
        self.closed = True
        self._ended = _nobody  # so that no cycle keeps a closed connection until the next garbage collection
        super().lost()

    async def writable(self) -> None:
        """Return when the client has taken what was sent, or nothing more may be sent."""
        while self.queue is not None and not self.closed:
            await self._change()

    def _accept(self) -> None:
        self.accepted = True
        event: dict[str, Any] = {"type": "websocket.accept"}
        if self.subprotocol is not None:
            event["subprotocol"] = self.subprotocol
        self.write(event, self._capacity)

    def _overflow(self) -> None:
        dropped = self.dropped = self.drop() + 1
        counters.readers_closed += 1
        counters.frames_dropped += dropped
        logger.warning(
            "The client of %s (%r) does not read: %d messages to it are dropped and it is closed with 1013",
            self.name,
            self.path,
            dropped,
            extra=about(self.name, connection=self.name),
        )
        self._end({"type": "websocket.close", "code": 1013}, 1013, wait=False)

    def _close(self, code: int) -> None:
        if may_close_with(code):
            self._end({"type": "websocket.close", "code": code}, code)
        else:
            logger.error(
                "%s (%r) was to be closed with %d, which may not travel in a close frame; it stays open. "
                "Use True, 1000 to 1014 (but not 1004, 1005, 1006), or 3000 to 4999",
                self.name,
                self.path,
                code,
                extra=about(self.name, connection=self.name),
            )

    def _refused(self, error: Exception) -> None:
        if self._ending:  # daphne cannot send this code, and uvicorn has closed the socket itself
            logger.debug("The server did not take the close of %s: %r", self.name, error)
        else:
            super()._refused(error)
        self.closed = True
        self._ended(False)

    def _end(self, event: Any, code: int, *, wait: bool = True) -> None:
        self.closed = True
        self.close_code = code
        self.write(event, self._capacity + 1)  # there is always room for the last event
        self._wake()
        self._ended(wait)


def _nobody(wait: bool) -> None:
    """Who is told that a lost socket ends."""
