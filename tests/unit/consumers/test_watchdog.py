"""Consumers that block an event loop, or for long a thread, are named while they do."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from routechan import Message, route
from routechan.consumers import watchdog
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..asgi.clients import Open
from ..helpers import DEADLINE
from ..relay.helpers import SOCKET, serving, working
from .helpers import RECEIVE, Outlet, feed, started

HERE = str(Path(__file__))


class Log(logging.Handler):
    """The lines of the watchdog as they come; a test that blocks the loop waits for the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "has held" in record.getMessage():
            self.lines.append(record.getMessage())
            self.came.set()


@pytest.fixture
def log() -> Iterator[Log]:
    handler = Log()
    logging.getLogger("routechan").addHandler(handler)
    yield handler
    logging.getLogger("routechan").removeHandler(handler)


class Blocking:
    """Consumers that block at a line of this class until they have been named, or for good."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.named = False

    def block(self) -> None:
        self.named = self.log.came.wait(DEADLINE)  # here

    def loop(self) -> None:
        ends = time.monotonic() + DEADLINE
        while not self.log.came.is_set() and time.monotonic() < ends:
            sum(range(1000))
        self.named = self.log.came.is_set()

    async def an_async(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.block()

    async def at_once(self, message: Message) -> None:
        self.block()

    async def busy(self, message: Message) -> None:
        self.loop()

    async def in_a_library(self, message: Message) -> None:
        sorted([1], key=lambda _: self.block())

    async def stream(self, message: Message) -> Any:
        yield {"text": "before"}
        self.block()

    def decorated(self, message: Message) -> Any:
        return self.an_async(message)


@pytest.mark.parametrize("kind", ["an_async", "at_once", "busy", "in_a_library", "stream", "decorated"])
async def test_what_holds_the_loop_is_named(default_layer: SyncChannelLayer, log: Log, kind: str) -> None:
    """While it does, with the consumer, and the file and line of the project where it is stuck."""
    blocking = Blocking(log)
    async with started(default_layer, route(RECEIVE, getattr(blocking, kind))) as consumers:
        await feed(consumers.connection(Outlet()), {})
        await until(lambda: blocking.named)
    (line,) = log.lines
    assert f"test_watchdog.Blocking.{kind} on websocket.receive has held the event loop for 0." in line
    lines, first = inspect.getsourcelines(Blocking)
    (here,) = (first + number for number, text in enumerate(lines) if "# here" in text)
    if kind == "busy":
        assert f"at {HERE}:" in line
        assert " in loop: " in line
    else:
        assert f"at {HERE}:{here} in block: self.named = self.log.came.wait(DEADLINE)" in line


async def test_in_a_worker(default_layer: SyncChannelLayer, log: Log) -> None:
    """Its loop is watched too."""
    blocking = Blocking(log)
    worker = working(default_layer, *SOCKET, route(RECEIVE, blocking.at_once))
    async with serving(default_layer) as application, worker, Open(application, "/") as client:
        client.send("x")
        await until(lambda: blocking.named)
    assert "Blocking.at_once on websocket.receive has held the event loop" in log.lines[0]


async def test_once_for_each_place_and_interval(
    default_layer: SyncChannelLayer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another line is named at once, the same one when the interval is over."""

    async def one(message: Message) -> None:
        log.came.wait(message["seconds"])

    async def other(message: Message) -> None:
        log.came.wait(message["seconds"])

    async with started(default_layer, route("one", one), route("other", other)) as consumers:
        connection = consumers.connection(Outlet())
        for channel, seconds, named in (("one", DEADLINE, 1), ("one", 0.3, 1), ("other", DEADLINE, 2), ("one", 0.3, 2)):
            log.came.clear()
            await feed(connection, {"seconds": seconds}, channel=channel)
            assert len(log.lines) == named
        monkeypatch.setattr("routechan.telemetry.repeats.INTERVAL", 0.0)
    async with started(default_layer, route("one", one)) as consumers:
        for _ in range(2):
            log.came.clear()
            await feed(consumers.connection(Outlet()), {"seconds": DEADLINE}, channel="one")
    assert len(log.lines) == 4


async def test_a_loop_that_answers_is_not_looked_at(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack of a thread that makes and leaves frames is not safe to look at."""
    looks: list[bool] = []
    running = watchdog._running

    def look(*args: Any) -> Any:
        looks.append(True)
        return running(*args)

    async def waits(message: Message) -> None:
        for _ in range(100):
            await asyncio.sleep(0.01)

    monkeypatch.setattr(watchdog, "_running", look)
    async with started(default_layer, route(RECEIVE, waits)) as consumers:
        await feed(consumers.connection(Outlet()), {})
    assert len(looks) < 10  # of 20; none on a machine that is idle


@pytest.mark.parametrize("kind", ["waits", "many short ones", "plain"])
async def test_what_does_not_hold_the_loop(default_layer: SyncChannelLayer, log: Log, kind: str) -> None:
    """A consumer that awaits, one that is called all the time, a plain one that blocks for as long."""

    async def waits(message: Message) -> None:
        await asyncio.sleep(0.3)

    async def short(message: Message) -> None:
        for _ in range(30):
            sum(range(100_000))
            await asyncio.sleep(0)

    consumer: Callable[..., Any] = {
        "waits": waits,
        "many short ones": short,
        "plain": lambda message: time.sleep(0.3),
    }[kind]
    async with started(default_layer, route(RECEIVE, consumer)) as consumers:
        await feed(consumers.connection(Outlet()), *({} for _ in range(3)))
    assert log.lines == []


async def test_what_holds_a_thread_is_named(
    default_layer: SyncChannelLayer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain consumer, while it does, with the line where it is stuck; a stream may last, and so may an async one."""
    monkeypatch.setattr(watchdog, "THREAD_TIME", 0.2)
    monkeypatch.setattr(watchdog, "THREAD_LOOK", 0.05)
    release = threading.Event()

    def plain(message: Message) -> None:
        log.came.wait(DEADLINE)

    def stream(message: Message) -> Any:
        yield {"n": 0}
        release.wait(DEADLINE)

    async def an_async(message: Message) -> None:
        while not log.came.is_set():
            await asyncio.sleep(0.01)

    routing = [route("plain", plain), route("stream", stream), route("async", lambda message: an_async(message))]
    async with started(default_layer, *routing) as consumers:
        channels = ("stream", "async", "plain")
        await asyncio.gather(*(feed(consumers.connection(Outlet()), {}, channel=channel) for channel in channels))
        release.set()
    (line,) = log.lines
    assert "test_watchdog.plain on plain" in line
    assert f"at {HERE}:" in line
    assert "in plain: log.came.wait(DEADLINE)" in line
    assert "has held a thread for 0 s" in line


async def test_it_ends_with_its_runtime(default_layer: SyncChannelLayer) -> None:
    """No thread is left behind by a server that has stopped."""
    before = {thread for thread in threading.enumerate() if thread.name == "routechan-watchdog"}
    async with started(default_layer, route(RECEIVE, lambda message: None)):
        (mine,) = {thread for thread in threading.enumerate() if thread.name == "routechan-watchdog"} - before
    await until(lambda: not mine.is_alive())
