"""The metrics page: what it says, how it is named, and when a layer is gone."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from routechan import route
from routechan.exceptions import MissingExtra
from routechan.layers import InMemoryChannelLayer, RedisChannelLayer
from routechan.monitor import layers, prometheus
from routechan.monitor.prometheus import aexposition, collector, exposition
from routechan.telemetry.counters import counters

from ...processes import free_port
from ...waiting import stretched
from ..asgi.clients import Open
from ..asgi.consumers import echo
from .helpers import fail, inline

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "observability.rst"


@pytest.fixture(autouse=True)
def only_these_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications of other tests may still be in use."""
    monkeypatch.setattr(layers.layers_in_use, "_layers", [])


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
    """The page has the counters of this process and the statistics of its layer."""
    layer, open_before = InMemoryChannelLayer(), counters.sockets_open
    routing = [route("websocket.receive", echo), route("work", fail)]
    async with inline(layer, *routing) as application, Open(application) as client:
        client.send("hello")
        await client.text()
        await layer.send("websocket.connect.not-read", {})
        body, content_type = await aexposition()
        assert content_type.startswith("text/plain; version=")
        metrics = parsed(body)
        assert value(metrics, "routechan_sockets_open") == open_before + 1
        assert value(metrics, "routechan_socket_messages_received_total") >= 1  # type: ignore[operator]
        assert value(metrics, "routechan_messages_received_total", channel="websocket.receive") >= 1  # type: ignore[operator]
        name = "tests.unit.asgi.consumers.echo"
        count = value(metrics, "routechan_consumer_duration_seconds_count", consumer=name)
        assert count
        samples = metrics["routechan_consumer_duration_seconds"].samples
        buckets = [found.value for found in samples if "le" in found.labels and found.labels["consumer"] == name]
        assert buckets == sorted(buckets), "Prometheus wants each bucket to count those before it too"
        assert buckets[-1] == count
        assert value(metrics, "routechan_consumer_duration_seconds_sum", consumer=name) > 0  # type: ignore[operator]
        assert value(metrics, "routechan_layer_up", layer="default") == 1
        assert value(metrics, "routechan_channel_waiting_messages", channel="work") == 0
        assert value(metrics, "routechan_layer_messages_total", layer="default") >= 1  # type: ignore[operator]
    metrics = parsed(exposition()[0])
    assert value(metrics, "routechan_sockets_open") == open_before
    assert value(metrics, "routechan_layer_up") is None, "the server has stopped, and its layer is none of ours"


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
    """A layer that does not answer is reported as down without metrics, and delays the page only briefly."""
    monkeypatch.setattr(layers, "STATISTICS_TIMEOUT", 0.3)
    layer = RedisChannelLayer(hosts=[f"redis://127.0.0.1:{free_port()}"])
    forget = layers.layers_in_use.add(layer, ["work"])
    try:
        began = time.monotonic()
        metrics = parsed((await aexposition())[0])
        assert time.monotonic() - began < stretched(3)
        assert value(metrics, "routechan_layer_up", layer="default") == 0
        assert value(metrics, "routechan_channel_waiting_messages") is None
        assert value(metrics, "routechan_sockets_open") is not None
    finally:
        forget()
        layer.close()


def test_a_layer_that_hangs_blocks_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked, it is down until its first answer."""
    asked, go_on = [], threading.Event()

    def figures(alias: str, layer: Any, channels: list[str]) -> layers.LayerFigures:
        asked.append(alias)
        go_on.wait(5)
        return layers.LayerFigures(alias, True, {}, {})

    monkeypatch.setattr(layers, "_figures", figures)
    monkeypatch.setattr(layers, "STATISTICS_TIMEOUT", 0.01)
    in_use = layers.LayersInUse()
    in_use.add(InMemoryChannelLayer(), ["work"])
    assert [found.up for _ in range(3) for found in in_use.figures()] == [False] * 3
    assert asked == ["default"]
    go_on.set()
    monkeypatch.setattr(layers, "STATISTICS_TIMEOUT", 5)
    assert [found.up for found in in_use.figures()] == [True]


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
