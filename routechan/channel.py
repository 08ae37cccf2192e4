"""``Channel`` and ``Group``: what user code holds.

Sends wait in the outbox until the running consumer ends; outside of consumers, and with
``immediately=True``, they happen at once. Adding and discarding members always happens at once (GR-03).
Each operation has an ``a`` twin for ``async def`` code.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any

from .encoding import Content, check_content
from .layers.base import BaseChannelLayer, SyncChannelLayer
from .layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from .names import as_text
from .outbox import open_outbox


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

    def send(self, content: Content, immediately: bool = False) -> None:
        """Send a dict when the running consumer ends, or at once outside of one or with ``immediately``.

        Raises ``InvalidContent`` for what is no dict. Errors of the layer reach the caller only where
        the send is immediate; later ones are logged with the consumer's name.
        """
        if not isinstance(content, dict):
            check_content(content)
        outbox = None if immediately else open_outbox()
        if outbox is None:
            self._send_now(content)
        else:
            outbox.entries.append((self, content))

    async def asend(self, content: Content, immediately: bool = False) -> None:
        """``send`` for async code."""
        check_content(content)
        outbox = None if immediately else open_outbox()
        if outbox is not None:
            outbox.add(self, content)
            return
        pending = self.post(content)
        if pending is not None:
            await pending

    def post(self, content: Content) -> Awaitable[None] | None:
        """Start the send on the event loop; used when an outbox is flushed."""
        layer = getattr(self.channel_layer, "layer", None)
        if layer is None:  # no layer of ours: its calls may block
            return asyncio.to_thread(self._send_now, content)
        return self._post(layer, content)

    @abstractmethod
    def _send_now(self, content: Content) -> None: ...

    @abstractmethod
    def _post(self, layer: BaseChannelLayer, content: Content) -> Awaitable[None] | None: ...


class Channel(_Target):
    """A named queue. ``Channel(name, alias="default", channel_layer=None)``.

    A name given as bytes is ASCII; the layer checks it when it is used (CH-01). An unknown alias raises
    ``KeyError`` (CH-03).
    """

    def _send_now(self, content: Content) -> None:
        self.channel_layer.send(self.name, content)

    def _post(self, layer: BaseChannelLayer, content: Content) -> Awaitable[None] | None:
        return layer.post(self.name, content)

    def __str__(self) -> str:
        return self.name


class Group(_Target):
    """A named set of channels. ``Group(name, alias="default", channel_layer=None)``.

    A send reaches each member; a member that is full misses it, and nothing is raised for that (GR-06).
    """

    def add(self, channel: Channel | str) -> None:
        """Make a channel (or its name) a member, at once."""
        self.channel_layer.group_add(self.name, _name_of(channel))

    def discard(self, channel: Channel | str) -> None:
        """End a channel's membership, at once; silent where there is none."""
        self.channel_layer.group_discard(self.name, _name_of(channel))

    async def aadd(self, channel: Channel | str) -> None:
        """``add`` for async code."""
        await self._layer.group_add(self.name, _name_of(channel))

    async def adiscard(self, channel: Channel | str) -> None:
        """``discard`` for async code."""
        await self._layer.group_discard(self.name, _name_of(channel))

    def channels(self) -> list[str]:
        """The names of the members."""
        return list(self.channel_layer.group_channels(self.name))

    async def achannels(self) -> list[str]:
        """``channels`` for async code."""
        return await self._layer.group_channels(self.name)

    @property
    def _layer(self) -> BaseChannelLayer:
        if not isinstance(self.channel_layer, SyncChannelLayer):
            raise TypeError(
                f"{type(self.channel_layer).__name__} is no routechan layer and has no async face; "
                "use add, discard and channels without the 'a', from a plain function"
            )
        return self.channel_layer.layer

    def _send_now(self, content: Content) -> None:
        self.channel_layer.send_group(self.name, content)

    def _post(self, layer: BaseChannelLayer, content: Content) -> Awaitable[None] | None:
        return layer.post_group(self.name, content)


def _name_of(channel: Channel | str) -> str:
    return channel.name if isinstance(channel, Channel) else channel
