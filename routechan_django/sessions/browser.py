"""The session of the browser that opened a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import QueryDict, parse_cookie

from routechan import Message

from .. import conf
from ..messages import F, SessionMessage, gives
from .connection import decorate_in_session, with_channel_session
from .decorators import Call, decorate
from .stores import SessionSaver, browser_store


@gives(SessionMessage)
def http_session(func: F) -> F:
    """Give a consumer ``message.http_session``: the browser's session, or None (SE-27 to SE-32).

    Its key is that of the session cookie, so only ``websocket.connect`` and ``http.request`` have one. With
    ``SESSION_KEY_IN_QUERY`` a ``websocket.connect`` without the cookie may name it in the GET parameter
    ``session_key``. The session is read on first use (before an async consumer), and saved after a consumer that
    changed it and did not raise. It is never created.

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer. It raises ``ValueError`` for a message that cannot be read as a request.
    """
    return decorate("http_session", func, with_http_session)


@gives(SessionMessage)
def channel_and_http_session(func: F) -> F:
    """``http_session`` and ``channel_session``, which remembers the key of the browser's session (SE-33 to SE-35).

    So later events, which have no cookies, have ``message.http_session`` too.

    Args:
        func: A consumer of any kind.

    Returns:
        The decorated consumer.
    """
    return decorate_in_session("channel_and_http_session", func, with_channel_and_http_session)


@contextmanager
def with_http_session(call: Call) -> Iterator[bool]:
    """The context of ``http_session``, for one ``call``; yields True: run the consumer."""
    message = call.message
    if "http_session" in vars(message):
        save = _saver(vars(message)["http_session"], call)
        try:
            yield True
        finally:
            save()
        return
    key = _session_key_of(message)
    session = None if key is None else browser_store(key)
    message.http_session = session  # type: ignore[attr-defined]
    save = _saver(session, call)
    yield True
    save()


@contextmanager
def with_channel_and_http_session(call: Call, prepare: Callable[[SessionBase], None] | None = None) -> Iterator[bool]:
    """The context of ``channel_and_http_session``.

    Args:
        call: The call of the consumer.
        prepare: Called with the channel session, to change it before it is first written.

    Yields:
        True: run the consumer.
    """
    message: Any = call.message

    def remember(session: SessionBase) -> None:
        if message.http_session is not None:
            key = message.http_session.session_key
            if key is not None and settings.SESSION_COOKIE_NAME not in session:
                session[settings.SESSION_COOKIE_NAME] = key
        elif settings.SESSION_COOKIE_NAME in session:
            message.http_session = browser_store(session[settings.SESSION_COOKIE_NAME])
        if prepare is not None:
            prepare(session)

    with with_http_session(call) as should_run, with_channel_session(call, remember):
        save = _saver(message.http_session, call)
        yield should_run
        save()


def _saver(session: SessionBase | None, call: Call) -> Callable[[], None]:
    if session is None:
        return _nothing
    saver = SessionSaver(session, call)

    def save() -> None:
        # Without a key, say after a logout, saving would create a session that no browser knows.
        if session.session_key is not None:
            saver.save()

    return save


def _nothing() -> None:
    """There is no session to save."""


def _session_key_of(message: Message) -> str | None:
    """The key that the browser sent.

    No request is made for it, because that would read the body too.
    """
    if "path" not in message:
        raise ValueError(
            "http_session needs a message of a browser's connection, with a 'path' and, for the session to be found, "
            f"'headers'; this one on {message.channel_name!r} has {', '.join(map(repr, message.keys())) or 'nothing'}"
        )
    # In 1.x consumers could recognise messages that are no requests by this (SE-28).
    message.content.setdefault("method", "FAKE")
    try:
        key = parse_cookie(_cookies(message.get("headers") or ())).get(settings.SESSION_COOKIE_NAME)
        # A link with a key would have its victim act in the session of whoever wrote it, so the cookie comes first, and
        # a request, which any page can make, has nothing else.
        if not key and message.channel_name == "websocket.connect" and conf.session_key_in_query():
            key = QueryDict(message.get("query_string") or b"").get("session_key")
    except Exception as error:  # the client may have sent anything
        raise ValueError(f"the session key cannot be read from {message.channel_name!r}: {error}") from error
    return str(key) if key else None


def _cookies(headers: Any) -> str:
    """All cookie headers, joined; from a list of pairs, or from a dict as older test clients write it."""
    pairs: Iterable[Any] = headers.items() if isinstance(headers, dict) else headers
    return "; ".join(_text(value) for name, value in pairs if _text(name).lower() == "cookie")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else bytes(value).decode("latin-1")
