"""The server's own pages: its health and its metrics."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

import routechan
from routechan import Message, route
from routechan.app import relay_application
from routechan.asgi import ServerOptions, health
from routechan.exceptions import ChannelLayerUnavailable, MissingExtra
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer

from ..harness import Connection, get
from .clients import Client, Lifespan
from .conftest import Serve


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})  # type: ignore[union-attr]


def answer(message: Message) -> None:
    message.reply_channel.send({"status": 200, "content": b"a consumer's"})  # type: ignore[union-attr]


ROUTING = [route("websocket.connect", accept), route("http.request", answer)]


async def asked(application: Any, path: str = "/healthz") -> tuple[int, dict[str, Any]]:
    status, body = await get(application, path)
    return status, json.loads(body)


async def test_health(serve: Serve) -> None:
    """issue 5: answered before any route, with what matters, whoever asks how."""
    application = await serve(ROUTING, health_path="/healthz")
    assert await asked(application) == (200, {"status": "ok", "sockets": 0, "layer": "reachable"})
    async with Client(application) as client:
        await client.open()
        assert (await asked(application))[1]["sockets"] == 1
    assert (await get(application, "/healthz", "HEAD"))[0] == 200
    assert (await get(application, "/healthz/"))[1] == b"a consumer's"


async def test_health_below_a_prefix(serve: Serve) -> None:
    """A server that serves below a path puts that before ours."""
    application = await serve(ROUTING, health_path="/healthz")
    scope = {"type": "http", "method": "GET", "path": "/app/healthz", "root_path": "/app", "headers": []}
    async with Connection(application, scope) as connection:
        assert (await connection.event())["headers"][0] == (b"content-type", b"application/json")


async def test_a_project_keeps_its_own_page(serve: Serve, default_layer: SyncChannelLayer) -> None:
    """An inline server has none unless it is told to; one that only relays has."""
    assert (await get(await serve(ROUTING), "/healthz"))[1] == b"a consumer's"
    assert (await get(relay_application(default_layer.layer), "/healthz"))[0] == 200
    assert (await get(relay_application(default_layer.layer, options=ServerOptions()), "/healthz"))[0] == 404


async def test_health_without_workers(default_layer: SyncChannelLayer) -> None:
    """issue 5: a request that waits for a worker does not hold it up."""
    application = relay_application(default_layer.layer, relay_http=True, event_timeout=0.5)
    async with Lifespan(application):
        waiting = asyncio.create_task(get(application, "/"))
        assert (await asked(application))[0] == 200
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])


class Gone(InMemoryChannelLayer):
    """Its server has gone: says so, or nothing at all. Lifetime: test."""

    error: Exception | None = None

    async def is_served(self, channel: str) -> bool:
        if self.error is not None:
            raise self.error
        await asyncio.sleep(60)
        return False


@pytest.mark.parametrize("error", [ChannelLayerUnavailable("no Redis"), None])
async def test_health_without_the_layer(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """issue 5: sockets live on, so a probe must not have the server restarted; nor is it kept waiting."""
    monkeypatch.setattr(health, "LAYER_TIME", 0.05)
    layer = Gone()
    layer.error = error
    assert await asked(relay_application(layer)) == (200, {"status": "ok", "sockets": 0, "layer": "unreachable"})


async def test_health_of_a_server_that_stops(default_layer: SyncChannelLayer) -> None:
    """issue 5: 503, so that no more is sent to it."""
    began, go = asyncio.Event(), asyncio.Event()

    async def disconnect(message: Message) -> None:
        began.set()
        await go.wait()

    application = routechan.application(
        [*ROUTING, route("websocket.disconnect", disconnect)],
        default_layer.layer,
        options=ServerOptions(health_path="/healthz"),
    )
    async with Lifespan(application) as lifespan:
        await (await Client(application).__aenter__()).open()
        lifespan.push({"type": "lifespan.shutdown"})
        await began.wait()
        assert await asked(application) == (503, {"status": "stopping", "sockets": 1, "layer": "reachable"})
        go.set()


async def test_metrics(serve: Serve) -> None:
    """issue 5: as Prometheus reads them, at the path that is chosen; nowhere by default."""
    pytest.importorskip("prometheus_client")
    application = await serve(ROUTING, metrics_path="/metrics")
    async with Connection(
        application, {"type": "http", "method": "GET", "path": "/metrics", "headers": []}
    ) as connection:
        start, body = await connection.event(), await connection.event()
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"].startswith(b"text/plain; version=")
    assert b"routechan_sockets_open 0.0\n" in body["body"]
    assert (await get(await serve(ROUTING), "/metrics"))[1] == b"a consumer's"


async def test_metrics_without_the_library(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """501, with what to install."""

    async def missing() -> tuple[bytes, str]:
        raise MissingExtra("Metrics need the package prometheus_client", "metrics")

    monkeypatch.setattr(health, "aexposition", missing)
    application = await serve(ROUTING, metrics_path="/metrics")
    status, body = await get(application, "/metrics")
    assert (status, body.decode()) == (501, str(MissingExtra("Metrics need the package prometheus_client", "metrics")))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"health_path": "healthz"}, "health_path is a path such as '/healthz', or None, not 'healthz'"),
        ({"metrics_path": True}, "metrics_path is a path such as '/healthz', or None, not True"),
        ({"health_path": "/a", "metrics_path": "/a"}, "health_path and metrics_path are both '/a'; give each its own"),
    ],
)
def test_paths_that_cannot_be(options: dict[str, Any], text: str) -> None:
    """style, habit 12."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        ServerOptions(**options)
