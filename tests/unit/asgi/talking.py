"""Sockets that speak ``routechan.v1``, with consumers in the server or in a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import routechan
from routechan import route
from routechan.asgi import ServerOptions
from routechan.layers import SyncChannelLayer

from ..relay.helpers import nothing, serving, working
from .clients import Client, Lifespan
from .consumers import accept

KINDS = ["inline", "workers", "classic"]

BOTH = KINDS[:2]


@asynccontextmanager
async def served(layer: SyncChannelLayer, kind: str, *routing: Any, **options: Any) -> AsyncIterator[Any]:
    """An application whose consumers run in it, or in a worker of either sort."""
    routes = [*routing, route("websocket.connect", accept), route("websocket.disconnect", nothing)]
    async with AsyncExitStack() as stack:
        if kind == "inline":
            application = routechan.application(routes, layer.layer, options=ServerOptions(**options))
            await stack.enter_async_context(Lifespan(application))
            yield application
        else:
            await stack.enter_async_context(working(layer, *routes, classic=kind == "classic"))
            yield await stack.enter_async_context(serving(layer, **options))


def speaking(application: Any) -> Client:
    headers = [(b"host", b"testserver"), (b"sec-websocket-protocol", b"routechan.v1")]
    return Client(application, "/chat/", headers=headers, subprotocols=["routechan.v1"])


async def said(client: Client) -> tuple[str, Any]:
    """Line and body of the next frame."""
    event = await client.event()
    assert event["type"] == "websocket.send", event
    if event.get("text") is not None:
        line, _, text = event["text"].partition("\n")
        return line, text
    line, _, data = event["bytes"].partition(b"\n")
    return line.decode(), data
