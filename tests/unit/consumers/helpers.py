"""A server that runs its consumers, and its side of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from routechan import Message
from routechan.asgi.reply_channels import ReplyChannels
from routechan.asgi.translation import socket_reply
from routechan.consumers.connection import Connection
from routechan.consumers.dispatch import Dispatcher
from routechan.encoding import Content
from routechan.inline import InlineConsumers
from routechan.layers import SyncChannelLayer
from routechan.routing import Router

from ..helpers import DEADLINE, of_kind

RECEIVE = "websocket.receive"


class Outlet:
    """The connection's side: keeps what is delivered. A slow one is writable when told. Lifetime: test."""

    paced = False
    recovery = None

    def __init__(self, name: str = "websocket.send.here!1") -> None:
        self.name = self.client = name
        self.changes = 0
        self.closed = False
        self.delivered: list[Content] = []
        self.failures: list[object] = []
        self.may_write = asyncio.Event()
        self.may_write.set()

    def deliver(self, content: Content) -> None:
        if not self.closed:
            self.delivered.append(content)

    def failed(self, order: object) -> None:
        self.failures.append(order)

    async def writable(self) -> None:
        while not self.may_write.is_set() and not self.closed:
            await self.may_write.wait()

    @property
    def numbers(self) -> list[int]:
        return [content["n"] for content in self.delivered]


@asynccontextmanager
async def started(
    layer: SyncChannelLayer, *routing: Any, threads: int = 8, stream_threads: int = 8, **hooks: Any
) -> AsyncIterator[InlineConsumers]:
    """Consumers as a server that runs them itself starts them."""
    consumers = InlineConsumers(
        Dispatcher(Router(list(routing)), **hooks), layer, threads=threads, stream_threads=stream_threads
    )
    await consumers.start(ReplyChannels("websocket.send", socket_reply, layer.layer))
    try:
        yield consumers
    finally:
        await asyncio.wait_for(consumers.stop(), DEADLINE)


async def feed(connection: Connection, *contents: Content, channel: str = RECEIVE) -> None:
    """Hand over events as a server does, and wait for the last one."""
    for content in contents:
        pending = connection.handle(channel, content)
        if pending is not None:
            await asyncio.wait_for(pending, DEADLINE)
    await asyncio.wait_for(connection.idle(), DEADLINE)


def reply(message: Message, **content: Any) -> None:
    message.reply_channel.send(content)


def echo(message: Message) -> None:
    reply(message, n=message["n"])


#: ``echo`` as a consumer of each kind.
ECHOES = {kind: of_kind(kind, echo) for kind in ("async", "stream", "async stream")}
ECHOES |= {f"decorated {kind}": of_kind(f"decorated {kind}", echo) for kind in ("plain", "async", "stream")}
ECHOES["plain"] = echo
