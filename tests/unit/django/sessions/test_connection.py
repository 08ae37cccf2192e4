"""Channel sessions: the session of a connection."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import django
import pytest
from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth.models import User
from django.contrib.sessions.backends import cache, cached_db, db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone

from routechan import Message
from routechan.inspection import Kind
from routechan_django.sessions import channel_session, session_for_reply_channel
from tests.unit.django.helpers import (
    Mistake,
    consumer_of,
    elsewhere,
    key_of,
    message,
    nothing,
    returned,
    run,
    run_decorated,
    stored,
)

TWICE = [channel_session, lambda func: channel_session(channel_session(func))]


def saved(name: str, **data: Any) -> Any:
    """The session of a connection, stored with this data."""
    session = session_for_reply_channel(name)
    session.update(data)
    session.save(must_create=True)
    return session


def remember(message: Any) -> dict[str, Any]:
    message.channel_session["a"] = 1
    return {"text": "b"}


# session_for_reply_channel


def test_key() -> None:
    """SE-01: the key takes SECRET_KEY to make; it is lower-case letters and digits, and as long as the table takes."""
    key = session_for_reply_channel("test-reply!b").session_key
    assert key == session_for_reply_channel("test-reply!b").session_key
    assert key != session_for_reply_channel("test-reply!c").session_key
    assert re.fullmatch("chn[0-9a-f]{37}", key or "")
    with override_settings(SECRET_KEY="another"):
        assert session_for_reply_channel("test-reply!b").session_key != key


def test_engine_is_taken_from_the_settings() -> None:
    """SE-02, ST-06: CHANNEL_SESSION_ENGINE, else SESSION_ENGINE."""
    assert issubclass(session_for_reply_channel("a")._engine, db.SessionStore)
    with override_settings(SESSION_ENGINE=cache.__name__):
        assert issubclass(session_for_reply_channel("a")._engine, cache.SessionStore)
        with override_settings(CHANNEL_SESSION_ENGINE=cached_db.__name__):
            assert issubclass(session_for_reply_channel("a")._engine, cached_db.SessionStore)


@pytest.mark.parametrize("name", ["django.contrib.sessions.backends.signed_cookies", f"{__package__}.engines.cookies"])
def test_signed_cookies_are_refused(name: str) -> None:
    """SE-03: nothing could be kept in cookies that no socket sends back; a subclass of that engine is refused too."""
    with override_settings(SESSION_ENGINE=name), pytest.raises(ValueError, match="set CHANNEL_SESSION_ENGINE"):
        session_for_reply_channel("a")


def test_an_unknown_session_keeps_its_key(engine: Any, name: str) -> None:
    """SE-04, SE-05: engines drop a key they do not know; this one stays, and nothing is saved."""
    session = session_for_reply_channel(name)
    assert session.session_key == key_of(name)
    assert not session.exists(key_of(name))


def test_saved_data_is_seen_by_the_next(engine: Any, name: str) -> None:
    """SE-05: a second session for the same name sees what the first has saved; another name has another session."""
    saved(name, num_ponies=-1)
    assert stored(name) == {"num_ponies": -1}
    assert stored(name + "b") == {}


# channel_session


def test_data_outlives_the_message(engine: Any, kind: Kind, name: str) -> None:
    """SE-06, SE-10, SE-12: the connection's next message finds what a consumer of any kind has stored."""

    def act(message: Any) -> Any:
        message.channel_session["count"] = message.channel_session.get("count", 0) + 1
        return {}

    consumer = channel_session(consumer_of(kind, act))
    for _ in range(3):
        run(consumer, message(reply_channel=name))
    assert stored(name) == {"count": 3}


@pytest.mark.parametrize("decorator", TWICE)
def test_no_reply_channel(decorator: Any, kind: Kind) -> None:
    """SE-07: a message without a reply channel belongs to no connection."""
    with pytest.raises(ValueError, match="has no reply channel, so it belongs to no connection"):
        run_decorated(decorator, kind, print, Message({}, "thumbnail", None))


def put_and_take(message: Any) -> None:
    message.channel_session["a"] = 1
    del message.channel_session["a"]


@pytest.mark.parametrize("act", [nothing, put_and_take])
def test_not_stored_before_it_holds_something(engine: Any, kind: Kind, act: Any, name: str) -> None:
    """SE-08, SE-12: a connection whose consumers store nothing has no session stored."""
    run_decorated(channel_session, kind, act, message(reply_channel=name))
    assert not session_for_reply_channel(name).found
    assert not session_for_reply_channel(name).exists(key_of(name))


def test_saving_by_hand_in_the_first_consumer(name: str) -> None:
    """SE-08: the session exists when the first consumer runs, so that it can save the session itself."""

    @channel_session
    def consumer(message: Any) -> None:
        message.channel_session["early"] = 1
        message.channel_session.save()
        assert stored(name) == {"early": 1}

    consumer(message(reply_channel=name))


def test_another_worker_was_faster(engine: Any, kind: Kind, name: str) -> None:
    """SE-08: another worker stores the session while the consumer runs: both keep what they have stored."""

    def act(message: Any) -> dict[str, Any]:
        elsewhere(functools.partial(saved, name, theirs=1, a=0))
        return remember(message)

    run_decorated(channel_session, kind, act, message(reply_channel=name))
    assert stored(name) == {"theirs": 1, "a": 1}


def test_an_expired_session_begins_anew(name: str) -> None:
    """SE-08: the row of an expired session is used again, not waited for, and its data is gone."""
    saved(name, old=True)
    Session.objects.filter(pk=key_of(name)).update(expire_date=timezone.now() - timedelta(days=1))
    seen: list[Any] = []

    @channel_session
    def consumer(message: Any) -> None:
        seen.append(dict(message.channel_session.items()))
        message.channel_session["new"] = True

    consumer(message(reply_channel=name))
    assert seen == [{}]
    assert stored(name) == {"new": True}


def remember_and_fail(message: Any) -> None:
    message.channel_session["so far"] = 1
    raise Mistake


def test_saved_after_an_error(kind: Kind, name: str) -> None:
    """SE-10: what a consumer stored before it raised is saved, and the error leaves as it was."""
    with pytest.raises(Mistake):
        run_decorated(channel_session, kind, remember_and_fail, message(reply_channel=name))
    assert stored(name) == {"so far": 1}


def store_after_logout(session: Any) -> None:
    session["old"] = 1
    session.flush()
    session["new"] = 1


def end_elsewhere(session: Any) -> None:
    Session.objects.filter(pk=session.session_key).delete()
    session["a"] = 1


@pytest.mark.parametrize(
    ("act", "error", "after"),
    [
        pytest.param(store_after_logout, None, {"new": 1}, id="stored after flush(); in 1.x under an unknown key"),
        pytest.param(end_elsewhere, UpdateError, None, id="a session that was ended elsewhere stays ended"),
        pytest.param(lambda session: session.flush(), None, None, id="nothing is saved after flush()"),
    ],
)
@pytest.mark.parametrize("decorator", TWICE)
def test_what_is_saved(
    decorator: Any, act: Callable[..., Any], error: Any, after: dict[str, Any] | None, name: str
) -> None:
    """SE-10: the session after a consumer, once or twice decorated; None where there is none, and no other is made."""
    saved(name)
    count = Session.objects.count()
    with pytest.raises(error) if error else nullcontext():
        decorator(lambda message: act(message.channel_session))(message(reply_channel=name))
    exists = Session.objects.filter(pk=key_of(name)).exists()
    assert (stored(name) if exists else None) == after
    assert Session.objects.count() == count - (after is None)


def test_stored_after_a_logout(engine: Any, name: str) -> None:
    """SE-10: what is stored after flush() is found by the next message, in every engine."""
    channel_session(lambda message: store_after_logout(message.channel_session))(message(reply_channel=name))
    assert stored(name) == {"new": 1}


def test_login_in_a_consumer_keeps_the_key(name: str) -> None:
    """PL-10, PL-11: Django cycles the key at a login; the next message finds the user all the same."""
    user = User.objects.create(username=name, password="x")

    @channel_session
    def consumer(message: Any) -> None:
        request = HttpRequest()
        request.session = message.channel_session
        auth.login(request, user, "django.contrib.auth.backends.ModelBackend")

    consumer(message(reply_channel=name))
    assert stored(name)[auth.SESSION_KEY] == str(user.pk)
    user.delete()


@pytest.mark.skipif(django.VERSION < (5, 1), reason="Django's sessions have async methods from 5.1 on")
async def test_async_session_methods_keep_the_key(name: str) -> None:
    """PL-10: so do the methods that Django's own async login and logout call."""

    @channel_session
    async def consumer(message: Any) -> None:
        session = message.channel_session
        if hasattr(session, "aflush"):  # Django 5.1
            await session.acycle_key()
            await session.aflush()
            session["new"] = 1
            await session.asave()
        else:
            session["new"] = 1

    await consumer(message(reply_channel=name))
    session = await sync_to_async(session_for_reply_channel)(name)
    assert (dict(session.items()), session.found) == ({"new": 1}, True)


def test_nested(kind: Kind, name: str) -> None:
    """SE-11: nested decorators share one session; the inner one saves what changed, also on an error."""
    sessions: list[Any] = []

    def outer(func: Any) -> Any:
        @functools.wraps(func)
        def consumer(message: Any, **kwargs: Any) -> Any:
            sessions.append(message.channel_session)
            return func(message, **kwargs)

        return channel_session(consumer)

    def act(message: Any) -> None:
        sessions.append(message.channel_session)
        remember_and_fail(message)

    with pytest.raises(Mistake):
        run(outer(channel_session(consumer_of(kind, act))), message(reply_channel=name))
    assert sessions[0] is sessions[1]
    assert stored(name) == {"so far": 1}


def test_a_session_set_by_hand_is_saved(name: str) -> None:
    """SE-11: a message that has a session already gets no other; changes are saved."""
    mine: Any = message()
    mine.channel_session = saved(name)
    channel_session(remember)(mine)
    assert stored(name) == {"a": 1}


def test_unchanged_is_not_saved(kind: Kind, name: str) -> None:
    """SE-10: an unchanged session is not written, so it does not undo what others have saved."""

    def act(message: Any) -> None:
        message.channel_session.get("a")

    run_decorated(channel_session, kind, act, message(reply_channel=name))
    Session.objects.filter(pk=key_of(name)).delete()
    again: Any = message(reply_channel=name)
    again.channel_session = session_for_reply_channel(name)
    run_decorated(channel_session, kind, act, again)
    assert not Session.objects.filter(pk=key_of(name)).exists()


# Streams end long after they began


def test_a_stream_saves_only_what_it_changed(stream_kind: Kind, name: str) -> None:
    """SE-10: later events of the connection save their changes while a stream runs, and these stay."""
    saved(name, room="a", gone=1, list=[1])

    @channel_session
    def later_event(message: Any) -> None:
        message.channel_session.update({"room": "b", "nick": "joe"})

    def act(message: Any) -> dict[str, Any]:
        message.channel_session["ticks"] = 1
        message.channel_session["list"].append(2)
        del message.channel_session["gone"]
        elsewhere(later_event, message_of_same_connection)
        return {}

    message_of_same_connection = message(reply_channel=name)
    run_decorated(channel_session, stream_kind, act, message(reply_channel=name))
    assert stored(name) == {"room": "b", "nick": "joe", "ticks": 1, "list": [1, 2]}


def test_a_stream_does_not_bring_back_an_ended_session(stream_kind: Kind, name: str) -> None:
    """SE-10: after a logout on another thread while the stream ran there is nothing to add to."""

    key = saved(name, b=1).session_key

    def act(message: Any) -> dict[str, Any]:
        message.channel_session["a"] = 1
        elsewhere(Session.objects.filter(pk=key).delete)
        return {}

    run_decorated(channel_session, stream_kind, act, message(reply_channel=name))
    assert not Session.objects.filter(pk=key_of(name)).exists()


def test_a_stream_saves_after_clearing(stream_kind: Kind, name: str) -> None:
    """SE-10: what a stream stores after its own logout, or after clear(), is saved, as for other consumers."""
    saved(name, old=1)

    def act(message: Any) -> dict[str, Any]:
        if stream_kind is Kind.STREAM:
            message.channel_session.flush()
        else:
            message.channel_session.clear()
        return remember(message)

    run_decorated(channel_session, stream_kind, act, message(reply_channel=name))
    assert stored(name) == {"a": 1}


def test_a_closed_stream_saves(stream_kind: Kind, name: str) -> None:
    """SE-10: a stream ends too when its connection is closed, at any step."""
    stream = channel_session(consumer_of(stream_kind, remember))(message(reply_channel=name))
    if stream_kind is Kind.STREAM:
        next(stream)
        stream.close()
    else:

        async def first() -> None:
            await stream.__anext__()
            await stream.aclose()

        asyncio.run(first())
    assert stored(name) == {"a": 1}


# Decorators of somebody else


@pytest.mark.parametrize("kind", [Kind.ASYNC, Kind.STREAM, Kind.ASYNC_STREAM], ids=lambda kind: kind.value)
@pytest.mark.parametrize("wraps", [True, False])
def test_a_plain_decorator_in_between(kind: Kind, wraps: bool, name: str) -> None:
    """SE-10: a plain wrapper returns the coroutine or generator of the consumer; saving waits for the end of that."""
    inner = consumer_of(kind, remember)

    def consumer(message: Any) -> Any:
        return inner(message)

    if wraps:
        consumer = functools.wraps(inner)(consumer)
    assert run(channel_session(consumer), message(reply_channel=name)) == returned(kind, {"text": "b"})
    assert stored(name) == {"a": 1}
