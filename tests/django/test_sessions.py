"""Channel sessions: the session of a connection."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.models import User
from django.contrib.sessions.backends import cache, cached_db, db, file
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone

from routechan import ConsumeLater, Message
from routechan.kinds import Kind, kind_of
from routechan_django.sessions import channel_session, session_for_reply_channel

from .around import consumer_of, elsewhere, message, new_reply_channel, run

ENGINES = {"db": db, "file": file, "cache": cache, "cached_db": cached_db}


@pytest.fixture(scope="session")
def session_files(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One folder for all tests: Django's file engine remembers the first it is told."""
    return str(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, session_files: str) -> Iterator[Any]:
    """Each session engine of Django that keeps what it is given on the server."""
    module = ENGINES[request.param]
    with override_settings(SESSION_ENGINE=module.__name__, SESSION_FILE_PATH=session_files):
        yield module


def key_of(name: str) -> str:
    return "chn" + hashlib.sha1(name.encode()).hexdigest()[:29]


# session_for_reply_channel


def test_key() -> None:
    """SE-01: the key is "chn" and the first 29 hex digits of the SHA-1 of the name, 32 characters."""
    session = session_for_reply_channel("test-reply!b")
    assert session.session_key == "chn79b7099a2cc6e7a2132dc54de5f47"
    assert session.session_key == key_of("test-reply!b")
    assert len(session.session_key) == 32


def test_engine_is_taken_from_the_settings() -> None:
    """SE-02, ST-06: CHANNEL_SESSION_ENGINE, else SESSION_ENGINE."""
    assert isinstance(session_for_reply_channel("a"), db.SessionStore)
    with override_settings(SESSION_ENGINE=cache.__name__):
        assert isinstance(session_for_reply_channel("a"), cache.SessionStore)
        with override_settings(CHANNEL_SESSION_ENGINE=cached_db.__name__):
            assert isinstance(session_for_reply_channel("a"), cached_db.SessionStore)


def test_signed_cookies_are_refused() -> None:
    """SE-03: nothing could be kept in cookies that no socket sends back."""
    with (
        override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"),
        pytest.raises(ValueError, match="set CHANNEL_SESSION_ENGINE"),
    ):
        session_for_reply_channel("a")


def test_an_unknown_session_keeps_its_key(engine: Any) -> None:
    """SE-04, SE-05: engines forget a key they do not know, and this one stays; nothing is saved."""
    name = new_reply_channel()
    session = session_for_reply_channel(name)
    assert session.session_key == key_of(name)
    assert not session.exists(key_of(name))


def test_saved_data_is_seen_by_the_next(engine: Any) -> None:
    """SE-05: a second session for the same name sees what the first has saved."""
    name = new_reply_channel()
    first = session_for_reply_channel(name)
    first["num_ponies"] = -1
    first.save(must_create=True)
    assert session_for_reply_channel(name)["num_ponies"] == -1
    assert "num_ponies" not in session_for_reply_channel(name + "b")


# channel_session: what it is put on


def test_name_and_docs_are_kept(kind: Kind) -> None:
    """SE-06: the wrapper has the name and the docs of the function, and is of its kind."""
    consumer = consumer_of(kind, print)
    consumer.__doc__ = "What it does."
    wrapper = channel_session(consumer)
    assert (wrapper.__name__, wrapper.__doc__) == (consumer.__name__, "What it does.")
    assert kind_of(wrapper) is kind


def test_data_outlives_the_message(engine: Any, kind: Kind) -> None:
    """SE-06, SE-10, SE-12: what a consumer of any kind stores, the connection's next message finds."""
    name = new_reply_channel()

    def act(message: Any) -> Any:
        seen = message.channel_session.get("count", 0)
        message.channel_session["count"] = seen + 1
        return {"text": str(seen)}

    consumer = channel_session(consumer_of(kind, act))
    for _ in range(3):
        run(consumer, message(reply_channel=name))
    assert session_for_reply_channel(name)["count"] == 3


def test_methods(kind: Kind) -> None:
    """SE-06: the message may come second, after self."""
    name = new_reply_channel()

    class Consumer:
        if kind is Kind.ASYNC:

            @channel_session
            async def receive(self, message: Any) -> None:
                message.channel_session["who"] = self.__class__.__name__

        elif kind is Kind.STREAM:

            @channel_session
            def receive(self, message: Any) -> Any:
                message.channel_session["who"] = self.__class__.__name__
                yield {}

        elif kind is Kind.ASYNC_STREAM:

            @channel_session
            async def receive(self, message: Any) -> Any:
                message.channel_session["who"] = self.__class__.__name__
                yield {}

        else:

            @channel_session
            def receive(self, message: Any) -> None:
                message.channel_session["who"] = self.__class__.__name__

    run(Consumer().receive, message(reply_channel=name))
    assert session_for_reply_channel(name)["who"] == "Consumer"


@pytest.mark.parametrize("decorator", [channel_session, lambda func: channel_session(channel_session(func))])
def test_no_message_among_the_first_two(decorator: Any, kind: Kind) -> None:
    """SE-06: as third argument or by keyword the message is not found, with a reply channel or without."""
    consumer = decorator(consumer_of(kind, print))
    for content in ({}, {"reply_channel": None}):
        with pytest.raises(ValueError, match=r"^channel_session called without Message instance$"):
            run(consumer, "a", "b", message(content))
        with pytest.raises(ValueError, match=r"^channel_session called without Message instance$"):
            run(consumer, message=message(content))


@pytest.mark.parametrize("decorator", [channel_session, lambda func: channel_session(channel_session(func))])
def test_no_reply_channel(decorator: Any, kind: Kind) -> None:
    """SE-07: a message without a reply channel belongs to no connection."""
    with pytest.raises(ValueError, match="has no reply channel, so it belongs to no connection"):
        run(decorator(consumer_of(kind, print)), Message({}, "thumbnail", None))


# channel_session: what it does


def test_created_before_the_consumer(engine: Any, kind: Kind) -> None:
    """SE-08, SE-12: a connection's first message creates the session, empty, and nothing has to be stored in it."""
    name = new_reply_channel()
    assert not engine.SessionStore().exists(key_of(name))
    run(channel_session(consumer_of(kind, lambda message: {})), message(reply_channel=name))
    assert engine.SessionStore().exists(key_of(name))
    assert dict(session_for_reply_channel(name).items()) == {}


def test_saving_by_hand_in_the_first_consumer() -> None:
    """SE-08: the session is there when the consumer runs, so that it can save it itself."""
    name = new_reply_channel()

    @channel_session
    def consumer(message: Any) -> None:
        message.channel_session["early"] = 1
        message.channel_session.save()
        assert session_for_reply_channel(name)["early"] == 1

    consumer(message(reply_channel=name))


def test_another_worker_was_faster(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """SE-08: created by somebody else meanwhile: ConsumeLater, and the message is left without a session."""
    name = new_reply_channel()
    save = db.SessionStore.save

    def faster(self: Any, must_create: bool = False) -> None:
        monkeypatch.setattr(db.SessionStore, "save", save)
        db.SessionStore(self.session_key).save(must_create=True)
        save(self, must_create)

    monkeypatch.setattr(db.SessionStore, "save", faster)
    mine = message(reply_channel=name)
    with pytest.raises(ConsumeLater):
        run(channel_session(consumer_of(kind, print)), mine)
    assert not hasattr(mine, "channel_session")
    monkeypatch.undo()
    run(channel_session(consumer_of(kind, lambda message: None)), mine)
    assert mine.channel_session.session_key == key_of(name)  # type: ignore[attr-defined]


def test_an_expired_session_begins_anew() -> None:
    """SE-08: a row that has expired is there and cannot be read; it is used again, not waited for."""
    name = new_reply_channel()
    session = session_for_reply_channel(name)
    session["old"] = True
    session.save(must_create=True)
    Session.objects.filter(pk=key_of(name)).update(expire_date=timezone.now() - timedelta(days=1))
    seen: list[Any] = []

    @channel_session
    def consumer(message: Any) -> None:
        seen.append(dict(message.channel_session.items()))
        message.channel_session["new"] = True

    consumer(message(reply_channel=name))
    assert seen == [{}]
    assert dict(session_for_reply_channel(name).items()) == {"new": True}


def test_result(kind: Kind) -> None:
    """SE-09: arguments reach the function, and what it returns or yields comes back."""
    consumer = channel_session(consumer_of(kind, lambda message, room: {"text": room}))
    result = run(consumer, message(), room="a")
    assert result == ([{"text": "a"}] if "stream" in kind.value else {"text": "a"})


class Mistake(Exception):
    """A consumer's error."""


def test_saved_after_an_error(kind: Kind) -> None:
    """SE-10: what a consumer stored before it raised is saved, and the error leaves as it was."""
    name = new_reply_channel()

    def act(message: Any) -> None:
        message.channel_session["so far"] = 1
        raise Mistake

    with pytest.raises(Mistake):
        run(channel_session(consumer_of(kind, act)), message(reply_channel=name))
    assert session_for_reply_channel(name)["so far"] == 1


def test_logout_is_not_written_back() -> None:
    """SE-10: after flush() there is neither key nor data, and nothing is saved."""
    name = new_reply_channel()

    @channel_session
    def remember(message: Any) -> None:
        message.channel_session["a"] = 1

    @channel_session
    @channel_session
    def forget(message: Any) -> None:
        message.channel_session.flush()

    remember(message(reply_channel=name))
    count = Session.objects.count()
    forget(message(reply_channel=name))
    assert not Session.objects.filter(pk=key_of(name)).exists()
    assert Session.objects.count() == count - 1


def test_stored_after_a_logout(engine: Any) -> None:
    """SE-10: what is stored after flush() is found by the next message; in 1.x it went to a key nobody knows."""
    name = new_reply_channel()

    @channel_session
    def consumer(message: Any) -> None:
        message.channel_session["old"] = 1
        message.channel_session.flush()
        message.channel_session["new"] = 1

    consumer(message(reply_channel=name))
    assert dict(session_for_reply_channel(name).items()) == {"new": 1}


def test_login_in_a_consumer_keeps_the_key() -> None:
    """PL-10, PL-11: Django cycles the key at a login; the next message finds the user all the same."""
    name = new_reply_channel()
    user = User.objects.create(username=name, password="x")

    @channel_session
    def consumer(message: Any) -> None:
        request = HttpRequest()
        request.session = message.channel_session
        auth.login(request, user, "django.contrib.auth.backends.ModelBackend")

    consumer(message(reply_channel=name))
    assert session_for_reply_channel(name)[auth.SESSION_KEY] == str(user.pk)
    user.delete()


async def test_async_session_methods_keep_the_key() -> None:
    """PL-10: so do the methods that Django's own async login and logout call."""
    name = new_reply_channel()

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
    stored: Any = await Session.objects.aget(pk=key_of(name))
    assert stored.get_decoded() == {"new": 1}


def test_nested(kind: Kind) -> None:
    """SE-11: nested decorators share one session; the inner one saves what changed, also on an error."""
    name = new_reply_channel()
    sessions: list[Any] = []

    def outer(func: Any) -> Any:
        @functools.wraps(func)
        def consumer(message: Any, **kwargs: Any) -> Any:
            sessions.append(message.channel_session)
            return func(message, **kwargs)

        return channel_session(consumer)

    def act(message: Any) -> None:
        sessions.append(message.channel_session)
        message.channel_session["a"] = 1
        raise Mistake

    with pytest.raises(Mistake):
        run(outer(channel_session(consumer_of(kind, act))), message(reply_channel=name))
    assert sessions[0] is sessions[1]
    assert session_for_reply_channel(name)["a"] == 1


def test_a_session_set_by_hand_is_saved() -> None:
    """SE-11: a message that has a session already gets no other; changes are saved."""
    name = new_reply_channel()
    mine: Any = message()
    mine.channel_session = session_for_reply_channel(name)
    mine.channel_session.save(must_create=True)

    @channel_session
    def consumer(message: Any) -> None:
        message.channel_session["a"] = 1

    consumer(mine)
    assert session_for_reply_channel(name)["a"] == 1


def test_unchanged_is_not_saved(kind: Kind) -> None:
    """SE-10: what was not changed is not written, and so does not undo what others have."""
    name = new_reply_channel()

    def act(message: Any) -> None:
        message.channel_session.get("a")

    run(channel_session(consumer_of(kind, act)), message(reply_channel=name))
    Session.objects.filter(pk=key_of(name)).delete()
    again = message(reply_channel=name)
    again.channel_session = session_for_reply_channel(name)  # type: ignore[attr-defined]
    run(channel_session(consumer_of(kind, act)), again)
    assert not Session.objects.filter(pk=key_of(name)).exists()


def test_ended_elsewhere_stays_ended() -> None:
    """SE-10: a session that a logout elsewhere ended while the consumer ran is not brought back."""
    name = new_reply_channel()

    @channel_session
    def consumer(message: Any) -> None:
        Session.objects.filter(pk=key_of(name)).delete()
        message.channel_session["a"] = 1

    with pytest.raises(UpdateError):
        consumer(message(reply_channel=name))
    assert not Session.objects.filter(pk=key_of(name)).exists()


# Streams end long after they began


@pytest.fixture(params=[Kind.STREAM, Kind.ASYNC_STREAM], ids=lambda kind: kind.value)
def stream_kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def test_a_stream_saves_only_what_it_changed(stream_kind: Kind) -> None:
    """SE-10: later events of the connection save their changes while a stream runs, and these stay."""
    name = new_reply_channel()
    session = session_for_reply_channel(name)
    session.update({"room": "a", "gone": 1, "list": [1]})
    session.save(must_create=True)

    def act(message: Any) -> dict[str, Any]:
        message.channel_session["ticks"] = 1
        message.channel_session["list"].append(2)
        del message.channel_session["gone"]
        later()
        return {}

    @channel_session
    def later_event(message: Any) -> None:
        message.channel_session["room"] = "b"
        message.channel_session["nick"] = "joe"

    def later() -> None:
        elsewhere(later_event, message(reply_channel=name))

    run(channel_session(consumer_of(stream_kind, act)), message(reply_channel=name))
    assert dict(session_for_reply_channel(name).items()) == {"room": "b", "nick": "joe", "ticks": 1, "list": [1, 2]}


def test_a_stream_does_not_bring_back_an_ended_session(stream_kind: Kind) -> None:
    """SE-10: logged out while the stream ran: it has nothing to add to."""
    name = new_reply_channel()

    def act(message: Any) -> dict[str, Any]:
        message.channel_session["a"] = 1
        elsewhere(Session.objects.filter(pk=key_of(name)).delete)
        return {}

    run(channel_session(consumer_of(stream_kind, act)), message(reply_channel=name))
    assert not Session.objects.filter(pk=key_of(name)).exists()


def test_a_stream_saves_after_its_own_logout(stream_kind: Kind) -> None:
    """SE-10: as for other consumers."""
    name = new_reply_channel()

    def act(message: Any) -> dict[str, Any]:
        if stream_kind is Kind.STREAM:
            message.channel_session.flush()
        else:
            message.channel_session.clear()
        message.channel_session["a"] = 1
        return {}

    run(channel_session(consumer_of(stream_kind, act)), message(reply_channel=name))
    assert dict(session_for_reply_channel(name).items()) == {"a": 1}


def test_a_closed_stream_saves(stream_kind: Kind) -> None:
    """SE-10: a stream ends too when its connection is closed, at any step."""
    name = new_reply_channel()

    def act(message: Any) -> dict[str, Any]:
        message.channel_session["a"] = 1
        return {}

    stream = channel_session(consumer_of(stream_kind, act))(message(reply_channel=name))
    if stream_kind is Kind.STREAM:
        next(stream)
        stream.close()
    else:

        async def first() -> None:
            await stream.__anext__()
            await stream.aclose()

        asyncio.run(first())
    assert session_for_reply_channel(name)["a"] == 1


# Decorators of somebody else


@pytest.mark.parametrize("kind", [Kind.ASYNC, Kind.STREAM, Kind.ASYNC_STREAM], ids=lambda kind: kind.value)
@pytest.mark.parametrize("wraps", [True, False])
def test_a_plain_decorator_in_between(kind: Kind, wraps: bool) -> None:
    """SE-10: written for plain functions it gives back a coroutine or a generator; saving waits for that one's end."""
    name = new_reply_channel()

    def act(message: Any) -> dict[str, Any]:
        message.channel_session["a"] = 1
        return {"text": "b"}

    inner = consumer_of(kind, act)

    def consumer(message: Any) -> Any:
        return inner(message)

    if wraps:
        consumer = functools.wraps(inner)(consumer)
    result = run(channel_session(consumer), message(reply_channel=name))
    assert result == ([{"text": "b"}] if "stream" in kind.value else {"text": "b"})
    assert session_for_reply_channel(name)["a"] == 1
