"""What the decorators cost in database queries: at most one read and one write of a session per event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.test import override_settings

from routechan import Message
from routechan.kinds import Kind
from routechan_django.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
)
from routechan_django.sessions import (
    around,
    channel_and_http_session,
    channel_session,
    enforce_ordering,
    http_session,
)

from .around import consumer_of, message, new_reply_channel, queries, run

__all__ = ["queries"]

READ, CREATE, WRITE = "SELECT django_session", "INSERT django_session", "UPDATE django_session"
USER = "SELECT auth_user"


@pytest.fixture
def key() -> Iterator[str | None]:
    """The key of a browser's session where a user is logged in."""
    user = User.objects.create(username=new_reply_channel(), password="x")
    session = db.SessionStore()
    session[auth.SESSION_KEY] = str(user.pk)
    session[auth.BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    yield session.session_key
    user.delete()


def all_of_them(func: Any) -> Any:
    """As many as anyone would stack."""
    return enforce_ordering(channel_session_user_from_http(channel_session_user(channel_session(func))))


def nothing(message: Any) -> dict[str, Any]:
    return {}


def change(message: Any) -> dict[str, Any]:
    session = message.channel_session
    session["a"] = session.get("a", 0) + 1
    return {}


def change_both(message: Any) -> dict[str, Any]:
    message.http_session["a"] = 1
    return change(message)


#: decorator, what the consumer does, queries of the first event (with cookie), of each later one (without)
COSTS = {
    "channel_session": (channel_session, nothing, [READ, CREATE], [READ]),
    "channel_session, changed": (channel_session, change, [READ, CREATE, WRITE], [READ, WRITE]),
    "channel_session twice": (
        lambda func: channel_session(channel_session(func)),
        change,
        [READ, CREATE, WRITE],
        [READ, WRITE],
    ),
    "http_session_user": (http_session_user, nothing, [READ, USER], []),
    "channel_session_user": (channel_session_user, nothing, [READ, CREATE], [READ]),
    "from_http": (channel_session_user_from_http, nothing, [READ, USER, READ, CREATE], [READ]),
    "from_http and channel_session_user": (
        lambda func: channel_session_user_from_http(channel_session_user(func)),
        nothing,
        [READ, USER, READ, CREATE, USER],
        [READ, USER],
    ),
    "all from http": (channel_and_http_session_user_from_http, nothing, [READ, USER, READ, CREATE], None),
    "all from http, both changed": (
        channel_and_http_session_user_from_http,
        change_both,
        [READ, USER, READ, CREATE, WRITE, WRITE],
        [READ, READ, WRITE, WRITE],
    ),
    "enforce_ordering": (enforce_ordering, nothing, [READ, CREATE, WRITE], [READ, WRITE]),
    "enforce_ordering, changed": (enforce_ordering, change, [READ, CREATE, WRITE], [READ, WRITE]),
    "all of them, changed": (
        all_of_them,
        change,
        # The channel session is outermost here and made before the user is known.
        [READ, CREATE, READ, USER, USER, WRITE],
        [READ, USER, WRITE],
    ),
}


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
@pytest.mark.parametrize("name", COSTS)
def test_queries(name: str, kind: Kind, key: str, queries: list[str]) -> None:
    """SE-08, SE-26, SE-30, AU-05: these queries and no more, for plain and async consumers."""
    decorator, act, first, later = COSTS[name]
    if later is None:  # a session found again is read when it is used, or before an async consumer
        later = [READ] if kind is Kind.PLAIN else [READ, READ]
    reply_channel = new_reply_channel()
    consumer = decorator(consumer_of(kind, act))
    headers = [[b"cookie", f"{settings.SESSION_COOKIE_NAME}={key}".encode()]]
    queries.clear()
    run(consumer, message(reply_channel=reply_channel, path="/", order=0, headers=headers))
    assert sorted(queries) == sorted(first)
    for order in (1, 2):
        queries.clear()
        run(consumer, message(reply_channel=reply_channel, path="/", order=order))
        assert sorted(queries) == sorted(later)


def test_unused_http_session(key: str, queries: list[str]) -> None:
    """SE-30: a plain consumer that does not use the browser's session costs no query."""
    consumer = http_session(lambda message: None)
    queries.clear()
    consumer(message(path="/", headers=[[b"cookie", f"{settings.SESSION_COOKIE_NAME}={key}".encode()]]))
    assert queries == []


def test_a_session_found_again_and_not_used(key: str, queries: list[str]) -> None:
    """SE-35: nor does one found again."""
    consumer = channel_and_http_session(lambda message: None)
    name = new_reply_channel()
    consumer(
        message(path="/", headers=[[b"cookie", f"{settings.SESSION_COOKIE_NAME}={key}".encode()]], reply_channel=name)
    )
    queries.clear()
    consumer(message(path="/", reply_channel=name))
    assert queries == [READ]


def test_streams(kind: Kind, queries: list[str]) -> None:
    """SE-10: a stream that changed its session reads it once more before it saves; one that did not, does not."""
    name = new_reply_channel()
    run(channel_session(consumer_of(kind, nothing)), message(reply_channel=name))
    queries.clear()
    run(channel_session(consumer_of(kind, nothing)), message(reply_channel=name))
    assert queries == [READ]
    queries.clear()
    run(channel_session(consumer_of(kind, change)), message(reply_channel=name))
    assert queries == ([READ, READ, WRITE] if "stream" in kind.value else [READ, WRITE])


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """SE-10: an async consumer goes to a thread and back to read its session, and again only if it changed it."""
    hops: list[Any] = []

    def counted(function: Any) -> Any:
        hops.append(function)
        return sync_to_async(function)

    name = new_reply_channel()
    run(channel_session(consumer_of(Kind.ASYNC, nothing)), message(reply_channel=name))
    monkeypatch.setattr(around, "sync_to_async", counted)
    run(channel_session(consumer_of(Kind.ASYNC, nothing)), message(reply_channel=name))
    assert len(hops) == 1
    run(channel_session(consumer_of(Kind.ASYNC, change)), message(reply_channel=name))
    assert len(hops) == 3


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
def test_cached_db(kind: Kind, queries: list[str]) -> None:
    """SE-26: with sessions in cache and database, an event that changes nothing asks the database nothing."""
    name = new_reply_channel()
    consumer = channel_session(consumer_of(kind, nothing))
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cached_db"):
        run(consumer, message(reply_channel=name))
        queries.clear()
        run(consumer, message(reply_channel=name))
        assert queries == []
        mine: Message = message(reply_channel=name)
        run(channel_session(consumer_of(kind, change)), mine)
        assert queries == [WRITE]
