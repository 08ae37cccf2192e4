"""An event stream (``text/event-stream``) as a socket: a WebSocket to its consumers, an ``EventSource`` to its page.

It stands between an HTTP request and the code that serves sockets, as ASGI servers stand between a WebSocket and that
code. What goes to the page is written as events; what comes from it are ``posts``.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
from contextlib import suppress
from typing import Any

from ..concurrency import end_tasks, ends_task
from . import translation
from .http import respond
from .lines import id_from_query
from .origin import readable
from .server import Server
from .socket import RESTART
from .translation import Event, Scope
from .websocket import serve_websocket
from .writer import Receive, Send

CONTENT_TYPE = b"text/event-stream"

#: Seconds between comments, which keep proxies from closing a silent response: as often as servers ping sockets.
KEEPALIVE_INTERVAL = 20.0

#: Messages of the page that may wait for their consumer, and bytes, but for the last of them.
INBOX = 16
INBOX_BYTES = 1024 * 1024

#: Seconds that the end of a stream may take, when the server stops.
STOP_TIMEOUT = 1.0

#: Where a line of an event ends; consumers may not end the event itself, or begin another.
_LINE_ENDS = re.compile("\r\n|\r|\n")

_HEADERS = [
    (b"content-type", CONTENT_TYPE),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx hands each event on
]


def wants_stream(scope: Scope) -> bool:
    """Whether the request of this ``scope`` is a GET that accepts an event stream by name."""
    if scope["method"] != "GET":
        return False
    accepted = b",".join(value for name, value in scope.get("headers") or () if name.lower() == b"accept")
    return any(kind.partition(b";")[0].strip().lower() == CONTENT_TYPE for kind in accepted.split(b","))


async def serve_stream(server: Server, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request as a socket, until either side ends it.

    Args:
        server: The server that the connection belongs to.
        scope: The ASGI scope of the request.
        receive: Its ASGI ``receive``.
        send: Its ASGI ``send``.
    """
    stream = EventStream(server, scope, send)
    tasks = [asyncio.create_task(stream.watch(receive)), asyncio.create_task(stream.keep_alive())]
    try:
        await serve_websocket(server, stream.scope, stream.receive, stream.send)
        await stream.ended()
    finally:
        server.posts.remove(stream.secret)
        await end_tasks(*tasks)


class EventStream:
    """One stream, which speaks ASGI's WebSocket events. Lifetime: connection.

    Args:
        server: The server that the connection belongs to.
        scope: The ASGI scope of its request.
        send: The ASGI ``send`` of its request.
    """

    def __init__(self, server: Server, scope: Scope, send: Send) -> None:
        if server.ids is not None:
            scope = id_from_query(scope)
        #: The scope of the WebSocket that it stands for.
        self.scope = {
            **scope,
            "type": "websocket",
            "scheme": "wss" if scope.get("scheme") == "https" else "ws",
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}, translation.EVENT_STREAM: {}},
        }
        self._send = send
        self._posts = server.posts
        self._drain_time = server.options.drain_time
        #: What its address holds.
        self.secret = server.posts.add(self)
        self._inbox: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._waiting_bytes = 0
        self._writing = asyncio.Lock()  # not every server takes two events at a time
        self._accepted = False
        self._closed = False  # the response is complete
        self._over = False  # that it is over was reported
        self._restarting: asyncio.Task[None] | None = None

    async def receive(self) -> Event:
        """The next event of the page; raises what the request's ``receive`` raised."""
        event = await self._inbox.get()
        if isinstance(event, BaseException):
            raise event
        self._waiting_bytes -= translation.size_of(event)
        return event

    async def send(self, event: Event) -> None:
        """Write an event of the socket to the page.

        Args:
            event: One that an application may send to a WebSocket.
        """
        kind = event["type"]
        if kind == "websocket.send":
            await self._write(encoded(event))
        elif kind == "websocket.accept":
            await self._accept()
        elif kind == "websocket.close":
            await self._close(event["code"])
        else:  # the response of a refusal
            await self._send({**event, "type": kind.removeprefix("websocket.")})
            if kind == "websocket.http.response.body":
                self._end(1006)

    def posted(self, event: Event) -> bool:
        """Take a message of the page.

        Args:
            event: The message, as ``websocket.receive``.

        Returns:
            False where too many wait already.
        """
        waiting = self._inbox.qsize()
        if waiting >= INBOX or (waiting and self._waiting_bytes + translation.size_of(event) > INBOX_BYTES):
            return False
        self._waiting_bytes += translation.size_of(event)
        self._inbox.put_nowait(event)
        return True

    def restart(self) -> None:
        """End, because the server stops; the page is asked to connect again."""
        if self._accepted and self._restarting is None:
            self._restarting = asyncio.get_running_loop().create_task(self._close(RESTART))
            self._end(RESTART)

    async def watch(self, receive: Receive) -> None:
        """Wait until the page has left.

        Args:
            receive: The ASGI ``receive`` of the request.
        """
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except BaseException as error:
            if ends_task(error):
                raise
            self._inbox.put_nowait(error)
        self._end(1006)

    async def keep_alive(self) -> None:
        """Write a comment from time to time, unless the page does not read what was written before."""
        with suppress(Exception):  # whatever servers raise for a page that has left: ``watch`` is told
            while not self._over:
                await asyncio.sleep(KEEPALIVE_INTERVAL)
                if self._accepted and not self._writing.locked():
                    await self._write(b":\n\n")

    async def ended(self) -> None:
        """Wait until the page has been asked to connect again, if the server stops."""
        if self._restarting is not None:
            await asyncio.wait([self._restarting], timeout=STOP_TIMEOUT)
            self._restarting.cancel()

    async def _accept(self) -> None:
        headers = [*_HEADERS, *readable(self.scope["headers"])]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._accepted = True
        await self._write(b"event: address\ndata: %s\n\n" % self._posts.address(self.secret).encode())
        if self._posts.stopping:
            await self._close(RESTART)

    async def _close(self, code: int) -> None:
        if self._accepted:
            drain_time = self._drain_time if self._posts.stopping and code == RESTART else 0.0
            if drain_time:  # the field is for ``EventSource`` itself, the event for pages, which do not see the field
                seconds = drain_time * random.random()
                await self._write(b"retry: %d\nevent: retry\ndata: %.3f\n\n" % (1000 * seconds, seconds))
            await self._write(b"event: close\ndata: %d\n\n" % code, last=True)
        elif not self._over:
            await respond(self._send, 403, b"")
        self._end(code)

    async def _write(self, body: bytes, last: bool = False) -> None:
        async with self._writing:
            if self._closed:
                return
            self._closed = last
            await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    def _end(self, code: int) -> None:
        """Report that the stream is over; what the page posted before comes first."""
        if not self._over:
            self._over = True
            self._posts.remove(self.secret)
            self._inbox.put_nowait({"type": "websocket.disconnect", "code": code})


def encoded(event: Event) -> bytes:
    """A message as an event of a stream: text as lines of data, bytes as ``event: bytes`` in base64.

    Args:
        event: The message, as ``websocket.send``, maybe with an ``id`` and a type, ``event``.
    """
    text: Any = event.get("text")
    head = b"id: %s\n" % event["id"].encode() if "id" in event else b""
    if text is None:
        return b"%bevent: bytes\ndata: %s\n\n" % (head, base64.b64encode(event["bytes"]))
    if "event" in event:
        head += b"event: %s\n" % event["event"].encode()
    lines = "\ndata: ".join(_LINE_ENDS.split(text))
    return head + f"data: {lines}\n\n".encode()
