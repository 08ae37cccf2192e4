"""``Channel`` and ``Group``, through which user code sends.

Sends wait in the outbox until the running consumer ends; outside of consumers, and with ``immediately=True``, they
happen at once. Adding and discarding members always happens at once (GR-03). Each operation has an ``a`` twin for
``async def`` code. An operation that would block the event loop raises ``WouldBlock`` there, and names its twin.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from sys import _getframe
from types import FrameType
from typing import Any

from .concurrency import current_outbox, refuse_on_loop, running_loop
from .encoding import Content, check_content
from .exceptions import UselessContent
from .inspection import place_of
from .layers.base import NOW, BaseChannelLayer, SyncChannelLayer, check_delay
from .layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from .monitor.unread import note_sent
from .monitor.unserved import unserved, warn
from .names import as_text
from .outbox import log_useless
from .telemetry import tracing
from .telemetry.counters import counters
from .telemetry.log_fields import log_fields

logger = logging.getLogger("routechan")

#: The name of a global of modules whose sends are those of the code that called them; errors name that.
SENDS_FOR_OTHERS = "__sends_for_others__"

#: Sends started on an event loop and not awaited: the loop itself holds its tasks only weakly.
_unawaited: set[asyncio.Future[None]] = set()


class _Target(ABC):
    """A name on a layer that messages are sent to.

    Args:
        name: the name; given as bytes it is ASCII text (CH-01).
        alias: the alias of the layer.
        channel_layer: the layer itself, in place of ``alias``: its 1.x face, or any object with those methods.

    Raises:
        KeyError: an unknown ``alias`` (CH-03).
    """

    name: str

    #: Whether there are readers who wait for this very name.
    _read_by_name = False

    #: How often it was said that what is kept for its connection has changed; None: it is none of this process.
    changes: int | None = None

    def __init__(
        self,
        name: str | bytes,
        alias: str = DEFAULT_CHANNEL_LAYER,
        channel_layer: Any = None,
    ) -> None:
        self.name = name if type(name) is str else as_text(name)  # type: ignore[assignment]
        if not channel_layer:
            self.channel_layer = channel_layers[alias]
        else:  # an async layer has a ``sync`` face; a face, a layer of another make and a mock have none
            self.channel_layer = channel_layer.sync if hasattr(type(channel_layer), "sync") else channel_layer

    def send(self, content: Content, immediately: bool = False, delay: float = NOW) -> None:
        """Send ``content`` when the running consumer ends, or at once outside of one.

        Errors of the layer reach the caller only where the send is immediate, and not on the event loop; others are
        logged with the consumer's name.

        Args:
            content: a dict; kept by reference until it is sent (CH-07).
            immediately: send at once, inside a consumer too.
            delay: seconds after that; the layer keeps the message meanwhile.

        Raises:
            InvalidContent: ``content`` is no dict (CH-05).
            ValueError: ``delay`` is no number of seconds.
        """
        sender = self._begin(content, immediately, delay)
        if sender is None:
            return
        try:
            if running_loop() is not None:
                self._send_unawaited(sender, content)
            elif sender is self:
                self._send_now(content, NOW)
            else:
                sender.send(content)
        except UselessContent as error:
            _log_useless(self.name, error)

    async def asend(self, content: Content, immediately: bool = False, delay: float = NOW) -> None:
        """``send`` for async code, with the same arguments ``content``, ``immediately`` and ``delay``."""
        sender = self._begin(content, immediately, delay)
        if sender is None:
            return
        try:
            pending = sender.apost(content)
            if pending is not None:
                await pending
        except UselessContent as error:
            _log_useless(self.name, error)

    def _begin(self, content: Content, immediately: bool, delay: float) -> Any:
        """Check a send, and put it into the open outbox; called by ``send`` and ``asend`` themselves.

        Returns:
            What sends it at once; None where it waits in the outbox.
        """
        if not isinstance(content, dict):
            check_content(content)
        if delay is not NOW:
            check_delay(delay)
        sender: Any = _Send(self, delay) if delay or tracing.on() else self
        if self._read_by_name and type(self.name) is str and "!" not in self.name:
            note_sent(getattr(self.channel_layer, "layer", None), self.name)
        outbox = None if immediately else current_outbox.get()
        if outbox is not None and not outbox.closed:
            frame = _getframe(2)
            if SENDS_FOR_OTHERS in frame.f_globals:
                frame = _sender_of(frame)
            outbox.entries.append((sender, content, frame.f_code, frame.f_lasti))
            return None
        counters.sent += 1
        if unserved:
            frame = _sender_of(_getframe(2))
            warn(getattr(self.channel_layer, "layer", None), self.name, place_of(frame.f_code, frame.f_lasti))
        return sender

    def post(self, content: Content) -> Awaitable[None] | None:
        """Start to send ``content`` on the event loop, when an outbox is flushed.

        Returns:
            What is awaited for the outcome; None where it is sent.
        """
        return self._start(content, NOW)

    def apost(self, content: Content) -> Awaitable[None] | None:
        """As ``post`` of ``content``, for code that waits for the outcome no longer than the layer lets a send wait."""
        return self._start(content, NOW, waits=True)

    def _start(
        self, content: Content, delay: float, headers: dict[str, Any] | None = None, waits: bool = False
    ) -> Awaitable[None] | None:
        layer = getattr(self.channel_layer, "layer", None)
        if layer is None:  # no layer of ours: its calls may block
            return asyncio.to_thread(self._send_now, content, delay, headers)
        if waits:
            return self._asend(layer, content, delay, headers)
        return self._post(layer, content, delay, headers)

    def _send_unawaited(self, sender: Any, content: Content) -> None:
        """On the event loop a send is started and not awaited; a failure is logged."""
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

    def _options(self, delay: float, headers: dict[str, Any] | None) -> dict[str, Any]:
        """Keyword arguments for a layer's send: a layer of another make knows neither."""
        options: dict[str, Any] = {"delay": delay} if delay else {}
        if headers and isinstance(self.channel_layer, SyncChannelLayer):
            options["headers"] = headers
        return options

    @abstractmethod
    def _send_now(self, content: Content, delay: float, headers: dict[str, Any] | None = None) -> None: ...

    @abstractmethod
    def _post(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None] | None: ...

    @abstractmethod
    def _asend(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None]: ...


class _Send:
    """An outbox's entry for a send with a delay, which counts from when the consumer ends, or in a trace."""

    __slots__ = ("_delay", "_target", "_trace", "channel_layer", "name")

    def __init__(self, target: _Target, delay: float) -> None:
        self.name = target.name
        self.channel_layer = target.channel_layer
        self._target = target
        self._delay = delay
        self._trace = tracing.current_context() if tracing.on() else None

    def send(self, content: Content, immediately: bool = False) -> None:
        if self._trace is None:
            self._target._send_now(content, self._delay)
        else:
            with self._span() as headers:
                self._target._send_now(content, self._delay, headers)

    def post(self, content: Content, waits: bool = False) -> Awaitable[None] | None:
        if self._trace is None:
            return self._post(content, None, waits)
        span = self._span()
        try:
            pending = self._post(content, span.headers, waits)
        except Exception as error:
            span.end(error)
            raise
        return span.end_after(pending)

    def apost(self, content: Content) -> Awaitable[None] | None:
        return self.post(content, waits=True)

    def _post(self, content: Content, headers: dict[str, Any] | None, waits: bool) -> Awaitable[None] | None:
        # A connection's own reply channel has a ``post`` of its own, past the layer, and takes no headers.
        if self._delay or headers:
            return self._target._start(content, self._delay, headers, waits)
        return self._target.apost(content) if waits else self._target.post(content)

    def _span(self) -> tracing.Sending:
        return tracing.Sending(self.name, group=isinstance(self._target, Group), parent=self._trace)


class Channel(_Target):
    """A named queue: ``Channel(name, alias="default", channel_layer=None)``.

    Args:
        name: the channel's name, a str or ASCII bytes; the layer checks it when it is used (CH-01).
        alias: the alias of its layer in ``CHANNEL_LAYERS``.
        channel_layer: the layer itself, in place of ``alias``.

    Raises:
        KeyError: an unknown ``alias`` (CH-03).
    """

    #: Whether the connection behind this channel is known to be closed. Only a message's reply channel knows.
    closed = False

    _read_by_name = True

    def _send_now(self, content: Content, delay: float, headers: dict[str, Any] | None = None) -> None:
        self.channel_layer.send(self.name, content, **self._options(delay, headers))

    def _post(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None] | None:
        if headers:
            return layer.post(self.name, content, delay, headers=headers)
        return layer.post(self.name, content, delay)

    def _asend(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None]:
        if headers:
            return layer.send(self.name, content, delay, headers=headers)
        return layer.send(self.name, content, delay)

    def __str__(self) -> str:
        return self.name


class Group(_Target):
    """A named set of channels: ``Group(name, alias="default", channel_layer=None)``.

    A send reaches each member. A member that is full misses it, and nothing is raised for that (GR-06).

    Args:
        name: the group's name, a str or ASCII bytes.
        alias: the alias of its layer in ``CHANNEL_LAYERS``.
        channel_layer: the layer itself, in place of ``alias``.

    Raises:
        KeyError: an unknown ``alias`` (CH-03).
    """

    def add(self, channel: Channel | str) -> None:
        """Make ``channel``, a ``Channel`` or its name, a member, at once."""
        self._refuse_on_loop("add", "channel")
        self.channel_layer.group_add(self.name, _name_of(channel))

    def discard(self, channel: Channel | str) -> None:
        """End the membership of ``channel``, a ``Channel`` or its name, at once; silent where there is none."""
        self._refuse_on_loop("discard", "channel")
        self.channel_layer.group_discard(self.name, _name_of(channel))

    async def aadd(self, channel: Channel | str) -> None:
        """``add`` a ``channel`` from async code."""
        await self._layer.group_add(self.name, _name_of(channel))

    async def adiscard(self, channel: Channel | str) -> None:
        """``discard`` a ``channel`` from async code."""
        await self._layer.group_discard(self.name, _name_of(channel))

    def channels(self) -> list[str]:
        """The names of the members."""
        self._refuse_on_loop("channels")
        return list(self.channel_layer.group_channels(self.name))

    async def achannels(self) -> list[str]:
        """The names of the members, for async code."""
        return await self._layer.group_channels(self.name)

    def count(self) -> int:
        """How many members there are."""
        self._refuse_on_loop("count")
        return int(self.channel_layer.group_count(self.name))

    async def acount(self) -> int:
        """How many members there are, for async code."""
        return await self._layer.group_count(self.name)

    @property
    def _layer(self) -> BaseChannelLayer:
        if not isinstance(self.channel_layer, SyncChannelLayer):
            raise TypeError(
                f"{type(self.channel_layer).__name__} is no routechan layer and has no async face; "
                "use add, discard and channels without the 'a', from a plain function"
            )
        return self.channel_layer.layer

    def _send_now(self, content: Content, delay: float, headers: dict[str, Any] | None = None) -> None:
        self.channel_layer.send_group(self.name, content, **self._options(delay, headers))

    def _post(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None] | None:
        if headers:
            return layer.post_group(self.name, content, delay, headers=headers)
        return layer.post_group(self.name, content, delay)

    def _asend(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None]:
        if headers:
            return layer.group_send(self.name, content, delay, headers=headers)
        return layer.group_send(self.name, content, delay)


def _sender_of(frame: FrameType | None) -> FrameType:
    """The frame that a send in ``frame`` is made for."""
    here: Any = frame
    while here.f_back is not None and SENDS_FOR_OTHERS in here.f_globals:
        here = here.f_back
    return here  # type: ignore[no-any-return]


def _log_useless(name: str, error: UselessContent) -> None:
    frame = _sender_of(_getframe(2))
    log_useless(name, error, frame.f_code, frame.f_lasti, log_fields(name))


def _sent(name: str, task: asyncio.Future[None]) -> None:
    _unawaited.discard(task)
    if not task.cancelled() and task.exception() is not None:
        counters.lost += 1
        logger.error(
            "A message to %s could not be delivered and is lost: %s", name, task.exception(), extra=log_fields(name)
        )


def _name_of(channel: Channel | str) -> str:
    return channel.name if isinstance(channel, Channel) else channel
