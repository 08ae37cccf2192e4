"""The ASGI 3 callable: routes each scope to the code that serves it."""

from __future__ import annotations

import asyncio
from functools import partial

from ..interfaces import HTTP_CHANNELS, SOCKET_CHANNELS, Consumers
from ..layers.base import BaseChannelLayer
from ..monitor.unserved import serve
from . import translation
from .event_stream import serve_stream, wants_stream
from .health import answered
from .http import respond, serve_http
from .lifespan import ASGIApplication, serve_lifespan
from .options import ServerOptions
from .posts import is_post
from .server import Server
from .translation import Scope
from .websocket import serve_websocket
from .writer import Receive, Send

REQUEST = HTTP_CHANNELS[:1]


class Application:
    """An ASGI 3 application: WebSockets and routed requests go to consumers, other requests to ``http``.

    Lifetime: process, on one event loop. It starts with the server's lifespan, or with the first connection if the
    server does not support lifespan.

    Args:
        consumers: What runs the consumers: in this process, or in workers.
        layer: The channel layer that replies and group messages come from.
        http: The ASGI application for requests that no route takes; without it they get a 404.
        options: How connections are treated; None for the defaults of ``ServerOptions``.
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
        #: How connections are treated.
        self.options = options or ServerOptions()
        streams = self.options.event_streams
        self._has_streams = http is None if streams is None else streams
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Lock
        serve(layer)

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
        else:
            content = translation.request_head(scope, self.options.root_path)
            server.mount(REQUEST, content)
            if self._has_streams and is_post(scope):
                await server.posts.serve(content, scope, receive, send)
            elif server.consumers.serves(REQUEST, content):
                await serve_http(server, partial(self._serve_other, server), content, scope, receive, send)
            else:
                await self._serve_other(server, scope, receive, send)

    async def _serve_other(self, server: Server, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that no route for requests takes."""
        if self._has_streams and wants_stream(scope) and self._takes_stream(server, scope):
            await serve_stream(server, scope, receive, send)
        elif self._http is not None:
            await self._http(scope, receive, send)
        else:
            await respond(send, 404, "Nothing here answers HTTP on this path.")

    def _takes_stream(self, server: Server, scope: Scope) -> bool:
        """Whether a route for sockets may take the event stream that a request asks for."""
        content = {**translation.request_head(scope, self.options.root_path), "transport": "sse"}
        server.mount(SOCKET_CHANNELS, content)
        return server.consumers.serves(SOCKET_CHANNELS, content)

    async def _start(self) -> Server:
        """The server of this event loop; the first call starts it."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("this application is running on another event loop; build one for each")
            self._loop = loop
            self._server = None
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._server is None:
                server = Server(self._consumers, self._layer, self.options)
                await server.start()
                self._server = server
            return self._server

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None
