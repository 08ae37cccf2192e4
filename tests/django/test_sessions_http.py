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
from routechan.kinds import Kind
from routechan_django.sessions import (
    channel_and_http_session,
    channel_session,
    http_session,
    session_for_reply_channel,
)

from .around import consumer_of, message, new_reply_channel, run


@pytest.fixture
def browser() -> db.SessionStore:
    """A browser's session."""
    session = db.SessionStore()
    session["species"] = "rabbit"
    session.create()
    return session


def connect(key: str | None = None, **more: Any) -> Message:
    """A ``websocket.connect`` with the session cookie."""
    headers = [] if key is None else [[b"cookie", f"theme=dark; {settings.SESSION_COOKIE_NAME}={key}".encode()]]
    return message({"path": "/", "headers": headers, "query_string": b"", **more}, "websocket.connect")


def receive(of: Message) -> Message:
    """A later message of the same connection: no cookies."""
    return message(reply_channel=of["reply_channel"], path="/", text="hello")


class Mistake(Exception):
    """A consumer's error."""


# http_session


def test_from_the_cookie(browser: Any, kind: Kind) -> None:
    """SE-29, SE-30: the session of the cookie, for consumers of every kind."""
    seen: list[Any] = []

    def act(message: Any) -> dict[str, Any]:
        seen.append(message.http_session["species"])
        return {"text": "a"}

    result = run(http_session(consumer_of(kind, act)), connect(browser.session_key))
    assert seen == ["rabbit"]
    assert result == ([{"text": "a"}] if "stream" in kind.value else {"text": "a"})


def test_methods(browser: Any) -> None:
    """SE-27: 1.x wanted the message first; here it may come after self."""

    class Consumer:
        @http_session
        def connect(self, message: Any, **kwargs: Any) -> Any:
            return message.http_session["species"], kwargs

    assert Consumer().connect(connect(browser.session_key), room="a") == ("rabbit", {"room": "a"})


def test_no_message() -> None:
    """SE-27: called without a message."""
    with pytest.raises(ValueError, match=r"^http_session called without Message instance$"):
        http_session(print)("a", "b", connect())


def test_the_content_says_it_is_no_request(browser: Any) -> None:
    """SE-28, OB-25: ``method`` is FAKE in the content of a message without one, and stays what it is in others."""
    mine = connect(browser.session_key)
    http_session(lambda message: None)(mine)
    assert mine["method"] == "FAKE"
    request = message({"path": "/", "method": "GET"}, "http.request")
    http_session(lambda message: None)(request)
    assert request["method"] == "GET"


def test_the_body_is_left_alone(browser: Any, layer: Any) -> None:
    """SE-28, OB-25: chunks of a request's body stay where the consumer can read them."""
    layer.send("http.request.body?a", {"content": b"x"})
    request = message({"path": "/", "method": "POST", "body_channel": "http.request.body?a"}, "http.request", layer)
    http_session(lambda message: None)(request)
    assert layer.receive(["http.request.body?a"])[1] == {"content": b"x"}


def test_no_path() -> None:
    """SE-28: a message that is none of a browser's connection."""
    with pytest.raises(ValueError, match=r"with a 'path'.* this one on 'thumbnail' has 'reply_channel', 'id'"):
        http_session(print)(message({"id": 1}, "thumbnail"))


def test_what_cannot_be_read() -> None:
    """SE-28: whatever is wrong, it is a ValueError with the cause's text."""
    with pytest.raises(ValueError, match=r"cannot be read .* exceeded settings.DATA_UPLOAD_MAX_NUMBER_FIELDS"):
        http_session(print)(connect(query_string=b"&".join([b"a=1"] * 1001)))
    with pytest.raises(ValueError, match="the session key cannot be read from 'websocket.connect'"):
        http_session(print)(connect(headers=[[b"cookie"]]))


def test_the_parameter_comes_first(browser: Any) -> None:
    """SE-29: GET parameter ``session_key``, from bytes and str, before the cookie."""
    for query_string in (f"session_key={browser.session_key}", f"a=1&session_key={browser.session_key}".encode()):
        mine: Any = connect("b" * 32, query_string=query_string)
        http_session(lambda message: None)(mine)
        assert mine.http_session.session_key == browser.session_key


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

    def with_key(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.replace(b"KEY", browser.session_key.encode())
        return value.replace("KEY", browser.session_key)

    if isinstance(headers, dict):
        headers = {name: with_key(value) for name, value in headers.items()}
    else:
        headers = [(name, with_key(value)) for name, value in headers]
    mine: Any = message(path="/", headers=headers)
    http_session(lambda message: None)(mine)
    assert mine.http_session["species"] == "rabbit"


def test_engine(browser: Any) -> None:
    """SE-29: the browser's sessions are in SESSION_ENGINE, whatever CHANNEL_SESSION_ENGINE says; signed cookies too."""
    mine: Any = connect(browser.session_key)
    with override_settings(CHANNEL_SESSION_ENGINE="django.contrib.sessions.backends.cache"):
        http_session(lambda message: None)(mine)
        assert mine.http_session["species"] == "rabbit"
    with override_settings(SESSION_ENGINE=signed_cookies.__name__):
        session = signed_cookies.SessionStore()
        session["species"] = "cat"
        session.save()
        other: Any = connect(session.session_key)
        http_session(lambda message: None)(other)
        assert other.http_session["species"] == "cat"


def test_no_key(kind: Kind) -> None:
    """SE-30: without a key there is no session, None."""
    mine: Any = connect()
    run(http_session(consumer_of(kind, lambda message: {})), mine)
    assert mine.http_session is None


def test_an_unknown_key(kind: Kind) -> None:
    """SE-30: an unknown key is an empty store; none is created, even where the consumer stores something."""
    count = Session.objects.count()

    def act(message: Any) -> dict[str, Any]:
        assert dict(message.http_session.items()) == {}
        assert message.http_session.session_key is None
        message.http_session["a"] = 1
        return {}

    run(http_session(consumer_of(kind, act)), connect("b" * 32))
    assert Session.objects.count() == count


def test_saved(browser: Any, kind: Kind) -> None:
    """SE-31: a change is saved after the call, and not where the consumer raised."""

    def act(message: Any, then: Any = None) -> dict[str, Any]:
        message.http_session["species"] = "hare" if then is None else "lost"
        if then is not None:
            raise then
        return {}

    run(http_session(consumer_of(kind, act)), connect(browser.session_key))
    assert db.SessionStore(browser.session_key)["species"] == "hare"
    with pytest.raises(Mistake):
        run(http_session(consumer_of(kind, act)), connect(browser.session_key), then=Mistake)
    assert db.SessionStore(browser.session_key)["species"] == "hare"


def test_logout_makes_no_new_session(browser: Any) -> None:
    """SE-30, SE-31: after flush() nothing is saved: no browser would know of it."""
    count = Session.objects.count()

    @http_session
    def consumer(message: Any) -> None:
        message.http_session.flush()

    consumer(connect(browser.session_key))
    assert Session.objects.count() == count - 1


def test_nested(browser: Any, kind: Kind) -> None:
    """SE-32: nested decorators share a session; the inner one saves it, on an error too."""

    def act(message: Any) -> None:
        message.http_session["species"] = "hare"
        raise Mistake

    with pytest.raises(Mistake):
        run(http_session(http_session(consumer_of(kind, act))), connect(browser.session_key))
    assert db.SessionStore(browser.session_key)["species"] == "hare"
    run(http_session(http_session(consumer_of(kind, lambda message: {}))), connect())  # none at all


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
    """SE-30: an async consumer is given its session read also where a plain decorator stands in between."""

    async def consumer(message: Any) -> str:
        return message.http_session["species"]

    @functools.wraps(consumer)
    def between(message: Any) -> Any:
        return consumer(message)

    assert run(http_session(between), connect(browser.session_key)) == "rabbit"


# channel_and_http_session


def test_remembered_and_found_again(browser: Any, kind: Kind) -> None:
    """SE-33, SE-34, SE-35: the key is in the channel session, and later messages without cookies have the session."""
    seen: list[Any] = []

    def act(message: Any) -> dict[str, Any]:
        seen.append(message.http_session["species"])
        return {"text": "a"}

    consumer = channel_and_http_session(consumer_of(kind, act))
    first = connect(browser.session_key)
    result = run(consumer, first)
    assert result == ([{"text": "a"}] if "stream" in kind.value else {"text": "a"})
    stored = session_for_reply_channel(first["reply_channel"])
    assert stored[settings.SESSION_COOKIE_NAME] == browser.session_key
    run(consumer, receive(first))
    assert seen == ["rabbit", "rabbit"]


def test_the_first_key_stays(browser: Any) -> None:
    """SE-34: a key that the channel session has already is not replaced."""
    first = connect(browser.session_key)
    consumer = channel_and_http_session(lambda message: None)
    consumer(first)
    consumer(connect("b" * 32, reply_channel=first["reply_channel"]))
    stored = session_for_reply_channel(first["reply_channel"])
    assert stored[settings.SESSION_COOKIE_NAME] == browser.session_key


def test_neither_key() -> None:
    """SE-35: without a cookie at any time there is no browser's session."""
    mine: Any = connect()
    channel_and_http_session(lambda message: None)(mine)
    assert mine.http_session is None
    assert dict(mine.channel_session.items()) == {}


def test_changes_in_later_messages_are_saved(browser: Any, kind: Kind) -> None:
    """SE-36, OB-11: a session found again is saved like any other; in 1.x its changes were lost."""
    name = new_reply_channel()

    def act(message: Any, then: Any = None) -> dict[str, Any]:
        message.http_session["visits"] = message.http_session.get("visits", 0) + 1
        if then is not None:
            raise then
        return {}

    consumer = channel_and_http_session(consumer_of(kind, act))
    run(consumer, connect(browser.session_key, reply_channel=name))
    run(consumer, message(reply_channel=name, path="/"))
    assert db.SessionStore(browser.session_key)["visits"] == 2
    with pytest.raises(Mistake):  # SE-31
        run(consumer, message(reply_channel=name, path="/"), then=Mistake)
    assert db.SessionStore(browser.session_key)["visits"] == 2


def test_in_any_order(browser: Any, kind: Kind) -> None:
    """SE-32, SE-11: all of them around one consumer share the two sessions."""

    def act(message: Any) -> dict[str, Any]:
        message.http_session["species"] = "hare"
        message.channel_session["a"] = 1
        return {}

    consumer = channel_and_http_session(consumer_of(kind, act))
    first = connect(browser.session_key)
    run(http_session(channel_session(channel_and_http_session(consumer))), first)
    assert db.SessionStore(browser.session_key)["species"] == "hare"
    assert session_for_reply_channel(first["reply_channel"])["a"] == 1
    run(http_session(channel_session(channel_and_http_session(consumer))), receive(first))
