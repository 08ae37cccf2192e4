"""What the Django tests share: consumers of every kind, messages, sessions, signals, and database queries."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.contrib import auth
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.dispatch import Signal

from routechan import Message
from routechan.inspection import Kind
from routechan_django.sessions import session_for_reply_channel

_numbers = itertools.count()


def new_reply_channel() -> str:
    """A name no other test has: what sessions hold stays in the database."""
    return f"websocket.send.test!{next(_numbers)}"


def message(
    content: dict[str, Any] | None = None, channel: str = "websocket.receive", layer: Any = None, **more: Any
) -> Message:
    """A message of a connection; give the same ``reply_channel`` for the same one."""
    return Message({"reply_channel": new_reply_channel(), **(content or {}), **more}, channel, layer)


def http_request(path: str = "/test/", layer: Any = None, **content: Any) -> Message:
    """A request; what follows a ``?`` in the path is its query string."""
    path, _, query = path.partition("?")
    whole = {"reply_channel": "reply", "method": "GET", "path": path, "query_string": query.encode(), **content}
    return Message({"headers": [[b"host", b"testserver"]], **whole}, "http.request", layer)


def consumer_of(kind: Kind, act: Callable[..., Any]) -> Callable[..., Any]:
    """A consumer of this kind that does ``act(message, **kwargs)``, and where it can returns what that does."""

    def plain(message: Message, **kwargs: Any) -> Any:
        return act(message, **kwargs)

    async def coroutine(message: Message, **kwargs: Any) -> Any:
        return act(message, **kwargs)

    def stream(message: Message, **kwargs: Any) -> Any:
        yield act(message, **kwargs)

    async def async_stream(message: Message, **kwargs: Any) -> Any:
        yield act(message, **kwargs)

    return {Kind.PLAIN: plain, Kind.ASYNC: coroutine, Kind.STREAM: stream, Kind.ASYNC_STREAM: async_stream}[kind]


def run(consumer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a consumer of any kind and run it to its end: what it returned, or a list of what it yielded."""
    result = consumer(*args, **kwargs)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isgenerator(result):
        return list(result)
    if inspect.isasyncgen(result):

        async def collect() -> list[Any]:
            return [item async for item in result]

        return asyncio.run(collect())
    return result


def run_decorated(decorator: Callable[..., Any], kind: Kind, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a decorated consumer of this kind: what it returned, or a list of what it yielded."""
    return run(decorator(consumer_of(kind, act)), *args, **kwargs)


def returned(kind: Kind, value: Any) -> Any:
    """``value`` as ``run`` gives it back from a consumer of this kind."""
    return [value] if kind in (Kind.STREAM, Kind.ASYNC_STREAM) else value


def nothing(message: Any, **kwargs: Any) -> dict[str, Any]:
    """An act without effect."""
    return {}


def key_of(reply_channel: str) -> str:
    """The key of the channel session of a connection (SE-01)."""
    return str(session_for_reply_channel(reply_channel).session_key)


def stored(reply_channel: str) -> dict[str, Any]:
    """The data in the channel session of a connection."""
    return dict(session_for_reply_channel(reply_channel).items())


class Mistake(Exception):
    """A consumer's error."""


def cookie(key: str | None, before: str = "") -> list[list[bytes]]:
    """The headers of a handshake with a session cookie; none for None."""
    return [] if key is None else [[b"cookie", f"{before}{settings.SESSION_COOKIE_NAME}={key}".encode()]]


def connect(key: str | None = None, **more: Any) -> Message:
    """A ``websocket.connect`` with the session cookie of a browser."""
    headers = cookie(key, "theme=dark; ")
    return message({"path": "/", "headers": headers, "query_string": b"", **more}, "websocket.connect")


def receive(of: Message) -> Message:
    """A later message of the same connection: no cookies."""
    return message(reply_channel=of["reply_channel"], path="/", text="hello")


def log_in(session: Any, user: Any) -> Any:
    """Store a login in a session, as Django does."""
    session[auth.SESSION_KEY] = str(user.pk)
    session[auth.BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    return session


@contextmanager
def connected(receiver: Callable[..., Any], *signals: Signal) -> Iterator[None]:
    """A ``with`` block in which ``receiver`` gets these signals."""
    for signal in signals:
        signal.connect(receiver)
    try:
        yield
    finally:
        for signal in signals:
            signal.disconnect(receiver)


@contextmanager
def logging_kept(*names: str) -> Iterator[None]:
    """A ``with`` block after which these loggers are as before; commands set them up."""
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.level, logger.propagate, [*logger.handlers]) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.level, logger.propagate, logger.handlers = level, propagate, handlers
        logger.manager._clear_cache()  # type: ignore[attr-defined]


def elsewhere(function: Callable[..., Any], *args: Any) -> None:
    """Do something at the same time on another thread, and wait for it; also where the event loop runs."""

    def work() -> None:
        try:
            function(*args)
        finally:
            if connection.connection is not None:
                connection.connection.close()  # Django's own close keeps databases in memory

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries of all threads, as ``SELECT django_session``; transactions are left out."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def spy(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        found = re.match(r"(SELECT|INSERT|UPDATE|DELETE)\b.*?\"((?:django|auth)_\w+)\"", sql)
        if found:
            seen.append(f"{found[1]} {found[2]}")
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", spy)
    return seen
