"""Sockets whose reading a test controls, and waiting for conditions."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any

import pytest

from ..harness import PATIENCE, Connection, WebSocket


class Client(WebSocket):
    """A WebSocket that can stop reading, and counts how often the application asks for the next event."""

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
        """As a server reports it: nothing comes after."""
        self.push({"type": "websocket.disconnect", "code": code})

    async def over(self) -> None:
        """Wait until the application is done with this connection."""
        await asyncio.wait_for(self.task, PATIENCE)

    def events(self) -> list[dict[str, Any]]:
        """What the application has sent and nobody has looked at."""
        return [self.from_application.get_nowait() for _ in range(self.from_application.qsize())]


class Lifespan(Connection):
    """A server's start and stop around the test."""

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
        await asyncio.wait_for(self.task, PATIENCE)


async def ticks(count: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


def logged(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """What the library logged at ``level`` or above."""
    return [record.getMessage() for record in caplog.records if record.name == "routechan" and record.levelno >= level]
