"""A page with an event stream, as a server presents it to the application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...harness import http_scope
from .clients import Request

Headers = Iterable[tuple[bytes, bytes]]

STREAM = (b"accept", b"text/event-stream")
TEXT = (b"content-type", b"text/plain;charset=UTF-8")


class Posted(NamedTuple):
    """The answer to a post."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Page(Request):
    """The stream of a page. It may stop to read."""

    def __init__(self, application: Any, path: str = "/", headers: Headers = (), **scope: Any) -> None:
        host = (b"host", b"testserver")
        super().__init__(application, path, headers=[host, STREAM, *headers], **scope)
        self.address = ""
        self.retry: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self.held_up = 0

    async def __aenter__(self) -> Page:
        self.task = asyncio.create_task(self.application(self.scope, self.to_application.get, self._take))
        return self

    async def _take(self, event: dict[str, Any]) -> None:
        if not self.reads.is_set():
            self.held_up += 1
            await self.reads.wait()
        self.from_application.put_nowait(event)

    async def open(self) -> dict[bytes, bytes]:
        """Wait until the stream is open; the headers of the response."""
        start = await self.event()
        assert start["status"] == 200, start
        name, self.address = await self.heard()
        assert name == "address"
        return dict(start["headers"])

    async def heard(self) -> tuple[str, str]:
        """Name and data of the next event, as an ``EventSource`` reads them."""
        event = await self.event()
        assert event["type"] == "http.response.body", event
        name, data = "message", []
        for line in event["body"].decode().removesuffix("\n\n").split("\n"):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "retry":
                self.retry = int(value)
            else:
                assert field == "data", line
                data.append(value)
        if name == "close":
            assert not event["more_body"]
        return name, "\n".join(data)

    async def post(self, body: bytes, *headers: tuple[bytes, bytes], to: Any = None, address: str = "") -> Posted:
        """What the page is answered, whose post may come to another application."""
        scope = {
            **http_scope(self.scope["path"], "POST"),
            "query_string": (address or self.address)[1:].encode(),
            "headers": [(b"host", b"testserver"), *(headers or [TEXT])],
        }
        async with Request(to or self.application, body=body, **scope) as request:
            start, end = await request.event(), await request.event()
        return Posted(start["status"], dict(start["headers"]), end["body"])

    async def say(self, text: str) -> None:
        assert (await self.post(text.encode())).status == 204
