"""A configured layer: its 1.x face, its alias and its routing (LM-09)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from routechan.asgi import Application
from routechan.describe import name_that_thing
from routechan.encoding import Content
from routechan.layers import SyncChannelLayer
from routechan.routing import Router


class ForwardingLayer(SyncChannelLayer):
    """A 1.x face that hands every call to ``channel_layer``, another one."""

    def __init__(self, channel_layer: SyncChannelLayer) -> None:
        self.channel_layer = channel_layer
        self.layer = channel_layer.layer
        self.expiry = channel_layer.expiry
        self.group_expiry = channel_layer.group_expiry
        self.capacity = channel_layer.capacity
        self.channel_capacity = channel_layer.channel_capacity

    def send(self, channel: str, content: Content, delay: float = 0.0) -> None:
        if delay:
            self.channel_layer.send(channel, content, delay)
        else:  # a subclass of an old layer knows no delay
            self.channel_layer.send(channel, content)

    def send_group(self, group: str, content: Content, delay: float = 0.0) -> None:
        if delay:
            self.channel_layer.send_group(group, content, delay)
        else:
            self.channel_layer.send_group(group, content)

    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        return self.channel_layer.receive(channels, block)

    def new_channel(self, pattern: str) -> str:
        return self.channel_layer.new_channel(pattern)

    def group_add(self, group: str, channel: str) -> None:
        self.channel_layer.group_add(group, channel)

    def group_discard(self, group: str, channel: str) -> None:
        self.channel_layer.group_discard(group, channel)

    def group_channels(self, group: str) -> list[str]:
        return self.channel_layer.group_channels(group)

    def group_count(self, group: str) -> int:
        return self.channel_layer.group_count(group)

    def flush(self) -> None:
        self.channel_layer.flush()

    def global_statistics(self) -> dict[str, Any]:
        return self.channel_layer.global_statistics()

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        return self.channel_layer.channel_statistics(channel)


class ChannelLayerWrapper(ForwardingLayer):
    """What ``channel_layers[alias]`` and ``get_channel_layer()`` give. Lifetime: process.

    All of the 1.x face goes to ``channel_layer``; a method that a test sets on the wrapper is used instead (LM-10).
    Called with an ASGI connection it serves it, so that an ``asgi.py`` of 1.x,
    ``channel_layer = get_channel_layer()``, can be given to any ASGI server.
    """

    def __init__(
        self,
        channel_layer: SyncChannelLayer,
        alias: str,
        routing: Any,
        build: Callable[[ChannelLayerWrapper], Application] | None = None,
    ) -> None:
        super().__init__(channel_layer)
        self.alias = alias
        self.routing = routing
        self.router = Router(routing)
        self._build = build
        self._application: Application | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._application is None:
            if self._build is None:
                raise TypeError(f"{self} was made without an application and serves no connections")
            self._application = self._build(self)
        await self._application(scope, receive, send)

    def local_only(self) -> bool:
        """Whether no other process sees this layer's channels (LM-12)."""
        return not self.layer.crosses_processes

    def __str__(self) -> str:
        own = self.channel_layer is not self.layer.sync  # a class of the project, over one of ours
        return f"{self.alias} ({name_that_thing(self.channel_layer if own else self.layer)})"
