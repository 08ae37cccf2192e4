"""Users for consumers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.test import override_settings

from routechan import Message
from routechan.kinds import Kind
from routechan_django.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
    transfer_user,
)
from routechan_django.sessions import session_for_reply_channel

from .around import consumer_of, message, new_reply_channel, run

BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def user() -> Iterator[User]:
    made = User.objects.create(username=new_reply_channel(), password="x")
    yield made
    User.objects.filter(username=made.username).delete()


def log_in(session: Any, user: User) -> Any:
    session[auth.SESSION_KEY] = str(user.pk)
    session[auth.BACKEND_SESSION_KEY] = BACKEND
    session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    return session


@pytest.fixture
def browser(user: User) -> Any:
    """The session of a browser where the user is logged in."""
    session = log_in(db.SessionStore(), user)
    session.create()
    return session


def connect(key: str | None = None, **more: Any) -> Message:
    headers = [] if key is None else [[b"cookie", f"{settings.SESSION_COOKIE_NAME}={key}".encode()]]
    return message({"path": "/", "headers": headers, **more}, "websocket.connect")


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
    login = {auth.SESSION_KEY: "1", auth.BACKEND_SESSION_KEY: BACKEND, auth.HASH_SESSION_KEY: "h"}
    source, target = db.SessionStore(), db.SessionStore()
    source._session_cache = {**login, "other": 1}
    target._session_cache = {}
    transfer_user(source, target)
    assert dict(target.items()) == login
    assert target.modified
    target.modified = False
    transfer_user(source, target)
    assert not target.modified
    source._session_cache = {auth.SESSION_KEY: "2", auth.BACKEND_SESSION_KEY: BACKEND}
    transfer_user(source, target)
    assert dict(target.items()) == login


def test_user_of_the_channel_session(user: User, kind: Kind) -> None:
    """AU-02: the user stored in the channel session, or AnonymousUser."""
    name = new_reply_channel()
    assert users_of(channel_session_user, kind, message(reply_channel=name)) == [AnonymousUser()]
    log_in(session := session_for_reply_channel(name), user)
    session.save()
    assert users_of(channel_session_user, kind, message(reply_channel=name)) == [user]


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
        assert users_of(channel_session_user, kind, message(reply_channel=name)) == [user]
        assert users_of(http_session_user, kind, connect(browser.session_key)) == [user]
    # Saved with the hash of today's secret, under the same key.
    assert users_of(channel_session_user, kind, message(reply_channel=name)) == [user]
    assert users_of(http_session_user, kind, connect(browser.session_key)) == [user]


def test_user_of_the_http_session(user: User, browser: Any, kind: Kind) -> None:
    """AU-04: the browser's user, and AnonymousUser, never None, where there is no session."""
    assert users_of(http_session_user, kind, connect(browser.session_key), connect()) == [user, AnonymousUser()]


def test_from_http(user: User, browser: Any, kind: Kind) -> None:
    """AU-05: the browser's user, who is in the channel session for later messages."""
    first = connect(browser.session_key)
    assert users_of(channel_session_user_from_http, kind, first) == [user]
    later = message(reply_channel=first["reply_channel"], path="/")
    assert users_of(channel_session_user, kind, later) == [user]
    assert dict(session_for_reply_channel(first["reply_channel"]).items()) == {
        name: browser[name] for name in (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY)
    }


def test_from_http_without_a_session(kind: Kind) -> None:
    """AU-05: no browser's session: anonymous, and nothing is transferred."""
    first = connect()
    assert users_of(channel_session_user_from_http, kind, first) == [AnonymousUser()]
    assert dict(session_for_reply_channel(first["reply_channel"]).items()) == {}


def test_from_http_on_later_messages(user: User, browser: Any, kind: Kind) -> None:
    """AU-06: without cookies the user is anonymous, although the channel session holds one, who stays there."""
    first = connect(browser.session_key)
    later = message(reply_channel=first["reply_channel"], path="/")
    assert users_of(channel_session_user_from_http, kind, first, later) == [user, AnonymousUser()]
    assert session_for_reply_channel(first["reply_channel"])[auth.SESSION_KEY] == str(user.pk)


def test_all_from_http(user: User, browser: Any, kind: Kind) -> None:
    """AU-07: later messages have the browser's session, and are anonymous unless channel_session_user is further in."""
    first = connect(browser.session_key)
    later: Any = message(reply_channel=first["reply_channel"], path="/")
    decorator = channel_and_http_session_user_from_http
    assert users_of(decorator, kind, first, later) == [user, AnonymousUser()]
    assert later.http_session.session_key == browser.session_key
    again = message(reply_channel=first["reply_channel"], path="/")
    assert users_of(lambda func: decorator(channel_session_user(func)), kind, again) == [user]


@pytest.mark.parametrize(
    "decorator",
    [
        channel_session_user,
        http_session_user,
        channel_session_user_from_http,
        channel_and_http_session_user_from_http,
    ],
)
def test_result_and_arguments(decorator: Any, kind: Kind) -> None:
    """AU-08, AU-09: arguments reach the function and its result comes back, each with its sessions."""
    consumer = decorator(consumer_of(kind, lambda message, room: {"text": room}))
    result = run(consumer, connect(), room="a")
    assert result == ([{"text": "a"}] if "stream" in kind.value else {"text": "a"})


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
