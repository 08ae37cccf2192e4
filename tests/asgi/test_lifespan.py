"""The application starts and stops with its server, and so does the HTTP application in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import pytest

import routechan
from routechan import Channel, Message, route
from routechan.asgi import Application
from routechan.encoding import Content
from routechan.handover import Events, Outlet, Replies
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from tests.waiting import until

from ..harness import Connection
from .clients import Lifespan, logged, ticks

COMPLETE = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


class Consumers:
    """Keeps when it was started and stopped, or fails to. Lifetime: test."""

    def __init__(self, start: Exception | None = None, stop: Exception | None = None) -> None:
        self.did: list[str] = []
        self.errors = {"start": start, "stop": stop}

    async def start(self, replies: Replies) -> None:
        self._do("start")

    async def stop(self) -> None:
        self._do("stop")

    def _do(self, what: str) -> None:
        self.did.append(what)
        error = self.errors[what]
        if error is not None:
            raise error

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        return False

    def line(self, outlet: Outlet) -> Events:
        raise NotImplementedError


class Inner:
    """An HTTP application that takes part in lifespan. Lifetime: test."""

    def __init__(self, did: list[str], fail: str | None = None, message: str = "no database") -> None:
        self.did = did
        self.fail = fail
        self.message = message
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        for step in ("startup", "shutdown"):
            event = await receive()
            assert event["type"] == f"lifespan.{step}"
            self.did.append(f"inner {step}")
            if self.fail == step:
                await send({"type": f"lifespan.{step}.failed", "message": self.message})
                return
            await send({"type": f"lifespan.{step}.complete"})


async def both_steps(application: Any, **scope: Any) -> list[dict[str, Any]]:
    """What a server hears from start to stop."""
    connection = Connection(application, {"type": "lifespan", **scope})
    connection.push({"type": "lifespan.startup"})
    connection.push({"type": "lifespan.shutdown"})
    await connection.__aenter__()
    await asyncio.wait_for(connection.task, 5)
    return [connection.from_application.get_nowait() for _ in range(connection.from_application.qsize())]


async def test_it_starts_and_stops_with_the_server() -> None:
    """issue: lifespan."""
    consumers = Consumers()
    application = Application(consumers, InMemoryChannelLayer())
    async with Lifespan(application):
        assert consumers.did == ["start"]
    assert consumers.did == ["start", "stop"]


async def test_channels_are_consumed_from_start_to_stop(default_layer: SyncChannelLayer) -> None:
    """design section 3: ``Channel("thumbnail").send(...)`` works with nothing else started, nor connected."""
    done = []

    async def thumbnail(message: Message) -> None:
        done.append(message["id"])

    application = routechan.application([route("thumbnail", thumbnail)], default_layer.layer)
    async with Lifespan(application):
        Channel("thumbnail").send({"id": 1})
        await until(lambda: done == [1])
    Channel("thumbnail").send({"id": 2})
    await ticks()
    assert done == [1]
    assert default_layer.receive(["thumbnail"]) == ("thumbnail", {"id": 2})


async def test_nothing_is_left_attached(default_layer: SyncChannelLayer) -> None:
    """style, habit 14: after the stop, the layer delivers to nobody."""
    layer = default_layer.layer
    assert isinstance(layer, InMemoryChannelLayer)
    application = routechan.application([], layer)
    async with Lifespan(application):
        assert len(layer._store.attached) == 2
    assert layer._store.attached == {}


async def test_the_http_application_is_started_and_stopped_too() -> None:
    """issue: forwarded; ours is there before it starts and until it has stopped. It gets the server's state."""
    consumers = Consumers()
    inner = Inner(consumers.did)
    state: dict[str, Any] = {}
    assert await both_steps(Application(consumers, InMemoryChannelLayer(), http=inner), state=state) == COMPLETE
    assert consumers.did == ["start", "inner startup", "inner shutdown", "stop"]
    assert inner.scopes[0]["state"] is state


async def test_an_http_application_that_does_not_know_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    """ASGI 3: it raises, as Django's does; that is tolerated without a line in the log."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")

    assert await both_steps(Application(Consumers(), InMemoryChannelLayer(), http=inner)) == COMPLETE
    assert logged(caplog, logging.INFO) == []


async def test_an_http_application_that_returns_at_once() -> None:
    """Another way to know nothing of lifespan."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        return

    assert await both_steps(Application(Consumers(), InMemoryChannelLayer(), http=inner)) == COMPLETE


async def test_an_http_application_that_raises_later() -> None:
    """It took the startup and then gave up: the shutdown does not wait for it."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ValueError

    consumers = Consumers()
    assert await both_steps(Application(consumers, InMemoryChannelLayer(), http=inner)) == COMPLETE
    assert consumers.did == ["start", "stop"]


async def test_a_failed_start_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """ASGI 3: the server is told why, and logs and exits."""
    application = Application(Consumers(start=OSError("no Redis")), InMemoryChannelLayer())
    assert await both_steps(application) == [{"type": "lifespan.startup.failed", "message": "no Redis"}]
    assert logged(caplog) == ["Starting failed"]


async def test_a_failed_stop_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """ASGI 3."""
    application = Application(Consumers(stop=OSError("no Redis")), InMemoryChannelLayer())
    assert await both_steps(application) == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.failed", "message": "no Redis"},
    ]
    assert logged(caplog) == ["Stopping failed"]


@pytest.mark.parametrize(
    ("message", "text"), [("no database", "no database"), ("", "the HTTP application failed its startup")]
)
async def test_an_http_application_that_fails_to_start(message: str, text: str) -> None:
    """ASGI 3: its message is handed on, and what we had started is stopped again."""
    consumers = Consumers()
    inner = Inner(consumers.did, fail="startup", message=message)
    assert await both_steps(Application(consumers, InMemoryChannelLayer(), http=inner)) == [
        {"type": "lifespan.startup.failed", "message": text}
    ]
    assert consumers.did == ["start", "inner startup", "stop"]


async def test_an_http_application_that_fails_to_stop() -> None:
    """ASGI 3: we stop all the same."""
    consumers = Consumers()
    inner = Inner(consumers.did, fail="shutdown")
    assert await both_steps(Application(consumers, InMemoryChannelLayer(), http=inner)) == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.failed", "message": "no database"},
    ]
    assert consumers.did == ["start", "inner startup", "inner shutdown", "stop"]
