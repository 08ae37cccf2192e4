"""The application starts and stops with its server, and so does the HTTP application in it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import routechan
from routechan import Channel, Message, route
from routechan.asgi import Application
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from tests.waiting import until

from ...harness import Connection
from .clients import Lifespan, logged, ticks
from .consumers import NoConsumers

COMPLETE = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


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


async def both_steps(consumers: NoConsumers, inner: Any = None, **scope: Any) -> list[dict[str, Any]]:
    """What a server hears of an application from start to stop."""
    application = Application(consumers, InMemoryChannelLayer(), http=inner)
    connection = Connection(application, {"type": "lifespan", **scope})
    connection.push({"type": "lifespan.startup"})
    connection.push({"type": "lifespan.shutdown"})
    await connection.__aenter__()
    await connection.over()
    return connection.events()


async def test_it_starts_and_stops_with_the_server() -> None:
    """The consumers start and stop with the server."""
    consumers = NoConsumers()
    application = Application(consumers, InMemoryChannelLayer())
    async with Lifespan(application):
        assert consumers.did == ["start"]
    assert consumers.did == ["start", "stop"]


async def test_channels_are_consumed_from_start_to_stop(default_layer: SyncChannelLayer) -> None:
    """Custom channels are consumed without a worker, from startup to shutdown."""
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
    """After the stop, the layer delivers to nobody."""
    layer = default_layer.layer
    assert isinstance(layer, InMemoryChannelLayer)
    application = routechan.application([], layer)
    async with Lifespan(application):
        assert len(layer._store.attached) == 2
    assert layer._store.attached == {}


async def test_the_http_application_is_started_and_stopped_too() -> None:
    """It starts after us and stops before us, and gets the server's lifespan state."""
    consumers = NoConsumers()
    inner = Inner(consumers.did)
    state: dict[str, Any] = {}
    assert await both_steps(consumers, inner, state=state) == COMPLETE
    assert consumers.did == ["start", "inner startup", "inner shutdown", "stop"]
    assert inner.scopes[0]["state"] is state


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def returns(scope: Any, receive: Any, send: Any) -> None:
    return


async def gives_up(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    raise ValueError


@pytest.mark.parametrize("inner", [refuses, returns, gives_up])
async def test_an_http_application_that_does_not_know_lifespan(caplog: pytest.LogCaptureFixture, inner: Any) -> None:
    """ASGI 3: it raises, as Django's does, or returns, at once or later; tolerated without a line in the log."""
    consumers = NoConsumers()
    assert await both_steps(consumers, inner) == COMPLETE
    assert consumers.did == ["start", "stop"]
    assert logged(caplog, logging.INFO) == []


@pytest.mark.parametrize(
    ("errors", "heard", "text"),
    [
        ({"start": OSError("no Redis")}, [("startup.failed", "no Redis")], "Starting failed"),
        (
            {"stop": OSError("no Redis")},
            [("startup.complete", None), ("shutdown.failed", "no Redis")],
            "Stopping failed",
        ),
    ],
    ids=["start", "stop"],
)
async def test_a_failure_of_ours_is_reported(
    caplog: pytest.LogCaptureFixture, errors: dict[str, Exception], heard: list[Any], text: str
) -> None:
    """ASGI 3: the server is told why, and logs and exits."""
    assert steps(await both_steps(NoConsumers(**errors))) == heard
    assert logged(caplog) == [text]


def steps(events: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(event["type"].removeprefix("lifespan."), event.get("message")) for event in events]


@pytest.mark.parametrize(
    ("fail", "message", "heard", "did"),
    [
        ("startup", "no database", [("startup.failed", "no database")], ["inner startup"]),
        ("startup", "", [("startup.failed", "the HTTP application failed its startup")], ["inner startup"]),
        (
            "shutdown",
            "no database",
            [("startup.complete", None), ("shutdown.failed", "no database")],
            ["inner startup", "inner shutdown"],
        ),
    ],
)
async def test_a_failure_of_the_http_application_is_reported(
    fail: str, message: str, heard: list[Any], did: list[str]
) -> None:
    """ASGI 3: its message is handed on, and what we had started is stopped again."""
    consumers = NoConsumers()
    assert steps(await both_steps(consumers, Inner(consumers.did, fail, message))) == heard
    assert consumers.did == ["start", *did, "stop"]
