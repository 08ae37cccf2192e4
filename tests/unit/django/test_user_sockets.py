"""How many sockets one user may have open."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from routechan import Group
from routechan.inspection import Kind
from routechan.layers import SyncChannelLayer
from routechan.telemetry.counters import counters
from routechan_django import conf, user_sockets
from routechan_django.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user_from_http,
    http_session_user,
)
from routechan_django.sessions.logins import user_group_name

from ..helpers import drain
from .helpers import connect, consumer_of, log_in, receive, run

DECORATORS = [channel_session_user_from_http, channel_and_http_session_user_from_http, http_session_user]


@pytest.fixture
def browser(user: User) -> Any:
    """The session of a browser where the user is logged in."""
    session = log_in(db.SessionStore(), user)
    session.create()
    return session


@pytest.mark.parametrize("decorator", DECORATORS)
def test_one_socket_too_many(
    default_layer: SyncChannelLayer,
    browser: Any,
    user: User,
    kind: Kind,
    decorator: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is refused before the consumer runs, counted and logged once; a socket that was closed makes room."""
    monkeypatch.setattr(user_sockets, "_repeats", user_sockets.Repeats())
    limited = counters.limited["user_sockets"]
    seen: list[Any] = []
    consumer = decorator(consumer_of(kind, lambda message: seen.append(message) or {}))
    with override_settings(ROUTECHAN={"USER_SOCKETS": 2}):
        sockets = [connect(browser.session_key) for _ in range(4)]
        for each in sockets:
            run(consumer, each)
        assert seen == sockets[:2]
        assert counters.limited["user_sockets"] == limited + 2
        assert drain(default_layer, "websocket.send.test!") == [{"accept": False}] * 2
        Group(user_group_name(user)).discard(sockets[0].reply_channel)  # as its end does
        again = connect(browser.session_key)
        run(consumer, again)
        assert seen[2:] == [again]
        run(consumer, connect(None))
        assert len(seen) == 4
    assert [record.getMessage() for record in caplog.records if record.name == "routechan"] == [
        f"WebSocket '/' is refused: user {user.pk} has 2 sockets open already (USER_SOCKETS)"
    ]


def test_without_the_setting(default_layer: SyncChannelLayer, browser: Any, user: User, kind: Kind) -> None:
    """Nobody is refused."""
    seen: list[Any] = []
    consumer = channel_session_user_from_http(consumer_of(kind, lambda message: seen.append(message) or {}))
    for _ in range(5):
        run(consumer, connect(browser.session_key))
    assert len(seen) == Group(user_group_name(user)).count() == 5


def test_other_events_do_not_count(default_layer: SyncChannelLayer, browser: Any, user: User) -> None:
    """Only a handshake can be refused."""
    with override_settings(ROUTECHAN={"USER_SOCKETS": 1}):
        first = connect(browser.session_key)
        run(channel_session_user_from_http(consumer_of(Kind.PLAIN, lambda message: None)), first)
        for _ in range(3):
            run(http_session_user(consumer_of(Kind.PLAIN, lambda message: None)), receive(first))
    assert Group(user_group_name(user)).count() == 1


@pytest.mark.parametrize("value", [0, "many", True])
def test_what_is_no_limit(value: Any) -> None:
    """A mistake in the setting is told."""
    with override_settings(ROUTECHAN={"USER_SOCKETS": value}), pytest.raises(ImproperlyConfigured, match="int of at"):
        conf.user_socket_limit()
