"""How long channel sessions are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends import file
from django.contrib.sessions.models import Session
from django.test import override_settings
from django.utils import timezone

from routechan.inspection import Kind
from routechan_django.sessions import channel_session
from tests.unit.django.helpers import consumer_of, key_of, message, run_decorated, stored

from .test_connection import remember, saved


@pytest.fixture
def browsers_forgotten() -> Iterator[None]:
    """Sessions of browsers expire as they are saved."""
    with override_settings(SESSION_COOKIE_AGE=-1):
        yield


@pytest.mark.usefixtures("browsers_forgotten")
def test_lasts_longer_than_a_cookie(engine: Any, kind: Kind, name: str) -> None:
    """SE-12: a connection's session does not expire with a browser's, also where expired ones are cleared away."""
    run_decorated(channel_session, kind, remember, message(channel="websocket.connect", reply_channel=name))
    engine.SessionStore.clear_expired()
    assert stored(name) == {"a": 1}
    seen: list[Any] = []
    run_decorated(
        channel_session, kind, lambda given: seen.append(given.channel_session["a"]), message(reply_channel=name)
    )
    assert seen == [1]


@pytest.mark.usefixtures("browsers_forgotten")
def test_saved_by_hand_lasts_too(engine: Any, name: str) -> None:
    """SE-05, SE-12: the same of what other code saves through ``session_for_reply_channel``."""
    session = saved(name)
    session["a"] = 1
    session.save()
    engine.SessionStore.clear_expired()
    assert stored(name) == {"a": 1}


@pytest.mark.usefixtures("browsers_forgotten")
def test_an_expiry_set_by_hand_counts(engine: Any, name: str) -> None:
    """SE-12: ``set_expiry`` is the consumer's own wish."""

    @channel_session
    def consumer(message: Any) -> None:
        message.channel_session.set_expiry(timezone.now() - timedelta(seconds=1))

    consumer(message(reply_channel=name))
    assert stored(name) == {}


def expires_within(engine: Any, name: str, seconds: float) -> bool:
    """Whether the engine will have forgotten the session by then."""
    if engine is file:
        with open(file.SessionStore(key_of(name))._key_to_file(), encoding="ascii") as text:
            written = file.SessionStore().decode(text.read())["_session_expiry"]
        date = datetime.fromisoformat(written)
    else:
        date = Session.objects.get(pk=key_of(name)).expire_date
    return bool(date < timezone.now() + timedelta(seconds=seconds))


@pytest.mark.parametrize("engine", ["db", "cached_db", "file"], indirect=True)
@pytest.mark.parametrize("channel", ["websocket.disconnect", "http.request"])
def test_saved_when_the_connection_may_be_over(engine: Any, kind: Kind, channel: str, name: str) -> None:
    """SE-12: what is saved then expires within an hour, should nothing remove it before."""
    run_decorated(channel_session, kind, remember, message(channel="websocket.connect", reply_channel=name))
    assert not expires_within(engine, name, 8 * 3600)
    with override_settings(SESSION_COOKIE_AGE=7200):
        over = message(channel=channel, reply_channel=name)
        run_decorated(lambda func: channel_session(channel_session(func)), kind, change, over)
    assert expires_within(engine, name, 3601)


def change(message: Any) -> dict[str, Any]:
    message.channel_session["b"] = 2
    return {}


@pytest.mark.parametrize("engine", ["db", "file"], indirect=True)
def test_of_a_stream_that_is_cut_off(engine: Any, stream_kind: Kind, name: str) -> None:
    """SE-12: a stream is closed because its connection is over; the disconnect may have come before it ends."""
    stream = channel_session(consumer_of(stream_kind, remember))(message(reply_channel=name))
    if stream_kind is Kind.STREAM:
        next(stream)
        stream.close()
    else:

        async def cut_off() -> None:
            await stream.__anext__()
            await stream.aclose()

        asyncio.run(cut_off())
    assert stored(name) == {"a": 1}
    assert expires_within(engine, name, 3601)
