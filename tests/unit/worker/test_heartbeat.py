"""Heartbeats: which of its servers' events a worker tells of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from routechan import ChannelFull, Message, route
from routechan.layers import SyncChannelLayer
from routechan.relay.protocol import TAG, control_channel
from routechan.worker.heartbeat import Heartbeat
from tests.waiting import until, wait_until

from ..helpers import DEADLINE, of_kind
from ..relay.helpers import RECEIVE, both_workers, send_event, working


class Server:
    """What a server hears of its events. Lifetime: test."""

    def __init__(self, layer: SyncChannelLayer) -> None:
        self.layer = layer
        self.reply_to = control_channel(layer.layer.process)
        self.alive: set[int] = set()
        self.acked: list[int] = []
        layer.layer.attach(self.reply_to, self._take)

    def _take(self, channels: Any, content: Any) -> None:
        self.alive.update(content.get("heartbeat", ()))
        if "ack" in content:
            self.acked.append(content["ack"])

    async def send(self, number: int, socket: str = "a") -> None:
        reply_channel = f"websocket.send.x.nobody!{socket}"
        await send_event(self.layer, number, reply_to=self.reply_to, reply_channel=reply_channel, n=number)

    def hears_of(self, number: int) -> None:
        """Wait on this thread, which may be that of the event loop. What it raises in a consumer fails no test."""
        wait_until(lambda: number in self.alive, f"a heartbeat of {number}")


@pytest.fixture
def server(default_layer: SyncChannelLayer) -> Server:
    return Server(default_layer)


@both_workers
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_event_that_blocks_its_thread_or_loop(server: Server, classic: bool, kind: str) -> None:
    """It is told of while its consumer runs, although an async one holds up the event loop."""
    consumer = of_kind(kind, lambda message: server.hears_of(message["n"]))
    async with working(server.layer, route(RECEIVE, consumer), classic=classic):
        await server.send(1)
        await until(lambda: server.acked == [1])
    assert server.alive == {1}


@both_workers
async def test_short_events(server: Server, classic: bool) -> None:
    """An event that ends within an interval is not told of, also where one that lasts is."""

    def consumer(message: Message) -> None:
        if message["n"] == 5:
            server.hears_of(5)

    async with working(server.layer, route(RECEIVE, consumer), classic=classic):
        for number in range(6):
            await server.send(number)
            await until(lambda: server.acked == list(range(number + 1)))  # noqa: B023
    assert server.alive == {5}


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_event_behind_another_of_its_connection(server: Server, kind: str) -> None:
    """It has left its channel, and waits here for its turn."""
    consumer = of_kind(kind, lambda message: server.hears_of(2))
    async with working(server.layer, route(RECEIVE, consumer)):
        for number in (1, 2):
            await server.send(number)
        await until(lambda: server.acked == [1, 2])
    assert 2 in server.alive


async def test_an_event_that_the_layer_holds_for_a_blocked_loop(server: Server) -> None:
    """It has left its channel, and the event loop has had no turn to take it."""

    async def consumer(message: Message) -> None:
        if message["n"] == 1:
            sending = threading.Thread(target=lambda: asyncio.run(server.send(2, "b")))
            sending.start()
            sending.join()
            server.hears_of(2)

    async with working(server.layer, route(RECEIVE, consumer)):
        await server.send(1)
        await until(lambda: server.acked == [1, 2])
    assert 2 in server.alive


class Beats:
    """A heartbeat of what the test says is here, look by look, and what it sends. Lifetime: test."""

    def __init__(self, *looks: Callable[[], list[Mapping[str, Any]]]) -> None:
        self._looks: Iterator[Callable[[], list[Mapping[str, Any]]]] = iter(looks)
        self.done = threading.Event()
        self.sent: list[tuple[str, Any]] = []
        self.errors: list[Exception] = []

    def here(self) -> list[Mapping[str, Any]]:
        look = next(self._looks, None)
        if look is None:
            self.done.set()
            return []
        return look()

    def send(self, channel: str, content: Any) -> None:
        if self.errors:
            raise self.errors.pop()
        self.sent.append((channel, content))

    def run(self) -> list[tuple[str, Any]]:
        heartbeat = Heartbeat(self, self.here)
        heartbeat.start()
        heartbeat.start()
        assert self.done.wait(DEADLINE)
        heartbeat.stop()
        return self.sent


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat looks at once again."""
    monkeypatch.setattr("routechan.worker.heartbeat.HEARTBEAT_INTERVAL", 0.001)


def tags(*numbers: int, server: str = "a") -> list[Mapping[str, Any]]:
    """The headers of events of ``server``."""
    return [{TAG: [server, number, 60.0]} for number in numbers]


@pytest.mark.usefixtures("quick")
def test_what_was_seen_twice_is_told_of() -> None:
    """Not what came since the last look, nor what has gone; each server hears of its own events in one message."""
    looks = [
        tags(1, 2),
        [*tags(2, 3, 4), *tags(5, server="b"), {"no": "tag"}],
        [*tags(3, 4), *tags(5, server="b"), {"no": "tag"}],
    ]
    sent = Beats(*(lambda look=look: look for look in looks)).run()
    assert sent[0] == ("a", {"heartbeat": [2]})
    rest = [(channel, sorted(content["heartbeat"])) for channel, content in sent[1:]]
    assert sorted(rest) == [("a", [3, 4]), ("b", [5])]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [ChannelFull("a"), LookupError("broken")], ids=["full", "broken"])
def test_a_heartbeat_that_cannot_be_sent(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The next one is; an error that is no lost or full layer is logged."""
    beats = Beats(*[lambda: tags(1)] * 3)
    beats.errors.append(error)
    assert beats.run() == [("a", {"heartbeat": [1]})]
    assert ("Sending heartbeats failed" in caplog.text) is isinstance(error, LookupError)
