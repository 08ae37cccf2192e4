"""The server's own pages: its health and its metrics."""

from __future__ import annotations

import asyncio
import json

from ..exceptions import ChannelLayerUnavailable, MissingExtra
from ..layers.base import BaseChannelLayer
from ..monitor.prometheus import aexposition
from .http import respond
from .server import Server
from .translation import Scope, paths
from .writer import Send

#: Seconds that the layer has to answer within to count as reachable.
LAYER_TIMEOUT = 1.0

#: A queue that does not exist: asking whether it is served costs the layer one lookup.
_UNUSED_QUEUE = "specific.health!"


async def answered(server: Server, scope: Scope, send: Send) -> bool:
    """Answer a request for one of the server's own pages.

    Neither workers nor consumers are involved: a server that waits for workers must not be restarted for that.

    Args:
        server: The server whose options name the paths.
        scope: The request's ASGI scope.
        send: The request's ASGI ``send``.

    Returns:
        Whether the request was for such a page, and is answered.
    """
    options = server.options
    path, _ = paths(scope, options.root_path)
    if path == options.health_path:
        await _health(server, send)
    elif path == options.metrics_path:
        await _metrics(send)
    else:
        return False
    return True


async def _health(server: Server, send: Send) -> None:
    """Answer 200, or 503 while the server is stopping.

    A layer that is down does not change that: sockets stay open and the layer reconnects by itself. A failed probe
    would restart the process, which drops every socket and does not bring the layer back.
    """
    body = {
        "status": "stopping" if server.stopping else "ok",
        "sockets": len(server.sockets),
        "layer": "reachable" if await _reachable(server.layer) else "unreachable",
    }
    await respond(send, 503 if server.stopping else 200, json.dumps(body), b"application/json")


async def _reachable(layer: BaseChannelLayer) -> bool:
    try:
        await asyncio.wait_for(layer.is_served(_UNUSED_QUEUE), LAYER_TIMEOUT)
    except (asyncio.TimeoutError, ChannelLayerUnavailable):
        return False
    return True


async def _metrics(send: Send) -> None:
    try:
        body, content_type = await aexposition()
    except MissingExtra as error:
        await respond(send, 501, str(error))
    else:
        await respond(send, 200, body, content_type.encode())
