"""``Channel`` and ``Group``: what user code holds.

Sends wait in the outbox until the running consumer ends; outside of consumers, and with
``immediately=True``, they happen at once. Adding and discarding members always happens at once (GR-03).
Each operation has an ``a`` twin for ``async def`` code; what would block the event loop raises ``WouldBlock`` there,
and names its twin.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any

from .encoding import Content, check_content
from .layers.base import NOW, BaseChannelLayer, SyncChannelLayer, check_delay
from .layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from .layers.waiting import refuse_on_loop, running_loop
from .names import as_text
from .observe import tracing
from .observe.counters import counters
from .observe.failures import about
from .outbox import open_outbox

logger = logging.getLogger("routechan")

#: Sends that were started on an event loop, which itself holds its tasks only weakly.
_unawaited: set[asyncio.Future[None]] = set()


class _Target(ABC):
    """A name on a layer. ``channel_layer`` is the layer's 1.x face, or any object with those methods."""

    name: str

    def __init__(
        self,
        name: str | bytes,
        alias: str = DEFAULT_CHANNEL_LAYER,
        channel_layer: Any = None,
    ) -> None:
        self.name = name if type(name) is str else as_text(name)  # type: ignore[assignment]
        # An async layer has a ``sync`` face; a face, or an object with the 1.x methods, has not.
        self.channel_layer = getattr(channel_layer, "sync", channel_layer) if channel_layer else channel_layers[alias]

    def send(self, content: Content, immediately: bool = False, delay: float = NOW) -> None:
        """Send a dict when the running consumer ends, or at once outside of one or with ``immediately``.

        With ``delay`` it is delivered that many seconds after that; the layer keeps it meanwhile.

        Raises ``InvalidContent`` for what is no dict. Errors of the layer reach the caller only where
        the send is immediate, and not on the event loop; others are logged with the consumer's name.
        """
        if not isinstance(content, dict):
            check_content(content)
        check_delay(delay)
        outbox = None if immediately else open_outbox()
        sender: Any = _Sending(self, delay) if delay or tracing.on() else self
        if outbox is not None:
            outbox.entries.append((sender, content))
            return
        counters.sent += 1
        if running_loop() is not None:
            self._send_unawaited(sender, content)
        elif sender is self:
            self._send_now(content, NOW)
        else:
            sender.send(content)

    async def asend(self, content: Content, immediately: bool = False, delay: float = NOW) -> None:
        """``send`` for async code."""
        check_content(content)
        check_delay(delay)
        sender: Any = _Sending(self, delay) if delay or tracing.on() else self
        outbox = None if immediately else open_outbox()
        if outbox is not None:
            outbox.add(sender, content)
            return
        counters.sent += 1
        pending = sender.post(content)
        if pending is not None:
            await pending

    def post(self, content: Content) -> Awaitable[None] | None:
        """Start the send on the event loop; used when an outbox is flushed."""
        return self._start(content, NOW)

    def _start(self, content: Content, delay: float) -> Awaitable[None] | None:
        layer = getattr(self.channel_layer, "layer", None)
        if layer is None:  # no layer of ours: its calls may block
            return asyncio.to_thread(self._send_now, content, delay)
        return self._post(layer, content, delay)

    def _send_unawaited(self, sender: Any, content: Content) -> None:
        """On the event loop a send is started and not waited for; what becomes of it is for the log."""
        pending = sender.post(content)
        if pending is not None:
            task = asyncio.ensure_future(pending)
            _unawaited.add(task)
            task.add_done_callback(functools.partial(_sent, self.name))

    def _refuse_on_loop(self, method: str, argument: str = "") -> None:
        """On every layer, because what works in development must work where the layer is another server."""
        if not isinstance(self.channel_layer, SyncChannelLayer):
            return  # a layer of another make has no other way
        kind = type(self).__name__
        refuse_on_loop(f"{kind}.{method}", f"await {kind}({self.name!r}).a{method}({argument})")

    @abstractmethod
    def _send_now(self, content: Content, delay: float) -> None: ...

    @abstractmethod
    def _post(self, layer: BaseChannelLayer, content: Content, delay: float) -> Awaitable[None] | None: ...


class _Sending:
    """What an outbox holds for a send with a delay, which counts from when the consumer has ended, or in a trace."""

    __slots__ = ("_delay", "_target", "_trace", "channel_layer", "name")

    def __init__(self, target: _Target, delay: float) -> None:
        self.name = target.name
        self.channel_layer = target.channel_layer
        self._target = target
        self._delay = delay
        self._trace = tracing.here() if tracing.on() else None

    def send(self, content: Content, immediately: bool = False) -> None:
        if self._trace is None:
            self._target._send_now(content, self._delay)
        else:
            with self._span(content) as carrying:
                self._target._send_now(carrying, self._delay)

    def post(self, content: Content) -> Awaitable[None] | None:
        if self._trace is None:
            return self._post(content)
        span = self._span(content)
        try:
            pending = self._post(span.content)
        except Exception as error:
            span.end(error)
            raise
        return span.end_after(pending)

    def _post(self, content: Content) -> Awaitable[None] | None:
        return self._target._start(content, self._delay) if self._delay else self._target.post(content)

    def _span(self, content: Content) -> tracing.Sending:
        return tracing.Sending(self.name, content, group=isinstance(self._target, Group), parent=self._trace)


class Channel(_Target):
    """A named queue. ``Channel(name, alias="default", channel_layer=None)``.

    A name given as bytes is ASCII; the layer checks it when it is used (CH-01). An unknown alias raises
    ``KeyError`` (CH-03).
    """

    #: Whether the connection that takes what is sent here is known to be gone. A message's reply channel tells.
    closed = False

    def _send_now(self, content: Content, delay: float) -> None:
        if delay:
            self.channel_layer.send(self.name, content, delay)
        else:  # a layer of another make knows no delay
            self.channel_layer.send(self.name, content)

    def _post(self, layer: BaseChannelLayer, content: Content, delay: float) -> Awaitable[None] | None:
        return layer.post(self.name, content, delay)

    def __str__(self) -> str:
        return self.name


class Group(_Target):
    """A named set of channels. ``Group(name, alias="default", channel_layer=None)``.

    A send reaches each member; a member that is full misses it, and nothing is raised for that (GR-06).
    """

    def add(self, channel: Channel | str) -> None:
        """Make a channel (or its name) a member, at once."""
        self._refuse_on_loop("add", "channel")
        self.channel_layer.group_add(self.name, _name_of(channel))

    def discard(self, channel: Channel | str) -> None:
        """End a channel's membership, at once; silent where there is none."""
        self._refuse_on_loop("discard", "channel")
        self.channel_layer.group_discard(self.name, _name_of(channel))

    async def aadd(self, channel: Channel | str) -> None:
        """``add`` for async code."""
        await self._layer.group_add(self.name, _name_of(channel))

    async def adiscard(self, channel: Channel | str) -> None:
        """``discard`` for async code."""
        await self._layer.group_discard(self.name, _name_of(channel))

    def channels(self) -> list[str]:
        """The names of the members."""
        self._refuse_on_loop("channels")
        return list(self.channel_layer.group_channels(self.name))

    async def achannels(self) -> list[str]:
        """``channels`` for async code."""
        return await self._layer.group_channels(self.name)

    def count(self) -> int:
        """How many members there are."""
        self._refuse_on_loop("count")
        return int(self.channel_layer.group_count(self.name))

    async def acount(self) -> int:
        """``count`` for async code."""
        return await self._layer.group_count(self.name)

    @property
    def _layer(self) -> BaseChannelLayer:
        if not isinstance(self.channel_layer, SyncChannelLayer):
            raise TypeError(
                f"{type(self.channel_layer).__name__} is no routechan layer and has no async face; "
                "use add, discard and channels without the 'a', from a plain function"
            )
        return self.channel_layer.layer

    def _send_now(self, content: Content, delay: float) -> None:
        if delay:
            self.channel_layer.send_group(self.name, content, delay)
        else:
            self.channel_layer.send_group(self.name, content)

    def _post(self, layer: BaseChannelLayer, content: Content, delay: float) -> Awaitable[None] | None:
        return layer.post_group(self.name, content, delay)


def _sent(name: str, task: asyncio.Future[None]) -> None:
    _unawaited.discard(task)
    if not task.cancelled() and task.exception() is not None:
        counters.lost += 1
        logger.error(
            "A message to %s could not be delivered and is lost: %s", name, task.exception(), extra=about(name)
        )


def _name_of(channel: Channel | str) -> str:
    return channel.name if isinstance(channel, Channel) else channel
