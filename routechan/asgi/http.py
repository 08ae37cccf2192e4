"""One HTTP request's life, when a route takes it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import Any, NamedTuple

from ..encoding import Content
from ..exceptions import ChannelFull
from ..handover import settled
from ..observe.counters import counters
from ..observe.failures import about
from . import translation
from .lifespan import ASGIApplication
from .server import Server
from .translation import Event, ResponseReply, Scope
from .writer import Receive, Send, Writer

logger = logging.getLogger("routechan")

#: Response events that may wait for a slow client; a sender waits for room beyond that.
RESPONSE_CAPACITY = 100


async def serve_http(server: Server, other: ASGIApplication, scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a request to its consumer and its replies to the client, until the response is complete.

    ``other`` serves it where no consumer takes it, which for some routes only the whole request tells.
    """
    name = server.responses.new_name()
    try:
        body = await asyncio.wait_for(_body(receive, server.options.body_limit), server.options.http_timeout)
    except asyncio.TimeoutError:
        await respond(send, 408, "The request body did not arrive in time.")
        return
    if body is None:
        return
    content = translation.request_content(scope, name, body.content)
    if not server.consumers.takes("http.request", content):
        await other(scope, body.before(receive), send)
        return
    if len(body.content) > server.options.body_limit:
        await respond(send, 413, f"The request body is larger than {server.options.body_limit} bytes.")
        return
    path = content["path"]
    response = _Response(name, send)
    line = server.consumers.line(response)
    server.responses.add(name, response)
    counters.requests_opened += 1
    watch = asyncio.create_task(_until_disconnect(receive, response))
    handling = asyncio.ensure_future(settled(line.handle("http.request", content)))
    try:
        try:
            await asyncio.wait_for(response.complete.wait(), server.options.http_timeout)
        except asyncio.TimeoutError:
            logger.warning(
                "%r was not answered within %g s",
                path,
                server.options.http_timeout,
                extra=about("http.request", connection=name),
            )
            if not response.started:
                response.closed = True
                await respond(send, 503, "The server did not answer in time.")
        await handling
    finally:
        handling.cancel()  # unless it is done, the server cancels the request
        server.responses.remove(name)
        counters.requests_closed += 1
        response.lost()  # whoever waits for room need not any more
        line.end_streams()
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
    disconnect = {"reply_channel": name, "path": path}
    if server.consumers.takes("http.disconnect", disconnect):
        await settled(line.handle("http.disconnect", disconnect))
    await line.idle()


async def respond(
    send: Send, status: int, body: str | bytes, content_type: bytes = b"text/plain; charset=utf-8"
) -> None:
    """A complete response of the server's own."""
    body = body.encode() if isinstance(body, str) else body
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Response(Writer):
    """One request's outgoing side. Lifetime: request."""

    paced = True  # at most ``http_timeout``, then the response is lost

    def __init__(self, name: str, send: Send) -> None:
        super().__init__(send)
        self.name = name
        self.started = False
        self.closed = False
        self.complete = asyncio.Event()

    def deliver(self, content: Content) -> Awaitable[None] | None:
        """Take one message of this response's reply channel; raises ``InvalidContent``.

        Its own consumer waits for room, as long as it takes (6.4): a response must not lose a part.
        """
        reply = translation.response_reply(content)
        if self.queue is not None and len(self.queue) >= RESPONSE_CAPACITY - 1:
            return self._deliver_later(reply)
        self.reply(reply)
        return None

    async def _deliver_later(self, reply: ResponseReply) -> None:
        await self.flushed()
        self.reply(reply)

    def reply(self, reply: ResponseReply) -> None:
        """Take a message that has been read."""
        if self.closed:
            return
        for event in translation.response_events(reply, self.started):
            if not self.write(event, RESPONSE_CAPACITY):
                raise ChannelFull(self.name, RESPONSE_CAPACITY)
            self.started = True
            if event["type"] == "http.response.body" and not event["more_body"]:
                self.closed = True
                asyncio.get_running_loop().create_task(self._finish())

    async def writable(self) -> None:
        """Return when the client has taken what was sent, or has left."""
        await self.flushed()

    def end(self) -> None:
        """The server process ends."""
        self.lost()

    def lost(self) -> None:
        """The client has left, or nothing more is to be sent."""
        self.closed = True
        super().lost()
        self.complete.set()

    async def _finish(self) -> None:
        await self.flushed()
        self.complete.set()


class _Body(NamedTuple):
    """What was read of a request's body."""

    content: bytes
    more: bool

    def before(self, receive: Receive) -> Receive:
        """A ``receive`` for another application, which is to read what was read once more."""
        events: list[Event] = [{"type": "http.request", "body": self.content, "more_body": self.more}]

        async def receive_again() -> Event:
            return events.pop() if events else await receive()

        return receive_again


async def _body(receive: Receive, limit: int) -> _Body | None:
    """The whole body, or more than ``limit`` bytes of it, or None when the client left."""
    parts: list[bytes] = []
    size = 0
    while True:
        event: Event | dict[str, Any] = await receive()
        if event["type"] != "http.request":
            return None
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        more = bool(event.get("more_body"))
        if size > limit or not more:
            return _Body(b"".join(parts), more)


async def _until_disconnect(receive: Receive, response: _Response) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:  # also where ``receive`` fails
        response.lost()
