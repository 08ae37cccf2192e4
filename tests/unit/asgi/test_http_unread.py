"""A request whose client stops reading: its consumer ends, of whatever kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routechan import Message, route
from tests.waiting import until

from .clients import Request, logged
from .conftest import Serve

PART = {"content": b"x" * 1024, "more_content": True}


class Endless:
    """Consumers that answer without end. Lifetime: test."""

    def __init__(self) -> None:
        self.parts = 0
        self.ended: list[str] = []

    async def sends(self, message: Message) -> None:
        """Sends each part at once."""
        await message.reply_channel.asend({"status": 200, **PART}, immediately=True)
        try:
            while True:
                self.parts += 1
                await message.reply_channel.asend(PART, immediately=True)
                await asyncio.sleep(0.001)
        finally:
            self.ended.append("sends")

    async def waits(self, message: Message) -> None:
        """Sends some, and goes on with something else."""
        await message.reply_channel.asend({"status": 200, **PART}, immediately=True)
        for _ in range(5):
            await message.reply_channel.asend(PART, immediately=True)
        self.parts += 1
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.append("waits")

    async def streams(self, message: Message) -> AsyncIterator[Any]:
        """Yields each part."""
        self.parts += 1
        try:
            yield {"status": 200, **PART}
            while True:
                yield PART
        finally:
            self.ended.append("streams")


@pytest.mark.parametrize("kind", ["sends", "waits", "streams"])
async def test_its_async_consumer_ends(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """Once the response is given up, ``http_timeout`` after the client last took something; that is no error of it."""
    endless = Endless()
    application = await serve([route("http.request", getattr(endless, kind))], http_timeout=0.2)
    request = Request(application)
    reads = asyncio.Event()

    async def send(event: Any) -> None:
        if event["type"] == "http.response.body":
            await reads.wait()

    request.task = asyncio.create_task(application(request.scope, request.to_application.get, send))
    await until(lambda: endless.parts)
    await request.over()
    assert endless.ended == [kind]
    [line] = logged(caplog)
    assert line == "'/' is given up: its client has taken nothing for 0.2 s"
