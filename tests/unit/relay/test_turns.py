"""Where workers' places are scarce, clients take turns: many busy sockets of one do not keep others waiting."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from routechan import Message, route
from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, RedisChannelLayer
from routechan.layers.options import share_of
from routechan.relay import turns
from routechan.relay.turns import WAITING, Destination
from routechan.telemetry.counters import counters
from tests.redis_servers import SingleServer, shared
from tests.waiting import until

from ..asgi.clients import Open
from ..helpers import DEADLINE
from .helpers import RECEIVE, SOCKET, aecho, echo, relaying, serving, working

Make = Callable[[], BaseChannelLayer]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """The layer of another process of the same site; in memory they are one."""
    made: list[BaseChannelLayer] = []
    if request.param == "memory":
        memory = InMemoryChannelLayer()
        yield lambda: memory
        return
    hosts, prefix = shared(request.config, SingleServer).hosts, f"test-{secrets.token_hex(6)}"

    def make() -> BaseChannelLayer:
        made.append(RedisChannelLayer(hosts=hosts, prefix=prefix))
        return made[-1]

    yield make
    for layer in made:
        layer.close()


class Gate:
    """A plain consumer, of which each run ends when the test says so. Lifetime: test."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self._ends = threading.Semaphore(0)

    def __call__(self, message: Message) -> None:
        self.began.append(message["text"])
        self._ends.acquire(timeout=DEADLINE)
        echo(message)

    def end(self, count: int = 1) -> None:
        for _ in range(count):
            self._ends.release()


@asynccontextmanager
async def sockets(application: Any, address: str, count: int) -> AsyncIterator[list[Open]]:
    """So many open sockets of one client."""
    async with AsyncExitStack() as stack:
        opened = [Open(application, client=[address, number]) for number in range(count)]
        yield [await stack.enter_async_context(client) for client in opened]


async def sent(clients: list[Open], text: str) -> None:
    """Have each of ``clients`` send ``text``, and wait until the server has it."""
    before = counters.events_relayed
    for client in clients:
        client.send(text)
    await until(lambda: counters.events_relayed == before + len(clients), "the server has all events")


@pytest.mark.parametrize("threads", [1, 4])
async def test_a_new_client_waits_one_turn(make: Make, threads: int) -> None:
    """Of many events of one client, as many come first as run and as lie in the channel, and one more."""
    gate, places = Gate(), share_of(threads, len(SOCKET) + 1)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(working(make().sync, *SOCKET, route(RECEIVE, gate), threads=threads))
        application = await enter(serving(make().sync))
        busy = await enter(sockets(application, "192.0.2.1", 40))
        new = await enter(sockets(application, "192.0.2.2", 1))
        other = await enter(sockets(application, "192.0.2.3", 2))
        await sent(busy, "busy")
        await until(lambda: len(gate.began) == places, "all places are held")
        await asyncio.sleep(3 * turns.PACE_TIME)  # what the burst had found to be free is taken by now
        await sent(new, "new")
        await sent(other, "other")
        for count in range(1, 20):
            gate.end()
            await until(lambda n=count: len(gate.began) == places + n, "the next one begins")
        most = places + 2 * WAITING
        assert gate.began.index("new") <= most + 1
        assert gate.began.index("other") <= most + 2
        gate.end(100)
        for client in (*busy, *new, *other):
            assert await client.text() in ("busy", "new", "other")
    assert sorted(gate.began) == ["busy"] * 40 + ["new"] + ["other"] * 2


async def test_a_client_that_goes_on_and_on(make: Make) -> None:
    """Whoever sends again when it is answered gets a turn of those who wait, and keeps nobody out for good."""
    gate = Gate()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(working(make().sync, *SOCKET, route(RECEIVE, gate), threads=1))
        application = await enter(serving(make().sync))
        busy = await enter(sockets(application, "192.0.2.1", 20))
        [one] = await enter(sockets(application, "192.0.2.2", 1))

        async def go_on(client: Open, times: int) -> None:
            for _ in range(times):
                client.send("busy")
                await client.text()

        going = [asyncio.create_task(go_on(client, 4)) for client in busy]
        await until(lambda: gate.began, "the first one runs")
        await asyncio.sleep(3 * turns.PACE_TIME)
        for number in range(3):
            await sent([one], f"one {number}")
            before = len(gate.began)
            while f"one {number}" not in gate.began:
                count = len(gate.began)
                gate.end()
                await until(lambda n=count: len(gate.began) > n, "the next one begins")
            assert len(gate.began) - before <= 2 * WAITING + 3
            gate.end()
            assert await one.text() == f"one {number}"
        gate.end(200)
        await asyncio.wait_for(asyncio.gather(*going), DEADLINE)


@pytest.mark.parametrize("consumer", ["async", "plain"])
async def test_workers_with_free_places_get_everything(make: Make, consumer: str) -> None:
    """A burst of one client is held up by nobody where there is a place for each of its events."""
    began: list[str] = []
    go_on, ago_on = threading.Event(), asyncio.Event()

    async def waits(message: Message) -> None:
        began.append(message["text"])
        await asyncio.wait_for(ago_on.wait(), DEADLINE)
        await aecho(message)

    def plain(message: Message) -> None:
        began.append(message["text"])
        go_on.wait(DEADLINE)
        echo(message)

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        receive = waits if consumer == "async" else plain
        await enter(working(make().sync, *SOCKET, route(RECEIVE, receive), threads=50))
        application = await enter(serving(make().sync))
        clients = await enter(sockets(application, "192.0.2.1", 40))
        await sent(clients, "busy")
        await until(lambda: len(began) == 40, "all run at once")
        go_on.set()
        ago_on.set()
        for client in clients:
            assert await client.text() == "busy"


async def test_workers_that_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while their events go to the channel all the same, where a worker that is started finds them."""
    monkeypatch.setattr(turns, "FULL_PATIENCE", 0.2)
    monkeypatch.setattr(turns, "FULL_INTERVAL", 0.01)
    async with relaying(capacity=20) as relay:
        events = relay.send(*range(15))
        assert await relay.waiting() == WAITING
        for _ in range(1000):
            if await relay.waiting() == 15:
                break
            await asyncio.sleep(0.01)
        seen = await relay.take(15)
        assert seen == list(range(15))
        destination = relay.consumers._destinations[RECEIVE]
        assert destination.stalled
        relay.ack(*seen)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)
        await until(lambda: not destination.stalled, "it goes on as before")


async def test_disconnects_are_not_held_back() -> None:
    """No client waits for one, and a server that ends has to leave as many as it can to the workers."""
    async with relaying(capacity=20) as relay:
        events = relay.send(*range(15), channel="websocket.disconnect")
        await until(lambda: relay.layer.sync.channel_statistics("websocket.disconnect")["messages_pending"] == 15)
        for event in events:
            event.cancel()
        await asyncio.wait(events)


class Event:
    """What a backlog knows of an event. Lifetime: test."""

    def __init__(self, client: str, position: int) -> None:
        self.connection = self
        self.client = client
        self.position = position
        self.turn: int | None = None
        self.in_backlog = False
        self.outcome = asyncio.get_running_loop().create_future()


async def test_the_order_of_a_backlog() -> None:
    """By turns, within a turn by arrival; whoever has had its turn comes behind those who have not."""
    destination: Any = Destination("channel")
    events = [Event(client, number) for number, client in enumerate("aaaabbc")]
    for event in events:
        destination.put_back(event)
    order = [destination.take_first() for _ in range(2)]
    again = order.pop()
    destination.put_back(again)  # it found no room
    late = Event("d", 9)
    destination.put_back(late)
    last = Event("a", 10)
    destination.put_back(last)
    assert again.client == "b"
    events[5].outcome.cancel()
    while destination.backlog:
        found = destination.take_first()
        if found is not None:
            order.append(found)
    assert [event.client for event in order] == ["a", "b", "c", "d", "a", "a", "a", "a"]
    assert order[-1] is last
    assert destination.take_first() is None
    assert not any(event.in_backlog for event in (*events, late, last))


async def test_clients_are_forgotten() -> None:
    """However many come and go while others wait."""
    destination: Any = Destination("channel")
    for number in range(1000):
        destination.put_back(Event("busy", 2 * number))
        destination.put_back(Event(f"client {number}", 2 * number + 1))
        destination.take_first()
        destination.take_first()
        destination.put_back(Event("waits", 2 * number + 1))
        destination.backlog[:] = destination.backlog[-1:]
    assert len(destination.turns) <= turns.KEPT + 4
