"""The context variables of consumers: those of their own connection, whatever thread or task they run on."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import pytest

from routechan import ConsumeLater, Message, route
from routechan.consumers.connection import Connection
from routechan.layers import SyncChannelLayer
from routechan.testing import Client
from tests.waiting import until

from ..asgi.clients import Open
from ..helpers import DEADLINE, KINDS, of_kind
from ..relay.helpers import SOCKET, both_workers, serving, working
from .helpers import RECEIVE, Outlet, feed, reply, started

#: What an ASGI middleware sets for each connection.
user: ContextVar[str] = ContextVar("user", default="nobody")

ALL_KINDS = [*KINDS, *(f"decorated {kind}" for kind in KINDS)]


def tell(message: Message) -> Any:
    """Reply with what is seen, and leave something behind."""
    seen = user.get()
    user.set(f"{seen}, {message.get('n', 0)}")
    return [{"text": seen}]


def twice(consumer: Callable[..., Any]) -> Callable[..., Any]:
    """``consumer``, after a first try that leaves something behind and asks for another one."""

    def try_again(message: Message) -> Any:
        if "__retries__" not in message.content:
            tell(message)
            raise ConsumeLater
        return consumer(message)

    return try_again


def atwice(message: Message) -> Any:
    if "__retries__" not in message.content:
        tell(message)
        raise ConsumeLater
    return tell(message)


CONSUMERS = {kind: of_kind(kind, tell) for kind in ALL_KINDS}
CONSUMERS |= {f"{kind}, again": of_kind(kind, atwice) for kind in KINDS}
CONSUMERS |= {f"decorated {kind}, again": twice(of_kind(kind, tell)) for kind in KINDS}


async def as_user(name: str, work: Callable[[], Any]) -> Any:
    """``work``, in a task whose context variables are those of one connection."""

    async def run() -> Any:
        user.set(name)
        return await work()

    return await asyncio.create_task(run())


async def event(connection: Connection, channel: str, **content: Any) -> None:
    pending = connection.handle(channel, content)
    if pending is not None:
        await asyncio.wait_for(pending, DEADLINE)
    await asyncio.wait_for(connection.idle(), DEADLINE)


@pytest.mark.parametrize("kind", CONSUMERS)
async def test_each_connection_sees_its_own(default_layer: SyncChannelLayer, kind: str) -> None:
    """Also while a plain consumer of another user keeps a thread busy; and what an event sets ends with it."""
    release = threading.Event()
    routing = [route(RECEIVE, CONSUMERS[kind]), route("block", lambda message: release.wait(DEADLINE))]
    outlets = {name: Outlet(f"websocket.send.here!{name}") for name in ("ann", "bob", "eve")}
    async with started(default_layer, *routing) as consumers:
        other = asyncio.create_task(as_user("eve", lambda: event(consumers.connection(outlets["eve"]), "block")))
        await asyncio.sleep(0)

        async def live(name: str) -> None:
            connection = consumers.connection(outlets[name])
            for number in range(3):
                await event(connection, RECEIVE, n=number)
                await until(lambda number=number: len(outlets[name].delivered) == number + 1)

        await asyncio.gather(*(as_user(name, partial(live, name)) for name in ("ann", "bob")))
        release.set()
        await other
    for name in ("ann", "bob"):
        assert outlets[name].delivered == [{"text": name}] * 3
    assert user.get() == "nobody"


async def test_what_a_wrapper_sets_is_seen_by_what_it_wraps(default_layer: SyncChannelLayer) -> None:
    """A plain decorator of somebody else's runs on a thread, the coroutine it returns on the loop: one event."""

    async def consumer(message: Message) -> None:
        await asyncio.sleep(0)
        reply(message, text=user.get())

    def wrapper(message: Message) -> Any:
        user.set(f"{user.get()} by the wrapper")
        return consumer(message)

    outlet = Outlet()
    async with started(default_layer, route(RECEIVE, wrapper)) as consumers:
        await as_user("ann", lambda: event(consumers.connection(outlet), RECEIVE))
    assert outlet.delivered == [{"text": "ann by the wrapper"}]


@pytest.mark.parametrize("kind", ["stream", "async stream", "decorated stream", "decorated async stream"])
async def test_a_stream_keeps_what_it_sets(default_layer: SyncChannelLayer, kind: str) -> None:
    """From one step to the next; later events of its connection do not see it."""

    def body(message: Message) -> Any:
        if "n" in message:
            yield {"text": user.get()}
            return
        for number in range(3):
            yield {"text": user.get()}
            user.set(f"{user.get()} {number}")

    outlet = Outlet()
    async with started(default_layer, route(RECEIVE, of_kind(kind, body))) as consumers:

        async def live() -> None:
            connection = consumers.connection(outlet)
            await event(connection, RECEIVE)
            await until(lambda: len(outlet.delivered) == 3)
            await event(connection, RECEIVE, n=1)
            await until(lambda: len(outlet.delivered) == 4)

        await as_user("ann", live)
    assert [content["text"] for content in outlet.delivered] == ["ann", "ann 0", "ann 0 1", "ann"]


async def test_what_an_async_consumer_starts_and_waits_for(default_layer: SyncChannelLayer) -> None:
    """Tasks, threads, timeouts and errors in what it awaits see the event's variables too."""
    outlet = Outlet()

    async def consumer(message: Message) -> None:
        user.set("from the consumer")

        async def look() -> str:
            await asyncio.sleep(0)
            return user.get()

        async def fail() -> None:
            await asyncio.sleep(0)
            raise LookupError

        seen = [await asyncio.create_task(look()), await asyncio.to_thread(user.get)]
        try:
            await asyncio.wait_for(asyncio.sleep(DEADLINE), 0.001)
        except asyncio.TimeoutError:
            seen.append(user.get())
        try:
            await asyncio.gather(fail(), look())
        except LookupError:
            seen.append(user.get())
        reply(message, text=seen)

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await as_user("ann", lambda: event(consumers.connection(outlet), RECEIVE))
    assert outlet.delivered == [{"text": ["from the consumer"] * 4}]


async def test_a_cancelled_consumer_cleans_up_in_its_own(default_layer: SyncChannelLayer) -> None:
    """Where the task of a connection is cancelled, ``finally`` and ``except`` see the event's variables."""
    seen: list[str] = []
    waiting = asyncio.Event()

    async def consumer(message: Message) -> None:
        user.set("from the consumer")
        try:
            waiting.set()
            await asyncio.sleep(DEADLINE)
        finally:
            seen.append(user.get())
            await asyncio.sleep(0)
            seen.append(user.get())

    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        task = asyncio.create_task(as_user("ann", lambda: event(consumers.connection(Outlet()), RECEIVE)))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: len(seen) == 2)
    assert seen == ["from the consumer"] * 2


@both_workers
@pytest.mark.parametrize("kind", CONSUMERS)
async def test_in_a_worker(default_layer: SyncChannelLayer, kind: str, classic: bool) -> None:
    """No event sees what another one has set, of the same connection or of another one."""
    user.set("the worker")
    routing = [*SOCKET, route(RECEIVE, CONSUMERS[kind])]
    async with serving(default_layer) as application, working(default_layer, *routing, classic=classic):
        for path in ("/a/", "/b/"):
            async with Open(application, path) as client:
                for _ in range(2):
                    client.send("x")
                    assert await client.text() == "the worker"


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_in_the_test_client(default_layer: SyncChannelLayer, kind: str) -> None:
    """A consumer begins with the variables of the test, and changes none of them."""

    def test() -> None:
        user.set("the test")
        client = Client([route("test", of_kind(kind, tell))])
        for _ in range(2):
            client.send_and_consume("test", {})
            assert client.receive() == {"text": "the test"}
        assert user.get() == "the test"

    copy_context().run(test)


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_an_event_leaves_nothing_for_the_garbage_collector(default_layer: SyncChannelLayer, kind: str) -> None:
    """An event and its context do not hold each other: for short consumers the collector costs more than they do."""

    def echo(message: Message) -> Any:
        return [{"n": message["n"]}]

    async with started(default_layer, route(RECEIVE, of_kind(kind, echo))) as consumers:
        connection = consumers.connection(Outlet())
        await feed(connection, *({"n": number} for number in range(10)))
        await until(lambda: not connection.streams)
        gc.collect()
        gc.disable()
        try:
            await feed(connection, *({"n": number} for number in range(100)))
            await until(lambda: not connection.streams)
            await asyncio.sleep(0)
            found = gc.collect()
        finally:
            gc.enable()
    assert found < 100
