"""``scripts/bench`` runs: the kinds of work that start servers, once each. Its times say nothing here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WORK = ("echo", "fanout", "connect", "memory", "latency", "chat", "http")
SYSTEMS = ("bare, own server", "routechan plain, own server", "routechan async, worker")


@pytest.mark.slow
def test_a_smoke_run() -> None:
    """Nothing fails, is lost or comes twice, and nothing is missing."""
    options = [part for name in WORK for part in ("--only", name)]
    options += [part for name in SYSTEMS for part in ("--systems", name)]
    command = [sys.executable, "benchmarks/run.py", "--smoke", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for system in SYSTEMS:
        assert f" {system} " in done.stdout
    assert " 0 failed" in done.stdout
    assert "missing" not in done.stdout
