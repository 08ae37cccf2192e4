"""Consumers in the server process.

An async consumer runs in its connection's own task, a plain one on a thread, a generator beside later events of its
connection. One connection's events never overlap and never reorder. Messages on the channels that the routing names are
taken off the layer too, so that ``Channel("thumbnail").send(...)`` works with nothing else started.
"""

from __future__ import annotations

from collections.abc import Iterable

from .consumers.connection import Connection, Runtime
from .consumers.dispatch import Dispatcher
from .consumers.threads import SOCKET_STREAMS, STREAM_THREADS
from .encoding import Content
from .interfaces import Outlet, Replies
from .layers.base import SyncChannelLayer
from .message import Message
from .sending.asking import leave
from .worker.announcements import Deference
from .worker.consumers import ChannelConsumers


class InlineConsumers:
    """The ``Consumers`` of a server that runs them itself. Lifetime: from ``start`` to ``stop``, on one event loop.

    Args:
        dispatcher: finds and runs the consumers.
        layer: the 1.x face of their layer.
        threads: how many plain consumers may run at a time.
        stream_threads: how many plain generators may stream beside them.
        socket_streams: how many generators may stream to one socket at a time.
        read_channels: also consume what is sent to the channels the routing names; else workers do.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        layer: SyncChannelLayer,
        *,
        threads: int = 32,
        stream_threads: int = STREAM_THREADS,
        socket_streams: int = SOCKET_STREAMS,
        read_channels: bool = True,
    ) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self._threads = threads
        self._stream_threads = stream_threads
        self._socket_streams = socket_streams
        self._read_channels = read_channels

    async def start(self, replies: Replies) -> None:
        """Start to run consumers.

        ``replies`` go straight to the connections, and are not needed here.
        """
        self._runtime = Runtime(self.dispatcher, self.layer, self._threads, self._stream_threads, self._socket_streams)
        self._channels = ChannelConsumers(self._runtime, self.layer, prefetch=self._threads)
        channels = self.dispatcher.router.channels if self._read_channels else ()
        self._channels.start(channels)
        self._deference = Deference(self.layer.layer, channels, read=self._channels.read, leave=self._channels.leave)
        await self._deference.start()

    async def stop(self) -> None:
        """End what is running."""
        await self._deference.stop()
        await self._channels.stop()
        await self._runtime.stop()
        await leave(self.layer.layer)

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether the routing could take messages on ``channels`` from a connection with this ``content``."""
        return self.dispatcher.router.serves(channels, content)

    def watches_end(self, content: Content) -> bool:
        """Whether the ``websocket.disconnect`` of a socket matters whose connect has this ``content``."""
        return self.dispatcher.watches_ends() or self.serves(("websocket.disconnect",), content)

    def takes(self, channel: str, content: Content) -> bool:
        """Whether the routing takes the whole message ``content`` on ``channel``."""
        return self.dispatcher.router.takes(Message(content, channel, self.layer))

    def connection(self, outlet: Outlet) -> Connection:
        """The taker of a new connection's events, whose replies leave through ``outlet``."""
        return Connection(self._runtime, outlet)
