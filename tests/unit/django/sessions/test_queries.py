"""What the decorators cost in database queries: at most one read and one write of a session per event."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.test import override_settings

from routechan.inspection import Kind
from routechan_django.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
)
from routechan_django.sessions import (
    channel_and_http_session,
    channel_session,
    decorators,
    enforce_ordering,
    http_session,
)
from tests.unit.django.helpers import (
    consumer_of,
    cookie,
    log_in,
    message,
    new_reply_channel,
    nothing,
    queries,
    run,
    run_decorated,
)

__all__ = ["queries"]

READ, CREATE, WRITE = "SELECT django_session", "INSERT django_session", "UPDATE django_session"
USER = "SELECT auth_user"


@pytest.fixture
def key(user: User) -> str | None:
    """The key of a browser's session where a user is logged in."""
    session = log_in(db.SessionStore(), user)
    session.create()
    return session.session_key


def all_of_them(func: Any) -> Any:
    """As many as anyone would stack."""
    return enforce_ordering(channel_session_user_from_http(channel_session_user(channel_session(func))))


def change(message: Any) -> dict[str, Any]:
    session = message.channel_session
    session["a"] = session.get("a", 0) + 1
    return {}


def change_both(message: Any) -> dict[str, Any]:
    message.http_session["a"] = 1
    return change(message)


#: decorator, what the consumer does, queries of the first event (with cookie), of each later one (without), of an event
#: that came over a layer; a login that was found in the browser's session a moment ago is not looked up again. A plain
#: consumer has no ``USER`` more than one: that of a channel session is read when it is used
COSTS = {
    "channel_session": (channel_session, nothing, [READ], [READ]),
    "channel_session, changed": (channel_session, change, [READ, CREATE], [READ, WRITE]),
    "channel_session twice": (
        lambda func: channel_session(channel_session(func)),
        change,
        [READ, CREATE],
        [READ, WRITE],
    ),
    "http_session_user": (http_session_user, nothing, [READ, USER], []),
    "channel_session_user": (channel_session_user, nothing, [READ], [READ]),
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
        [READ, USER, READ, CREATE, WRITE],
        [READ, READ, WRITE, WRITE],
    ),
    "enforce_ordering": (enforce_ordering, nothing, [READ, CREATE], [READ, WRITE]),
    "enforce_ordering, changed": (enforce_ordering, change, [READ, CREATE], [READ, WRITE]),
    "all of them, changed": (
        all_of_them,
        change,
        [READ, READ, USER, USER, CREATE],
        [READ, USER, WRITE],
    ),
}


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
@pytest.mark.parametrize("name", COSTS)
def test_queries(name: str, kind: Kind, key: str, queries: list[str]) -> None:
    """SE-08, SE-26, SE-30, AU-05: these queries and no more, for plain and async consumers."""
    decorator, act, first, later = COSTS[name]
    if kind is Kind.PLAIN:
        first = [query for query in first if query != USER] + [USER] * (USER in first)
        later = later and [query for query in later if query != USER]
    if later is None:  # a session found again is read when it is used, or before an async consumer
        later = [READ] if kind is Kind.PLAIN else [READ, READ]
    reply_channel = new_reply_channel()
    consumer = decorator(consumer_of(kind, act))
    queries.clear()
    run(consumer, message(reply_channel=reply_channel, path="/", order=0, headers=cookie(key)))
    assert sorted(queries) == sorted(first)
    for order in (1, 2):
        queries.clear()
        run(consumer, message(reply_channel=reply_channel, path="/", order=order))
        assert sorted(queries) == sorted(later)


def test_unused_http_session(key: str, queries: list[str], name: str) -> None:
    """SE-30, SE-35: a browser's session that a plain consumer does not use costs no query, found again or not."""
    queries.clear()
    http_session(nothing)(message(path="/", headers=cookie(key)))
    assert queries == []
    channel_and_http_session(nothing)(message(path="/", headers=cookie(key), reply_channel=name))
    queries.clear()
    channel_and_http_session(nothing)(message(path="/", reply_channel=name))
    assert queries == [READ]


def test_streams(kind: Kind, queries: list[str], name: str) -> None:
    """SE-10: a stream that changed its session reads it once more before it saves; one that did not, does not."""
    run_decorated(channel_session, kind, change, message(reply_channel=name))
    queries.clear()
    run_decorated(channel_session, kind, nothing, message(reply_channel=name))
    assert queries == [READ]
    queries.clear()
    run_decorated(channel_session, kind, change, message(reply_channel=name))
    assert queries == ([READ, READ, WRITE] if "stream" in kind.value else [READ, WRITE])


def test_threads(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """SE-10: an async consumer goes to a thread and back to read its session, and again only if it changed it."""
    hops: list[Any] = []

    def counted(function: Any) -> Any:
        hops.append(function)
        return sync_to_async(function)

    run_decorated(channel_session, Kind.ASYNC, nothing, message(reply_channel=name))
    monkeypatch.setattr(decorators, "sync_to_async", counted)
    run_decorated(channel_session, Kind.ASYNC, nothing, message(reply_channel=name))
    assert len(hops) == 1
    run_decorated(channel_session, Kind.ASYNC, change, message(reply_channel=name))
    assert len(hops) == 3


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
def test_cached_db(kind: Kind, queries: list[str], name: str) -> None:
    """SE-26: with sessions in cache and database, an event that changes nothing asks the database nothing."""
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cached_db"):
        run_decorated(channel_session, kind, change, message(reply_channel=name))
        queries.clear()
        run_decorated(channel_session, kind, nothing, message(reply_channel=name))
        assert queries == []
        run_decorated(channel_session, kind, change, message(reply_channel=name))
        assert queries == [WRITE]
