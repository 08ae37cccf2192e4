"""What the server says of itself over HTTP, to whoever watches it: whether it lives, and its metrics."""

from __future__ import annotations

import asyncio
import json

from ..exceptions import ChannelLayerUnavailable, MissingExtra
from ..layers.base import BaseChannelLayer
from ..observe.prometheus import aexposition
from .http import respond
from .server import Server
from .translation import Scope
from .writer import Send

#: Seconds in which the layer has to answer to count as reachable.
LAYER_TIME = 1.0

#: A queue that nobody has: asking for it costs one look at the layer.
_NOBODYS = "specific.health!"


async def answered(server: Server, scope: Scope, send: Send) -> bool:
    """Answer a request for the server's own pages; False if this is none.

    No worker and no consumer is asked: a server that waits for workers is not to be restarted for that.
    """
    options = server.options
    path = scope["path"].removeprefix((scope.get("root_path") or "").rstrip("/"))
    if path == options.health_path:
        await _health(server, send)
    elif path == options.metrics_path:
        await _metrics(send)
    else:
        return False
    return True


async def _health(server: Server, send: Send) -> None:
    """200, or 503 once the server ends.

    Without the layer it is 200 too: the sockets live on and the layer comes back by itself, while a restart, which is
    what a probe's failure means, would drop every socket and bring nothing back.
    """
    body = {
        "status": "stopping" if server.stopping else "ok",
        "sockets": len(server.sockets),
        "layer": "reachable" if await _reachable(server.layer) else "unreachable",
    }
    await respond(send, 503 if server.stopping else 200, json.dumps(body), b"application/json")


async def _reachable(layer: BaseChannelLayer) -> bool:
    try:
        await asyncio.wait_for(layer.is_served(_NOBODYS), LAYER_TIME)
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
