"""The session of a connection: kept on the server under a key derived from the reply channel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase

from routechan import ConsumeLater, Message

from .around import Call, F, decorate
from .stores import ChannelSession, Kept, channel_store, derived_store


def session_for_reply_channel(reply_channel: str) -> SessionBase:
    """The channel session of the connection with this reply channel name, read and not saved (SE-01 to SE-05).

    The engine is ``CHANNEL_SESSION_ENGINE``, else ``SESSION_ENGINE``; ``ValueError`` for signed cookies.
    """
    session = derived_store(_session_key(reply_channel))
    session.keys()  # reads it
    return session


def channel_session(func: F) -> F:
    """Give a consumer ``message.channel_session``, a dict that lasts as long as the connection (SE-06 to SE-12).

    It is read once before the consumer and saved once after it, if it was changed, also where the consumer
    raised; a connection's first event creates it. ``ValueError`` for a message without a reply channel.
    """
    return decorate("channel_session", func, with_channel_session)


@contextmanager
def with_channel_session(call: Call, prepare: Callable[[SessionBase], None] | None = None) -> Iterator[bool]:
    """What ``channel_session`` does. ``prepare`` may change the session before it is first written."""
    message = call.message
    session: Any = getattr(message, "channel_session", None)
    if getattr(session, "in_use", False):  # a decorator around this one saves it (SE-11)
        if prepare is not None:
            prepare(session)
        yield True
        return
    opened = channel_store(_session_key(_reply_channel(message))) if session is None else None
    if opened is not None:
        session = opened
    kept = Kept(session, call)
    if prepare is not None:
        prepare(session)
    if opened is not None:
        _create_unless_found(opened)
        message.channel_session = opened  # type: ignore[attr-defined]
    session.in_use = True
    try:
        yield True
    finally:
        session.in_use = False
        kept.save()


def _create_unless_found(session: ChannelSession) -> None:
    session.keys()  # reads it, unless that was done
    if session.found:
        return
    try:
        session.save(must_create=True)
    except CreateError as error:
        session.load()
        if session.found:  # another worker was faster (SE-08)
            raise ConsumeLater from error
        session.save()  # it was there, and had expired
    session.modified = False


def _reply_channel(message: Message) -> str:
    if message.reply_channel is None:
        raise ValueError(
            f"a message on {message.channel_name!r} has no reply channel, so it belongs to no connection and has no "
            "channel session; send it with a 'reply_channel', or leave the decorator away"
        )
    return message.reply_channel.name


def _session_key(reply_channel: str) -> str:
    # A name and no secret: SHA-1 because sessions of a running site lie under it (SE-01).
    return "chn" + hashlib.sha1(reply_channel.encode(), usedforsecurity=False).hexdigest()[:29]
