"""The session of a connection, stored under a key that is derived from the reply channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from routechan import Channel, Message

from . import ending, logins
from .decorators import Call, CallContext, F, decorate
from .stores import ChannelSession, SessionSaver


def session_for_reply_channel(reply_channel: str) -> SessionBase:
    """The channel session of a connection, read and not saved (SE-01 to SE-05).

    The engine is ``CHANNEL_SESSION_ENGINE``, else ``SESSION_ENGINE``. What is saved before the connection ends is
    removed with it; what is saved afterwards stays until it expires, so look at ``found`` before you save.

    Args:
        reply_channel: The name of the connection's reply channel.

    Raises:
        ValueError: The engine keeps sessions in signed cookies.
    """
    session = ChannelSession(reply_channel)
    session.keys()  # reads it
    return session


def channel_session(func: F) -> F:
    """Give a consumer ``message.channel_session``, a dict that lasts as long as the connection (SE-06 to SE-12).

    It is read once before the consumer, and saved once after it if it was changed, also where the consumer raised.
    Nothing is stored before that. It is removed when the consumer of ``websocket.disconnect`` has ended, decorated or
    not.

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer. It raises ``ValueError`` for a message without a reply channel.
    """
    return decorate_in_session("channel_session", func, with_channel_session)


def decorate_in_session(name: str, func: F, context: CallContext, *, only_saves: bool = True) -> F:
    """``decorate``, with the same arguments, by a ``context`` that opens the channel session.

    Args:
        name: The name of the decorator.
        func: A consumer of any kind.
        context: Makes the context of a call.
        only_saves: Whether leaving the context does nothing but save sessions.
    """
    ending.watch_ends()
    return decorate(name, func, context, only_saves=only_saves)


@contextmanager
def with_channel_session(call: Call, prepare: Callable[[SessionBase], None] | None = None) -> Iterator[bool]:
    """The context of ``channel_session``.

    Args:
        call: The call of the consumer.
        prepare: Called with the session before the consumer, to change it.

    Yields:
        True: run the consumer.
    """
    message = call.message
    session: Any = vars(message).get("channel_session")
    if getattr(session, "in_use", False):  # a decorator further out saves it (SE-11)
        if prepare is not None:
            prepare(session)
        yield True
        return
    if session is None:
        reply_channel = reply_channel_of(
            message,
            "so it belongs to no connection and has no channel session; send it with a 'reply_channel', or leave the "
            "decorator away",
        )
        session = ChannelSession(reply_channel.name, ended=message.channel_name.startswith(ending.LAST_EVENTS))
        session.keys()  # reads it
        ending.watch_ends()
        message.channel_session = session  # type: ignore[attr-defined]
    saver = SessionSaver(session, call)
    if prepare is not None:
        prepare(session)
    user = logins.user_in(session)
    session.in_use = True
    try:
        yield True
    except BaseException as error:
        if not isinstance(error, Exception):  # closed or cancelled, because the connection is over or this process ends
            session.ended = True
        raise
    finally:
        session.in_use = False
        saver.save()
        if logins.user_in(session) != user:
            logins.changed(message, user, logins.user_in(session))


def reply_channel_of(message: Message, consequence: str) -> Channel:
    """The reply channel of ``message``.

    Args:
        message: A message of a connection.
        consequence: What this means and what to do, for the error: "so ...".

    Raises:
        ValueError: It has none.
    """
    if message.reply_channel is None:
        raise ValueError(f"a message on {message.channel_name!r} has no reply channel, {consequence}")
    return message.reply_channel
