"""The order of a connection's events, counted in its channel session.

Servers of this library pass on a connection's next event after the outcome of the previous one, so consumers run in
order without this. It is for messages that come another way: over a layer, to several workers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, overload

from django.contrib.sessions.backends.base import SessionBase, UpdateError

from routechan import Channel, ConsumeLater, Message
from routechan.layers import SyncChannelLayer

from ..messages import Decorator, F, P, Result, SessionMessage
from .connection import at_hand, decorate_in_session, is_own, reply_channel_of, with_channel_session
from .decorators import Call
from .ending import PARKED
from .stores import ChannelSession

#: The key in the channel session of the order that is due next (SE-18).
NEXT_ORDER = "__channels_next_order"

#: Seconds until a waiting message is sent again to a channel that was full.
FULL_DELAY = 1.0


def wait_channel_name(reply_channel: str) -> str:
    """The channel where early messages of the connection ``reply_channel`` wait; any process may read it (SE-13)."""
    return "__wait__." + reply_channel.replace("!", "?")


def requeue_messages(message: Message) -> None:
    """Send the waiting messages of a connection back to the channels they came on (SE-14).

    Where such a channel is full, the layer keeps the message and tries again after a second. A layer of another
    library cannot do that.

    Args:
        message: Any message of the connection.

    Raises:
        ValueError: The message has no reply channel.
        ChannelFull: That of a layer of another library; the message goes on waiting.
    """
    layer, waiting = _wait_channel(message)
    while True:
        channel, content = layer.receive([waiting])
        if channel is None:
            return
        original = content.pop("original_channel")
        try:
            layer.send(original, content)
        except layer.ChannelFull as error:
            if isinstance(layer, SyncChannelLayer):
                layer.send(original, content, FULL_DELAY)
                continue
            layer.send(waiting, {**content, "original_channel": original})
            raise layer.ChannelFull(
                f"{original!r} is full, so a message in its turn goes on waiting on {waiting!r}; consume "
                f"{original!r} faster, or raise its capacity"
            ) from error


@overload
def enforce_ordering(func: None = None, slight: bool = False) -> Decorator[SessionMessage]: ...
@overload
def enforce_ordering(
    func: Callable[Concatenate[SessionMessage, P], Result], slight: bool = False
) -> Callable[Concatenate[Message, P], Result]: ...
@overload
def enforce_ordering(func: F, slight: bool = False) -> F: ...
def enforce_ordering(func: Any = None, slight: bool = False) -> Any:
    """Run a connection's messages in the order of their ``order``; early ones wait (SE-15 to SE-25).

    It is used bare or called, and applies ``channel_session``. Every consumer of the connection has to be decorated,
    because each message counts. A consumer that raises has had its turn, unless it raises ``ConsumeLater``; a stream
    has had it when it starts.

    Args:
        func: A consumer of any kind, or None where the decorator is called.
        slight: Refused: slight ordering was removed in Channels 1.0.

    Returns:
        The decorated consumer, or a decorator. The consumer raises ``ValueError`` for a message without ``order``.

    Raises:
        ValueError: ``slight`` is true.
    """
    if slight:
        raise ValueError("slight ordering was removed in Channels 1.0; use enforce_ordering without slight=True")

    def decorator(func: F) -> F:
        return decorate_in_session("enforce_ordering", func, _with_ordering, only_saves=False, at_hand=_at_hand)

    return decorator if func is None else decorator(func)


@contextmanager
def _with_ordering(call: Call) -> Iterator[bool]:
    message = call.message
    if "order" not in message:
        raise ValueError(
            f"enforce_ordering needs messages with an 'order', and one on {message.channel_name!r} has none; "
            "it is for websocket.connect, websocket.receive and websocket.disconnect; "
            "in tests, write WSClient(ordered=True)"
        )
    order = int(message["order"])
    with with_channel_session(call):
        if is_own(message):  # it was handed in when the one before it had ended: none can be missing
            yield True
            return
        session: SessionBase = message.channel_session  # type: ignore[attr-defined]
        due = session.get(NEXT_ORDER, 0)
        if order < due and message.channel_name == "websocket.disconnect":
            # Another process sends this for a server that died, and cannot know the count.
            yield True
            return
        if order != due:
            _park(message)
            if session.load().get(NEXT_ORDER, 0) == order:  # it became due meanwhile
                requeue_messages(message)
            yield False
            return
        if call.streams:
            _advance(ChannelSession(_reply_channel(message).name), message, order)
        had_its_turn = not call.streams
        try:
            yield True
        except ConsumeLater:
            # On its last try the message does not come back, so the next one must not wait for it.
            had_its_turn = had_its_turn and "__doomed__" in vars(message)
            raise
        finally:
            if had_its_turn:
                _advance(session, message, order)


def _at_hand(message: Message, is_async: bool) -> Any:
    return at_hand(message, is_async) if "order" in message else None


def _advance(session: SessionBase, message: Message, order: int) -> None:
    session[NEXT_ORDER] = order + 1
    try:
        session.save()
    except UpdateError:
        if session.session_key is not None and session.exists(session.session_key):
            raise
        # The session was deleted meanwhile, say by a logout. Its data is gone, but the count has to go on.
        # If the connection is over too, no event comes that lets it last longer than an hour.
        count = ChannelSession(_reply_channel(message).name, ended=True)
        count[NEXT_ORDER] = order + 1
        count.save(must_create=True)
    session.modified = False
    requeue_messages(message)


def _park(message: Message) -> None:
    layer, waiting = _wait_channel(message)
    vars(message)[PARKED] = True
    message.content["original_channel"] = message.channel_name
    try:
        layer.send(waiting, message.content)
    except layer.ChannelFull as error:
        raise layer.ChannelFull(
            f"{waiting!r} is full, so a message of order {message['order']} that came early on "
            f"{message.channel_name!r} is lost, and the connection stalls; decorate all consumers of the "
            "connection with enforce_ordering, or raise the channel's capacity"
        ) from error


def _wait_channel(message: Message) -> tuple[Any, str]:
    """The layer's 1.x face, and the name of the channel where messages of the connection wait."""
    reply_channel = _reply_channel(message)
    return reply_channel.channel_layer, wait_channel_name(reply_channel.name)


def _reply_channel(message: Message) -> Channel:
    return reply_channel_of(message, "so no others wait for it")


def refuse_slight_ordering(cls: type) -> None:
    """Refuse a class-based consumer ``cls`` that sets ``slight_ordering``; ``ValueError`` says what to write."""
    if getattr(cls, "slight_ordering", False):
        raise ValueError(
            f"{cls.__name__} sets slight_ordering, which does not exist any more; set strict_ordering = True"
        )
