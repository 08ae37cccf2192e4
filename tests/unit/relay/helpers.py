"""A relaying server and workers on the event loop of a test, and a server whose worker is the test itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from routechan import ChannelFull, Message, route
from routechan.app import relay_application
from routechan.asgi import ServerOptions
from routechan.asgi.reply_channels import ReplyChannels
from routechan.asgi.translation import socket_reply
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.relay.protocol import TAG, DeliveryTag, ack, tag_of
from routechan.relay.server import RelayConsumers, RelayedConnection
from routechan.routing import Router
from routechan.telemetry.counters import counters
from routechan.worker import Worker
from routechan.worker.process import WorkerProcess

from ..asgi.clients import Lifespan, Open
from ..helpers import DEADLINE

RECEIVE = "websocket.receive"

#: Where a server that is not there would like its acks, and the reply channel of its connection.
REPLY_TO, REPLY_CHANNEL = "specific.x.nobody!", "websocket.send.x.nobody!1"


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


async def aecho(message: Message) -> None:
    await asyncio.sleep(0)
    echo(message)


def nothing(message: Message) -> None: ...


#: What takes the other events of a socket.
SOCKET = [route("websocket.connect", accept), route("websocket.disconnect", nothing)]


@asynccontextmanager
async def working(
    layer: SyncChannelLayer,
    *routing: Any,
    defaults: Any = (),
    threads: int = 8,
    drain: float = DEADLINE,
    classic: bool = False,
) -> AsyncIterator[WorkerProcess | Worker]:
    """A worker; or the one of 1.x, on a thread."""
    router = Router(list(routing), defaults=defaults)
    worker: WorkerProcess | Worker
    if classic:
        layer.router = router
        worker = Worker(layer, signal_handlers=False)
        running = asyncio.create_task(asyncio.to_thread(worker.run))
    else:
        worker = WorkerProcess(Dispatcher(router), layer, sorted(router.channels), threads=threads, drain=drain)
        running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, 2 * DEADLINE)


#: Runs a test with a worker of each sort.
both_workers = pytest.mark.parametrize("classic", [False, True], ids=["worker", "classic"])


@asynccontextmanager
async def serving(layer: SyncChannelLayer, **options: Any) -> AsyncIterator[Any]:
    """A relaying server on ``layer``."""
    more = {name: options.pop(name) for name in ("relay_http", "event_timeout") if name in options}
    application = relay_application(layer.layer, options=ServerOptions(**options), **more)
    async with Lifespan(application):
        yield application


@asynccontextmanager
async def sockets(application: Any, count: int) -> AsyncIterator[list[Open]]:
    """So many open sockets, which disconnect at the end."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Open(application)) for _ in range(count)]


async def send_event(layer: SyncChannelLayer, number: int = 1, *, reply_to: str = REPLY_TO, **content: Any) -> None:
    """Send an event as a server that waits for its ack on ``reply_to`` does."""
    headers = {TAG: [reply_to, number, time.time() + 60]}
    await layer.layer.send(RECEIVE, {"reply_channel": REPLY_CHANNEL, **content}, headers=headers)


class Relay:
    """A server's events on ``websocket.receive``, one for each connection, and a worker by hand. Lifetime: test."""

    def __init__(self, layer: InMemoryChannelLayer) -> None:
        self.layer = layer
        self.consumers = RelayConsumers(layer)
        self.replies: list[tuple[int, Any]] = []
        self.taken: dict[int, DeliveryTag] = {}

    def send(self, *numbers: int, channel: str = RECEIVE) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._send(channel, number)) for number in numbers]

    async def _send(self, channel: str, number: int) -> None:
        try:
            await self.connection(number).handle(channel, {"n": number})
        except ChannelFull as error:
            self.replies.append((number, error))

    def connection(self, number: int) -> RelayedConnection:
        return self.consumers.connection(_Outlet(number, self.replies))

    async def waiting(self) -> int:
        """How many events lie in the channel, after what is under way."""
        for _ in range(5):
            await asyncio.sleep(0)
        pending: int = (await self.layer.channel_statistics(RECEIVE))["messages_pending"]
        return pending

    async def take(self, count: int) -> list[int]:
        """Take so many events off the channel, as a worker does; returns which they were."""
        for _ in range(5):
            await asyncio.sleep(0)
        numbers = []
        for _ in range(count):
            delivery = self.layer.sync.receive_delivery([RECEIVE])
            assert delivery is not None, "nothing is there"
            numbers.append(delivery.content["n"])
            tag = tag_of(delivery.headers)
            assert tag is not None
            self.taken[delivery.content["n"]] = tag
        return numbers

    def ack(self, *numbers: int) -> None:
        for number in numbers:
            tag = self.taken.pop(number)
            self.layer.sync.send(tag.reply_to, ack(tag.number))


class _Outlet:
    """Keeps what comes for it. Lifetime: test."""

    paced = closed = False
    recovery = None

    def __init__(self, number: int, replies: list[tuple[int, Any]]) -> None:
        self.name = self.client = f"websocket.send.x.x!{number}"
        self._number = number
        self._replies = replies

    def deliver(self, content: Any) -> None:
        self._replies.append((self._number, content))

    async def writable(self) -> None: ...


@asynccontextmanager
async def relaying(**options: Any) -> AsyncIterator[Relay]:
    """A relay on a layer with these ``options``, which leaves nothing behind."""
    relay = Relay(InMemoryChannelLayer(**options))
    replies = ReplyChannels("websocket.send", socket_reply, relay.layer)
    replies.attach()
    await relay.consumers.start(replies)
    waiting = counters.events_waiting
    try:
        yield relay
    finally:
        await relay.consumers.stop()
        await replies.detach()
    assert counters.events_waiting == waiting
    assert not relay.consumers._in_flight
    assert not any(destination.backlog for destination in relay.consumers._destinations.values())
