"""Caches, languages and time zones in consumers of each kind: what a step leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from contextvars import copy_context
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings
from django.utils import timezone, translation

from routechan import Message, route
from routechan.outbox import Outbox, current
from routechan_django import caching
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import Client, apply_routes
from tests.harness import WebSocket
from tests.waiting import until

from .stepping import ALL_KINDS, ask, consumer_of, serve


class Counting(LocMemCache):
    """A cache whose objects hold a connection until they are closed."""

    made = 0
    open: ClassVar[set[int]] = set()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        Counting.made += 1

    def get(self, *args: Any, **kwargs: Any) -> Any:
        Counting.open.add(id(self))
        return super().get(*args, **kwargs)

    def close(self, **kwargs: Any) -> None:
        Counting.open.discard(id(self))


@pytest.fixture
def counting() -> Iterator[type[Counting]]:
    Counting.made = 0
    Counting.open.clear()
    with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.Counting"}}):
        yield Counting


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_caches_are_closed_and_reused(layer: ChannelLayerWrapper, counting: type[Counting], kind: str) -> None:
    """Closed after each step that used one; and a thread makes one object, not one for each event or socket."""
    steps = 3 if "stream" in kind else 1
    seen: list[int] = []

    def step(_: int) -> str:
        seen.append(len(counting.open))
        return str(cache.get("nothing"))

    application = serve(layer, route("websocket.receive", consumer_of(kind, step, steps=steps)))
    for _ in range(3):
        async with WebSocket(application) as socket:
            await socket.accepted()
            for _ in range(2):
                socket.send("x")
                assert [await socket.text() for _ in range(steps)] == ["None"] * steps
                await until(lambda: not counting.open)
    assert set(seen) == {0}
    # Plain consumers run on a few threads, async ones share asgiref's, and streams pass on what they have used.
    assert counting.made <= {"plain": 3}.get(kind.removeprefix("decorated "), 2)
    assert not caching.in_use()


async def test_a_cache_asked_on_the_loop(layer: ChannelLayerWrapper, counting: type[Counting]) -> None:
    """``cache.aget`` finds its object on the event loop: the same one for all connections, closed after each event."""

    async def consumer(message: Message) -> None:
        await message.reply_channel.asend({"text": str(await cache.aget("nothing"))})

    application = serve(layer, route("websocket.receive", consumer))
    for _ in range(3):
        async with WebSocket(application) as socket:
            await socket.accepted()
            assert [await ask(socket) for _ in range(2)] == ["None"] * 2
            assert not counting.open
    assert counting.made == 1


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("asked", ["on the loop", "on asgiref's thread", "on another thread"])
async def test_tasks_that_outlive_their_consumers(
    layer: ChannelLayerWrapper, counting: type[Counting], asked: str, used_before: bool
) -> None:
    """They share one object, with one connection, which the next step that uses it closes."""
    tasks = []
    go_on = asyncio.Event()
    executor = ThreadPoolExecutor(1)

    async def get() -> None:
        if asked == "on the loop":
            await cache.aget("nothing")
        elif asked == "on asgiref's thread":
            await sync_to_async(cache.get)("nothing")
        else:
            await asyncio.get_running_loop().run_in_executor(executor, copy_context().run, cache.get, "nothing")

    async def outlive() -> None:
        await go_on.wait()
        for _ in range(2):
            await get()

    async def consumer(message: Message) -> None:
        if used_before or message["text"] == "use it":
            await get()
        if message["text"] == "leave a task":
            tasks.append(asyncio.create_task(outlive()))
        await message.reply_channel.asend({"text": "done"})

    application = serve(layer, route("websocket.receive", consumer))
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(WebSocket(application)) for _ in range(10)]
        for socket in sockets:
            await socket.accepted()
            await ask(socket, "leave a task")
        assert not counting.open
        go_on.set()
        await asyncio.gather(*tasks)
        assert len(counting.open) == 1
        await ask(sockets[0], "use it")
        assert not counting.open
    assert counting.made == 1
    executor.shutdown()


def test_a_fork_leaves_the_connections_to_its_parent(counting: type[Counting]) -> None:
    """A task that outlives its consumer, and so a child that a consumer forks, finds no object of the parent."""
    outbox = Outbox()

    def forked() -> bool:
        current.set(outbox)
        before = caching._create("default")
        outbox.closed = True
        assert caching._create("default") is before
        caching._forget()  # what the child calls
        return caching._create("default") is before

    assert not copy_context().run(forked)
    assert not caching.in_use()


def test_other_code_has_its_own_caches(counting: type[Counting]) -> None:
    """A view's or a command's objects are Django's business, as ever."""
    mine = caches["default"]
    assert caches["default"] is mine
    with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.Counting"}}):
        assert caches["default"] is not mine
    assert counting.made == 2


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("middleware", [False, True], ids=["alone", "with middleware"])
async def test_language_and_time_zone_end_with_the_event(
    layer: ChannelLayerWrapper, kind: str, middleware: bool
) -> None:
    """An event begins with those of the settings, or what ASGI middleware has activated for its connection."""

    def step(_: int) -> str:
        seen = f"{translation.get_language()} {timezone.get_current_timezone_name()}"
        translation.activate("de")
        timezone.activate("Europe/Berlin")
        return seen

    inner = serve(layer, route("websocket.receive", consumer_of(kind, step)))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        translation.activate("fr")
        timezone.activate("Europe/Paris")
        await inner(scope, receive, send)

    for _ in range(2):
        async with WebSocket(application if middleware else inner) as socket:
            await socket.accepted()
            for _ in range(2):
                assert await ask(socket) == ("fr Europe/Paris" if middleware else "en-us America/Chicago")


@pytest.mark.parametrize("kind", ["async", "stream", "async stream"])
async def test_what_a_plain_wrapper_activates(layer: ChannelLayerWrapper, kind: str) -> None:
    """It is seen by what it wraps, though that runs on another thread."""
    wrapped = consumer_of(kind, lambda _: translation.get_language())

    def consumer(message: Message) -> Any:
        translation.activate("de")
        return wrapped(message)

    async with WebSocket(serve(layer, route("websocket.receive", consumer))) as socket:
        await socket.accepted()
        assert await ask(socket) == "de"


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_in_the_test_client(kind: str, counting: type[Counting], layer: Any) -> None:
    """Caches are closed, and the language ends, as in production."""

    def step(_: int) -> None:
        cache.get("nothing")
        translation.activate("de")

    with apply_routes(route("test", consumer_of(kind, step))):
        Client().send_and_consume("test", {})
    assert not counting.open
    assert translation.get_language() == "en-us"
