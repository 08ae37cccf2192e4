"""Channel sessions end with their connections."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from django.contrib.sessions.backends import cache as cache_engine
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db.models.signals import post_delete
from django.test import override_settings

from routechan import ConsumeLater, Message, route
from routechan.consumers.dispatch import Dispatcher
from routechan.inspection import Kind
from routechan.routing import Router
from routechan_django.application import build_application
from routechan_django.ends import ends
from routechan_django.generic.websockets import WebsocketConsumer, WebsocketDemultiplexer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import channel_session, ending, enforce_ordering, session_for_reply_channel
from routechan_django.signals import hooks
from routechan_django.test import WSClient, apply_routes
from routechan_django.worker import Worker
from tests.harness import WebSocket, get
from tests.unit.django.helpers import Mistake, consumer_of, elsewhere, message, nothing, queries, run_decorated, stored
from tests.waiting import until

__all__ = ["queries"]

EVENTS = ["websocket.connect", "websocket.receive", "websocket.disconnect"]


def remember(message: Any) -> dict[str, Any]:
    message.channel_session["a"] = message.channel_session.get("a", 0) + 1
    return {}


def accept(message: Any) -> dict[str, Any]:
    message.reply_channel.send({"accept": True})
    return remember(message)


def serve(layer: ChannelLayerWrapper, *routes: Any) -> Any:
    layer.router = Router(list(routes))
    return build_application(layer)


@pytest.fixture(autouse=True)
def sessions_in_memory() -> Iterator[None]:
    """Sessions in a cache: threads that use the tests' database at the same time find its tables locked."""
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache"):
        cache.clear()
        yield
        cache.clear()


def rows() -> int:
    """How many sessions are stored."""
    kept: dict[str, Any] = cache._cache
    return len(kept)


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The channels of the events after which a session was removed: a stream may end after its connection."""
    channels: list[str] = []
    ending.watch_ends()
    remove = ends.remove

    def remember_removal(invocation: Any) -> None:
        remove(invocation)
        channels.append(invocation.message.channel_name)

    monkeypatch.setattr(ends, "remove", remember_removal)
    return channels


def decorated(kind: Kind, act: Any) -> Any:
    return channel_session(consumer_of(kind, act))


@pytest.mark.parametrize("last", ["decorated", "plain", "async", "stream", "none"])
async def test_gone_after_the_disconnect(layer: ChannelLayerWrapper, kind: Kind, last: str, removed: list[str]) -> None:
    """SE-12: whatever consumer the disconnect has, or none; a decorated one still finds what was stored."""
    seen: list[Any] = []

    def look(message: Any) -> dict[str, Any]:
        seen.append(dict(message.channel_session.items()))
        return remember(message)

    ends = {
        "decorated": [route("websocket.disconnect", decorated(kind, look))],
        "plain": [route("websocket.disconnect", consumer_of(Kind.PLAIN, nothing))],
        "async": [route("websocket.disconnect", consumer_of(Kind.ASYNC, nothing))],
        "stream": [route("websocket.disconnect", consumer_of(kind, nothing))],
        "none": [],
    }[last]
    application = serve(
        layer,
        route("websocket.connect", decorated(Kind.PLAIN, accept)),
        route("websocket.receive", decorated(kind, remember)),
        *ends,
    )
    async with WebSocket(application) as socket:
        await socket.accepted()
        assert rows() == 1
    assert (rows(), removed) == (0, ["websocket.disconnect"])
    assert seen == ([{"a": 1}] if last == "decorated" else [])


async def test_nothing_stored_nothing_removed(layer: ChannelLayerWrapper, queries: list[str], kind: Kind) -> None:
    """SE-08, SE-12: a socket whose consumers store nothing costs one read: the last event looks for what others did."""

    def just_accept(message: Any) -> dict[str, Any]:
        message.reply_channel.send({"accept": True})
        return {}

    application = serve(
        layer,
        route("websocket.connect", decorated(Kind.PLAIN, just_accept)),
        route("websocket.disconnect", decorated(kind, nothing)),
    )
    with override_settings(SESSION_ENGINE=db.__name__):
        async with WebSocket(application) as socket:
            await socket.accepted()
    assert queries == ["SELECT django_session"]


async def test_a_site_without_channel_sessions(
    layer: ChannelLayerWrapper, queries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site without them has no query for a socket that closes, and leaves no last will for it."""
    monkeypatch.setattr(ends, "is_over", None)
    wills: list[str] = []
    monkeypatch.setattr(layer.layer, "last_will", lambda name, *more: wills.append(name))
    application = serve(layer, route("websocket.connect", consumer_of(Kind.PLAIN, lambda message: None)))
    async with WebSocket(application):
        pass
    assert (queries, wills) == ([], [])


async def test_a_last_will_for_the_session(layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """SE-12: where sessions are in use another process is to end them, also where no route takes the disconnect."""
    wills: list[str] = []
    monkeypatch.setattr(layer.layer, "last_will", lambda name, *more: wills.append(name))
    application = serve(layer, route("websocket.connect", decorated(Kind.PLAIN, accept)))
    async with WebSocket(application) as socket:
        await socket.accepted()
        assert len(wills) == 1


def work(layer: ChannelLayerWrapper, name: str, channels: Iterable[str], *routes: Any) -> None:
    """Send the connection's events one after another, as a server with workers does, and work off what is there."""
    for order, channel in enumerate(channels):
        layer.send(channel, {"reply_channel": name, "path": "/", "order": order})
        work_off(layer, *routes)


def work_off(layer: ChannelLayerWrapper, *routes: Any) -> None:
    """Work off what is on the layer, as a worker does."""
    layer.router = Router(list(routes))
    layer.router.check_default()

    class UntilEmpty(Worker):
        @property
        def termed(self) -> bool:
            return not any(layer.channel_statistics(channel)["messages_pending"] for channel in layer.router.channels)

        @termed.setter
        def termed(self, value: bool) -> None: ...

    UntilEmpty(layer, signal_handlers=False).run()


@pytest.mark.parametrize("ordered", [False, True])
def test_in_a_worker(layer: ChannelLayerWrapper, kind: Kind, ordered: bool, name: str) -> None:
    """SE-12: a worker removes it behind the disconnect consumer; the count of ``enforce_ordering`` too."""
    decorator = enforce_ordering if ordered else channel_session
    routes = [route(EVENTS[0], decorator(remember)), route(EVENTS[1], decorator(consumer_of(kind, remember)))]
    work(layer, name, EVENTS[:2], *routes)
    assert stored(name)["a"] == 2
    layer.send(EVENTS[2], {"reply_channel": name, "path": "/", "order": 2})
    work_off(layer, route(EVENTS[2], decorator(consumer_of(kind, remember))))
    assert rows() == 0


def test_the_last_will_of_a_server(layer: ChannelLayerWrapper, name: str) -> None:
    """SE-12, SE-25: the disconnect of a server that was killed, sent for it, ends the session too; its order is 0."""
    routes = [route(event, enforce_ordering(remember)) for event in EVENTS]
    work(layer, name, EVENTS[:2], *routes)
    layer.send(EVENTS[2], {"reply_channel": name, "path": "/", "order": 0, "code": 1006})
    work_off(layer, *routes)
    assert rows() == 0


def test_a_disconnect_that_waits_for_its_turn(layer: ChannelLayerWrapper, name: str) -> None:
    """SE-12, SE-21: a disconnect that overtook a frame ends nothing before its turn, and everything then."""
    seen: list[Any] = []

    def look(message: Any) -> dict[str, Any]:
        seen.append((message["order"], message.channel_session.get("a")))
        return remember(message)

    routes = [route(event, enforce_ordering(look)) for event in EVENTS]
    for order, channel in ((0, EVENTS[0]), (2, EVENTS[2])):
        layer.send(channel, {"reply_channel": name, "path": "/", "order": order})
        work_off(layer, *routes)
    assert stored(name)["a"] == 1
    layer.send(EVENTS[1], {"reply_channel": name, "path": "/", "order": 1})
    work_off(layer, *routes)
    assert seen == [(0, None), (1, 1), (2, 2)]
    assert rows() == 0


def test_again_later(layer: ChannelLayerWrapper, kind: Kind, name: str) -> None:
    """SE-12: a disconnect consumer that asks for another try finds the session then; it ends with the last try."""
    tries: list[Any] = []

    def act(message: Any) -> dict[str, Any]:
        tries.append(message.channel_session.get("a"))
        if len(tries) < 3:
            raise ConsumeLater
        return {}

    routes = [route(EVENTS[0], channel_session(remember)), route(EVENTS[2], channel_session(consumer_of(kind, act)))]
    work(layer, name, [EVENTS[0], EVENTS[2]], *routes)
    assert tries == [1, 1, 1]
    assert rows() == 0


def always_later(message: Any) -> None:
    raise ConsumeLater


@pytest.mark.parametrize("error", [Mistake(), SystemExit()])
def test_after_an_error(layer: ChannelLayerWrapper, kind: Kind, error: BaseException, name: str) -> None:
    """SE-12: a disconnect consumer that raises has had its turn."""

    def act(message: Any) -> None:
        raise error

    routes = [route(EVENTS[0], channel_session(remember)), route(EVENTS[2], channel_session(consumer_of(kind, act)))]
    work(layer, name, [EVENTS[0], EVENTS[2]], *routes)
    assert rows() == 0


def test_after_the_last_try(layer: ChannelLayerWrapper, name: str) -> None:
    """SE-12, WK-10: what is dropped after ten tries does not keep the session."""
    routes = [route(EVENTS[0], channel_session(remember)), route(EVENTS[2], channel_session(always_later))]
    work(layer, name, [EVENTS[0], EVENTS[2]], *routes)
    assert rows() == 0


def test_a_disconnect_that_comes_again(layer: ChannelLayerWrapper, name: str) -> None:
    """SE-12: a disconnect that is sent twice, or made up, finds nothing and leaves nothing."""
    seen: list[Any] = []

    def look(message: Any) -> None:
        seen.append(dict(message.channel_session.items()))

    routes = [route(EVENTS[0], channel_session(remember)), route(EVENTS[2], channel_session(look))]
    work(layer, name, [EVENTS[0], EVENTS[2], EVENTS[2]], *routes)
    assert seen == [{"a": 1}, {}]
    assert rows() == 0


def test_an_event_that_is_still_running(layer: ChannelLayerWrapper, name: str) -> None:
    """SE-12: a server died while a worker ran its event, which ends after the disconnect: it brings nothing back."""
    consumer = channel_session(remember)
    routes = [route(EVENTS[0], consumer), route(EVENTS[2], consumer)]
    work(layer, name, EVENTS[:1], *routes)

    def disconnected() -> None:
        layer.send(EVENTS[2], {"reply_channel": name, "path": "/"})
        work_off(layer, *routes)

    def act(message: Any) -> None:
        remember(message)
        elsewhere(disconnected)

    with pytest.raises(UpdateError, match="its connection is over, or it was flushed elsewhere"):
        run_decorated(channel_session, Kind.PLAIN, act, message(reply_channel=name))
    assert rows() == 0


# Of a request


def answer(message: Any) -> dict[str, Any]:
    remember(message)
    return {"status": 200, "content": b"x"}


async def test_of_a_request(layer: ChannelLayerWrapper, kind: Kind, removed: list[str]) -> None:
    """SE-12: it ends with the response."""

    def act(message: Any) -> dict[str, Any]:
        content = answer(message)
        if kind in (Kind.PLAIN, Kind.ASYNC):
            message.reply_channel.send(content)
        return content

    assert await get(serve(layer, route("http.request", decorated(kind, act))), "/") == (200, b"x")
    await until(lambda: "http.request" in removed)
    assert rows() == 0


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
async def test_of_a_request_whose_end_is_consumed(layer: ChannelLayerWrapper, kind: Kind, removed: list[str]) -> None:
    """SE-12: it ends after the consumer of ``http.disconnect``, which finds what was stored."""
    seen: list[Any] = []

    def over(message: Any) -> None:
        seen.append(message.channel_session.get("a"))

    routes = [
        route("http.request", decorated(kind, lambda message: message.reply_channel.send(answer(message)))),
        route("http.disconnect", decorated(kind, over)),
    ]
    assert await get(serve(layer, *routes), "/") == (200, b"x")
    assert (rows(), removed) == (0, ["http.disconnect"])
    assert seen == [1]


async def test_a_response_in_parts(layer: ChannelLayerWrapper, removed: list[str]) -> None:
    """SE-12: the session is there until the last part has been sent."""
    seen: list[int] = []

    @channel_session
    def answer(message: Any) -> Any:
        remember(message)
        message.channel_session.save()
        yield {"status": 200, "content": b"a", "more_content": True}
        seen.append(rows())
        yield {"content": b"b"}

    assert await get(serve(layer, route("http.request", answer)), "/") == (200, b"ab")
    assert seen == [1]
    await until(lambda: "http.request" in removed)
    assert rows() == 0


def test_a_request_that_another_process_answers(layer: ChannelLayerWrapper, name: str) -> None:
    """SE-12: as long as the response is not complete the session stays, for an hour at most."""
    work(layer, name, ["http.request"], route("http.request", channel_session(remember)))
    assert stored(name) == {"a": 1}


# Classes, clients, and what goes wrong


def test_a_demultiplexer(layer: ChannelLayerWrapper) -> None:
    """GN-28: each consumer of a demultiplexer finds the session in the disconnect; it ends after all of them."""
    seen: list[Any] = []

    class Each(WebsocketConsumer):
        channel_session = True

        def connect(self, message: Message, **kwargs: Any) -> None:
            remember(self.message)

        def disconnect(self, message: Message, **kwargs: Any) -> None:
            seen.append(self.message.channel_session.get("a"))  # type: ignore[attr-defined]

    class Both(WebsocketDemultiplexer):
        consumers = {"one": Each, "two": Each}  # noqa: RUF012

    with apply_routes([Both.as_route()]):
        client = WSClient()
        client.send_and_consume("websocket.connect")
        client.send_and_consume("websocket.disconnect")
    assert seen == [2, 2]
    assert not session_for_reply_channel(client.reply_channel).found


def test_a_client(layer: ChannelLayerWrapper, kind: Kind) -> None:
    """SE-12: in tests as on a server."""
    routes = [route("websocket.connect", decorated(kind, accept)), route("websocket.disconnect", nothing)]
    with apply_routes(routes):
        client = WSClient()
        client.send_and_consume("websocket.connect", check_accept=False)
        assert session_for_reply_channel(client.reply_channel).found
        client.send_and_consume("websocket.disconnect")
    assert not session_for_reply_channel(client.reply_channel).found


class Engine(db.SessionStore):
    """An engine of a project's own."""


@pytest.mark.parametrize(("watched_by", "reads"), [("nobody", 1), ("receiver", 2), ("engine", 2)])
def test_who_looks_at_what_is_removed(
    layer: ChannelLayerWrapper, name: str, queries: list[str], watched_by: str, reads: int
) -> None:
    """SE-12: a row is read before it is removed only where a receiver or a project's engine may look at it."""
    seen: list[Any] = []

    def receiver(sender: Any, instance: Any, **kwargs: Any) -> None:
        seen.append(instance.session_data)

    project = ModuleType("project")
    vars(project)["SessionStore"] = Engine
    if watched_by == "receiver":
        post_delete.connect(receiver, Session)
    try:
        with (
            override_settings(SESSION_ENGINE="project" if watched_by == "engine" else db.__name__),
            mock.patch.dict(sys.modules, project=project),
        ):
            work(layer, name, [EVENTS[0]], route(EVENTS[0], channel_session(remember)))
            queries.clear()
            work(layer, name, [EVENTS[2]], route(EVENTS[2], channel_session(nothing)))
    finally:
        post_delete.disconnect(receiver, Session)
    assert queries == ["SELECT django_session"] * reads + ["DELETE django_session"]
    assert list(map(bool, seen)) == [True] * (watched_by == "receiver")


def test_an_engine_that_fails(
    layer: ChannelLayerWrapper, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be removed is logged in one line, and expires; the connection ends all the same."""

    def fails(self: SessionBase, session_key: str | None = None) -> None:
        raise OSError("no database")

    monkeypatch.setattr(cache_engine.SessionStore, "delete", fails)
    with caplog.at_level(logging.WARNING, "routechan"):
        work(layer, name, [EVENTS[0], EVENTS[2]], route(EVENTS[0], channel_session(remember)))
    [record] = caplog.records
    assert "could not be removed: OSError('no database')" in record.getMessage()
    assert record.exc_info is None


def test_hooks_of_a_project(layer: ChannelLayerWrapper) -> None:
    """The dispatcher asks the hooks whether an end matters; without hooks it does not."""
    router = Router([])
    assert not Dispatcher(router).watches_ends()
    assert Dispatcher(router, **hooks(object)).watches_ends() is (ends.is_over is not None)
