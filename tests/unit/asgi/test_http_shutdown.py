"""The end of a server with open requests: each is answered with 503, or cut off where its answer has begun."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import routechan
from routechan import Message, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from .clients import Lifespan, Request, logged
from .conftest import Serve

STOPPING = b"The server is stopping; try again."


class Slow:
    """Consumers that answer nothing before ``go``. Lifetime: test."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()
        self.ended: list[str] = []

    def plain(self, message: Message) -> None:
        self.began.set()
        self.go.wait()

    async def waits(self, message: Message) -> None:
        self.began.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.append("waits")

    async def begins(self, message: Message) -> None:
        await message.reply_channel.asend({"status": 200, "content": b"a", "more_content": True}, immediately=True)
        await self.waits(message)

    async def answers(self, message: Message) -> None:
        await message.reply_channel.asend({"status": 200, "content": b"a"}, immediately=True)
        await self.waits(message)


async def begun(application: Any, slow: Slow) -> Request:
    request = await Request(application).__aenter__()
    await until(slow.began.is_set)
    return request


def answer(request: Request) -> Any:
    """The status and the body of what was sent; the body None where nothing was."""
    start, *parts = request.events()
    return start["status"], b"".join(part["body"] for part in parts) if parts else None


@pytest.mark.parametrize("kind", ["plain", "waits"])
async def test_a_request_that_the_server_cancels(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """ASGI servers cancel what is left when their grace is over: that is no error of the application."""
    slow = Slow()
    request = await begun(await serve([route("http.request", getattr(slow, kind))]), slow)
    request.task.cancel()
    await request.over()
    slow.go.set()
    assert answer(request) == (503, STOPPING)
    [line] = logged(caplog)
    assert line.startswith("'/' is given up, because the server stops: its consumer ")
    assert f"Slow.{kind} is still running" in line
    assert slow.ended == (["waits"] if kind == "waits" else [])


@pytest.mark.parametrize(("kind", "body", "lines"), [("begins", b"a", 1), ("answers", b"a", 0)])
async def test_an_answer_that_has_begun(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str, body: bytes, lines: int
) -> None:
    """No second answer follows; a part of one ends where it is, and the server cuts it off."""
    slow = Slow()
    request = await begun(await serve([route("http.request", getattr(slow, kind))]), slow)
    request.task.cancel()
    await request.over()
    assert answer(request) == (200, body)
    assert len(logged(caplog)) == lines
    assert slow.ended == ["waits"]


async def test_a_client_that_takes_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr(routechan.asgi.http, "STOP_TIMEOUT", 0.05)
    slow = Slow()
    application = await serve([route("http.request", slow.plain)])
    request = Request(application)

    async def send(event: Any) -> None:
        await asyncio.sleep(60)

    request.task = asyncio.create_task(application(request.scope, request.to_application.get, send))
    await until(slow.began.is_set)
    request.task.cancel()
    await request.over()
    slow.go.set()


async def test_a_server_that_cancels_nothing(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """Lifespan's shutdown answers what is open, and waits for its consumer."""
    slow = Slow()
    application = routechan.application([route("http.request", slow.plain)], default_layer.layer)
    async with Lifespan(application) as lifespan:
        request = await begun(application, slow)
        lifespan.push({"type": "lifespan.shutdown"})
        await until(lambda: request.from_application.qsize() == 2)
        assert not request.task.done()
        slow.go.set()
        await request.over()
    assert answer(request) == (503, STOPPING)
    assert "Slow.plain is still running" in "".join(logged(caplog))
