"""The live server with a database in a file, under Django's own test runner."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.processes import ROOT


def test_with_a_database_in_a_file() -> None:
    """TC-36, TC-38: the server's threads use the test database, each with a connection that is closed in time."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "django", "test", "tests.unit.django.live.file_case"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.unit.django.live.file_settings", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr
    assert "ResourceWarning" not in done.stderr
