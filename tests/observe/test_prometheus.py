"""The metrics page: what it says, how it is named, and when a layer is gone."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from routechan import route
from routechan.exceptions import MissingExtra
from routechan.layers import InMemoryChannelLayer, RedisChannelLayer
from routechan.observe import prometheus, watched
from routechan.observe.counters import counters
from routechan.observe.prometheus import aexposition, collector, exposition

from ..asgi.clients import Client
from ..harness import get
from ..processes import free_port
from .helpers import echo, fail, inline

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "observability.rst"


@pytest.fixture(autouse=True)
def only_these_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have applications that nobody stopped."""
    monkeypatch.setattr(watched.watched, "_layers", [])


def parsed(page: bytes) -> dict[str, Any]:
    """Name -> metric, ours only, read by the library's own parser."""
    families = text_string_to_metric_families(page.decode())
    return {family.name: family for family in families if family.name.startswith("routechan_")}


def value(metrics: dict[str, Any], sample: str, **labels: str) -> float | None:
    for family in metrics.values():
        for found in family.samples:
            if found.name == sample and labels.items() <= found.labels.items():
                return float(found.value)
    return None


async def test_the_page() -> None:
    """Counters, gauges and histograms of what this process did, and what its layer holds."""
    layer, open_before = InMemoryChannelLayer(), counters.sockets_open
    routing = [route("websocket.receive", echo), route("work", fail)]
    async with inline(layer, *routing) as application, Client(application) as client:
        await client.open()
        client.send("hello")
        await client.text()
        await layer.send("websocket.connect.not-read", {})
        body, content_type = await aexposition()
        assert content_type.startswith("text/plain; version=")
        metrics = parsed(body)
        assert value(metrics, "routechan_sockets_open") == open_before + 1
        assert value(metrics, "routechan_socket_messages_received_total") >= 1  # type: ignore[operator]
        assert value(metrics, "routechan_messages_received_total", channel="websocket.receive") >= 1  # type: ignore[operator]
        name = "tests.observe.helpers.echo"
        count = value(metrics, "routechan_consumer_duration_seconds_count", consumer=name)
        assert count
        assert value(metrics, "routechan_consumer_duration_seconds_bucket", consumer=name, le="+Inf") == count
        assert value(metrics, "routechan_consumer_duration_seconds_sum", consumer=name) > 0  # type: ignore[operator]
        assert value(metrics, "routechan_layer_up", layer="default") == 1
        assert value(metrics, "routechan_channel_waiting_messages", channel="work") == 0
        assert value(metrics, "routechan_layer_messages_total", layer="default") >= 1  # type: ignore[operator]
    metrics = parsed(exposition()[0])
    assert value(metrics, "routechan_sockets_open") == open_before
    assert value(metrics, "routechan_layer_up") is None, "the server has stopped, and its layer is none of ours"


async def test_buckets_grow() -> None:
    """Prometheus wants each bucket to hold those before it."""
    routing = [route("websocket.receive", echo)]
    async with inline(InMemoryChannelLayer(), *routing) as application, Client(application) as client:
        await client.open()
        client.send("hello")
        await client.text()
    family = parsed(exposition()[0])["routechan_consumer_duration_seconds"]
    buckets = [
        sample.value
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.labels["consumer"] == "tests.observe.helpers.echo"
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] >= 1


def test_names_follow_the_rules() -> None:
    """Counters end in _total, times are in seconds, and every name and its meaning is in the document."""
    metrics = parsed(exposition()[0])
    documented = DOCUMENT.read_text()
    for name, family in metrics.items():
        assert re.fullmatch(r"routechan(_[a-z]+)+", name)
        assert family.documentation
        full = f"{name}_total" if family.type == "counter" else name
        assert f"``{full}``" in documented, full
        assert not name.endswith(("_ms", "_milliseconds", "_count"))
    for name in re.findall(r"``(routechan_[a-z_]+)``", documented):
        assert name.removesuffix("_total") in metrics, f"{name} is documented, and does not exist"


async def test_a_layer_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metrics are missing and it is not up; the page comes all the same, and soon."""
    monkeypatch.setattr(watched, "PATIENCE", 0.3)
    layer = RedisChannelLayer(hosts=[f"redis://127.0.0.1:{free_port()}"])
    forget = watched.watched.add(layer, ["work"])
    try:
        began = time.monotonic()
        metrics = parsed((await aexposition())[0])
        assert time.monotonic() - began < 3
        assert value(metrics, "routechan_layer_up", layer="default") == 0
        assert value(metrics, "routechan_channel_waiting_messages") is None
        assert value(metrics, "routechan_sockets_open") is not None
    finally:
        forget()
        layer.close()


def test_a_registry_of_ones_own() -> None:
    """``collector()`` can be registered there; nothing is collected for that."""
    registry = CollectorRegistry()
    registry.register(collector())
    assert registry.get_sample_value("routechan_sockets_open") == counters.sockets_open


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(prometheus, "prometheus_client", None)
    for function in (exposition, collector):
        with pytest.raises(
            MissingExtra, match=r"prometheus_client; install it with: pip install 'routechan\[metrics\]'"
        ):
            function()


async def test_over_http() -> None:
    """``metrics_path`` of a server is this page."""
    async with inline(InMemoryChannelLayer(), route("websocket.receive", echo), metrics_path="/metrics") as application:
        status, body = await get(application, "/metrics")
        assert status == 200
        assert "routechan_sockets_open" in parsed(body)
