"""Runs a 1.x project in a process of its own, where Channels is not installed and ``channels`` is ours."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tests.processes import ROOT, ServerProcess

#: A folder whose ``sitecustomize`` hides today's Channels from the process.
HIDDEN = Path(__file__).parent / "hidden"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a process that runs in ``folder`` needs in its environment."""
    return {
        **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        "PYTHONPATH": os.pathsep.join([str(HIDDEN), str(folder), str(ROOT)]),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def run(
    folder: Path, arguments: Sequence[str], *, timeout: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """``python ARGUMENTS`` in ``folder``, whatever comes of it; ``more`` are environment variables."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def run_code(folder: Path, code: str, *, installed: bool = True, **more: str) -> str:
    """What ``code`` prints, run after ``install()``; fails with its output where it fails."""
    first = "from routechan_django.alias import install\ninstall()\n" if installed else ""
    done = run(folder, ["-c", first + textwrap.dedent(code)], **more)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def server(folder: Path, arguments: Sequence[str], port: int, **more: str) -> ServerProcess:
    """``python -m routechan_django.alias ARGUMENTS``, which serves on ``port``; to be used with ``with``."""
    return ServerProcess(
        ["-m", "routechan_django.alias", *arguments], port, cwd=folder, environment=environment(folder, **more)
    )


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
