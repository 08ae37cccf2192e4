"""The server side of ASGI in a few lines: sends events to an application and collects what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any

#: Seconds that a test waits for something that should happen at once.
PATIENCE = 20.0


class Connection:
    """One connection to an ASGI application. Use with ``async with``; leaving it disconnects and waits."""

    def __init__(self, application: Any, scope: dict[str, Any]) -> None:
        self.application = application
        self.scope = scope
        self.to_application: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.from_application: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> Connection:
        self.task = asyncio.create_task(
            self.application(self.scope, self.to_application.get, self.from_application.put)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.task.done():
            self.push({"type": f"{self.scope['type']}.disconnect", "code": 1001})
        await self.over()

    def push(self, event: dict[str, Any]) -> None:
        self.to_application.put_nowait(event)

    async def event(self) -> dict[str, Any]:
        """The next event the application sends."""
        return await asyncio.wait_for(self.from_application.get(), PATIENCE)

    def events(self) -> list[dict[str, Any]]:
        """What the application has sent since a test last looked."""
        return [self.from_application.get_nowait() for _ in range(self.from_application.qsize())]

    async def over(self) -> None:
        """Wait until the application has finished this connection."""
        await asyncio.wait_for(self.task, PATIENCE)

    async def nothing(self, seconds: float = 0.05) -> bool:
        """Whether the application sends nothing for a while."""
        try:
            await asyncio.wait_for(self.from_application.get(), seconds)
        except asyncio.TimeoutError:
            return True
        return False


class WebSocket(Connection):
    """A WebSocket to an ASGI application."""

    def __init__(
        self, application: Any, path: str = "/", headers: Iterable[tuple[bytes, bytes]] = (), **scope: Any
    ) -> None:
        super().__init__(
            application,
            {"type": "websocket", "path": path, "headers": list(headers), "query_string": b"", **scope},
        )

    async def __aenter__(self) -> WebSocket:
        await super().__aenter__()
        self.push({"type": "websocket.connect"})
        return self

    async def accepted(self) -> WebSocket:
        event = await self.event()
        assert event["type"] == "websocket.accept", event
        return self

    def send(self, text: str) -> None:
        self.push({"type": "websocket.receive", "text": text})

    async def text(self) -> str:
        event = await self.event()
        assert event["type"] == "websocket.send", event
        text = event["text"]
        assert isinstance(text, str)
        return text


def http_scope(path: str, method: str = "GET") -> dict[str, Any]:
    """The scope of a request without a query string."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "headers": [(b"host", b"testserver")],
        "query_string": b"",
    }


async def get(application: Any, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of one HTTP request."""
    async with Connection(application, http_scope(path, method)) as connection:
        connection.push({"type": "http.request", "body": body})
        start = await connection.event()
        content = b""
        while True:
            event = await connection.event()
            content += event.get("body", b"")
            if not event.get("more_body"):
                return start["status"], content
