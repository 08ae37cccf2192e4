"""Users for consumers."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.test import override_settings

from routechan import Message
from routechan.inspection import Kind
from routechan_django.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
    transfer_user,
)
from routechan_django.sessions import session_for_reply_channel

from .helpers import connect, consumer_of, log_in, message, new_reply_channel, receive, run, stored


@pytest.fixture
def browser(user: User) -> Any:
    """The session of a browser where the user is logged in."""
    session = log_in(db.SessionStore(), user)
    session.create()
    return session


def users_of(decorator: Any, kind: Kind, *messages: Message) -> list[Any]:
    """``message.user`` of each message, as a consumer of this kind sees it."""
    seen: list[Any] = []

    def act(message: Any) -> dict[str, Any]:
        seen.append(message.user)
        return {}

    consumer = decorator(consumer_of(kind, act))
    for each in messages:
        run(consumer, each)
    return seen


def test_transfer() -> None:
    """AU-01: the three keys of a login are copied if all are there; nothing else, and nothing for nothing."""
    login = {auth.SESSION_KEY: "1", auth.BACKEND_SESSION_KEY: "b", auth.HASH_SESSION_KEY: "h"}
    source, target = db.SessionStore(), db.SessionStore()
    source._session_cache = {**login, "other": 1}
    target._session_cache = {}
    transfer_user(source, target)
    assert dict(target.items()) == login
    assert target.modified
    target.modified = False
    transfer_user(source, target)
    assert not target.modified
    source._session_cache = {auth.SESSION_KEY: "2", auth.BACKEND_SESSION_KEY: "b"}
    transfer_user(source, target)
    assert dict(target.items()) == login


def test_user_of_the_channel_session(user: User, kind: Kind) -> None:
    """AU-02: the user stored in the channel session, or AnonymousUser."""
    name = new_reply_channel()
    assert users_of(channel_session_user, kind, message(reply_channel=name)) == [AnonymousUser()]
    log_in(session := session_for_reply_channel(name), user)
    session.save()
    assert users_of(channel_session_user, kind, message(reply_channel=name)) == [user]


def test_stays_logged_in(browser: Any, user: User, kind: Kind) -> None:
    """AU-02, SE-12: the user of an open socket stays, when the browser's session has expired long since."""
    first = connect(browser.session_key)
    with override_settings(SESSION_COOKIE_AGE=-1):
        assert users_of(channel_and_http_session_user_from_http, kind, first) == [user]
        Session.objects.filter(pk=browser.session_key).update(expire_date="2017-09-15T00:00Z")
        db.SessionStore.clear_expired()
        assert users_of(channel_session_user, kind, receive(first)) == [user]
        assert users_of(http_session_user, kind, connect(browser.session_key)) == [AnonymousUser()]


def test_password_change(user: User, kind: Kind) -> None:
    """AU-03: after a change of the password the user is anonymous, and the stored session is gone."""
    name = new_reply_channel()
    log_in(session := session_for_reply_channel(name), user)
    session.save(must_create=True)
    user.password = "y"
    user.save()
    assert users_of(channel_session_user, kind, message(reply_channel=name)) == [AnonymousUser()]
    assert not Session.objects.filter(pk=session.session_key).exists()


def test_a_session_made_with_an_older_secret(user: User, kind: Kind) -> None:
    """PL-10: Django makes a new hash and a new key; here the session stays where later events look for it."""
    name = new_reply_channel()
    with override_settings(SECRET_KEY="older"):
        log_in(session := session_for_reply_channel(name), user)
        session.save(must_create=True)
        browser = log_in(db.SessionStore(), user)
        browser.create()
    with override_settings(SECRET_KEY_FALLBACKS=["older"]):
        found = users_of(channel_session_user, kind, message(reply_channel=name))
        assert [*found, *users_of(http_session_user, kind, connect(browser.session_key))] == [user, user]
    # Saved with the hash of today's secret, under the same key.
    found = users_of(channel_session_user, kind, message(reply_channel=name))
    assert [*found, *users_of(http_session_user, kind, connect(browser.session_key))] == [user, user]


def test_user_of_the_http_session(user: User, browser: Any, kind: Kind) -> None:
    """AU-04: the browser's user, and AnonymousUser, never None, where there is no session."""
    assert users_of(http_session_user, kind, connect(browser.session_key), connect()) == [user, AnonymousUser()]


def test_from_http(user: User, browser: Any, kind: Kind) -> None:
    """AU-05: the browser's user, who is in the channel session for later messages."""
    first = connect(browser.session_key)
    assert users_of(channel_session_user_from_http, kind, first) == [user]
    assert users_of(channel_session_user, kind, receive(first)) == [user]
    assert stored(first["reply_channel"]) == dict(browser.items())


def test_from_http_without_a_session(kind: Kind) -> None:
    """AU-05: no browser's session: anonymous, and nothing is transferred."""
    first = connect()
    assert users_of(channel_session_user_from_http, kind, first) == [AnonymousUser()]
    assert stored(first["reply_channel"]) == {}


def test_from_http_on_later_messages(user: User, browser: Any, kind: Kind) -> None:
    """AU-06: without cookies the user is anonymous, although the channel session holds one, who stays there."""
    first = connect(browser.session_key)
    assert users_of(channel_session_user_from_http, kind, first, receive(first)) == [user, AnonymousUser()]
    assert stored(first["reply_channel"])[auth.SESSION_KEY] == str(user.pk)


def test_all_from_http(user: User, browser: Any, kind: Kind) -> None:
    """AU-07: later messages have the browser's session, and are anonymous unless channel_session_user is further in."""
    first = connect(browser.session_key)
    later: Any = receive(first)
    decorator = channel_and_http_session_user_from_http
    assert users_of(decorator, kind, first, later) == [user, AnonymousUser()]
    assert later.http_session.session_key == browser.session_key
    assert users_of(lambda func: decorator(channel_session_user(func)), kind, receive(first)) == [user]


def test_staff_only(user: User, browser: Any) -> None:
    """AU-02, AU-05: what people write: a decorator of their own around the consumer, below ours."""
    user.is_staff = True
    user.save()

    def staff_only(func: Any) -> Any:
        def consumer(message: Any) -> Any:
            return func(message) if message.user.is_staff else "refused"

        return consumer

    @channel_session_user_from_http
    @staff_only
    async def consumer(message: Any) -> str:
        return message.user.username

    assert run(consumer, connect(browser.session_key)) == user.username
    assert run(consumer, connect()) == "refused"
