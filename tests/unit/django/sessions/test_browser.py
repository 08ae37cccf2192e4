"""The session of the browser that opened a connection."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends import db, signed_cookies
from django.contrib.sessions.models import Session
from django.test import override_settings

from routechan import Message
from routechan.inspection import Kind
from routechan_django.sessions import channel_and_http_session, channel_session, http_session
from tests.unit.django.helpers import (
    Mistake,
    connect,
    consumer_of,
    cookie,
    message,
    nothing,
    receive,
    returned,
    run,
    run_decorated,
    stored,
)


def session_in(mine: Message) -> Any:
    """The session that ``http_session`` finds for a message."""
    http_session(nothing)(mine)
    return mine.http_session  # type: ignore[attr-defined]


def species(key: str | None) -> Any:
    """What is stored in the browser's session."""
    return db.SessionStore(key)["species"]


def look(message: Any) -> dict[str, Any]:
    return {"text": message.http_session["species"]}


def change(message: Any, then: Any = None) -> dict[str, Any]:
    message.http_session["species"] = "hare" if then is None else "lost"
    if then is not None:
        raise then
    return {}


# http_session


@pytest.mark.parametrize("decorator", [http_session, channel_and_http_session])
def test_from_the_cookie(browser: Any, kind: Kind, decorator: Any) -> None:
    """SE-29, SE-30, SE-35: the session of the cookie, for consumers of every kind, whose result comes back."""
    result = run_decorated(decorator, kind, look, connect(browser.session_key))
    assert result == returned(kind, {"text": "rabbit"})


def test_the_content_says_it_is_no_request(browser: Any) -> None:
    """SE-28, OB-25: ``method`` is FAKE in the content of a message without one, and stays what it is in others."""
    request = message({"path": "/", "method": "GET"}, "http.request")
    for mine, method in ((connect(browser.session_key), "FAKE"), (request, "GET")):
        session_in(mine)
        assert mine["method"] == method


def test_the_body_is_left_alone(browser: Any, layer: Any) -> None:
    """SE-28, OB-25: chunks of a request's body stay where the consumer can read them."""
    layer.send("http.request.body?a", {"content": b"x"})
    session_in(message({"path": "/", "method": "POST", "body_channel": "http.request.body?a"}, "http.request", layer))
    assert layer.receive(["http.request.body?a"])[1] == {"content": b"x"}


@pytest.mark.parametrize(
    ("mine", "text"),
    [
        (message({"id": 1}, "thumbnail"), r"with a 'path'.* this one on 'thumbnail' has 'reply_channel', 'id'"),
        (connect(headers=[[b"cookie"]]), "the session key cannot be read from 'websocket.connect'"),
    ],
    ids=["no path", "a header without a value"],
)
def test_what_cannot_be_read(mine: Message, text: str) -> None:
    """SE-28: whatever is wrong, it is a ValueError, with the cause's text."""
    with pytest.raises(ValueError, match=text):
        session_in(mine)


QUERIES = ["session_key=KEY", b"a=1&session_key=KEY"]


def with_key(value: Any, key: str) -> Any:
    return value.replace(b"KEY", key.encode()) if isinstance(value, bytes) else value.replace("KEY", key)


@pytest.mark.parametrize("query_string", QUERIES)
def test_no_key_from_the_url(browser: Any, query_string: Any) -> None:
    """SE-29: a key in a URL opens no session, on any channel, with a cookie or without."""
    query_string = with_key(query_string, browser.session_key)
    own = db.SessionStore()
    own.create()
    for channel in ("websocket.connect", "websocket.receive", "http.request"):
        for headers, key in ((cookie(own.session_key), own.session_key), ([], None)):
            mine = message({"path": "/", "headers": headers, "query_string": query_string}, channel)
            found = session_in(mine)
            assert (found and found.session_key) == key


@pytest.mark.parametrize("query_string", QUERIES)
def test_a_key_from_the_url_where_that_is_wanted(browser: Any, query_string: Any) -> None:
    """SE-29: with the setting it opens a socket that has no cookie; the cookie wins, and requests have cookies only."""
    query_string = with_key(query_string, browser.session_key)
    own = db.SessionStore()
    own.create()
    with override_settings(ROUTECHAN={"SESSION_KEY_IN_QUERY": True}):
        assert session_in(connect(query_string=query_string)).session_key == browser.session_key
        assert session_in(connect(headers=[[b"cookie", b"sessionid="]], query_string=query_string)) is not None
        assert session_in(connect(own.session_key, query_string=query_string)).session_key == own.session_key
        assert session_in(connect("b" * 32, query_string=query_string)).get("species") is None
        for channel in ("websocket.receive", "http.request"):
            assert session_in(message({"path": "/", "headers": [], "query_string": query_string}, channel)) is None


@pytest.mark.parametrize("name", [b"session_key", b"sessionid", b"x-session-key", b"authorization", b"x-cookie"])
def test_no_key_from_other_headers(browser: Any, name: bytes) -> None:
    """SE-29: the cookie of that name is the only credential."""
    key = browser.session_key.encode()
    assert session_in(connect(headers=[[name, key], [b"cookie", b"session_key=" + key]])) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": b"sessionid=KEY"},
        [("Cookie", "sessionid=KEY")],
        [(b"host", b"a"), (b"cookie", b"a=b"), (b"cookie", b"sessionid=KEY")],
        [[b"cookie", b'a="x;y"; sessionid="KEY"']],
    ],
)
def test_ways_to_write_cookies(browser: Any, headers: Any) -> None:
    """SE-29: headers as a list or in the dict of older test clients, cookies quoted or in several headers."""

    key = browser.session_key
    if isinstance(headers, dict):
        headers = {name: with_key(value, key) for name, value in headers.items()}
    else:
        headers = [(name, with_key(value, key)) for name, value in headers]
    assert session_in(message(path="/", headers=headers))["species"] == "rabbit"


def test_engine(browser: Any) -> None:
    """SE-29: the browser's sessions are in SESSION_ENGINE, whatever CHANNEL_SESSION_ENGINE says; signed cookies too."""
    with override_settings(CHANNEL_SESSION_ENGINE="django.contrib.sessions.backends.cache"):
        assert session_in(connect(browser.session_key))["species"] == "rabbit"
    with override_settings(SESSION_ENGINE=signed_cookies.__name__):
        session = signed_cookies.SessionStore()
        session["species"] = "cat"
        session.save()
        assert session_in(connect(session.session_key))["species"] == "cat"


def test_no_key(kind: Kind) -> None:
    """SE-30: without a key there is no session, None, however often it is decorated."""
    mine: Any = connect()
    run_decorated(http_session, kind, nothing, mine)
    assert mine.http_session is None
    run_decorated(lambda func: http_session(http_session(func)), kind, nothing, connect())


def test_an_unknown_key(kind: Kind) -> None:
    """SE-30: an unknown key is an empty store; none is created, even where the consumer stores something."""
    count = Session.objects.count()

    def act(message: Any) -> dict[str, Any]:
        assert dict(message.http_session.items()) == {}
        assert message.http_session.session_key is None
        return change(message)

    run_decorated(http_session, kind, act, connect("b" * 32))
    assert Session.objects.count() == count


def test_saved(browser: Any, kind: Kind) -> None:
    """SE-31: a change is saved after the call, and not where the consumer raised."""
    run_decorated(http_session, kind, change, connect(browser.session_key))
    assert species(browser.session_key) == "hare"
    with pytest.raises(Mistake):
        run_decorated(http_session, kind, change, connect(browser.session_key), then=Mistake)
    assert species(browser.session_key) == "hare"


def test_logout_makes_no_new_session(browser: Any) -> None:
    """SE-30, SE-31: after flush() nothing is saved: no browser would know of it."""
    count = Session.objects.count()
    http_session(lambda message: message.http_session.flush())(connect(browser.session_key))
    assert Session.objects.count() == count - 1


def test_nested(browser: Any, kind: Kind) -> None:
    """SE-32: nested decorators share a session; the inner one saves it, on an error too."""

    def act(message: Any) -> None:
        change(message)
        raise Mistake

    with pytest.raises(Mistake):
        run_decorated(lambda func: http_session(http_session(func)), kind, act, connect(browser.session_key))
    assert species(browser.session_key) == "hare"


def test_a_stream_saves_only_what_it_changed(browser: Any) -> None:
    """SE-31: requests of the same browser save their changes while a stream runs, and these stay."""

    @http_session
    def stream(message: Any) -> Any:
        other = db.SessionStore(browser.session_key)
        other["species"] = "hare"
        other.save()
        message.http_session["ticks"] = 1
        yield {}

    list(stream(connect(browser.session_key)))
    assert dict(db.SessionStore(browser.session_key).items()) == {"species": "hare", "ticks": 1}


def test_a_plain_decorator_in_between(browser: Any) -> None:
    """SE-30: the session is read before an async consumer, also where a plain decorator is in between."""
    inner = consumer_of(Kind.ASYNC, look)

    @functools.wraps(inner)
    def between(message: Any) -> Any:
        return inner(message)

    assert run(http_session(between), connect(browser.session_key)) == {"text": "rabbit"}


def test_a_query_that_cannot_be_read() -> None:
    """SE-28: nor where the key may be in the query."""
    mine = connect(query_string=b"&".join([b"a=1"] * 1001))
    with (
        override_settings(ROUTECHAN={"SESSION_KEY_IN_QUERY": True}),
        pytest.raises(ValueError, match=r"cannot be read .* exceeded settings.DATA_UPLOAD_MAX_NUMBER_FIELDS"),
    ):
        session_in(mine)


# channel_and_http_session


def test_remembered_and_found_again(browser: Any, kind: Kind) -> None:
    """SE-33, SE-34: the key is in the channel session, and later messages without cookies have the session."""
    first = connect(browser.session_key)
    run_decorated(channel_and_http_session, kind, look, first)
    assert stored(first["reply_channel"])[settings.SESSION_COOKIE_NAME] == browser.session_key
    later = run_decorated(channel_and_http_session, kind, look, receive(first))
    assert later == returned(kind, {"text": "rabbit"})


def test_the_first_key_stays(browser: Any, name: str) -> None:
    """SE-34: a key that the channel session has already is not replaced."""
    for key in (browser.session_key, "b" * 32):
        channel_and_http_session(nothing)(connect(key, reply_channel=name))
    assert stored(name)[settings.SESSION_COOKIE_NAME] == browser.session_key


def test_neither_key() -> None:
    """SE-35: without a cookie at any time there is no browser's session."""
    mine: Any = connect()
    channel_and_http_session(nothing)(mine)
    assert mine.http_session is None
    assert dict(mine.channel_session.items()) == {}


def test_changes_in_later_messages_are_saved(browser: Any, kind: Kind) -> None:
    """SE-36, OB-11: a session found again is saved like any other; in 1.x its changes were lost."""

    def act(message: Any, then: Any = None) -> dict[str, Any]:
        message.http_session["visits"] = message.http_session.get("visits", 0) + 1
        if then is not None:
            raise then
        return {}

    first = connect(browser.session_key)
    for mine in (first, receive(first)):
        run_decorated(channel_and_http_session, kind, act, mine)
    assert db.SessionStore(browser.session_key)["visits"] == 2
    with pytest.raises(Mistake):  # SE-31
        run_decorated(channel_and_http_session, kind, act, receive(first), then=Mistake)
    assert db.SessionStore(browser.session_key)["visits"] == 2


def test_in_any_order(browser: Any, kind: Kind) -> None:
    """SE-32, SE-11: all of them around one consumer share the two sessions."""

    def all_of_them(func: Any) -> Any:
        return http_session(channel_session(channel_and_http_session(channel_and_http_session(func))))

    def act(message: Any) -> dict[str, Any]:
        message.channel_session["a"] = 1
        return change(message)

    first = connect(browser.session_key)
    run_decorated(all_of_them, kind, act, first)
    assert species(browser.session_key) == "hare"
    assert stored(first["reply_channel"])["a"] == 1
    run_decorated(all_of_them, kind, act, receive(first))
