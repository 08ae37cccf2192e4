"""One HTTP request that a consumer answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable

from ..concurrency import ends_task, maybe_await, uncancel
from ..encoding import Content
from ..exceptions import ChannelFull
from ..interfaces import Events
from ..limits.clients import address_of
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from . import translation
from .body import read_body
from .lifespan import ASGIApplication
from .refusals import refuse
from .server import Server
from .translation import Event, ResponseReply, Scope
from .writer import Receive, Send, Writer

logger = logging.getLogger("routechan")

#: Response events that may wait for a slow client. Beyond that, the request's own consumer waits for room.
RESPONSE_CAPACITY = 100

#: Seconds that a client may take to be told that the server stops.
STOP_TIMEOUT = 1.0

#: Bytes of a body that are handed to the server at once: it does not say how much of them a slow client has taken.
PART_SIZE = 131_072


async def serve_http(
    server: Server, other: ASGIApplication, head: Content, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve one request: hand it to its consumer and send the replies to the client, until the response is complete.

    Args:
        server: The server that the connection belongs to.
        other: The application that serves the request if no consumer takes it. For some routes that is known only once
            the body is read; ``other`` then reads the same body again.
        head: What ``http.request`` says of the request, but its reply channel and body.
        scope: The ASGI scope.
        receive: The ASGI ``receive``.
        send: The ASGI ``send``.

    Raises:
        BaseException: What ``receive`` raised, once the consumers are told that the request is over.
    """
    name = server.responses.new_name()
    try:
        body = await asyncio.wait_for(read_body(receive, server.options.body_limit), server.options.http_timeout)
    except asyncio.TimeoutError:
        await respond(send, 408, "The request body did not arrive in time.")
        return
    if body is None:
        return
    content = {"reply_channel": name, **head, "body": body.content}
    if not server.consumers.takes("http.request", content):
        await other(scope, body.before(receive), send)
        return
    if len(body.content) > server.options.body_limit:
        counters.limited["body_limit"] += 1
        more = server.repeats.more("body_limit")
        if more is not None:
            logger.warning(
                "A request for %r is answered with 413: its body is larger than %d bytes (BODY_LIMIT)%s",
                content["path"],
                server.options.body_limit,
                more,
                extra=log_fields("http.request", connection=name),
            )
        await respond(send, 413, f"The request body is larger than {server.options.body_limit} bytes.")
        return
    response = _Response(name, address_of(head) or name, send, server, content["path"])
    events = response.events = server.consumers.connection(response)
    server.responses.add(name, response)
    counters.requests_opened += 1
    watch = asyncio.create_task(_until_disconnect(receive, response))
    handling = asyncio.create_task(_handle(server, events, content, response))
    cancelled = False
    try:
        await _answered(response, server.options.http_timeout)
        if response.unread or (response.stopped and events.elsewhere):
            handling.cancel()  # an async consumer would go on for nobody, and nobody waits for a worker
        await asyncio.wait([handling])
    except asyncio.CancelledError:  # the ASGI server stops, and waits no longer
        cancelled = True
        uncancel()
        response.end()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(response.flushed(), STOP_TIMEOUT)
    finally:
        server.responses.remove(name)
        counters.requests_closed += 1
        response.lost()  # wakes senders that wait for room
        events.end_streams()
        watch.cancel()
        handling.cancel()  # does nothing unless the server cancelled this request
        await asyncio.wait([watch, handling])
    if cancelled:
        return
    if response.unrouted and not response.left:
        await other(scope, body.before(receive), send)
        return
    disconnect = {"reply_channel": name, "path": content["path"]}
    if server.consumers.takes("http.disconnect", disconnect):
        try:
            await maybe_await(events.handle("http.disconnect", disconnect))
        except Exception:  # the client has its answer already
            logger.exception(
                "The http.disconnect of %r is lost", disconnect["path"], extra=log_fields(name, disconnect)
            )
    await events.idle()
    if response.failure is not None:
        raise response.failure


async def _handle(server: Server, events: Events, content: Content, response: _Response) -> None:
    """Hand the request in; one that cannot reach its consumer is answered at once."""
    try:
        await maybe_await(events.handle("http.request", content))
    except BaseException as error:
        if ends_task(error) and (response.closed or not isinstance(error, asyncio.CancelledError)):
            raise
        refusal = refuse(server.layer, "http.request", content, error, server.repeats)
        response.fail(refusal.status, refusal.text, f"The request could not reach its consumer: {error!r}")


async def _answered(response: _Response, seconds: float) -> None:
    """Return when the response is complete, or given up.

    The answer has to begin within ``seconds``. Once it has, it goes on as long as the client takes within that time
    what was sent: how long the consumer pauses between two parts is its own affair.
    """
    while True:
        taken = response.taken
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(response.complete.wait(), seconds)
        if response.complete.is_set():
            return
        if not response.started:
            waits_for = response.events.waits_for()
            response.log_given_up(f"was not answered within {seconds:g} s: {waits_for}")
            response.fail(503, "The server did not answer in time.", waits_for)
        elif response.queue is not None and response.taken == taken:
            response.log_given_up(f"is given up: its client has taken nothing for {seconds:g} s")
            response.unread = True
            response.lost()


async def respond(
    send: Send, status: int, body: str | bytes, content_type: bytes = b"text/plain; charset=utf-8"
) -> None:
    """Send a complete response.

    Args:
        send: The ASGI ``send`` of the request.
        status: The HTTP status.
        body: The body; a str is sent as UTF-8.
        content_type: The value of the ``content-type`` header.
    """
    body = body.encode() if isinstance(body, str) else body
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Response(Writer):
    """The outgoing side of one request. Lifetime: request.

    Args:
        name: The reply channel.
        client: Whose it is, see ``Outlet``.
        send: The ASGI ``send`` of the request.
        server: The server that the request belongs to.
        path: Its path, for the log.
    """

    events: Events

    paced = True  # a thread waits for the client for up to ``http_timeout`` seconds, then the response is lost
    changes = 0  # nothing is kept for a request, which has two events
    recovery = None

    def __init__(self, name: str, client: str, send: Send, server: Server, path: str) -> None:
        super().__init__(self._sent, server.options.socket_bytes, server.waiting)
        self._to_client = send
        self._debug = server.options.debug
        self._repeats = server.repeats
        self.name = name
        self.client = client
        self._path = path
        self.started = False
        self.closed = False
        self.unread = False  # the client does not read
        self.left = False  # the client has left
        self.stopped = False  # the server has stopped before the response was complete
        self.unrouted = False  # no consumer takes the request
        self.failure: BaseException | None = None  # what the server's ``receive`` raised
        self.taken = 0  # events that the server has taken
        self.complete = asyncio.Event()

    async def _sent(self, event: Event) -> None:
        body = event.get("body", b"")
        at = 0
        while len(body) - at > PART_SIZE:
            await self._to_client({**event, "body": body[at : at + PART_SIZE], "more_body": True})
            at += PART_SIZE
            self.taken += 1
        await self._to_client({**event, "body": body[at:]} if at else event)
        self.taken += 1

    def deliver(self, content: Content) -> Awaitable[None] | None:
        """Carry out a message that the request's own consumer sent; raises ``InvalidContent``.

        The consumer waits for room, however long that takes (6.4): no part of a response may be lost.
        """
        reply = translation.response_reply(content)
        queue = self.queue
        if queue and (len(queue) >= RESPONSE_CAPACITY - 1 or self.is_over({"body": reply.body})):
            return self._deliver_later(reply)
        self.reply(reply)
        return None

    async def _deliver_later(self, reply: ResponseReply) -> None:
        await self.flushed()
        self.reply(reply)

    def reply(self, reply: ResponseReply) -> None:
        """Carry out a parsed reply; raises ``InvalidContent``, and ``ChannelFull`` where there is no room."""
        if self.closed:
            return
        if reply.unrouted:
            self.unrouted = not self.started
            self.lost()
            return
        if reply.failed is not None:
            self.fail(503, "The server failed to answer this request.", reply.failed)
            return
        for event in translation.response_events(reply, self.started):
            if not self.write(event, RESPONSE_CAPACITY):
                raise ChannelFull(self.name, RESPONSE_CAPACITY)
            self.started = True
            if event["type"] == "http.response.body" and not event["more_body"]:
                self.closed = True
                asyncio.get_running_loop().create_task(self._finish())

    def fail(self, status: int, text: str, reason: str) -> None:
        """Answer with ``status`` and ``text``; a response that has begun ends where it is, and the server cuts it off.

        Args:
            status: The HTTP status.
            text: What every client may know.
            reason: What a client is told in place of it that is to know.
        """
        if self.closed:
            return
        if self.started:
            self.lost()
            return
        body = (reason if self._debug else text).encode(errors="replace")
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        self.reply(ResponseReply(status, headers, body, False))

    def failed(self, order: object) -> None:
        """Count nothing: a request is one event."""

    def overflow(self, limit: str) -> None:
        """Give the response up, because ``limit``, an option, is reached."""
        counters.limited[limit] += 1
        more = self._repeats.more(("response", limit))
        if more is not None:
            logger.warning(
                "The response %s is cut off: its client does not read, and %d bytes wait for it (%s)%s",
                self.name,
                self.waiting_bytes,
                limit.upper(),
                more,
                extra=log_fields("http.request", connection=self.name),
            )
        self.unread = True
        self.lost()

    async def writable(self) -> None:
        """Wait until the client has taken what was sent, or has left."""
        await self.flushed()

    def end(self, told: bool = False) -> None:
        """Give up because the server process is stopping; nobody else is ``told`` of a request."""
        if self.closed:
            return
        self.stopped = True
        self.log_given_up(f"is given up, because the server stops: {self.events.waits_for()}")
        self.fail(503, "The server is stopping; try again.", "The server is stopping; try again.")

    def end_untaken(self) -> None:
        """Give up, if no worker has taken the request: none may come."""
        if not self.events.taken:
            self.end()

    def log_given_up(self, what: str) -> None:
        """Log the end of the request: ``what`` comes behind its path."""
        more = self._repeats.more(("given up", self.started))
        if more is not None:
            logger.warning("%r %s%s", self._path, what, more, extra=log_fields("http.request", connection=self.name))

    def interrupt(self) -> None:
        """Give up because the worker that answered has ended: a response that has begun stays incomplete."""
        if self.started:
            self.lost()
        else:
            self.reply(ResponseReply(503, [], b"What answered this request has ended; try again.", False))

    def look(self) -> None:
        """Return at once: a task waits for the client to leave all the time."""

    def gone(self) -> None:
        """The client has left."""
        self.left = True
        self.lost()

    def lost(self) -> None:
        """The client has left, or the request is over: send nothing more."""
        self.closed = True
        super().lost()
        self.complete.set()

    def _left(self) -> None:
        self.gone()

    def _refused(self, error: BaseException) -> None:
        super()._refused(error)
        self.gone()

    async def _finish(self) -> None:
        await self.flushed()
        self.complete.set()


async def _until_disconnect(receive: Receive, response: _Response) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except BaseException as error:
        if ends_task(error):
            raise
        response.failure = error
    response.gone()
