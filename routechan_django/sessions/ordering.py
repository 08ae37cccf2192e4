"""The order of a connection's events, kept in its channel session.

Servers of this library hand over a connection's next event when the one before is settled, so consumers run in
order without this. It is for messages that come another way: over a layer, to several workers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, overload

from django.contrib.sessions.backends.base import SessionBase, UpdateError

from routechan import Channel, ConsumeLater, Message
from routechan.layers import SyncChannelLayer

from .around import Call, F, decorate
from .connection import session_for_reply_channel, with_channel_session

#: The key of the channel session with the order that is due (SE-18).
NEXT_ORDER = "__channels_next_order"

#: Seconds until a waiting message tries again a channel that was full.
FULL_DELAY = 1.0


def wait_channel_name(reply_channel: str) -> str:
    """The channel where a connection's early messages wait; any process may read it (SE-13)."""
    return "__wait__." + reply_channel.replace("!", "?")


def requeue_messages(message: Message) -> None:
    """Send what waits for the message's connection back to the channels it came on (SE-14).

    Where one of these is full, the layer keeps the message and tries again each second; a layer of another
    make cannot, so there the message waits on and the layer's ``ChannelFull`` is raised.
    """
    layer, waiting = _waiting(message)
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
def enforce_ordering(func: F, slight: bool = False) -> F: ...
@overload
def enforce_ordering(func: None = None, slight: bool = False) -> Callable[[F], F]: ...
def enforce_ordering(func: F | None = None, slight: bool = False) -> F | Callable[[F], F]:
    """Run a connection's messages in the order of their ``order``; early ones wait (SE-15 to SE-25).

    Used bare or called. All consumers of the connection have to be decorated, for each message counts. It applies
    ``channel_session``. A consumer that raises has had its turn, unless it raises ``ConsumeLater``. A stream has had
    it when it starts. ``ValueError`` for a message without ``order``.
    """
    if slight:
        raise ValueError("slight ordering was removed in Channels 1.0; use enforce_ordering without slight=True")

    def decorator(func: F) -> F:
        return decorate("enforce_ordering", func, _in_order, only_saves=False)

    return decorator if func is None else decorator(func)


@contextmanager
def _in_order(call: Call) -> Iterator[bool]:
    message = call.message
    if "order" not in message:
        raise ValueError(
            f"enforce_ordering needs messages with an 'order', and one on {message.channel_name!r} has none; "
            "it is for websocket.connect, websocket.receive and websocket.disconnect"
        )
    order = int(message["order"])
    with with_channel_session(call):
        session: SessionBase = message.channel_session  # type: ignore[attr-defined]
        due = session.get(NEXT_ORDER, 0)
        if order < due and message.channel_name == "websocket.disconnect":
            # The last word of a server that died, sent by another, who cannot know the count.
            yield True
            return
        if order != due:
            _wait(message)
            if session.load().get(NEXT_ORDER, 0) == order:  # its turn came while it was put there
                requeue_messages(message)
            yield False
            return
        if call.streams:
            _advance(session_for_reply_channel(_reply_channel(message).name), message, order)
        had_its_turn = not call.streams
        try:
            yield True
        except ConsumeLater:
            # On its last try it will not come back, and nobody else must wait for it.
            had_its_turn = had_its_turn and getattr(message, "__doomed__", False)
            raise
        finally:
            if had_its_turn:
                _advance(session, message, order)


def _advance(session: SessionBase, message: Message, order: int) -> None:
    session[NEXT_ORDER] = order + 1
    try:
        session.save()
    except UpdateError:
        if session.session_key is not None and session.exists(session.session_key):
            raise
        # Ended meanwhile, by a logout say: what it held is gone for good, but the count has to go on.
        count = session_for_reply_channel(_reply_channel(message).name)
        count[NEXT_ORDER] = order + 1
        count.save(must_create=True)
    session.modified = False
    requeue_messages(message)


def _wait(message: Message) -> None:
    layer, waiting = _waiting(message)
    message.content["original_channel"] = message.channel_name
    try:
        layer.send(waiting, message.content)
    except layer.ChannelFull as error:
        raise layer.ChannelFull(
            f"{waiting!r} is full, so a message of order {message['order']} that came early on "
            f"{message.channel_name!r} is lost, and the connection stalls; decorate all consumers of the "
            "connection with enforce_ordering, or raise the channel's capacity"
        ) from error


def _waiting(message: Message) -> tuple[Any, str]:
    """The layer's 1.x face, and the channel where messages of the same connection wait."""
    reply_channel = _reply_channel(message)
    return reply_channel.channel_layer, wait_channel_name(reply_channel.name)


def _reply_channel(message: Message) -> Channel:
    if message.reply_channel is None:
        raise ValueError(f"a message on {message.channel_name!r} has no reply channel, so no others wait for it")
    return message.reply_channel
