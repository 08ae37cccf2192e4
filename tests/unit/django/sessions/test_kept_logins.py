"""The login of an open socket of this process: no query an event, and no longer than it holds."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import override_settings
from django.test.utils import isolate_apps

from routechan import Group
from routechan.inspection import Kind
from routechan.interfaces import CHANGED
from routechan_django.auth import channel_session_user, channel_session_user_from_http
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import decorators, enforce_ordering, logins, session_for_reply_channel
from tests.unit.django.helpers import cookie, queries

from .sockets import Socket, opened
from .test_logins import Clock, browser, change_password, clock, deactivate, log_out, no_users_left, remove, request_of

__all__ = ["browser", "clock", "no_users_left", "queries"]

READ, USER = "SELECT django_session", "SELECT auth_user"
CREATE, REMOVE = "INSERT django_session", "DELETE django_session"


@pytest.fixture(params=[Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of consumer whose events run one after another."""
    return request.param


@pytest.fixture(
    params=[channel_session_user, lambda func: enforce_ordering(channel_session_user(func))], ids=["", "ordered"]
)
def decorator(request: pytest.FixtureRequest) -> Any:
    """What stands before the consumers of later events."""
    return request.param


@pytest.fixture
async def socket(
    layer: ChannelLayerWrapper, kind: Kind, decorator: Any, browser: Any, clock: Clock
) -> AsyncIterator[Socket]:
    """A socket of a browser where the user is logged in."""
    headers: Any = [tuple(pair) for pair in cookie(browser.session_key)]
    async with opened(layer, kind, decorator, channel_session_user_from_http, headers) as made:
        yield made


def user_of(message: Any) -> Any:
    return message.user


def name_of(message: Any) -> str:
    return str(message.user.first_name)


async def test_no_query_an_event(socket: Socket, user: User, queries: list[str]) -> None:
    """AU-02, AU-05: the user that the connect consumer has found is that of later events, used or not."""
    queries.clear()
    for _ in range(3):
        assert await socket.event(user_of) == user
        await socket.event(lambda message: None)
    assert queries == []


@pytest.mark.parametrize(
    ("decorator", "last"),
    [(lambda func: func, [REMOVE]), (channel_session_user, [READ, USER, REMOVE])],
    ids=["undecorated", "decorated"],
    indirect=["decorator"],
)
async def test_a_visit(
    layer: ChannelLayerWrapper, kind: Kind, decorator: Any, last: list[str], browser: Any, queries: list[str]
) -> None:
    """AU-05, SE-12: what a socket costs that comes and goes; its end does not read a row only to remove it."""
    headers: Any = [tuple(pair) for pair in cookie(browser.session_key)]
    queries.clear()
    async with opened(layer, kind, decorator, channel_session_user_from_http, headers) as socket:
        await socket.close(lambda message: getattr(message, "user", None) and str(message.user))
    assert queries == [READ, USER, CREATE, *last]


async def test_looked_at_every_few_seconds(socket: Socket, user: User, clock: Clock, queries: list[str]) -> None:
    """AU-02: after ``LOGIN_CHECK_INTERVAL`` the session, the browser's and the user are read again."""
    queries.clear()
    clock.now += 4.9
    assert await socket.event(user_of) == user
    assert queries == []
    clock.now += 0.2
    assert await socket.event(user_of) == user
    assert sorted(queries) == [USER, READ, READ]
    assert await socket.event(user_of) == user
    assert len(queries) == 3
    with override_settings(ROUTECHAN={"LOGIN_CHECK_INTERVAL": 0}):
        for number in (6, 9):
            assert await socket.event(user_of) == user
            assert len(queries) == number


@pytest.mark.parametrize("kind", [Kind.ASYNC], indirect=True)
async def test_no_thread(socket: Socket, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """AU-02: an async consumer costs no thread where the login was looked at."""

    def refuse(function: Any) -> Any:
        raise AssertionError(function)

    monkeypatch.setattr(decorators, "sync_to_async", refuse)
    assert await socket.event(user_of) == user


async def test_nobody(layer: ChannelLayerWrapper, kind: Kind, queries: list[str]) -> None:
    """AU-02: an anonymous socket costs no query, whatever the interval."""
    async with opened(layer, kind, channel_session_user) as socket:
        with override_settings(ROUTECHAN={"LOGIN_CHECK_INTERVAL": 0}):
            assert await socket.event(user_of) == AnonymousUser()
        assert queries == []


async def test_each_event_has_a_user_of_its_own(socket: Socket) -> None:
    """AU-02: what a consumer changes in it, or looks up through it, is gone with the event."""

    def change(message: Any) -> None:
        message.user.first_name = "changed"
        message.user._perm_cache = set()
        message.user._state.fields_cache["other"] = message.user

    def look(message: Any) -> Any:
        return message.user.first_name, hasattr(message.user, "_perm_cache"), message.user._state.fields_cache

    await socket.event(change)
    assert await socket.event(look) == ("", False, {})


async def test_a_logout_here(socket: Socket, browser: Any, user: User) -> None:
    """AU-02: a logout in this process closes the socket at once."""
    await socket.event(user_of)
    await sync_to_async(log_out)(browser, user)
    assert (await socket.client.event())["code"] == 1008


async def test_a_session_that_ended(socket: Socket, browser: Any, user: User, clock: Clock) -> None:
    """AU-02: a browser's session that is gone, and nobody said so, closes the socket within the interval."""
    await socket.event(user_of)
    await sync_to_async(Session.objects.filter(pk=browser.session_key).delete)()
    assert await socket.event(user_of) == user
    clock.now += 5.1
    seen: list[Any] = []
    socket._acts.append(seen.append)
    socket.client.send("x")
    assert (await socket.client.event())["code"] == 1008
    assert seen == []
    socket._acts.clear()


@pytest.mark.parametrize("end", [change_password, remove])
async def test_a_user_who_may_not_log_in(socket: Socket, user: User, end: Any) -> None:
    """AU-03: a new password, or a user who is deleted: anonymous at the very next event."""
    assert await socket.event(user_of) == user
    await sync_to_async(end)(user)
    assert await socket.event(user_of) == AnonymousUser()


async def test_the_session_of_a_void_login(socket: Socket, user: User) -> None:
    """AU-03: it is empty before the consumer begins, whether that uses the user or not."""
    await socket.event(lambda message: None)
    await sync_to_async(change_password)(user)
    assert await socket.data() == {}


async def test_a_user_who_is_deactivated(socket: Socket, user: User, clock: Clock) -> None:
    """AU-03: likewise one who is saved; what SQL does is found within the interval."""
    user.is_active = False
    await sync_to_async(user.save)()
    assert await socket.event(user_of) == AnonymousUser()
    user.is_active = True
    await sync_to_async(user.save)()
    assert await socket.event(user_of) == user
    await sync_to_async(deactivate)(user)
    clock.now += 5.1
    assert await socket.event(user_of) == AnonymousUser()


async def test_a_user_who_is_saved_here(socket: Socket, user: User) -> None:
    """AU-02: whatever this process saves of a user is seen by the next event."""
    assert await socket.event(name_of) == ""
    user.first_name = "Joe"
    await sync_to_async(user.save)()
    assert await socket.event(name_of) == "Joe"


@isolate_apps("django.contrib.auth")
def test_a_user_who_is_saved_through_a_proxy(user: User) -> None:
    """AU-02: many a project has a proxy of its users in the admin."""

    class Member(User):
        class Meta:
            proxy = True
            app_label = "auth"

    logins.watch_users(User)
    before = logins.checks.version(str(user.pk))
    Member.objects.get(pk=user.pk).save()
    assert logins.checks.version(str(user.pk)) != before


async def test_a_transaction_that_saves_a_user(socket: Socket, user: User) -> None:
    """AU-02: what it has not committed is not remembered for longer."""

    def save() -> None:
        with transaction.atomic():
            user.first_name = "Joe"
            user.save()
            versions.append(logins.checks.version(str(user.pk)))
        versions.append(logins.checks.version(str(user.pk)))

    versions: list[Any] = []
    await sync_to_async(save)()
    assert versions[0] != versions[1]
    assert await socket.event(name_of) == "Joe"


async def test_flushed_elsewhere(socket: Socket, user: User) -> None:
    """AU-03: who empties the channel session of a socket logs it out."""
    assert await socket.event(user_of) == user
    await sync_to_async(lambda: session_for_reply_channel(socket.name).flush())()
    assert await socket.event(user_of) == AnonymousUser()


@pytest.mark.parametrize("kind", [Kind.PLAIN], indirect=True)
async def test_a_login_on_the_socket(socket: Socket, user: User) -> None:
    """AU-02: a login, or a logout, in a consumer holds from the next event on."""
    other = await sync_to_async(User.objects.create)(username=f"{user.username} other", password="x")
    backend = "django.contrib.auth.backends.ModelBackend"
    await socket.event(lambda message: auth.login(request_of(message.channel_session), other, backend))
    assert await socket.event(user_of) == other
    await socket.event(lambda message: auth.logout(request_of(message.channel_session, other)))
    assert await socket.event(user_of) == AnonymousUser()


# Other processes


@pytest.mark.parametrize(
    ("change", "fields", "told"),
    [
        ({"password": "new"}, None, True),
        ({"password": "new"}, ["password"], True),
        ({"is_active": False}, None, True),
        ({"first_name": "Joe"}, None, False),
        ({"first_name": "Joe"}, ["first_name"], False),
        ({}, ["last_login"], False),
    ],
)
def test_other_processes_are_told(
    layer: ChannelLayerWrapper, user: User, monkeypatch: pytest.MonkeyPatch, change: Any, fields: Any, told: bool
) -> None:
    """AU-03: through the group of the user's sockets, of what ends a login, and of nothing else."""
    sent: list[Any] = []
    monkeypatch.setattr(Group, "send", lambda self, content, **more: sent.append((self.name, content)))
    for name, value in change.items():
        if name == "password":
            user.set_password(value)
        else:
            setattr(user, name, value)
    user.save(update_fields=fields)
    assert sent == ([(logins.user_group_name(user), {CHANGED: True})] if told else [])


async def test_a_socket_that_is_told(socket: Socket, user: User, queries: list[str]) -> None:
    """AU-03: it reads its session and its user at the next event."""
    await socket.event(user_of)
    queries.clear()
    await logins.user_group(user).asend({CHANGED: True})
    assert await socket.event(user_of) == user
    assert sorted(queries) == [USER, READ]


def test_a_user_is_saved_whatever_happens(
    layer: ChannelLayerWrapper, user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """AU-03: where the layer can't be reached, the sockets of others find out within the interval."""

    def fails(*args: Any, **more: Any) -> None:
        raise OSError("no Redis")

    monkeypatch.setattr(Group, "send", fails)
    with caplog.at_level(logging.WARNING, "routechan"):
        change_password(user)
    assert User.objects.get(pk=user.pk).check_password("new")
    assert "could not be told that a user may not log in" in caplog.text


def test_what_is_known_of_users_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many users are saved, what is remembered of all is out of date."""
    monkeypatch.setattr(logins, "REMEMBERED", 3)
    checks = logins.LoginChecks()
    before = checks.version("0")
    for number in range(1, 5):
        checks.user_changed(str(number))
    assert checks.version("0") != before
    assert len(checks._versions) <= 3
