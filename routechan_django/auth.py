"""Users for consumers: the names of ``channels.auth``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase

from .sessions import channel_and_http_session, channel_session, http_session
from .sessions.around import Body, Call, F, decorate
from .sessions.browser import with_channel_and_http_session, with_http_session
from .sessions.connection import with_channel_session

__all__ = [
    "auth",
    "channel_and_http_session",
    "channel_and_http_session_user_from_http",
    "channel_session",
    "channel_session_user",
    "channel_session_user_from_http",
    "http_session",
    "http_session_user",
    "transfer_user",
]

_LOGIN = (auth.BACKEND_SESSION_KEY, auth.SESSION_KEY, auth.HASH_SESSION_KEY)


def transfer_user(from_session: SessionBase, to_session: SessionBase) -> None:
    """Copy a login from one session to another; without one nothing changes (AU-01)."""
    if all(name in from_session for name in _LOGIN):
        for name in _LOGIN:
            if to_session.get(name) != from_session[name]:  # else it would be saved for nothing
                to_session[name] = from_session[name]


def channel_session_user(func: F) -> F:
    """``channel_session``, and ``message.user`` from it: a user or ``AnonymousUser`` (AU-02, AU-03)."""
    return decorate("channel_session_user", func, _with_channel_session_user)


def http_session_user(func: F) -> F:
    """``http_session``, and ``message.user`` from it: a user or ``AnonymousUser`` (AU-04)."""
    return decorate("http_session_user", func, _with_http_session_user)


def channel_session_user_from_http(func: F) -> F:
    """For ``websocket.connect``: the browser's user, kept for later events in the channel session (AU-05).

    Those need ``channel_session_user``: they have no cookies, so that here they would be anonymous (AU-06).
    """
    return decorate("channel_session_user_from_http", func, _with_channel_session_user_from_http)


def channel_and_http_session_user_from_http(func: F) -> F:
    """``channel_session_user_from_http`` with ``channel_and_http_session``: later events have the browser's session.

    Their ``message.user`` is anonymous unless ``channel_session_user`` stands further in (AU-07).
    """
    return decorate("channel_and_http_session_user_from_http", func, _with_channel_and_http_session_user_from_http)


@contextmanager
def _with_channel_session_user(call: Call) -> Iterator[bool]:
    with with_channel_session(call) as wanted:
        _set_user(call, call.message.channel_session)  # type: ignore[attr-defined]
        yield wanted


@contextmanager
def _with_http_session_user(call: Call) -> Iterator[bool]:
    with with_http_session(call) as wanted:
        _set_user(call, call.message.http_session)  # type: ignore[attr-defined]
        yield wanted


def _from_http(inner: Any) -> Body:
    """Around ``inner``, which keeps a channel session: the browser's user, transferred to that session."""

    @contextmanager
    def body(call: Call) -> Iterator[bool]:
        message: Any = call.message
        with _with_http_session_user(call):
            browser = message.http_session

            def transfer(session: SessionBase) -> None:
                if browser is not None:
                    transfer_user(browser, session)

            with inner(call, transfer) as wanted:
                yield wanted

    return body


_with_channel_session_user_from_http = _from_http(with_channel_session)
_with_channel_and_http_session_user_from_http = _from_http(with_channel_and_http_session)


def _set_user(call: Call, session: SessionBase | None) -> None:
    request: Any = _Request({} if session is None else _SameKey(session))
    call.message.user = auth.get_user(request)  # type: ignore[attr-defined]


class _Request:
    """What ``get_user`` needs of a request."""

    def __init__(self, session: Any) -> None:
        self.session = session


class _SameKey:
    """What ``get_user`` needs of a session. ``cycle_key`` is for a response that tells the browser; none follows here.

    Django cycles the key where a user's hash was made with one of ``SECRET_KEY_FALLBACKS`` (PL-10): the channel session
    would be lost to later events, and the browser's to the browser.
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
        """The session stays where it is."""
