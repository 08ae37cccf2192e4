"""An application that is started and stopped as by a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import routechan
from routechan.asgi import Application, ServerOptions
from routechan.layers import SyncChannelLayer

from .clients import Lifespan

Serve = Callable[..., Awaitable[Application]]


@pytest.fixture
async def serve(default_layer: SyncChannelLayer) -> AsyncIterator[Serve]:
    """``await serve(routing, http=None, **ServerOptions)``, on the default layer of the test."""
    async with AsyncExitStack() as stack:

        async def start(routing: Any, http: Any = None, **options: Any) -> Application:
            application = routechan.application(
                routing, default_layer.layer, http=http, options=ServerOptions(**options)
            )
            await stack.enter_async_context(Lifespan(application))
            return application

        yield start
