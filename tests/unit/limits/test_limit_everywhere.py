"""The decorator ``limit`` where a user's or an address' messages come to several processes."""

from __future__ import annotations

import functools
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from routechan import Message, limit, route
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, RedisChannelLayer
from routechan.layers.permits import Permitting
from routechan.telemetry.counters import counters
from tests.redis_servers import SingleServer, shared

from ..asgi.clients import Open
from ..asgi.consumers import accept
from ..helpers import KINDS, of_kind
from ..monitor.helpers import relaying, working

#: Three in ten years, so that no test sees the end of a period.
ONCE = "3/87600h"


class Shared(InMemoryChannelLayer, Permitting):
    """A process' layer with counts that it shares with others, and a time that the test turns. Lifetime: test."""

    time = 1000.0
    away = False

    def __init__(self, counted: Counter[str]) -> None:
        super().__init__()
        self.counted = counted
        self.asked = 0

    def now(self) -> float:
        return self.time

    def permits(self, key: str, wanted: int, most: int, lasts: float) -> int:
        self.asked += 1
        if self.away:
            raise ChannelLayerUnavailable("it is away")
        self.counted[key] += wanted
        return max(0, min(wanted, most - self.counted[key] + wanted))

    async def apermits(self, key: str, wanted: int, most: int, lasts: float) -> int:
        return self.permits(key, wanted, most, lasts)


class Process:
    """A consumer as one process has it, decorated there. Lifetime: test."""

    def __init__(self, layer: BaseChannelLayer, rate: str, by: str) -> None:
        self.layer = layer
        self.ran = 0
        self.consume = limit(rate, by=by)(self._count)

    def _count(self, message: Message) -> None:
        self.ran += 1

    def take(self, times: int = 1, pk: int | None = 1, address: str = "192.0.2.1") -> int:
        """How many of so many messages the consumer has run for."""
        before = self.ran
        for _ in range(times):
            message = Message({"client": [address, 1], "reply_channel": "a"}, "http.request", self.layer.sync)
            message.user = SimpleNamespace(pk=pk, is_authenticated=pk is not None)  # type: ignore[attr-defined]
            self.consume(message)
        return self.ran - before


@pytest.fixture
def several() -> Callable[..., list[Process]]:
    counted: Counter[str] = Counter()
    return lambda rate, by="user", number=3: [Process(Shared(counted), rate, by) for _ in range(number)]


@pytest.mark.parametrize("by", ["user", "address"])
def test_all_processes_together(several: Any, by: str) -> None:
    """A burst in each is one burst; the next period has its own; others have their own."""
    processes = several("5/m", by)
    assert [process.take(2) for process in processes] == [2, 2, 1]
    assert [process.take(3) for process in processes] == [0, 0, 0]
    assert processes[0].take(2, pk=2, address="192.0.2.2") == 2
    for process in processes:
        process.layer.time += 60.0
    assert [process.take(4) for process in processes] == [4, 1, 0]


def test_what_one_process_takes_ahead(several: Any) -> None:
    """It asks for a tenth at a time: what it has left is not the others', and is gone when the period ends."""
    first, second = several("30/m", number=2)
    assert first.take(1) == 1
    assert second.take(40) == 27
    assert first.take(5) == 2
    first.layer.time += 60.0
    assert first.take(40) == 30


def test_how_often_the_layer_is_asked(several: Any) -> None:
    """Eleven times in a period, however many messages come."""
    [process] = several("100/m", number=1)
    assert process.take(1000) == 100
    assert process.layer.asked == 11


def test_who_has_not_logged_in_and_other_keys(several: Any) -> None:
    """Sockets are counted where their consumers run, and the layer is not asked."""
    first, second = several("2/m", number=2)
    assert [process.take(3, pk=None) for process in (first, second)] == [2, 2]
    by_socket = several("2/m", "socket", 2)
    assert [process.take(3) for process in by_socket] == [2, 2]
    assert [process.layer.asked for process in (first, second, *by_socket)] == [0, 0, 0, 0]


def test_while_the_layer_is_away(several: Any) -> None:
    """Each process counts by itself, and goes on; then together again."""
    first, second = several("2/m", number=2)
    first.layer.away = second.layer.away = True
    assert [process.take(3) for process in (first, second)] == [2, 2]
    first.layer.away = second.layer.away = False
    assert [process.take(3) for process in (first, second)] == [2, 0]


def test_a_layer_of_one_process() -> None:
    """There is nothing to share."""
    process = Process(InMemoryChannelLayer(), "2/m", "user")
    assert process.take(3) == 2


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[], RedisChannelLayer]]:
    """Layers of one site, each of which is a process."""
    hosts, prefix, made = shared(request.config, SingleServer).hosts, f"test-{secrets.token_hex(6)}", []

    def make() -> RedisChannelLayer:
        made.append(RedisChannelLayer(hosts=hosts, prefix=prefix))
        return made[-1]

    yield make
    for layer in made:
        layer.sync.flush()
        layer.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_several_workers(make: Callable[[], RedisChannelLayer], kind: str) -> None:
    """Wherever a user's sockets are served, and whichever worker consumes their messages."""

    def log_in(consumer: Any) -> Any:
        @functools.wraps(consumer)
        def with_user(message: Message) -> Any:
            message.user = SimpleNamespace(pk=7, is_authenticated=True)  # type: ignore[attr-defined]
            return consumer(message)

        return with_user

    def say(message: Message) -> Iterator[Any]:
        yield {"text": message["text"]}

    refused = counters.limited["limit"]
    async with AsyncExitStack() as stack:
        for _ in range(2):
            consumer = log_in(limit(ONCE, by="user", refused={"text": "slow down"})(of_kind(kind, say)))
            routing = [route("websocket.connect", accept), route("websocket.receive", consumer)]
            await stack.enter_async_context(working(make(), *routing))
        application = await stack.enter_async_context(relaying(make()))
        clients = [await stack.enter_async_context(Open(application)) for _ in range(2)]
        answers: list[str] = []
        for number in range(8):
            clients[number % 2].send("said")
            answers.append(await clients[number % 2].text())
        for client in clients:
            client.leave()
    assert Counter(answers) == {"said": 3, "slow down": 5}
    assert counters.limited["limit"] == refused + 5
