"""Consumers here, in the server process.

An async consumer runs in its connection's own task, a plain one on a thread, a generator beside the
later events of its connection. One connection's events never overlap and never reorder. The channels
the routing names are read from the layer too, so that ``Channel("thumbnail").send(...)`` works with nothing
else started.
"""

from __future__ import annotations

from collections.abc import Iterable

from .channel_consumers import ChannelConsumers
from .dispatch import Dispatcher
from .encoding import Content
from .handover import Outlet, Replies
from .layers.base import SyncChannelLayer
from .line import Line
from .message import Message
from .runtime import Runtime


class InlineConsumers:
    """Runs the consumers of one server process. Lifetime: from ``start`` to ``stop``, on one event loop.

    ``threads`` bounds the threads for plain consumers, and separately those for plain generators.
    ``read_channels``: also consume what is sent to the channels the routing names; else workers do.
    """

    def __init__(
        self, dispatcher: Dispatcher, layer: SyncChannelLayer, *, threads: int = 32, read_channels: bool = True
    ) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self._threads = threads
        self._read_channels = read_channels

    async def start(self, replies: Replies) -> None:
        self._runtime = Runtime(self.dispatcher, self.layer, self._threads)
        self._channels = ChannelConsumers(self._runtime, self.layer, limit=self._threads)
        self._channels.start(self.dispatcher.router.channels if self._read_channels else ())

    async def stop(self) -> None:
        await self._channels.stop()
        await self._runtime.stop()

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether a consumer of the routing could take messages on ``channels`` from where ``content`` came."""
        return self.dispatcher.router.serves(channels, content)

    def takes(self, channel: str, content: Content) -> bool:
        """Whether the routing has a consumer for this message."""
        return self.dispatcher.router.takes(Message(content, channel, self.layer))

    def line(self, outlet: Outlet) -> Line:
        """What takes the events of a new connection, in order."""
        return Line(self._runtime, outlet)
