"""The logins of open sockets: when they end, and what becomes of the sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends import db, signed_cookies
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import override_settings

from routechan import Message
from routechan.inspection import Kind
from routechan_django.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
    sockets_of_user,
    transfer_user,
)
from routechan_django.generic.websockets import WebsocketConsumer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import channel_session, logins
from routechan_django.sessions.logins import LoginChecks
from routechan_django.test import WSClient, apply_routes
from tests.unit.django.helpers import (
    consumer_of,
    cookie,
    log_in,
    message,
    nothing,
    queries,
    run,
    run_decorated,
    stored,
)

__all__ = ["queries"]

BACKEND = "django.contrib.auth.backends.ModelBackend"
READ, USER = "SELECT django_session", "SELECT auth_user"
ANONYMOUS = {"ON_LOGOUT": "anonymous"}


class Clock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which logins are looked up again."""
    made = Clock()
    monkeypatch.setattr(logins, "checks", LoginChecks(made))
    monkeypatch.setattr(logins, "CLOSE_AGAIN", 3600.0)  # not by the clock on the wall, in a test that takes long
    return made


@pytest.fixture
def browser(user: User) -> Any:
    """The session of a browser where the user is logged in."""
    session = log_in(db.SessionStore(), user)
    session.create()
    return session


def request_of(session: Any, user: Any = None) -> HttpRequest:
    request = HttpRequest()
    request.session = session
    if user is not None:
        request.user = user
    return request


def users_of(decorator: Any, kind: Kind, *messages: Message) -> list[Any]:
    """``message.user`` of each message whose consumer runs."""
    seen: list[Any] = []

    def act(message: Any) -> dict[str, Any]:
        seen.append(message.user)
        return {}

    for each in messages:
        run(decorator(consumer_of(kind, act)), each)
    return seen


def closes(layer: ChannelLayerWrapper, first: Message) -> list[Any]:
    """What was sent to a socket; no other socket of the test may have got anything."""
    return received(layer).pop(first["reply_channel"], [])


def received(layer: ChannelLayerWrapper) -> dict[str, list[Any]]:
    """What was sent to sockets, by reply channel."""
    found: dict[str, list[Any]] = {}
    while True:
        channel, content = layer.receive(["websocket.send.test!"])
        if channel is None:
            return found
        found.setdefault(channel, []).append(content)


def opened(
    browser: Any, layer: Any, kind: Kind = Kind.PLAIN, decorator: Any = channel_session_user_from_http
) -> Message:
    first = message({"path": "/", "headers": cookie(browser.session_key)}, "websocket.connect", layer)
    run_decorated(decorator, kind, nothing, first)
    return first


def next_event(first: Message, layer: Any, channel: str = "websocket.receive") -> Message:
    return message({"path": "/", "text": "hello"}, channel, layer, reply_channel=first["reply_channel"])


def expire(browser: Any, user: User) -> None:
    Session.objects.filter(pk=browser.session_key).update(expire_date="2017-09-15T00:00Z")


def log_out(browser: Any, user: User) -> None:
    auth.logout(request_of(db.SessionStore(browser.session_key), user))


def log_in_another(browser: Any, user: User) -> None:
    other = User.objects.create(username=f"{user.username} other", password="x")
    auth.login(request_of(db.SessionStore(browser.session_key)), other, BACKEND)


def delete(browser: Any, user: User) -> None:
    db.SessionStore(browser.session_key).delete()


def log_in_another_under_the_same_key(browser: Any, user: User) -> None:
    session = db.SessionStore(browser.session_key)
    log_in(session, User.objects.create(username=f"{user.username} third", password="x")).save()


ENDS = [expire, log_out, log_in_another, delete, log_in_another_under_the_same_key]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("decorator", [channel_session_user_from_http, channel_and_http_session_user_from_http])
def test_closed_when_the_browser_s_login_ends(
    layer: ChannelLayerWrapper, browser: Any, user: User, kind: Kind, clock: Clock, end: Any, decorator: Any
) -> None:
    """AU-02: at its next event the socket is closed with 1008, and the consumer does not run."""
    first = opened(browser, layer, kind, decorator)
    clock.now += 60
    assert users_of(channel_session_user, kind, next_event(first, layer)) == [user]
    assert closes(layer, first) == []
    end(browser, user)
    assert closes(layer, first) == ([{"close": 1008}] if end is log_out else [])  # a logout tells the socket at once
    clock.now += 60
    assert users_of(channel_session_user, kind, next_event(first, layer), next_event(first, layer)) == []
    assert closes(layer, first) == [{"close": 1008}] * 2
    # Whose socket it was the disconnect consumer is told.
    over = next_event(first, layer, "websocket.disconnect")
    assert users_of(channel_session_user, kind, over) == [user]


@pytest.mark.parametrize("end", ENDS)
def test_anonymous_where_that_is_wanted(
    layer: ChannelLayerWrapper, browser: Any, user: User, kind: Kind, clock: Clock, end: Any
) -> None:
    """AU-02: with ``ON_LOGOUT`` it goes on as an anonymous one; what was stored for the user is gone."""
    with override_settings(ROUTECHAN=ANONYMOUS):
        first = opened(browser, layer, kind)
        end(browser, user)
        clock.now += 60
        for _ in range(2):
            assert users_of(channel_session_user, kind, next_event(first, layer)) == [AnonymousUser()]
        assert closes(layer, first) == []
        assert stored(first["reply_channel"]) == {}


def test_looked_up_every_few_seconds(
    layer: ChannelLayerWrapper, browser: Any, clock: Clock, queries: list[str]
) -> None:
    """AU-02: within ``LOGIN_CHECK_INTERVAL``, 5 s, a login counts as found; after it, one query more.

    The user costs one where it is used.
    """
    first = opened(browser, layer)

    def cost() -> list[str]:
        queries.clear()
        run_decorated(channel_session_user, Kind.PLAIN, nothing, next_event(first, layer))
        return sorted(queries)

    usual = [READ]
    clock.now += 4.9
    assert cost() == usual
    clock.now += 0.2
    assert cost() == [READ, READ]
    clock.now += 4.9
    assert cost() == usual
    with override_settings(ROUTECHAN={"LOGIN_CHECK_INTERVAL": 0}):
        assert cost() == cost() == [READ, READ]
    delete(browser, User())
    assert cost() == usual
    clock.now += 5.1
    assert cost() == [READ, READ]


def test_sockets_of_a_browser_share_the_look(layer: ChannelLayerWrapper, browser: Any, clock: Clock) -> None:
    """Many sockets with one session are looked up once."""
    sockets = [opened(browser, layer) for _ in range(3)]
    clock.now += 60
    for first in sockets:
        run_decorated(channel_session_user, Kind.PLAIN, nothing, next_event(first, layer))
    assert len(logins.checks._found_at) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten."""
    monkeypatch.setattr(logins, "REMEMBERED", 3)
    checks = LoginChecks()
    for number in (0, 1, 2, 0, 3, 4):
        checks.remember(str(number), "1")
    assert [key for key, _ in checks._found_at] == ["0", "3", "4"]


def change_password(user: User) -> None:
    user.set_password("new")
    user.save()


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def remove(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


@pytest.mark.parametrize("end", [change_password, deactivate, remove])
def test_a_user_who_may_not_log_in_any_more(
    layer: ChannelLayerWrapper, browser: Any, user: User, kind: Kind, clock: Clock, end: Any
) -> None:
    """AU-03: a new password, a deactivated or deleted user: anonymous at the very next event, as in 1.x."""
    first = opened(browser, layer, kind)
    end(user)
    assert users_of(channel_session_user, kind, next_event(first, layer)) == [AnonymousUser()]


def test_a_login_on_the_socket_itself(layer: ChannelLayerWrapper, browser: Any, user: User, clock: Clock) -> None:
    """A login that a consumer makes in the channel session ends with the socket, whatever the browser does."""
    other = User.objects.create(username=f"{user.username} other", password="x")
    first = opened(browser, layer)

    @channel_session_user
    def log_in_here(message: Any) -> None:
        auth.login(request_of(message.channel_session), other, BACKEND)

    log_in_here(next_event(first, layer))
    browser.flush()
    clock.now += 60
    assert users_of(channel_session_user, Kind.PLAIN, next_event(first, layer)) == [other]
    name = first["reply_channel"]
    assert sockets_of_user(other).channels() == [name]
    assert sockets_of_user(user).channels() == []

    @channel_session_user
    def log_out_here(message: Any) -> None:
        auth.logout(request_of(message.channel_session, message.user))

    log_out_here(next_event(first, layer))
    assert sockets_of_user(other).channels() == []
    assert closes(layer, first) == []
    assert users_of(channel_session_user, Kind.PLAIN, next_event(first, layer)) == [AnonymousUser()]
    other.delete()


def test_a_login_that_a_consumer_transfers(layer: ChannelLayerWrapper, browser: Any, user: User, clock: Clock) -> None:
    """AU-01: ``transfer_user`` ties the channel session to the browser's, as the decorators do."""

    @http_session_user
    @channel_session
    def own(message: Any) -> None:
        transfer_user(message.http_session, message.channel_session)

    first = message({"path": "/", "headers": cookie(browser.session_key)}, "websocket.connect", layer)
    own(first)
    assert users_of(channel_session_user, Kind.PLAIN, next_event(first, layer)) == [user]
    browser.flush()
    clock.now += 60
    assert users_of(channel_session_user, Kind.PLAIN, next_event(first, layer)) == []


def test_signed_cookies(layer: ChannelLayerWrapper, user: User, clock: Clock) -> None:
    """With HTTP sessions in signed cookies, which nobody can end, the socket's login ends when the cookie expires."""
    with override_settings(
        SESSION_ENGINE=signed_cookies.__name__, CHANNEL_SESSION_ENGINE=db.__name__, SESSION_COOKIE_AGE=100
    ):
        session = log_in(signed_cookies.SessionStore(), user)
        session.save()
        first = opened(session, layer)
        clock.now += 60
        assert users_of(channel_session_user, Kind.PLAIN, next_event(first, layer)) == [user]
    with override_settings(
        SESSION_ENGINE=signed_cookies.__name__, CHANNEL_SESSION_ENGINE=db.__name__, SESSION_COOKIE_AGE=-1
    ):
        clock.now += 60
        assert users_of(channel_session_user, Kind.PLAIN, next_event(first, layer)) == []


class Profile(WebsocketConsumer):
    """A class of the project."""

    http_user = True

    def receive(self, text: str | None = None, bytes: bytes | None = None, **kwargs: Any) -> None:
        self.send(text=self.message.user.username)  # type: ignore[attr-defined]


def test_a_class(layer: ChannelLayerWrapper, user: User, clock: Clock) -> None:
    """GN-09: a class with ``http_user`` is closed like any other consumer."""
    with apply_routes([Profile.as_route()]):
        client = WSClient()
        client.force_login(user)
        client.send_and_consume("websocket.connect")
        client.send_and_consume("websocket.receive", text="who")
        assert client.receive(json=False) == user.username
        client.session.flush()
        clock.now += 60
        client.send_and_consume("websocket.receive", text="who")
        assert client.receive() == {"close": 1008}


@pytest.fixture(autouse=True)
def no_users_left() -> Iterator[None]:
    """What tests make beside the ``user`` fixture."""
    before = set(User.objects.values_list("pk", flat=True))
    yield
    User.objects.exclude(pk__in=before).delete()
