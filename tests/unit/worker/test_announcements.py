"""Inline servers leave channels to the workers that read them, so that the order of a channel holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

import pytest

from routechan import Message, route
from routechan.consumers.dispatch import Dispatcher
from routechan.exceptions import ChannelLayerUnavailable
from routechan.inline import InlineConsumers
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers
from routechan.relay.protocol import WORKERS
from routechan.routing import Router
from routechan.worker.announcements import SERVERS
from routechan.worker.process import WorkerProcess
from tests.waiting import stretched, until

from ..asgi.clients import logged
from ..helpers import DEADLINE


class Crossing(InMemoryChannelLayer):
    """A layer that says other processes see it. All processes of these tests are one."""

    crosses_processes: ClassVar[bool] = True


@pytest.fixture
def layer() -> Any:
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, Crossing().sync) as layer:
        yield layer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes look for each other often."""
    monkeypatch.setattr("routechan.worker.announcements.INTERVAL", 0.05)


class Log:
    """Which process consumed what, in order. Lifetime: test."""

    def __init__(self, layer: SyncChannelLayer) -> None:
        self.layer = layer
        self.seen: list[tuple[str, int]] = []
        self.sent = 0
        self.began = threading.Event()
        self.release = threading.Event()
        self.release.set()

    def consumer(self, name: str, kind: str = "plain") -> Callable[..., Any]:
        def consumer(message: Message) -> None:
            self.began.set()
            self.release.wait(DEADLINE)
            self.seen.append((name, message["n"]))

        async def aconsumer(message: Message) -> None:
            self.seen.append((name, message["n"]))

        return consumer if kind == "plain" else aconsumer

    def router(self, name: str, channels: tuple[str, ...], kind: str) -> Router:
        return Router([route(channel, self.consumer(name, kind)) for channel in channels])

    async def send(self, count: int = 1, channel: str = "work") -> None:
        for _ in range(count):
            await self.layer.layer.send(channel, {"n": self.sent})
            self.sent += 1

    async def by(self, name: str, count: int = 5, channel: str = "work") -> None:
        """Send some messages; all are consumed by ``name``, in order."""
        begins = len(self.seen)
        await self.send(count, channel)
        await until(lambda: len(self.seen) == begins + count)
        assert self.seen[begins:] == [(name, number) for number in range(self.sent - count, self.sent)]


def leaves(server: InlineConsumers, channel: str = "work") -> bool:
    """Whether a server leaves a channel to a worker."""
    deference = server._deference
    return channel not in deference._reading and any(channel in reads for reads in deference._workers.values())


@pytest.fixture
def log(layer: SyncChannelLayer) -> Log:
    return Log(layer)


@asynccontextmanager
async def server(log: Log, *channels: str, kind: str = "plain", name: str = "server") -> AsyncIterator[InlineConsumers]:
    consumers = InlineConsumers(Dispatcher(log.router(name, channels or ("work",), kind)), log.layer, threads=1)
    await consumers.start(None)  # type: ignore[arg-type]
    try:
        yield consumers
    finally:
        await asyncio.wait_for(consumers.stop(), DEADLINE)


@asynccontextmanager
async def worker(log: Log, *channels: str, kind: str = "plain", name: str = "worker") -> AsyncIterator[WorkerProcess]:
    router = log.router(name, channels or ("work",), kind)
    process = WorkerProcess(Dispatcher(router), log.layer, sorted(router.channels), threads=1)
    running = asyncio.create_task(process.run())
    try:
        await until(lambda: process.taking)
        yield process
    finally:
        process.stop()
        await asyncio.wait_for(running, 2 * DEADLINE)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_server_leaves_a_channel_to_a_worker(log: Log, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """As long as the worker is there it reads alone; before and afterwards the server does."""
    async with server(log, kind=kind):
        await log.by("server")
        async with worker(log, kind=kind):
            await log.by("worker", 20)
        await log.by("server")
    (warning,) = logged(caplog)
    assert 'because their CONSUMERS is "inline": 1 now' in warning
    assert "leave the channels work to this worker" in warning


async def test_a_server_that_starts_later(log: Log) -> None:
    """It asks, and never reads what a worker reads."""
    async with AsyncExitStack() as later:
        async with worker(log):
            await later.enter_async_context(server(log))
            await log.by("worker", 20)
        await log.by("server")


async def test_a_worker_waits_for_what_a_server_runs(log: Log) -> None:
    """Messages that the server has taken are done before the worker takes the first: they are not overtaken."""
    log.release.clear()
    async with server(log):
        await log.send(3)
        await until(log.began.is_set)
        starting = worker(log)
        entering = asyncio.ensure_future(starting.__aenter__())
        await log.send(3)
        await asyncio.sleep(0.1)
        assert not entering.done()
        log.release.set()
        await entering
        await until(lambda: len(log.seen) == 6)
        await starting.__aexit__(None, None, None)
    assert [number for _, number in log.seen] == list(range(6))
    assert log.seen[0] == ("server", 0)
    assert log.seen[-1] == ("worker", 5)


async def test_a_server_that_takes_too_long(
    log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker begins after a while, and says that order may suffer."""
    monkeypatch.setattr("routechan.worker.announcements.PATIENCE", 0.1)
    log.release.clear()
    async with server(log):
        await log.send()
        await until(log.began.is_set)
        async with worker(log):
            assert "did not say within 0.1 s that they have left work to this worker" in caplog.text
            log.release.set()
            await until(lambda: log.seen)
            await log.by("worker")


async def test_only_the_channels_of_the_worker(log: Log) -> None:
    """The server goes on to read the others, whose consumers may be running; it has them all when the worker ends."""
    async with server(log, "work", "mail", "post"):
        async with worker(log, "work", "post", "elsewhere"):
            await log.by("worker")
            await log.by("server", channel="mail")
            await log.by("worker", channel="post")
        for channel in ("work", "mail", "post"):
            await log.by("server", channel=channel)


async def test_several_workers(log: Log) -> None:
    """The server reads a channel again when the last of its workers has ended."""
    async with server(log):
        async with worker(log, name="one"):
            async with worker(log, name="two"):
                await log.send(6)
                await until(lambda: len(log.seen) == 6)
                assert "server" not in {name for name, _ in log.seen}
            await log.by("one")
        await log.by("server")


async def test_a_server_asks_all_workers_first(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first one reads says nothing about the second: the server reads only what none of them does."""
    async with worker(log, "work", name="one"), worker(log, "mail", name="two"), worker(log, "post", name="three"):
        subscribed: list[str] = []
        subscribe = log.layer.layer.subscribe

        def recorded(channels: Any, *rest: Any) -> Any:
            subscribed.extend(channels)
            return subscribe(channels, *rest)

        monkeypatch.setattr(log.layer.layer, "subscribe", recorded)
        async with server(log, "work", "mail", "post", "own"):
            await log.by("server", channel="own")
            assert subscribed == ["own"]


async def test_a_worker_that_dies(log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody says good-bye: its lease ends, and the server reads its channels again."""
    alive = True

    async def is_served(channel: str) -> bool:
        return alive

    monkeypatch.setattr(log.layer.layer, "is_served", is_served)
    async with server(log) as consumers:
        await until(lambda: log.layer.group_count(SERVERS) == 1)
        await log.layer.layer.group_send(SERVERS, {"worker": "specific.x.nobody!reads", "reads": ["work"]})
        await until(lambda: leaves(consumers))
        await log.send()
        await asyncio.sleep(0.2)
        assert log.seen == []
        alive = False
        await until(lambda: log.seen == [("server", 0)])
    assert "A worker has died; this server reads its channels again" in logged(caplog)


async def test_what_is_lost_is_said_again(log: Log) -> None:
    """A flush ends all memberships; a server that started meanwhile learns of the worker soon."""
    async with worker(log):
        await log.layer.layer.flush()
        async with server(log) as consumers:
            await until(lambda: log.layer.group_count(SERVERS) == log.layer.group_count(WORKERS) == 1)
            await until(lambda: leaves(consumers))
            await log.by("worker")
        assert await log.layer.layer.group_channels(SERVERS) == []
    assert await log.layer.layer.group_channels(WORKERS) == []


async def test_a_layer_that_is_away(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both start without it, and find each other when it is back."""
    group_add, away = log.layer.layer.group_add, True

    async def failing(group: str, channel: str) -> None:
        if away:
            raise ChannelLayerUnavailable("no answer")
        await group_add(group, channel)

    monkeypatch.setattr(log.layer.layer, "group_add", failing)
    monkeypatch.setattr("routechan.worker.announcements.RETRY_INTERVAL", 0.05)
    async with server(log) as consumers, worker(log):
        away = False
        await until(lambda: log.layer.group_count(SERVERS) == log.layer.group_count(WORKERS) == 1)
        await until(lambda: leaves(consumers))
        await log.by("worker")


async def test_nothing_is_left_for_a_worker(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """Where the routing has channels of sockets only, servers that run consumers keep all there is to do."""
    sockets = ("websocket.connect", "websocket.receive")
    async with server(log, *sockets), worker(log, *sockets, "http.request"):
        pass
    assert "leave nothing for this worker to do" in caplog.text
    assert 'set CONSUMERS to "workers"' in caplog.text


async def test_a_worker_is_stopped_while_it_waits(log: Log) -> None:
    """It ends at once, and takes nothing."""
    log.release.clear()
    async with server(log):
        await log.send()
        await until(log.began.is_set)
        router = log.router("worker", ("work",), "plain")
        process = WorkerProcess(Dispatcher(router), log.layer, ["work"], threads=1)
        running = asyncio.create_task(process.run())
        await asyncio.sleep(0.1)
        assert not process.taking
        process.stop()
        assert await asyncio.wait_for(running, stretched(3)) == 0
        log.release.set()
        await until(lambda: log.seen == [("server", 0)])
        await log.by("server")


async def test_a_layer_in_trouble(log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raises: a server that cannot ask reads all of its own, and learns of the worker when it can."""
    monkeypatch.setattr("routechan.worker.announcements.RETRY_INTERVAL", 0.01)
    group_add, trouble = log.layer.layer.group_add, True

    async def failing(group: str, channel: str) -> None:
        if trouble:
            raise OSError("a layer of another make")
        await group_add(group, channel)

    monkeypatch.setattr(log.layer.layer, "group_add", failing)
    async with server(log) as consumers:
        await log.by("server")
        await until(lambda: "Following what workers read failed" in caplog.text)
        trouble = False
        async with worker(log):
            trouble = True
            await until(lambda: "Announcing this worker failed" in caplog.text)
            trouble = False
            await until(lambda: log.layer.group_count(SERVERS) == log.layer.group_count(WORKERS) == 1)
            await until(lambda: leaves(consumers))
            await log.by("worker")
    assert "this server reads all of its own" in caplog.text
