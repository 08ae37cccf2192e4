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

from ...harness import get
from .clients import Lifespan, Open, Request
from .conftest import Serve
from .consumers import accept


def answer(message: Message) -> None:
    message.reply_channel.send({"status": 200, "content": b"a consumer's"})


ROUTING = [route("websocket.connect", accept), route("http.request", answer)]


async def asked(application: Any, path: str = "/healthz") -> tuple[int, dict[str, Any]]:
    status, body = await get(application, path)
    return status, json.loads(body)


async def test_health(serve: Serve) -> None:
    """The page is answered before any route, for every method, and only at its exact path."""
    application = await serve(ROUTING, health_path="/healthz")
    assert await asked(application) == (200, {"status": "ok", "sockets": 0, "layer": "reachable"})
    async with Open(application):
        assert (await asked(application))[1]["sockets"] == 1
    assert (await get(application, "/healthz", "HEAD"))[0] == 200
    assert (await get(application, "/healthz/"))[1] == b"a consumer's"


async def test_health_below_a_prefix(serve: Serve) -> None:
    """The path is compared without the server's root path."""
    application = await serve(ROUTING, health_path="/healthz")
    async with Request(application, "/app/healthz", root_path="/app") as request:
        assert (await request.event())["headers"][0] == (b"content-type", b"application/json")


async def test_a_project_keeps_its_own_page(serve: Serve, default_layer: SyncChannelLayer) -> None:
    """An inline server has no health page by default; a relaying server has one."""
    assert (await get(await serve(ROUTING), "/healthz"))[1] == b"a consumer's"
    assert (await get(relay_application(default_layer.layer), "/healthz"))[0] == 200
    assert (await get(relay_application(default_layer.layer, options=ServerOptions()), "/healthz"))[0] == 404


async def test_health_without_workers(default_layer: SyncChannelLayer) -> None:
    """A request that waits for a worker does not hold it up."""
    application = relay_application(default_layer.layer, relay_http=True, event_timeout=0.5)
    async with Lifespan(application):
        waiting = asyncio.create_task(get(application, "/"))
        assert (await asked(application))[0] == 200
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])


class Gone(InMemoryChannelLayer):
    """A layer whose server is gone: raises ``error``, or hangs if there is none. Lifetime: test."""

    error: Exception | None = None

    async def is_served(self, channel: str) -> bool:
        if self.error is not None:
            raise self.error
        await asyncio.sleep(60)
        return False


@pytest.mark.parametrize("error", [ChannelLayerUnavailable("no Redis"), None])
async def test_health_without_the_layer(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is down does not make the server unhealthy, and does not delay the answer."""
    monkeypatch.setattr(health, "LAYER_TIMEOUT", 0.05)
    layer = Gone()
    layer.error = error
    assert await asked(relay_application(layer)) == (200, {"status": "ok", "sockets": 0, "layer": "unreachable"})


async def test_health_of_a_server_that_stops(default_layer: SyncChannelLayer) -> None:
    """A stopping server answers 503, so that a load balancer sends no more to it."""
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
        await Open(application).__aenter__()
        lifespan.push({"type": "lifespan.shutdown"})
        await began.wait()
        assert await asked(application) == (503, {"status": "stopping", "sockets": 1, "layer": "reachable"})
        go.set()


async def test_metrics(serve: Serve) -> None:
    """Metrics are served in Prometheus' format at the configured path; by default nowhere."""
    pytest.importorskip("prometheus_client")
    application = await serve(ROUTING, metrics_path="/metrics")
    async with Request(application, "/metrics") as request:
        start, body = await request.event(), await request.event()
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"].startswith(b"text/plain; version=")
    assert b"routechan_sockets_open 0.0\n" in body["body"]
    assert (await get(await serve(ROUTING), "/metrics"))[1] == b"a consumer's"


async def test_metrics_without_the_library(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus_client the page is a 501 that says what to install."""

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
    """A bad path is refused when the options are built."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        ServerOptions(**options)
