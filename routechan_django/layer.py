"""A configured layer: its 1.x face together with its alias and its routing (LM-09)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from routechan.asgi import Application
from routechan.encoding import Content
from routechan.exceptions import NoHistory
from routechan.inspection import name_that_thing
from routechan.layers import SyncChannelLayer
from routechan.layers.base import Delivery, Headers
from routechan.layers.history import History
from routechan.layers.sync import no_presence
from routechan.routing import Router

#: A channel or group, and the headers of the message that is being sent to it through a method that takes no headers.
headers_for_target: ContextVar[tuple[str, Headers] | None] = ContextVar("headers_for_target", default=None)


class ForwardingLayer(SyncChannelLayer):
    """A 1.x face that hands every call to another one.

    Args:
        channel_layer: The 1.x face that does the work, or another object with the 1.x methods, as tests have; its
            limits are taken over. Of a layer the 1.x face is taken.
    """

    def __init__(self, channel_layer: Any) -> None:
        self._forward_to(channel_layer)

    def _forward_to(self, channel_layer: Any) -> None:
        self.channel_layer: SyncChannelLayer = channel_layer
        if hasattr(type(channel_layer), "sync"):
            self.channel_layer = channel_layer.sync
        self.layer = self.channel_layer.layer if self._is_ours() else None  # type: ignore[assignment]
        for name in ("expiry", "group_expiry", "capacity", "channel_capacity"):
            setattr(self, name, getattr(self.channel_layer, name, getattr(type(self), name)))

    def _is_ours(self) -> bool:
        return isinstance(self.channel_layer, SyncChannelLayer)

    def send(self, channel: str, content: Content, delay: float = 0.0, *, headers: Headers | None = None) -> None:
        """Send ``content`` to ``channel``, after ``delay`` seconds, with ``headers`` beside the content."""
        self.channel_layer.send(channel, content, *_delay_argument(delay), **_headers_argument(channel, headers))

    def send_group(self, group: str, content: Content, delay: float = 0.0, *, headers: Headers | None = None) -> None:
        """Send ``content`` to the members of ``group``, after ``delay`` seconds, with ``headers`` beside it."""
        self.channel_layer.send_group(group, content, *_delay_argument(delay), **_headers_argument(group, headers))

    def receive_delivery(self, channels: Iterable[str], block: bool = False) -> Delivery | None:
        """The next message of one of ``channels``, with its headers; with ``block`` it is waited for."""
        if self._is_ours():
            return self.channel_layer.receive_delivery(channels, block)
        name, content = self.channel_layer.receive_many(channels, block=block)
        return None if name is None or content is None else Delivery(name, content, {})

    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """The next message of one of ``channels``; with ``block`` it is waited for."""
        return self.channel_layer.receive(channels, block) if self._is_ours() else super().receive(channels, block)

    def receive_many(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """``receive`` under the name that 1.x workers called, and that a class of the project may override."""
        return self.channel_layer.receive_many(channels, block)

    def new_channel(self, pattern: str) -> str:
        """A new channel name for ``pattern``."""
        return self.channel_layer.new_channel(pattern)

    def group_add(self, group: str, channel: str) -> None:
        """Add ``channel`` to ``group``."""
        self.channel_layer.group_add(group, channel)

    def group_discard(self, group: str, channel: str) -> None:
        """Remove ``channel`` from ``group``."""
        self.channel_layer.group_discard(group, channel)

    def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        """Add ``channel`` to ``group`` with its ``last`` messages, or those after the position ``since``.

        Returns:
            Whether it was given all after ``since``; None without that.
        """
        return self._with_history(group).group_catch_up(group, channel, last=last, since=since)

    def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        """The messages of ``group``, at most ``limit`` of them, after the position ``since``."""
        return self._with_history(group).group_history(group, limit, since)

    def _with_history(self, group: str) -> SyncChannelLayer:
        if not self._is_ours():
            raise NoHistory(group)
        return self.channel_layer

    def group_introduce(self, group: str, channel: str, who: Content) -> None:
        """Say that ``who`` reads ``channel``, a member of ``group``."""
        if not self._is_ours():
            raise NotImplementedError(no_presence(self.channel_layer))
        self.channel_layer.group_introduce(group, channel, who)

    def group_present(self, group: str) -> list[Content]:
        """What was said of each who is present in ``group``."""
        if not self._is_ours():
            raise NotImplementedError(no_presence(self.channel_layer))
        return self.channel_layer.group_present(group)

    def group_channels(self, group: str) -> list[str]:
        """The members of ``group``."""
        return self.channel_layer.group_channels(group)

    def group_count(self, group: str) -> int:
        """The number of members of ``group``."""
        return self.channel_layer.group_count(group)

    def flush(self) -> None:
        """Delete all messages and groups."""
        self.channel_layer.flush()

    def global_statistics(self) -> dict[str, Any]:
        """The figures of the whole layer."""
        return self.channel_layer.global_statistics()

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        """The figures of ``channel``."""
        return self.channel_layer.channel_statistics(channel)


# A subclass of an old layer takes neither a delay nor headers, so both are arguments only where there are any.


def _delay_argument(delay: float) -> tuple[float, ...]:
    return (delay,) if delay else ()


def _headers_argument(target: str, headers: Headers | None) -> dict[str, Any]:
    passed = headers_for_target.get()
    if headers is None and passed is not None and passed[0] == target:
        headers = passed[1]
    return {"headers": headers} if headers else {}


class ChannelLayerWrapper(ForwardingLayer):
    """The layer that ``channel_layers[alias]`` and ``get_channel_layer()`` return. Lifetime: process.

    Its 1.x face is that of ``channel_layer``; a method that a test sets on the wrapper is used instead (LM-10). It is
    an ASGI application, so any ASGI server can serve an ``asgi.py`` of 1.x, ``channel_layer = get_channel_layer()``.

    Args:
        channel_layer: The 1.x face of the layer.
        alias: Its alias in ``CHANNEL_LAYERS``.
        routing: What ``ROUTING`` may be: a list of routes, a dict, or a dotted path to one.
        build: Makes the ASGI application when the first connection comes; without it a connection raises
            ``TypeError``.
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
        self.routes_applied = 0  # how many ``apply_routes`` have given it another routing
        self._build = build
        self._application: Application | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._application is None:
            if self._build is None:
                raise TypeError(f"{self} was made without an application and serves no connections")
            self._application = self._build(self)
        await self._application(scope, receive, send)

    def replace(self, channel_layer: SyncChannelLayer) -> None:
        """Work with ``channel_layer`` from now on, for all who hold this object; for tests."""
        self._forward_to(channel_layer)
        self._application = None

    def become(self, other: ChannelLayerWrapper) -> None:
        """Have the layer of ``other`` from now on, and its routing where ``apply_routes`` sets none; for tests."""
        self.replace(other.channel_layer)
        if not self.routes_applied:
            self.routing, self.router = other.routing, other.router

    def __getattr__(self, name: str) -> Any:
        """Another attribute of the layer (LM-10), such as a method that a class of the project adds."""
        inner = self.__dict__.get("channel_layer")
        if inner is not None and not name.startswith("__"):
            try:
                return getattr(inner, name)
            except AttributeError:
                raise AttributeError(
                    f"the channel layer {self} has no attribute {name!r}; its methods are those of 1.x, and "
                    "its async face is the attribute 'layer'"
                ) from None
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def sync(self) -> ChannelLayerWrapper:
        """The 1.x face: this object itself."""
        return self

    def local_only(self) -> bool:
        """Whether no other process sees this layer's channels (LM-12)."""
        if self._is_ours():
            return not getattr(self.channel_layer, "crosses_processes", self.layer.crosses_processes)
        return "inmemory" in type(self.channel_layer).__module__

    def __str__(self) -> str:
        named = getattr(self.channel_layer, "named", self.layer) if self._is_ours() else self.channel_layer
        return f"{self.alias} ({name_that_thing(named)})"
