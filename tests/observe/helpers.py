"""Consumers and applications to be observed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from routechan import Message
from routechan.app import relay_application
from routechan.asgi import Application, ServerOptions
from routechan.dispatch import Dispatcher
from routechan.inline import InlineConsumers
from routechan.layers import BaseChannelLayer
from routechan.observe.counters import counters
from routechan.routing import Router, default_routes
from routechan.worker.process import WorkerProcess

from ..asgi.clients import Lifespan


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


def fail(message: Message) -> None:
    raise ValueError("as it was told to")


@asynccontextmanager
async def inline(layer: BaseChannelLayer, *routing: Any, **options: Any) -> AsyncIterator[Application]:
    """A server that runs its consumers."""
    consumers = InlineConsumers(Dispatcher(Router(list(routing), defaults=default_routes())), layer.sync, threads=4)
    application = Application(consumers, layer, options=ServerOptions(**options))
    async with Lifespan(application):
        yield application


@asynccontextmanager
async def relaying(layer: BaseChannelLayer, **options: Any) -> AsyncIterator[Application]:
    """A server that has workers run them."""
    application = relay_application(layer, **options)
    async with Lifespan(application):
        yield application


@asynccontextmanager
async def working(layer: BaseChannelLayer, *routing: Any) -> AsyncIterator[WorkerProcess]:
    """A worker on this event loop."""
    router = Router(list(routing), defaults=default_routes())
    worker = WorkerProcess(Dispatcher(router), layer.sync, router.channels, threads=4, drain=5.0)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 5.0)


@contextmanager
def counted(*names: str) -> Iterator[dict[str, float]]:
    """By how much counters have grown; filled when the block is left."""
    before = {name: getattr(counters, name) for name in names}
    grown: dict[str, float] = {}
    yield grown
    grown.update({name: getattr(counters, name) - before[name] for name in names})
