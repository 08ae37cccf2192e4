"""The ASGI 3 callable: websocket, http, lifespan, and the application for everything else over HTTP."""

from __future__ import annotations

import asyncio

from ..handover import Consumers
from ..layers.base import BaseChannelLayer
from . import translation
from .health import answered
from .http import respond, serve_http
from .lifespan import ASGIApplication, serve_lifespan
from .server import Server, ServerOptions
from .translation import Scope
from .websocket import serve_websocket
from .writer import Receive, Send


class Application:
    """Sockets and routed requests to consumers, other requests to ``http``, else 404. Lifetime: process.

    It starts with the server's lifespan, or with the first connection where the server has none.
    """

    def __init__(
        self,
        consumers: Consumers,
        layer: BaseChannelLayer,
        *,
        http: ASGIApplication | None = None,
        options: ServerOptions | None = None,
    ) -> None:
        self._consumers = consumers
        self._layer = layer
        self._http = http
        self._options = options or ServerOptions()
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await serve_lifespan(self._start, self._stop, self._http, scope, receive, send)
            return
        if kind not in ("websocket", "http"):
            raise ValueError(f"this application serves websocket, http and lifespan, not {kind!r}")
        server = self._server
        if server is None or self._loop is not asyncio.get_running_loop():
            server = await self._start()
        if kind == "websocket":
            await serve_websocket(server, scope, receive, send)
        elif await answered(server, scope, send):
            pass
        elif server.consumers.serves(("http.request",), translation.request_head(scope)):
            await serve_http(server, self._serve_other, scope, receive, send)
        else:
            await self._serve_other(scope, receive, send)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that no route takes."""
        if self._http is not None:
            await self._http(scope, receive, send)
        else:
            await respond(send, 404, "Nothing here answers HTTP on this path.")

    async def _start(self) -> Server:
        """The server of this event loop, started by whoever comes first."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("this application is running on another event loop; build one for each")
            self._loop = loop
            self._server = None
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._server is None:
                server = Server(self._consumers, self._layer, self._options)
                await server.start()
                self._server = server
            return self._server

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None
