"""Consumers here, in the server process.

An async consumer runs in its connection's own task, a plain one on a thread, a generator beside the
later events of its connection. One connection's events never overlap and never reorder. The channels
the routing names are read from the layer too, so that ``Channel("thumbnail").send(...)`` works with nothing
else started.
"""

from __future__ import annotations

from collections.abc import Iterable

from .channel_reader import ChannelReader
from .delivery import flush
from .dispatch import Dispatcher
from .encoding import Content
from .handover import Outlet, settled
from .layers.base import SyncChannelLayer
from .line import Line
from .message import Message
from .runtime import Runtime


class InlineConsumers:
    """Runs the consumers of one server process. Lifetime: from ``start`` to ``stop``, on one event loop.

    ``threads`` bounds the threads for plain consumers, and separately those for plain generators.
    """

    def __init__(self, dispatcher: Dispatcher, layer: SyncChannelLayer, *, threads: int = 32) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self._threads = threads
        self._reader = ChannelReader(layer.layer, self._consume, limit=threads)

    async def start(self) -> None:
        self._runtime = Runtime(self.dispatcher, self.layer, self._threads)
        self._reader.start(self.dispatcher.router.channels)

    async def stop(self) -> None:
        await self._reader.stop()
        await self._runtime.stop()

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether a consumer of the routing could take messages on ``channels`` from where ``content`` came."""
        return self.dispatcher.router.serves(channels, content)

    def line(self, outlet: Outlet) -> Line:
        """What takes the events of a new connection, in order."""
        return Line(self._runtime, outlet)

    async def _consume(self, channel: str, content: Content) -> None:
        """A message that came over the layer; one that asks for another try goes to the end of its channel."""
        run = self.dispatcher.match(Message(content, channel, self.layer))
        if run is None:
            return
        await Line(self._runtime, None).perform(run)
        if run.later and self.dispatcher.may_retry(run):
            # Sent like any other message, so that a full channel is waited for, and logged.
            run.add(run.message.channel, run.message.content)
            await settled(flush(run))
