"""The session of a connection, stored under a key that is derived from the reply channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from routechan import Channel, Message
from routechan.interfaces import SOCKET_CHANNELS
from routechan.message import give

from ..messages import F, SessionMessage, gives
from . import ending, logins
from .decorators import AtHand, Call, CallContext, decorate, has_changed, on_thread
from .kept import Kept, kept_for
from .stores import ChannelSession, SessionSaver, save_if_changed


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


@gives(SessionMessage)
def channel_session(func: F) -> F:
    """Give a consumer ``message.channel_session``, a dict that lasts as long as the connection (SE-06 to SE-12).

    It is read once before the consumer, and saved once after it if it was changed, also where the consumer raised.
    Nothing is stored before that. A server process that runs the consumers of its sockets keeps their sessions: it
    reads one when it is first used, and again when it was changed elsewhere. It is removed when the consumer of
    ``websocket.disconnect`` has ended, decorated or not.

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer. It raises ``ValueError`` for a message without a reply channel.
    """
    return decorate_in_session("channel_session", func, with_channel_session, at_hand=at_hand)


def decorate_in_session(
    name: str, func: F, context: CallContext, *, only_saves: bool = True, at_hand: AtHand | None = None
) -> F:
    """``decorate``, with the same arguments, by a ``context`` that opens the channel session.

    Args:
        name: The name of the decorator.
        func: A consumer of any kind.
        context: Makes the context of a call.
        only_saves: Whether leaving the context does nothing but save sessions.
        at_hand: Makes the context of a call for which all is in memory.
    """
    ending.watch_ends()
    return decorate(name, func, context, only_saves=only_saves, at_hand=at_hand)


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
    given = vars(message)
    is_given = "channel_session" in given or _IN_USE in given
    session: Any = message.channel_session if is_given else _open(message, call.streams)  # type: ignore[attr-defined]
    if getattr(session, "in_use", False):  # a decorator further out saves it (SE-11)
        if prepare is not None:
            prepare(session)
        yield True
        return
    ending.watch_ends()
    if not is_own(message):  # others may store something while the consumer runs, which is given what was there before
        session.keys()  # reads it
    saver = SessionSaver(session, call)
    if prepare is not None:
        prepare(session)
    if getattr(session, "was_read", True):
        session.user_before = logins.user_in(session)
    session.in_use = True
    try:
        yield True
    except BaseException as error:
        _ends_with(session, error)
        raise
    finally:
        session.in_use = False
        if getattr(session, "was_read", True):
            saver.save()
            _note_user(session, message)


def _ends_with(session: Any, error: BaseException | None) -> None:
    if error is not None and not isinstance(error, Exception):  # closed or cancelled: the connection or process ends
        session.ended = True


def _note_user(session: Any, message: Message) -> None:
    before, session.user_before = session.user_before, logins.user_in(session)
    if session.user_before != before:
        logins.changed(message, before, session.user_before)


def _open(message: Message, streams: bool = False) -> ChannelSession:
    """The channel session of ``message``, which has none yet.

    Raises:
        ValueError: The message has no reply channel.
    """
    reply_channel_of(
        message,
        "so it belongs to no connection and has no channel session; send it with a 'reply_channel', or leave the "
        "decorator away",
    )
    kept = None if streams or not is_own(message) else kept_for(message.reply_channel, message.channel_name)
    session = _session(message, kept, keeps=not streams)
    message.channel_session = session  # type: ignore[attr-defined]
    return session


def _session(message: Message, kept: Kept | None, *, keeps: bool = True) -> ChannelSession:
    reply_channel: Any = message.reply_channel
    return ChannelSession(
        reply_channel.name,
        ended=message.channel_name.startswith(ending.LAST_EVENTS),
        home=reply_channel if is_own(message) else None,
        kept=kept,
        keeps=keeps,
    )


# Events of sockets of this process


def is_own(message: Message) -> bool:
    """Whether ``message`` is an event of a socket of this process, whose consumers run here one after another."""
    return getattr(message.reply_channel, "changes", None) is not None and message.channel_name in SOCKET_CHANNELS


def kept_of(message: Message) -> Kept | None:
    """What the connection keeps of the session that ``message`` is an event of, unless that was made for it already."""
    if "channel_session" in vars(message) or not is_own(message):
        return None
    return kept_for(message.reply_channel, message.channel_name)


def at_hand(message: Message, is_async: bool) -> AtHandContext | None:
    """The context of ``channel_session`` for an event whose session is in memory, or is read when it is used.

    Args:
        message: The event.
        is_async: Whether its consumer is async, and can't read.
    """
    home: Any = message.reply_channel
    if getattr(home, "changes", None) is None or message.channel_name not in SOCKET_CHANNELS:
        return None  # not ``is_own``: a call less, for each event
    given = vars(message)
    session = given.get("channel_session")
    if session is not None:
        return _nested if getattr(session, "in_use", False) else None
    if _IN_USE in given:
        return _nested
    kept = kept_for(home, message.channel_name)
    if kept is None and is_async:
        return None
    given[_KEPT], given[_IN_USE] = kept, True
    return AtHandContext(message)


#: In the attributes of a message whose ``channel_session`` is made when it is used: what the connection keeps of it,
#: and that a decorator will save it.
_KEPT, _IN_USE = "__kept__", "__in_use__"


def _make(message: Message) -> ChannelSession | None:
    """The ``channel_session`` of a message that is in the context of ``at_hand``, or was; None for others."""
    given = vars(message)
    if _KEPT not in given:
        return None
    session = _session(message, given[_KEPT])
    session.in_use = _IN_USE in given
    return session


give(
    "channel_session",
    _make,
    "decorate the consumer with channel_session of routechan_django.sessions, or with channel_session_user of "
    "routechan_django.auth; on a class of routechan_django.generic write channel_session = True",
)


class AtHandContext:
    """The context that ``at_hand`` makes, plain and async. Lifetime: message.

    Args:
        message: The event; None where a decorator further out has made the context.
    """

    __slots__ = ("_message",)

    def __init__(self, message: Message | None) -> None:
        self._message = message

    def __enter__(self) -> bool:
        return True

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        message = self._message
        if message is None:
            return
        given = vars(message)
        given.pop(_IN_USE, None)
        session = given.get("channel_session")
        if session is not None:
            session.in_use = False
            _ends_with(session, error)
            if session.was_read:
                save_if_changed(session)
                _note_user(session, message)

    async def __aenter__(self) -> bool:
        return True

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._message is not None and has_changed(self._message):
            await on_thread(self.__exit__, kind, error, traceback)
        else:
            self.__exit__(kind, error, traceback)


_nested = AtHandContext(None)


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
