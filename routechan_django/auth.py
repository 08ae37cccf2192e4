"""Users for consumers, the names of ``channels.auth``, and the sockets of users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase
from django.db.models import Model

from routechan import Group, Message
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.message import give

from . import conf
from .messages import F, UserMessage, gives
from .sessions import channel_and_http_session, channel_session, http_session, logins
from .sessions.browser import with_channel_and_http_session, with_http_session
from .sessions.connection import at_hand, decorate_in_session, is_own, kept_of, with_channel_session
from .sessions.decorators import Call, CallContext, decorate
from .sessions.logins import CLOSE_CODE
from .sessions.stores import ChannelSession
from .user_sockets import admits

__all__ = [
    "UserMessage",
    "adisconnect_user",
    "auth",
    "channel_and_http_session",
    "channel_and_http_session_user_from_http",
    "channel_session",
    "channel_session_user",
    "channel_session_user_from_http",
    "disconnect_user",
    "http_session",
    "http_session_user",
    "sockets_of_session",
    "sockets_of_user",
    "transfer_user",
]

_LOGIN = (auth.BACKEND_SESSION_KEY, auth.SESSION_KEY, auth.HASH_SESSION_KEY)


def transfer_user(from_session: SessionBase, to_session: SessionBase) -> None:
    """Copy a login from one session to another; without a login nothing changes (AU-01).

    A login that is copied from a browser's session to a channel session ends with the browser's session.

    Args:
        from_session: The session that may have a login.
        to_session: The session to change.
    """
    if all(name in from_session for name in _LOGIN):
        for name in _LOGIN:
            if to_session.get(name) != from_session[name]:  # an equal value must not mark it as changed
                to_session[name] = from_session[name]
        if isinstance(to_session, ChannelSession) and not isinstance(from_session, ChannelSession):
            key = from_session.session_key
            if key is not None:
                logins.checks.remember(key, from_session[auth.SESSION_KEY])
            if to_session.browser_key != key:
                to_session.browser_key = key
                to_session.modified = True


@gives(UserMessage)
def channel_session_user(func: F) -> F:
    """Give a consumer ``message.channel_session``, and the user in it as ``message.user`` (AU-02, AU-03).

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer; without a login its ``message.user`` is an ``AnonymousUser``.
    """
    return decorate_in_session("channel_session_user", func, _with_channel_session_user, at_hand=_at_hand)


@gives(UserMessage)
def http_session_user(func: F) -> F:
    """Give a consumer ``message.http_session``, and the user in it as ``message.user`` (AU-04).

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer; without a login its ``message.user`` is an ``AnonymousUser``.
    """
    return decorate("http_session_user", func, _with_http_session_user)


@gives(UserMessage)
def channel_session_user_from_http(func: F) -> F:
    """Give a ``websocket.connect`` consumer the browser's user, and keep it in the channel session (AU-05).

    Consumers of later events need ``channel_session_user`` instead: these events have no cookies, so this decorator
    would make their user anonymous (AU-06).

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer.
    """
    return decorate_in_session("channel_session_user_from_http", func, _with_channel_session_user_from_http)


@gives(UserMessage)
def channel_and_http_session_user_from_http(func: F) -> F:
    """``channel_session_user_from_http`` whose later events have ``message.http_session`` too.

    Their ``message.user`` is anonymous unless ``channel_session_user`` is applied further in (AU-07).

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer.
    """
    return decorate_in_session(
        "channel_and_http_session_user_from_http", func, _with_channel_and_http_session_user_from_http
    )


def sockets_of_user(user: Any, alias: str = DEFAULT_CHANNEL_LAYER) -> Group:
    """The group of the open sockets of a user, in all processes.

    In it is who was logged in when the socket was opened, behind any decorator that gives ``message.user`` from the
    HTTP session, or has been logged in by a consumer in the channel session.

    Args:
        user: A user, or the primary key of one.
        alias: The alias of the layer.

    Raises:
        ValueError: ``user`` is anonymous, not saved, or deleted.
    """
    return logins.user_group(user, alias)


def sockets_of_session(session: Any, alias: str = DEFAULT_CHANNEL_LAYER) -> Group:
    """The group of the open sockets of a browser's session, in all processes, of those that were opened with a login.

    Args:
        session: A browser's session, as ``request.session``, or the key of one.
        alias: The alias of the layer.

    Raises:
        ValueError: The session has no key, or is a channel session.
    """
    return logins.session_group(session, alias)


def disconnect_user(user: Any, code: int = CLOSE_CODE) -> None:
    """Close the open sockets of a user, on all layers and in all processes.

    Who is still logged in may connect again: log the user out before, or set ``is_active`` to False. In a consumer the
    sockets are closed when it has ended, like all that it sends.

    Args:
        user: A user, or the primary key of one.
        code: The close code.

    Raises:
        ValueError: ``user`` is anonymous, not saved, or deleted.
        ChannelLayerUnavailable: A layer cannot be reached.
    """
    for alias in logins.routed_aliases():
        sockets_of_user(user, alias).send({"close": code})


async def adisconnect_user(user: Any, code: int = CLOSE_CODE) -> None:
    """``disconnect_user`` for async code, with the same arguments ``user`` and ``code``."""
    for alias in logins.routed_aliases():
        await sockets_of_user(user, alias).asend({"close": code})


@contextmanager
def _with_channel_session_user(call: Call) -> Iterator[bool]:
    with with_channel_session(call) as should_run:
        message: Any = call.message
        session = message.channel_session
        # The consumer of the disconnect learns whose socket it was: no client has a say in that event.
        if message.channel_name == "websocket.disconnect" or logins.checks.holds(session):
            _give_user(message)
            if call.is_async or is_own(message):  # a void login is gone from the session before the consumer begins
                _ = message.user  # reads it
        elif conf.closes_on_logout():
            message.reply_channel.send({"close": CLOSE_CODE})
            message.user = _get_user(None)
            should_run = False
        else:
            session.flush()
            message.user = _get_user(None)
        yield should_run


def _at_hand(message: Message, is_async: bool) -> Any:
    kept = kept_of(message)
    if kept is None or not logins.checks.is_at_hand(kept):
        return None
    _give_user(message)
    return at_hand(message, is_async)


#: In the attributes of a message whose ``user`` is that of its channel session, and is read when it is first used.
_GIVES_USER = "__gives_user__"


def _give_user(message: Message) -> None:
    given = vars(message)
    given.pop("user", None)  # that of the browser, from a decorator further out
    given[_GIVES_USER] = True


def _make_user(message: Any) -> Any:
    return _user_of(message.channel_session) if _GIVES_USER in vars(message) else None


give(
    "user",
    _make_user,
    "decorate the consumer with channel_session_user of routechan_django.auth, that of websocket.connect with "
    "channel_session_user_from_http, that of http.request with http_session_user; on a class of "
    "routechan_django.generic write http_user = True",
)


@contextmanager
def _with_http_session_user(call: Call) -> Iterator[bool]:
    with with_http_session(call) as should_run:
        message: Any = call.message
        session = message.http_session
        message.user = _get_user(session)
        admitted = should_run
        if message.channel_name == "websocket.connect" and message.user.is_authenticated:
            logins.opened(message, session)
            admitted = should_run and admits(message, message.user)
        yield admitted


def _with_user_from_http(inner: Any) -> CallContext:
    """The context that sets the browser's user, and copies the login to the channel session that ``inner`` opens."""

    @contextmanager
    def context(call: Call) -> Iterator[bool]:
        message: Any = call.message
        with _with_http_session_user(call) as admitted:
            browser, user = message.http_session, _copy_of(message.user)
            key = None if browser is None else logins.user_in(browser)
            version = logins.checks.version(key)

            def transfer(session: SessionBase) -> None:
                if browser is not None:
                    transfer_user(browser, session)

            with inner(call, transfer) as should_run:
                yield should_run and admitted
            kept = getattr(message.channel_session, "kept", None)
            if kept is not None:
                logins.checks.remember_user(kept, key, user, version)

    return context


_with_channel_session_user_from_http = _with_user_from_http(with_channel_session)
_with_channel_and_http_session_user_from_http = _with_user_from_http(with_channel_and_http_session)


def _user_of(session: Any) -> Any:
    """The user who is logged in in a channel session.

    A connection remembers its user as long as its login is not looked at again. Each event has a copy, so that what a
    consumer changes in it, and what it has looked up through it, is gone with the event.
    """
    if logins.user_in(session) is None:
        return _get_user(None)
    kept = getattr(session, "kept", None)
    if kept is not None and kept.user is not None and not session.modified:
        return _copy_of(kept.user)
    return _read_user(session)


def _read_user(session: Any) -> Any:
    changed = session.modified
    user = _get_user(session)
    if session.modified and not changed and not getattr(session, "in_use", True) and not session.is_empty():
        session.save()  # a hash that was renewed, for a user that is first used when the consumer has ended
    _remember(session, user)
    return user


def _remember(session: Any, user: Any) -> None:
    """Remember ``user`` for the next events of the connection, if these find the login that is in ``session``."""
    kept = getattr(session, "kept", None)
    if kept is not None and kept.login is not None and not session.modified:
        kept.user = _copy_of(user)


def _copy_of(user: Any) -> Any:
    """A copy of a ``user``, without what it shares with others: ``copy`` takes models apart as for a pickle."""
    if not isinstance(user, Model):
        return copy(user)
    made = type(user).__new__(type(user))
    vars(made).update(user.__getstate__())
    return made


def _get_user(session: SessionBase | None) -> Any:
    request: Any = _UserRequest({} if session is None else _SessionWithFixedKey(session))
    return auth.get_user(request)


class _UserRequest:
    """The part of a request that ``get_user`` needs. Lifetime: message."""

    def __init__(self, session: Any) -> None:
        self.session = session


class _SessionWithFixedKey:
    """The part of a session that ``get_user`` needs; its key does not change. Lifetime: message.

    Django cycles the key where a user's hash was made with one of ``SECRET_KEY_FALLBACKS`` (PL-10). No response follows
    here that could tell the browser the new key, so the browser, or the connection's later events, would lose the
    session.
    """

    def __init__(self, session: SessionBase) -> None:
        self._session = session
        self.get = session.get
        self.flush = session.flush

    def __getitem__(self, name: str) -> Any:
        return self._session[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._session[name] = value

    def cycle_key(self) -> None:
        """Keep the key."""
