"""The decorator ``limit``: how often one client may have a consumer run."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import aclosing
from hashlib import blake2b
from time import monotonic
from typing import Any, TypeVar, cast

from ..encoding import Content
from ..exceptions import ChannelLayerUnavailable
from ..inspection import Kind, kind_of, name_that_thing
from ..layers.permits import Permitting
from ..limits.clients import address_of
from ..limits.rules import Buckets, Permits, Rate
from ..message import Message
from ..telemetry.counters import counters
from ..telemetry.log_fields import message_log_fields
from ..telemetry.repeats import Repeats

logger = logging.getLogger("routechan")

F = TypeVar("F", bound=Callable[..., Any])
Key = Callable[[Message], Hashable]


def limit(rate: str, *, by: str | Key = "socket", refused: Content | None = None) -> Callable[[F], F]:
    """Decorate a consumer of any kind that one client may have run so often.

    A user and an address count over all processes of a layer that can do that, as the one over Redis; others in each
    process that runs consumers.

    Args:
        rate: How often, such as ``"5/s"``, ``"100/10s"`` or ``"600/m"``.
        by: Who a client is: ``"socket"``; ``"address"``, which messages of ``websocket.connect`` and ``http.request``
            have; ``"user"``, ``message.user`` of Django where somebody is logged in and the socket elsewhere, below a
            decorator that sets it; or a function of the message.
        refused: What a client is sent whose message is refused, such as ``{"text": "slow down"}`` or
            ``{"close": 4008}``. By default the message is dropped silently.

    Returns:
        The decorator.

    Raises:
        ValueError: ``rate`` is no rate, or ``by`` is something else.
    """
    key = by if callable(by) else _KEYS.get(by)
    if key is None:
        raise ValueError(f"by is 'socket', 'address', 'user' or a function of the message, not {by!r:.100}")
    parsed = Rate.parse(rate)

    def decorate(consumer: F) -> F:
        limited = _Limit(name_that_thing(consumer), rate, parsed, key, refused)
        wrap = {Kind.PLAIN: _plain, Kind.ASYNC: _async, Kind.STREAM: _stream, Kind.ASYNC_STREAM: _async_stream}
        return cast(F, functools.wraps(consumer)(wrap[kind_of(consumer)](consumer, limited)))

    return decorate


class _Limit:
    """The limit of one consumer. Lifetime: process. Thread-safe."""

    def __init__(self, name: str, text: str, rate: Rate, key: Key, refused: Content | None) -> None:
        self._name = name
        self._text = text
        self._buckets = Buckets(rate)
        self._permits = Permits(rate)
        self._key = key
        self._refused = refused
        self._lock = threading.Lock()
        self._repeats = Repeats()

    def allows(self, args: tuple[Any, ...]) -> bool:
        """Whether to run the consumer with ``args``; otherwise its client is told."""
        message = self._message(args)
        key, layer, period, allowed = self._judge(message)
        if layer is not None and allowed is None:
            try:
                granted = layer.permits(*self._question(key, period))
            except ChannelLayerUnavailable:
                allowed = self._take_here(key)
            else:
                allowed = self._take_granted(key, period, granted)
        if not allowed:
            self._refuse(message, key)
        return bool(allowed)

    async def aallows(self, args: tuple[Any, ...]) -> bool:
        """``allows`` for async code, with the same ``args``."""
        message = self._message(args)
        key, layer, period, allowed = self._judge(message)
        if layer is not None and allowed is None:
            try:
                granted = await layer.apermits(*self._question(key, period))
            except ChannelLayerUnavailable:
                allowed = self._take_here(key)
            else:
                allowed = self._take_granted(key, period, granted)
        if not allowed:
            self._refuse(message, key)
        return bool(allowed)

    def _judge(self, message: Message) -> tuple[Hashable, Permitting | None, int, bool | None]:
        """Whose ``message`` is; the layer that counts for it, if one does, and the period; and whether it is allowed.

        The last is None where the layer has to be asked.
        """
        key = self._key(message)
        layer = getattr(message.channel_layer, "layer", None) if isinstance(key, _Everywhere) else None
        if not isinstance(layer, Permitting):
            return key, None, 0, self._take_here(key)
        period = self._permits.period(layer.now())
        with self._lock:
            return key, layer, period, self._permits.take(key, period)

    def _question(self, key: Hashable, period: int) -> tuple[str, int, int, float]:
        """The arguments of ``Permitting.permits``; nobody reads in the layer who the client is."""
        events, seconds = self._permits.rate
        who = blake2b(f"{self._name} {self._text} {key}".encode(), digest_size=16).hexdigest()
        return f"{who}.{period}", self._permits.wanted, events, 2 * seconds

    def _take_granted(self, key: Hashable, period: int, granted: int) -> bool:
        with self._lock:
            return self._permits.add(key, period, granted)

    def _take_here(self, key: Hashable) -> bool:
        with self._lock:
            return self._buckets.take(key, monotonic())

    def _message(self, args: tuple[Any, ...]) -> Message:
        message = next((argument for argument in args[:2] if isinstance(argument, Message)), None)
        if message is None:
            raise ValueError(f"{self._name} is limited, and was called without a Message")
        return message

    def _refuse(self, message: Message, key: Hashable) -> None:
        counters.limited["limit"] += 1
        if self._refused is not None and message.reply_channel is not None:
            message.reply_channel.send(self._refused)
        more = self._repeats.more("refused")
        if more is not None:
            logger.warning(
                "A message of %.100r for %s is refused: it has more than %s%s",
                key,
                self._name,
                self._text,
                more,
                extra=message_log_fields(message),
            )


class _Everywhere(str):
    """A client whose messages may come to any process."""

    __slots__ = ()


def _by_socket(message: Message) -> Hashable:
    name = message.content.get("reply_channel")
    if name is None:
        raise ValueError(f"a message on {message.channel_name} is of no socket; give limit() another by=")
    return str(name)


def _by_address(message: Message) -> Hashable:
    address = address_of(message.content)
    if address is None:
        raise ValueError(
            f"a message on {message.channel_name} has no client address: those of websocket.connect and http.request "
            "have one, if the server knows it; give limit() another by="
        )
    return _Everywhere(address)


def _by_user(message: Message) -> Hashable:
    user: Any = message.user  # type: ignore[attr-defined]
    if not user.is_authenticated:
        return _by_socket(message)
    kind = user.__class__  # not ``type``: the user may be lazy
    return _Everywhere(f"{kind.__module__}.{kind.__qualname__} {user.pk}")


_KEYS: dict[str, Key] = {"socket": _by_socket, "address": _by_address, "user": _by_user}


def _plain(consumer: Callable[..., Any], limit: _Limit) -> Callable[..., Any]:
    def limited(*args: Any, **kwargs: Any) -> Any:
        return consumer(*args, **kwargs) if limit.allows(args) else None

    return limited


def _async(consumer: Callable[..., Any], limit: _Limit) -> Callable[..., Any]:
    async def limited(*args: Any, **kwargs: Any) -> Any:
        return await consumer(*args, **kwargs) if await limit.aallows(args) else None

    return limited


def _stream(consumer: Callable[..., Any], limit: _Limit) -> Callable[..., Any]:
    def limited(*args: Any, **kwargs: Any) -> Iterator[Any]:
        if limit.allows(args):
            yield from consumer(*args, **kwargs)

    return limited


def _async_stream(consumer: Callable[..., Any], limit: _Limit) -> Callable[..., Any]:
    async def limited(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if await limit.aallows(args):
            async with aclosing(consumer(*args, **kwargs)) as items:
                async for item in items:
                    yield item

    return limited
