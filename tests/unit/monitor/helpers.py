"""Servers and workers on the event loop of a test, and what they count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from routechan import Message
from routechan.app import relay_application
from routechan.asgi import Application, ServerOptions
from routechan.consumers.dispatch import Dispatcher
from routechan.inline import InlineConsumers
from routechan.layers import BaseChannelLayer
from routechan.routing import Router, default_routes
from routechan.telemetry.counters import counters
from routechan.worker.process import WorkerProcess

from ..asgi.clients import Lifespan


def fail(message: Message) -> None:
    raise ValueError("as it was told to")


@asynccontextmanager
async def inline(
    layer: BaseChannelLayer, *routing: Any, timeout: float | None = None, **options: Any
) -> AsyncIterator[Application]:
    """A server that runs its consumers."""
    dispatcher = Dispatcher(Router(list(routing), defaults=default_routes()), timeout=timeout)
    consumers = InlineConsumers(dispatcher, layer.sync, threads=4)
    application = Application(consumers, layer, options=ServerOptions(**options))
    async with Lifespan(application):
        yield application


@asynccontextmanager
async def relaying(layer: BaseChannelLayer, **options: Any) -> AsyncIterator[Application]:
    """A server whose consumers run in workers."""
    application = relay_application(layer, **options)
    async with Lifespan(application):
        yield application


@asynccontextmanager
async def working(
    layer: BaseChannelLayer, *routing: Any, threads: int = 4, timeout: float | None = None
) -> AsyncIterator[WorkerProcess]:
    """A worker on this event loop."""
    router = Router(list(routing), defaults=default_routes())
    worker = WorkerProcess(Dispatcher(router, timeout=timeout), layer.sync, router.channels, threads=threads, drain=5.0)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 5.0)


@contextmanager
def counted(*names: str) -> Iterator[dict[str, float]]:
    """How much these counters grow within the block; filled at its end."""
    before = {name: getattr(counters, name) for name in names}
    grown: dict[str, float] = {}
    yield grown
    grown.update({name: getattr(counters, name) - before[name] for name in names})
