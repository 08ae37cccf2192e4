"""The session of the browser that opened a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import QueryDict, parse_cookie

from routechan import Message

from .around import Call, F, decorate
from .connection import with_channel_session
from .stores import Kept, browser_store


def http_session(func: F) -> F:
    """Give a consumer ``message.http_session``: the browser's session, or None (SE-27 to SE-32).

    Its key is the GET parameter ``session_key``, else the session cookie, so it is found on
    ``websocket.connect`` and ``http.request`` only. It is read when first used (for async consumers, before) and
    saved after a consumer that changed it and did not raise. None is ever created. ``ValueError`` for a message that
    cannot be read as a request.
    """
    return decorate("http_session", func, with_http_session)


def channel_and_http_session(func: F) -> F:
    """``http_session`` and ``channel_session``; the latter remembers the key of the former (SE-33 to SE-35).

    So events without cookies have ``message.http_session`` too, once ``websocket.connect`` has come by.
    """
    return decorate("channel_and_http_session", func, with_channel_and_http_session)


@contextmanager
def with_http_session(call: Call) -> Iterator[bool]:
    """What ``http_session`` does."""
    message = call.message
    if hasattr(message, "http_session"):
        save = _saver(message.http_session, call)
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
    """What ``channel_and_http_session`` does."""
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

    with with_http_session(call) as wanted, with_channel_session(call, remember):
        save = _saver(message.http_session, call)
        yield wanted
        save()


def _saver(session: SessionBase | None, call: Call) -> Callable[[], None]:
    if session is None:
        return _nothing
    kept = Kept(session, call)

    def save() -> None:
        # Without a key, after a logout say, saving would create a session of which no browser knows.
        if session.session_key is not None:
            kept.save()

    return save


def _nothing() -> None:
    """There is no session to save."""


def _session_key_of(message: Message) -> str | None:
    """The key a browser sent. Of the request only this is read: making all of it would read its body too."""
    if "path" not in message:
        raise ValueError(
            "http_session needs a message of a browser's connection, with a 'path' and, for the session to be found, "
            f"'headers'; this one on {message.channel_name!r} has {', '.join(map(repr, message.keys())) or 'nothing'}"
        )
    # Consumers could tell messages that are no requests by this in 1.x (SE-28).
    message.content.setdefault("method", "FAKE")
    try:
        key = QueryDict(message.get("query_string") or b"").get("session_key")
        if key is None:
            key = parse_cookie(_cookies(message.get("headers") or ())).get(settings.SESSION_COOKIE_NAME)
    except Exception as error:  # a client sent it, so it may be anything
        raise ValueError(f"the session key cannot be read from {message.channel_name!r}: {error}") from error
    return key if key is None else str(key)


def _cookies(headers: Any) -> str:
    """All that was sent as ``Cookie``, from a list of pairs or, as older test clients write them, a dict."""
    pairs: Iterable[Any] = headers.items() if isinstance(headers, dict) else headers
    return "; ".join(_text(value) for name, value in pairs if _text(name).lower() == "cookie")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else bytes(value).decode("latin-1")
