"""Who knows the name of a reply channel, or the key of a channel session, is nobody for it: attempts to be somebody."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.test import override_settings

from routechan import Message
from routechan.inspection import Kind
from routechan_django.auth import channel_session_user, channel_session_user_from_http, http_session_user
from routechan_django.sessions import channel_session, session_for_reply_channel
from routechan_django.sessions.stores import browser_store
from tests.unit.django.helpers import (
    connect,
    consumer_of,
    cookie,
    key_of,
    log_in,
    message,
    nothing,
    receive,
    run,
    run_decorated,
    stored,
)

from .engines import raw


@pytest.fixture(params=["db", "file", "cache", "cached_db", "raw", "cache for sockets"])
def engine(request: pytest.FixtureRequest, session_files: str) -> Any:
    """Each engine that keeps sessions on the server, one of somebody's own, and different ones for the two kinds."""
    django_s = "django.contrib.sessions.backends."
    settings = {
        "raw": {"SESSION_ENGINE": raw.__name__},
        "cache for sockets": {
            "SESSION_ENGINE": f"{django_s}cached_db",
            "CHANNEL_SESSION_ENGINE": f"{django_s}cache",
        },
    }.get(request.param, {"SESSION_ENGINE": django_s + request.param})
    with override_settings(SESSION_FILE_PATH=session_files, **settings):
        yield request.param


def over_http(header: str) -> tuple[Any, dict[str, Any]]:
    """Who a request with this cookie header is, and what is in its session, by Django's own middleware."""
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.extend((request.user.pk, dict(request.session.items())))
        return HttpResponse()

    request = HttpRequest()
    request.COOKIES = parse_cookie(header)
    SessionMiddleware(AuthenticationMiddleware(view))(request)  # type: ignore[arg-type]
    return seen[0], seen[1]


def names_for(name: str) -> list[str]:
    """What an attacker who has read this source, and the name in a log, could try; and what no attacker knows."""
    digest = hashlib.sha1(name.encode()).hexdigest()
    tried = [name, "chn" + digest[:29], "chn" + hashlib.sha256(name.encode()).hexdigest()[:37], digest]
    return [*tried, key_of(name)]


def put(mine: Message, **data: Any) -> None:
    """Have a consumer store this in its channel session."""
    run_decorated(channel_session, Kind.PLAIN, lambda given: given.channel_session.update(data), mine)


def user_of(decorator: Any, mine: Message) -> Any:
    """The primary key of the user of a message."""
    return run(decorator(consumer_of(Kind.PLAIN, lambda given: given.user.pk)), mine)


def open_socket(user: User) -> Any:
    """The connect of a socket where the user is logged in, by a browser's session of the engine."""
    session = log_in(browser_store(None), user)
    session.create()
    first = connect(session.session_key)
    run_decorated(channel_session_user_from_http, Kind.PLAIN, nothing, first)
    assert stored(first["reply_channel"])[auth.SESSION_KEY] == str(user.pk)
    return first, session


def test_the_name_is_no_credential(engine: str, user: User) -> None:
    """SE-01: neither the name of a reply channel, nor anything made of it, nor the very key, is anybody over HTTP."""
    first, session = open_socket(user)
    assert over_http(f"sessionid={session.session_key}")[0] == user.pk
    for key in names_for(first["reply_channel"]):
        for header in (f"sessionid={key}", f'sessionid="{key}"', f"a=b; sessionid={key}"):
            found, content = over_http(header)
            assert found is None
            assert auth.SESSION_KEY not in content
        for headers, query in ((cookie(key), b""), ([], b"session_key=" + key.encode())):
            mine = message({"path": "/", "headers": headers, "query_string": query}, "http.request")
            assert user_of(http_session_user, mine) is None
            with override_settings(ROUTECHAN={"SESSION_KEY_IN_QUERY": True}):
                assert user_of(http_session_user, connect(headers=headers, query_string=query)) is None
    assert stored(first["reply_channel"])[auth.SESSION_KEY] == str(user.pk)


def test_nothing_is_left_after_a_logout(engine: str, user: User) -> None:
    """SE-01: nor after the browser has logged out, or the socket is gone."""
    first, session = open_socket(user)
    session.flush()
    for key in names_for(first["reply_channel"]):
        assert over_http(f"sessionid={key}")[0] is None


def test_what_a_browser_is_given(engine: str, user: User) -> None:
    """SE-01: where the engine signs or prefixes what it keeps, nothing at all comes out of it under the very key."""
    first, _ = open_socket(user)
    content = over_http(f"sessionid={key_of(first['reply_channel'])}")[1]
    assert content == {} or engine in ("file", "raw")


def test_a_browser_cannot_make_a_channel_session(engine: str, user: User, name: str) -> None:
    """SE-01: what is stored by a browser under the key of a connection logs nobody in on the socket."""
    session = log_in(browser_store(None), user)
    session._session_key = key_of(name)
    session.save(must_create=True)
    assert user_of(channel_session_user, message(reply_channel=name)) is None
    assert stored(name) == {}
    # The connection has a session of its own all the same, where keys are shared at all.
    put(message(reply_channel=name), a=1)
    assert stored(name) == {"a": 1}
    assert over_http(f"sessionid={key_of(name)}")[0] in (None, user.pk)


def test_sockets_of_one_session_share_nothing(engine: str, user: User) -> None:
    """SE-01: a second socket of the same browser has a channel session of its own."""
    first, session = open_socket(user)
    second = connect(session.session_key)
    run_decorated(channel_session_user_from_http, Kind.PLAIN, nothing, second)
    put(receive(first), a=1)
    assert "a" not in stored(second["reply_channel"])
    assert stored(first["reply_channel"])["a"] == 1


def test_login_on_a_socket(engine: str, user: User, name: str) -> None:
    """PL-10: nobody can fix the session of a socket beforehand, so a login there needs no new key; it is HTTP's never.

    What was stored for another user is gone.
    """
    other = User.objects.create(username=f"{name} other", password="x")

    def log(who: User) -> Any:
        def act(message: Any) -> None:
            request = HttpRequest()
            request.session = message.channel_session
            auth.login(request, who, "django.contrib.auth.backends.ModelBackend")

        return act

    put(message(reply_channel=name), a=1)
    key = key_of(name)
    run_decorated(channel_session, Kind.PLAIN, log(user), message(reply_channel=name))
    assert (stored(name)["a"], stored(name)[auth.SESSION_KEY], key_of(name)) == (1, str(user.pk), key)
    run_decorated(channel_session, Kind.PLAIN, log(other), message(reply_channel=name))
    assert stored(name)[auth.SESSION_KEY] == str(other.pk)
    assert "a" not in stored(name)
    for tried in names_for(name):
        assert over_http(f"sessionid={tried}")[0] is None
    other.delete()


def test_a_new_secret(user: User, name: str) -> None:
    """SE-01, PL-10: sockets outlive the worker that has the old SECRET_KEY; their sessions move to the new one."""
    with override_settings(SECRET_KEY="older"):
        session = session_for_reply_channel(name)
        session["a"] = 1
        session.save()
        old = session.session_key
    assert stored(name) == {}
    with override_settings(SECRET_KEY_FALLBACKS=["oldest", "older"]):
        assert session_for_reply_channel(name).session_key == old
        put(message(reply_channel=name), b=1)
    assert stored(name) == {"a": 1, "b": 1}
    assert not db.SessionStore().exists(str(old))
