"""What a connection of this process keeps of its session: no query an event, and nothing out of date."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import cache as cache_engine
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.test import override_settings

from routechan import Message
from routechan.inspection import Kind
from routechan.interfaces import CHANGED
from routechan_django import conf
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import channel_session, decorators, enforce_ordering, session_for_reply_channel
from routechan_django.sessions.kept import NOTHING
from tests.unit.django.helpers import elsewhere as on_another_thread
from tests.unit.django.helpers import nothing, queries, stored
from tests.waiting import until

from .engines import raw
from .sockets import CUSTOM, STREAM, Socket, opened

__all__ = ["queries"]

READ, CREATE, WRITE = "SELECT django_session", "INSERT django_session", "UPDATE django_session"


@pytest.fixture(params=[Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of consumer whose events run one after another."""
    return request.param


@pytest.fixture(params=[channel_session], ids=lambda decorator: decorator.__name__)
def decorator(request: pytest.FixtureRequest) -> Any:
    """The decorator of all consumers, unless a test has others."""
    return request.param


both = pytest.mark.parametrize("decorator", [channel_session, enforce_ordering], indirect=True)


@pytest.fixture
async def socket(layer: ChannelLayerWrapper, kind: Kind, decorator: Any) -> AsyncIterator[Socket]:
    """An open socket."""
    async with opened(layer, kind, decorator) as made:
        yield made


def count(message: Any) -> int:
    message.channel_session["count"] = message.channel_session.get("count", 0) + 1
    return int(message.channel_session["count"])


def store(name: str, **data: Any) -> None:
    """Store data in the session of a connection, as a view or another process does."""
    session = session_for_reply_channel(name)
    session.update(data)
    session.save()


# Queries


@both
async def test_no_query_an_event(socket: Socket, queries: list[str]) -> None:
    """SE-08, SE-19, SE-26: no event reads what is kept, and those that change it write it, once."""
    await socket.event(nothing)
    assert (await socket.data(), queries) == ({}, [])
    assert await socket.event(count) == 1
    assert queries == [CREATE]
    assert await socket.event(count) == 2
    for _ in range(3):
        assert await socket.data() == {"count": 2}
    assert queries == [CREATE, WRITE]


async def test_written_through(socket: Socket) -> None:
    """SE-05, SE-12: when the event's consumer has ended, others find what it has stored."""
    for number in (1, 2):
        await socket.event(count)
        assert await sync_to_async(stored)(socket.name) == {"count": number}


@both
@pytest.mark.parametrize("kind", [Kind.ASYNC], indirect=True)
async def test_no_thread(socket: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """SE-10: an async consumer costs a thread only where it has changed something."""
    hops: list[Any] = []

    def counted(function: Any) -> Any:
        hops.append(function)
        return sync_to_async(function)

    monkeypatch.setattr(decorators, "sync_to_async", counted)
    await socket.event(nothing)
    await socket.data()
    assert hops == []
    await socket.event(count)
    await socket.data()
    assert len(hops) == 1


def kept_by(message: Message) -> Any:
    return vars(message.reply_channel).get("kept")


async def test_memory(socket: Socket) -> None:
    """A socket that never stores anything keeps nothing of its own; one that does keeps the data once, encoded."""
    await socket.event(nothing)
    assert await socket.event(kept_by) is NOTHING
    await socket.event(count)
    assert (await socket.event(kept_by))._encoded == b'{"count":1}'


@pytest.mark.parametrize("decorator", [lambda func: func], indirect=True)
async def test_memory_of_others(socket: Socket) -> None:
    """One whose consumers are not decorated keeps nothing at all."""
    await socket.event(nothing)
    assert await socket.event(kept_by) is None


async def test_the_last_event_reads(socket: Socket, queries: list[str]) -> None:
    """SE-12: what others have changed is found then also where nobody was told of it."""
    await socket.event(count)
    await sync_to_async(Session.objects.all().delete)()
    queries.clear()
    found: list[Any] = []
    await socket.close(lambda message: found.append(dict(message.channel_session.items())))
    assert (found, queries) == ([{}], [READ])


async def test_a_session_that_was_removed(socket: Socket, caplog: pytest.LogCaptureFixture) -> None:
    """SE-10: what was removed behind everybody's back is not brought back, and the next event finds that."""
    await socket.event(count)
    await sync_to_async(Session.objects.all().delete)()
    with caplog.at_level(logging.ERROR, "routechan"):
        await socket.event(count)
        assert await socket.data() == {}
    assert "its connection is over, or it was flushed" in caplog.text


# Changed elsewhere


async def test_changed_elsewhere(socket: Socket, queries: list[str]) -> None:
    """SE-05: what a view or another process stores is seen by the next event, for one query."""
    await socket.event(count)
    await sync_to_async(store)(socket.name, count=10, more=True)
    queries.clear()
    assert await socket.data() == {"count": 10, "more": True}
    assert await socket.event(count) == 11
    assert queries == [READ, WRITE]


async def test_stored_elsewhere_first(socket: Socket) -> None:
    """SE-08: likewise where the connection itself has stored nothing."""
    await socket.event(nothing)
    await sync_to_async(store)(socket.name, room="a")
    assert await socket.data() == {"room": "a"}


async def test_flushed_elsewhere(socket: Socket) -> None:
    """SE-10: what was removed elsewhere is gone."""
    await socket.event(count)
    await sync_to_async(lambda: session_for_reply_channel(socket.name).flush())()
    assert await socket.data() == {}
    assert await socket.event(count) == 1


async def test_a_consumer_of_another_channel(socket: Socket) -> None:
    """SE-12: what one stores for the connection is seen by the events that follow its reply to the client."""
    await socket.event(count)
    assert await socket.event(count, CUSTOM) == 2
    assert await socket.event(count) == 3
    assert await socket.event(count, CUSTOM) == 4


@pytest.mark.parametrize("kind", [Kind.PLAIN], indirect=True)
async def test_changed_elsewhere_while_an_event_runs(socket: Socket) -> None:
    """SE-05: whoever saves last has saved, and all find that."""

    def overwrite(message: Any) -> None:
        message.channel_session["mine"] = True
        on_another_thread(partial(store, message.reply_channel.name, theirs=True))

    await socket.event(count)
    await socket.event(overwrite)
    assert await socket.data() == {"count": 1, "mine": True} == await sync_to_async(stored)(socket.name)


async def test_a_change_that_is_not_told(
    socket: Socket, layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SE-05: where the layer can't be reached it is stored all the same, and logged."""
    await socket.event(count)

    def fails(*args: Any, **more: Any) -> None:
        raise OSError("no Redis")

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "routechan"):
        patched.setattr(layer.channel_layer, "send", fails)
        await sync_to_async(store)(socket.name, more=True)
    assert (await sync_to_async(stored)(socket.name))["more"]
    assert "could not be told that its channel session has changed" in caplog.text


def test_nobody_is_told_where_consumers_are_in_workers(
    layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SE-05: a relaying server keeps no sessions; nor is the reply channel of a test client one of a server."""
    sent: list[Any] = []
    monkeypatch.setattr(layer.channel_layer, "send", lambda name, content, **more: sent.append(content))
    names = "websocket.send.abcdef.process!one", "websocket.send.test!one"
    session_for_reply_channel(names[1]).save()
    monkeypatch.setattr(conf, "inline_aliases", lambda: [])
    session_for_reply_channel(names[0]).save()
    assert sent == []
    monkeypatch.undo()
    monkeypatch.setattr(layer.channel_layer, "send", lambda name, content, **more: sent.append(content))
    session_for_reply_channel(names[0]).save()
    assert sent == [{CHANGED: True}]
    Session.objects.all().delete()


# What is kept is what is stored


async def test_what_was_not_saved_is_gone(socket: Socket) -> None:
    """SE-10: a change inside a value marks nothing as changed, as in Django; the next event does not see it."""

    def put(message: Any) -> None:
        message.channel_session["list"] = [1]

    await socket.event(put)
    await socket.event(lambda message: message.channel_session["list"].append(2))
    assert await socket.data() == {"list": [1]}


@pytest.mark.parametrize(("engine", "value"), [(db, [1, 2]), (cache_engine, (1, 2))], ids=["db", "cache"])
async def test_types_are_those_of_the_engine(socket: Socket, engine: Any, value: Any) -> None:
    """SE-10: what goes through JSON comes back as a list; a cache gives back what it was given."""

    def put(message: Any) -> None:
        message.channel_session["pair"] = (1, 2)

    with override_settings(SESSION_ENGINE=engine.__name__):
        await socket.event(put)
        assert await socket.data() == {"pair": value} == await sync_to_async(stored)(socket.name)
        await sync_to_async(cache.clear)()


def roll_back(message: Any) -> None:
    with transaction.atomic():
        message.channel_session["count"] = 100
        message.channel_session.save()
        message.channel_session.modified = False
        transaction.set_rollback(True)


@pytest.mark.parametrize("kind", [Kind.PLAIN], indirect=True)
async def test_a_transaction_that_is_rolled_back(socket: Socket) -> None:
    """SE-12: nothing is kept of what was saved in it."""
    await socket.event(count)
    await socket.event(roll_back)
    assert await socket.data() == {"count": 1}


@pytest.mark.parametrize("kind", [Kind.PLAIN], indirect=True)
async def test_a_transaction_elsewhere(socket: Socket) -> None:
    """SE-05: the connection is told when it is committed: until then it would read, and keep, what was there before."""
    await socket.event(count)
    changes: list[int] = []

    def in_transaction(message: Any) -> None:
        changes.append(message.reply_channel.changes)
        with transaction.atomic():
            store(message.reply_channel.name, count=10)
            changes.append(message.reply_channel.changes)

    await socket.event(in_transaction)
    assert len(set(changes)) == 1
    assert await socket.data() == {"count": 10}


async def test_an_expiry_of_ones_own(socket: Socket, queries: list[str]) -> None:
    """SE-12: a session with one is read at each event, which finds it expired when it is."""

    def expires(message: Any) -> None:
        message.channel_session["a"] = 1
        message.channel_session.set_expiry(3600)

    await socket.event(expires)
    queries.clear()
    for _ in range(2):
        assert (await socket.data())["a"] == 1
    assert queries == [READ, READ]


async def test_what_only_the_engine_keeps(socket: Socket) -> None:
    """SE-02: data that no serializer takes is read at each event."""

    def put(message: Any) -> None:
        message.channel_session["set"] = {1, 2}

    with override_settings(SESSION_ENGINE=raw.__name__):
        await socket.event(put)
        assert await socket.data() == {"set": {1, 2}}
        await sync_to_async(store)(socket.name, more=True)
        assert await socket.data() == {"set": {1, 2}, "more": True}


async def test_a_stream_beside(layer: ChannelLayerWrapper, stream_kind: Kind, queries: list[str]) -> None:
    """SE-10: a stream reads the session when it starts; what it stores when it ends is found by later events."""
    async with opened(layer, Kind.PLAIN, channel_session, stream_kind=stream_kind) as socket:
        await socket.event(count)
        await socket.event(count, STREAM)
        await until(lambda: WRITE in queries)
        while (found := await socket.data()) == {"count": 1}:  # its end is told behind its last reply
            pass
        assert found == {"count": 2}
