"""The dashboard's queries, and the alerts of the document, asked of a Prometheus that scrapes a server and workers."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.dashboard import expressions, filled_in
from tests.documents import ROOT, blocks
from tests.processes import ServerProcess, free_port
from tests.waiting import until

from .fleet import Fleet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus: apt-get install prometheus"),
]

#: Seconds between two scrapes, and of the windows of rates.
SCRAPE, WINDOW = 1, 10

SETTINGS = "tests.integration.workers.project.settings"


class Prometheus(ServerProcess):
    """Prometheus with a configuration of its own."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        port = free_port()
        config = {
            "global": {"scrape_interval": f"{SCRAPE}s", "scrape_timeout": f"{SCRAPE}s"},
            "scrape_configs": [{"job_name": "site", "static_configs": [{"targets": targets}]}],
        }
        file = folder / "prometheus.yml"
        file.write_text(json.dumps(config))  # which is YAML too
        super().__init__([], port)
        self.arguments = [
            shutil.which("prometheus") or "",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)["data"]


async def talk(url: str) -> None:
    """A socket that says something now and then, until it is cancelled."""
    async with connect(url) as socket:
        while True:
            await socket.send("hello")
            await socket.recv()
            await asyncio.sleep(0.02)


async def test_each_query_has_an_answer(redis_url: str, tmp_path: Path) -> None:
    """Of a relaying server and two workers under load; what has never happened has no series yet."""
    first = free_port(2)
    environment = {"SESSIONS": str(tmp_path), "DJANGO_SETTINGS_MODULE": SETTINGS}
    layer = tmp_path / "layer.json"
    server = (
        *("-m", "routechan", "serve", "--allow-origin", "*", "--metrics-path", "/metrics", "--log-level", "warning"),
        *("--layer-config", str(layer)),
    )
    worker = ("-m", "django", "runworker", "--processes", "2", "--health", f"{first}")
    fleet = Fleet(redis_url, environment=environment, server=server, workers=1, worker=worker)
    layer.write_text(json.dumps({"hosts": [redis_url], "prefix": fleet.environment["REDIS_PREFIX"], "lease": 2.0}))
    with fleet:
        targets = [f"127.0.0.1:{port}" for port in (fleet.servers[0].port, first, first + 1)]
        with Prometheus(tmp_path, targets) as prometheus:
            talking = [asyncio.create_task(talk(fleet.urls("/queue/")[0])) for _ in range(5)]

            def scraped() -> bool:
                rates = prometheus.ask("query", query=f"rate(process_cpu_seconds_total[{WINDOW}s])")["result"]
                return {rate["metric"]["instance"] for rate in rates} == set(targets)

            await until(scraped, "all were scraped twice")
            answers = {
                expression: prometheus.ask("query", query=filled_in(expression, WINDOW))["result"]
                for expression, _ in expressions()
            }
            for task in talking:
                task.cancel()
            await asyncio.wait(talking)
            empty = [expression for expression, result in answers.items() if not result]
            assert [expression for expression in empty if "routechan_limited_total" not in expression] == []
            [sent] = prometheus.ask("query", query='max(routechan_channel_messages_total{channel="queue"})')["result"]
            assert float(sent["value"][1]) > 50
            alerts = re.findall(r"expr: (.+)", "\n".join(blocks(ROOT / "docs" / "observability.rst", "yaml")))
            assert len(alerts) >= 5
            for alert in alerts:
                assert prometheus.ask("query", query=alert)["resultType"] == "vector"


def test_the_alerts_are_rules(tmp_path: Path) -> None:
    """The file that the document has is one that Prometheus reads."""
    rules, _ = blocks(ROOT / "docs" / "observability.rst", "yaml")
    file = tmp_path / "rules.yml"
    file.write_text(rules)
    promtool = shutil.which("promtool")
    assert promtool is not None
    subprocess.run([promtool, "check", "rules", str(file)], check=True, capture_output=True)
