"""What connects to an application in these tests: sockets, requests and a server's lifespan."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any

import pytest

from ...harness import Connection, WebSocket, http_scope


def text(value: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": value}


def data(value: bytes) -> dict[str, Any]:
    return {"type": "websocket.send", "bytes": value}


def close(code: int) -> dict[str, Any]:
    return {"type": "websocket.close", "code": code}


class Client(WebSocket):
    """A WebSocket that can stop reading, and counts how often the application calls ``receive``."""

    def __init__(self, application: Any, path: str = "/", **options: Any) -> None:
        super().__init__(application, path, **options)
        self.reads = asyncio.Event()
        self.reads.set()
        self.asked = 0
        self.held_up = 0

    async def __aenter__(self) -> Client:
        self.task = asyncio.create_task(self.application(self.scope, self._receive, self._take))
        self.push({"type": "websocket.connect"})
        return self

    async def _receive(self) -> dict[str, Any]:
        self.asked += 1
        return await self.to_application.get()

    async def _take(self, event: dict[str, Any]) -> None:
        if not self.reads.is_set():
            self.held_up += 1
            await self.reads.wait()
        self.from_application.put_nowait(event)

    async def open(self) -> Client:
        await self.accepted()
        return self

    def leave(self, code: int = 1000) -> None:
        """Disconnect, as a server reports it."""
        self.push({"type": "websocket.disconnect", "code": code})

    async def refused(self) -> None:
        """Wait until the handshake is refused, report that as a server does, and wait for the end of the connection."""
        assert await self.event() == close(1000)
        self.leave(1006)
        await self.over()


class Open(Client):
    """A WebSocket that is accepted when the ``async with`` block begins."""

    async def __aenter__(self) -> Open:
        await super().__aenter__()
        await self.accepted()
        return self


class Request(Connection):
    """One HTTP request. Its body is sent at once, or by the test where ``body`` is None."""

    def __init__(
        self, application: Any, path: str = "/", method: str = "GET", body: bytes | None = b"", **scope: Any
    ) -> None:
        super().__init__(application, {**http_scope(path, method), **scope})
        if body is not None:
            self.body(body)

    async def __aenter__(self) -> Request:
        await super().__aenter__()
        return self

    def body(self, content: bytes = b"", more: bool = False) -> None:
        self.push({"type": "http.request", "body": content, "more_body": more})

    def leave(self) -> None:
        self.push({"type": "http.disconnect"})


class Lifespan(Connection):
    """A server that starts and stops the application around an ``async with`` block."""

    def __init__(self, application: Any, **scope: Any) -> None:
        super().__init__(application, {"type": "lifespan", **scope})

    async def __aenter__(self) -> Lifespan:
        await super().__aenter__()
        self.push({"type": "lifespan.startup"})
        event = await self.event()
        assert event == {"type": "lifespan.startup.complete"}, event
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.push({"type": "lifespan.shutdown"})
        event = await self.event()
        assert event == {"type": "lifespan.shutdown.complete"}, event
        await self.over()


async def ticks(count: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


def logged(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """What the library logged at ``level`` or above."""
    return [record.getMessage() for record in caplog.records if record.name == "routechan" and record.levelno >= level]
