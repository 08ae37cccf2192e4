"""The dashboard for Grafana, and its queries."""

from __future__ import annotations

import json
from typing import Any

from .documents import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "deploy" / "grafana.json").read_text())


def expressions() -> list[tuple[str, str]]:
    """Each query with its legend."""
    targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return [(target["expr"], target["legendFormat"]) for target in targets]


def filled_in(expression: str, seconds: int) -> str:
    """The ``expression`` as Grafana sends it, for all jobs and layers, with rates over so many ``seconds``."""
    return expression.replace("$__rate_interval", f"{seconds}s").replace('"$job"', '".*"').replace('"$layer"', '".*"')
