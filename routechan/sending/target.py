"""Sends: what ``Channel`` and ``Group`` have in common.

A send waits in the outbox until the running consumer ends; outside of consumers, and with ``immediately=True``, it
happens at once.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from sys import _getframe
from types import FrameType
from typing import Any, ClassVar

from ..concurrency import current_outbox, refuse_on_loop, running_loop
from ..encoding import Content, check_content
from ..exceptions import UselessContent
from ..inspection import place_of
from ..layers.base import LATEST, NOW, BaseChannelLayer, SyncChannelLayer, check_delay
from ..layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from ..monitor.unread import note_sent
from ..monitor.unserved import unserved, warn
from ..names import as_text
from ..outbox import log_useless
from ..telemetry import tracing
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from . import notes, transactions

logger = logging.getLogger("routechan")

#: The name of a global of modules whose sends are those of the code that called them; errors name that.
SENDS_FOR_OTHERS = "__sends_for_others__"

#: Characters that a ``latest`` has at most: it travels with each message.
LATEST_LENGTH = 100

#: Sends started on an event loop and not awaited: the loop itself holds its tasks only weakly.
_unawaited: set[asyncio.Future[None]] = set()


class Target(ABC):
    """A name on a layer that messages are sent to.

    Args:
        name: the name; given as bytes it is ASCII text (CH-01).
        alias: the alias of the layer.
        channel_layer: the layer itself, in place of ``alias``: its 1.x face, or any object with those methods.

    Raises:
        KeyError: an unknown ``alias`` (CH-03).
    """

    name: str

    #: Whether it is a group, for traces.
    _is_group: ClassVar[bool] = False

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

    def send(
        self,
        content: Content,
        immediately: bool = False,
        delay: float = NOW,
        *,
        latest: str | None = None,
        on_commit: bool | None = None,
    ) -> None:
        """Send ``content`` when the running consumer ends, or at once outside of one.

        Errors of the layer reach the caller only where the send is immediate, and not on the event loop; others are
        logged with the consumer's name.

        Args:
            content: a dict; kept by reference until it is sent (CH-07).
            immediately: send at once, inside a consumer too.
            delay: seconds after that; the layer keeps the message meanwhile.
            latest: what the message is about: a socket that is slow gets the last one of those with the same
                ``latest`` that wait for it, and of the others none. It means nothing to other channels.
            on_commit: wait until the transaction around this is committed, and send nothing if it is rolled back. None
                for what ``transactions`` says of sends outside of consumers; inside them that is False.

        Raises:
            InvalidContent: ``content`` is no dict (CH-05).
            ValueError: ``delay`` is no number of seconds, or ``latest`` no text of 1 to 100 characters.
            RuntimeError: ``on_commit``, and nobody has said whose transactions that means.
        """
        headers = None if latest is None else about(latest)
        sender = self._begin(content, immediately, delay, on_commit, headers)
        if sender is not None:
            self._go(sender, content)

    async def asend(
        self,
        content: Content,
        immediately: bool = False,
        delay: float = NOW,
        *,
        latest: str | None = None,
        on_commit: bool | None = None,
    ) -> None:
        """``send`` for async code; ``content``, ``immediately``, ``delay``, ``latest``, ``on_commit`` are the same.

        The transaction is that of the plain code which has called this through ``async_to_sync``, if it has.
        """
        headers = None if latest is None else about(latest)
        sender = self._begin(content, immediately, delay, on_commit, headers)
        if sender is not None:
            await self._ago(sender, content)

    def _go(self, sender: Any, content: Content) -> None:
        try:
            if running_loop() is not None:
                self._send_unawaited(sender, content)
            elif sender is self:
                self._send_now(content, NOW)
            else:
                sender.send(content)
        except UselessContent as error:
            _log_useless(self.name, error)

    async def _ago(self, sender: Any, content: Content) -> None:
        try:
            pending = sender.apost(content)
            if pending is not None:
                await pending
        except UselessContent as error:
            _log_useless(self.name, error)

    def _begin(
        self,
        content: Content,
        immediately: bool,
        delay: float,
        on_commit: bool | None,
        headers: dict[str, Any] | None = None,
    ) -> Any:
        """Check a send, and put it into the open outbox; called by ``send`` and ``asend`` themselves.

        Returns:
            What sends it at once; None where it waits in the outbox.
        """
        if not isinstance(content, dict):
            check_content(content)
        if delay is not NOW:
            check_delay(delay)
        if notes.blocks:
            self._note(content, immediately, delay, on_commit, _getframe(2))
        sender: Any = _Send(self, delay, headers) if delay or headers or tracing.on() else self
        if self._read_by_name and type(self.name) is str and "!" not in self.name:
            note_sent(getattr(self.channel_layer, "layer", None), self.name)
        outbox = None if immediately else current_outbox.get()
        if outbox is not None and not outbox.closed:
            frame = _getframe(2)
            if SENDS_FOR_OTHERS in frame.f_globals:
                frame = _sender_of(frame)
            if on_commit:
                sender = sender if sender is not self else _Send(self, delay, headers)
                return transactions.AfterCommit(sender, outbox, frame.f_code, frame.f_lasti)
            outbox.entries.append((sender, content, frame.f_code, frame.f_lasti))
            return None
        if on_commit or (on_commit is None and not immediately and transactions.wait_by_default()):
            frame = _sender_of(_getframe(2))
            sender = sender if sender is not self else _Send(self, delay, headers)
            return transactions.AfterCommit(sender, None, frame.f_code, frame.f_lasti)
        counters.sent += 1
        if unserved:
            frame = _sender_of(_getframe(2))
            warn(getattr(self.channel_layer, "layer", None), self.name, place_of(frame.f_code, frame.f_lasti))
        return sender

    def _note(self, content: Content, immediately: bool, delay: float, on_commit: bool | None, frame: Any) -> None:
        """Note a send for a tool that shows it."""
        kept = notes.here()
        if kept is None or frame.f_globals.get("__name__") in notes.DELIVERIES:
            return
        outbox = None if immediately else current_outbox.get()
        when = notes.AT_ONCE
        if outbox is not None and not outbox.closed:
            when = notes.AFTER_COMMIT if on_commit else notes.AFTER_CONSUMER
        elif on_commit or (on_commit is None and not immediately and transactions.wait_by_default()):
            when = notes.AFTER_COMMIT
        caller = _sender_of(frame)
        place = place_of(caller.f_code, caller.f_lasti) or ""
        alias = getattr(self.channel_layer, "alias", "")
        kept.add(notes.Note(self.name, alias, self._is_group, notes.shortened(content), when, delay, place))

    def post(self, content: Content) -> Awaitable[None] | None:
        """Start to send ``content`` on the event loop, when an outbox is flushed.

        Returns:
            What is awaited for the outcome; None where it is sent.
        """
        return self._start(content, NOW)

    def apost(self, content: Content) -> Awaitable[None] | None:
        """Start to send ``content`` for code that waits for the outcome, no longer than the layer lets a send wait.

        Returns:
            What is awaited for the outcome; None where it is sent.
        """
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
    """An outbox's entry for a send with a delay, which counts from when the consumer ends, headers, or a trace."""

    __slots__ = ("_delay", "_headers", "_target", "_trace", "channel_layer", "name")

    def __init__(self, target: Target, delay: float, headers: dict[str, Any] | None) -> None:
        self.name = target.name
        self.channel_layer = target.channel_layer
        self._target = target
        self._delay = delay
        self._headers = headers
        self._trace = tracing.current_context() if tracing.on() else None

    def send(self, content: Content, immediately: bool = False) -> None:
        if self._trace is None:
            self._target._send_now(content, self._delay, self._headers)
        else:
            with self._span() as headers:
                self._target._send_now(content, self._delay, {**headers, **(self._headers or {})})

    def post(self, content: Content, waits: bool = False) -> Awaitable[None] | None:
        if self._trace is None:
            return self._post(content, self._headers, waits)
        span = self._span()
        try:
            pending = self._post(content, {**span.headers, **(self._headers or {})}, waits)
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
        return tracing.Sending(self.name, group=self._target._is_group, parent=self._trace)


def about(latest: str) -> dict[str, Any]:
    """The headers of a message with this ``latest``; ``ValueError`` if that is no text of 1 to 100 characters."""
    if not isinstance(latest, str) or not 1 <= len(latest) <= LATEST_LENGTH:
        raise ValueError(
            f"latest says what the message is about, in text of 1 to {LATEST_LENGTH} characters such as 'btc'; it was "
            f"{latest!r:.200}"
        )
    return {LATEST: latest}


def _sender_of(frame: FrameType | None) -> FrameType:
    """The frame that a send in ``frame`` is made for."""
    here: Any = frame
    while here.f_back is not None and SENDS_FOR_OTHERS in here.f_globals:
        here = here.f_back
    return here  # type: ignore[no-any-return]


def _log_useless(name: str, error: UselessContent) -> None:
    frame = _sender_of(_getframe(3))
    log_useless(name, error, frame.f_code, frame.f_lasti, log_fields(name))


def _sent(name: str, task: asyncio.Future[None]) -> None:
    _unawaited.discard(task)
    if not task.cancelled() and task.exception() is not None:
        counters.lost += 1
        logger.error(
            "A message to %s could not be delivered and is lost: %s", name, task.exception(), extra=log_fields(name)
        )
