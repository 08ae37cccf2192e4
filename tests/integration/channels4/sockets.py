"""A WebSocket client that waits no longer than a test may, and HTTP beside it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

#: Seconds after which what should have come has not.
PATIENCE = 20.0


class Client:
    """One open socket. Lifetime: ``async with open_socket``."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, frame: Any) -> None:
        await self.connection.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def text(self) -> str:
        received = await asyncio.wait_for(self.connection.recv(), PATIENCE)
        assert isinstance(received, str)
        return received

    async def json(self) -> Any:
        return json.loads(await self.text())

    async def close_code(self) -> int | None:
        """The code it is closed with; what comes before is passed over."""
        try:
            while True:
                await asyncio.wait_for(self.connection.recv(), PATIENCE)
        except ConnectionClosed:
            return self.connection.close_code


@asynccontextmanager
async def open_socket(port: int, path: str, **headers: str) -> AsyncIterator[Client]:
    async with connect(f"ws://127.0.0.1:{port}{path}", additional_headers=headers, proxy=None) as connection:
        yield Client(connection)


@asynccontextmanager
async def open_sockets(port: int, *paths: str) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_socket(port, path)) for path in paths]


async def fetch(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET."""

    def request() -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
            return response.status, response.read().decode()

    return await asyncio.to_thread(request)
