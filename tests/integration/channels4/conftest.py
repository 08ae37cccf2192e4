"""The project, served by uvicorn on each layer: in memory, and on a Redis that the tests start."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.processes import ROOT, ServerProcess, free_port
from tests.redis_servers import SingleServer, shared

SETTINGS = "tests.integration.channels4.project.settings"
SERVE = ["-m", "uvicorn", "tests.integration.channels4.project.asgi:application", "--log-level", "warning", "--port"]


@pytest.fixture(scope="package", params=["memory", "redis"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the project's processes are started with."""
    layer = request.param
    if layer == "redis":
        layer = str(shared(request.config, SingleServer).port)
    database = tmp_path_factory.mktemp("database") / "db.sqlite3"
    return {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "TEST_LAYER": layer,
        "TEST_PREFIX": secrets.token_hex(6),
        "TEST_DATABASE": str(database),
    }


@pytest.fixture(scope="package")
def server(environment: dict[str, str]) -> Iterator[ServerProcess]:
    """The project behind uvicorn."""
    port = free_port()
    with ServerProcess([*SERVE, str(port)], port, environment=environment) as process:
        yield process
    assert "Traceback" not in process.output, process.output


@pytest.fixture
def second_server(environment: dict[str, str], server: ServerProcess) -> Iterator[ServerProcess]:
    """Another process of the same project, where the layer reaches it."""
    if environment["TEST_LAYER"] == "memory":
        pytest.skip("no other process sees the layer in memory")
    port = free_port()
    with ServerProcess([*SERVE, str(port)], port, environment=environment) as process:
        yield process
    assert "Traceback" not in process.output, process.output


def manage(environment: dict[str, str], *arguments: str) -> str:
    """What ``python -m django ARGUMENTS`` prints; fails with all of it where the command does."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout
