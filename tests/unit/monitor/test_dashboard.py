"""``docs/deploy/grafana.json``: the dashboard asks for metrics, with labels, that there are."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from prometheus_client import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from routechan.layers import InMemoryChannelLayer, channel_layers
from routechan.monitor.layers import layers_in_use
from routechan.monitor.prometheus import collector
from tests.dashboard import DASHBOARD, expressions

#: Labels that Prometheus itself adds to what it scrapes.
ADDED = {"job", "instance"}


@pytest.fixture
def labels() -> dict[str, set[str]]:
    """The labels of each name that a query can ask for."""
    layer = InMemoryChannelLayer()
    with channel_layers.override("default", layer.sync):
        remove = layers_in_use.add(layer, ["work"])
        families = [*collector().collect(), *ProcessCollector(registry=CollectorRegistry()).collect()]
        remove()
    found: dict[str, set[str]] = {}
    for family in families:
        names = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        for ending in names:
            own = set(getattr(family, "_labelnames", ())) | ({"le"} if ending == "_bucket" else set())
            found[family.name + ending] = own | {label for sample in family.samples for label in sample.labels}
    return found


def test_names_and_labels(labels: dict[str, set[str]]) -> None:
    """Each name is one of the metrics page; what is selected, or grouped by, or in a legend, is a label of it."""
    asked = set()
    for expression, legend in expressions():
        names = re.findall(r"\b((?:routechan|process)_\w+)\{", expression)
        assert names, expression
        asked.update(names)
        wanted = {name for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(", ")}
        wanted |= set(re.findall(r"(\w+)=~", expression)) | set(re.findall(r"{{(\w+)}}", legend))
        for name in names:
            assert name in labels, expression
            assert wanted <= labels[name] | ADDED, (expression, wanted - labels[name])
    ours = {name for name in labels if name.startswith("routechan_")}
    assert ours - asked == set(), "the dashboard shows every metric"


def test_layers_are_not_summed() -> None:
    """All processes of a layer count together: a sum over processes would count as often as there are processes."""
    for expression, _ in expressions():
        if re.search(r"routechan_(layer|channel)_", expression):
            assert "sum" not in expression, expression


def test_the_file() -> None:
    """Panels have ids and places of their own, a unit, a description, and the data source that is chosen."""
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    squares: Counter[tuple[int, int]] = Counter()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        squares.update((place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"]))
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    assert max(squares.values()) == 1, "panels lie over each other"
    text = json.dumps(DASHBOARD)
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {"${datasource}", "routechan"}
    assert "http" not in text
