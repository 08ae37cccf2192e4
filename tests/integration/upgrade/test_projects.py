"""Whole projects of 1.x after ``python -m routechan upgrade``: their tests pass, without the alias."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.django.alias.running import run

PROJECTS = Path(__file__).resolve().parents[2] / "projects"

#: Project -> places that are named: to be done by hand, and worth a look.
NAMED = {
    "chat": (
        ["requirements.txt:1: requirements: Django>=1.10,<1.11"],
        ["Procfile:2: commands: runworker", "chatsite/settings.py:36: leftovers: there is no DEFAULT_AUTO_FIELD"],
    ),
    "board": (
        ["requirements.txt:1: requirements: django==2.0.1", "requirements.txt:5: requirements: msgpack-python==0.4.8"],
        ["boardsite/settings.py:22: leftovers: there is no DEFAULT_AUTO_FIELD"],
    ),
    "media": (
        [
            "Dockerfile:1: requirements: FROM python:2.7: it has to be Python 3.10",
            "deploy/daphne.service:5: commands: daphne --ws-protocol",
            "requirements/base.txt:1: requirements: Django==1.8.17",
        ],
        [
            f"{place}: commands: runworker"
            for place in ("Procfile:2", "deploy/supervisor.conf:9", "docker-compose.yml:12")
        ],
    ),
}


@pytest.fixture(params=NAMED)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(
            PROJECTS / request.param, tmp_path / request.param, ignore=shutil.ignore_patterns("__pycache__")
        )
    )


def test_what_changes(project: Path) -> None:
    """Each change is the one that somebody careful would make, and each other place is named."""
    done = run(project, ["-m", "routechan", "upgrade", "--diff"])
    diff, _, report = done.stdout.rpartition(": to be rewritten by ")[0].partition("\n\nTo be done")
    expected = (PROJECTS / f"{project.name}.diff").read_text()
    assert done.stdout.startswith(expected), diff + report
    must, may = NAMED[project.name]
    said = done.stdout[len(expected) :]
    by_hand, _, a_look = said.partition("To be done by hand:\n")[2].partition("Worth a look:\n")
    for lines, places in ((by_hand, must), (a_look, may)):
        found = lines.splitlines()[: len(places)]
        assert [line[: len(place)] for line, place in zip(found, places, strict=True)] == places
    assert f" {len(must)} place{'s' * (len(must) != 1)} to be done by hand, {len(may)} worth a look." in said
    assert done.returncode == 2


@pytest.mark.slow
def test_its_tests_pass(project: Path) -> None:
    """Before, nothing of it starts; after, all its tests pass; a second run changes nothing."""
    assert run(project, ["manage.py", "test"]).returncode != 0
    assert run(project, ["-m", "routechan", "upgrade"]).returncode == 2
    done = run(project, ["manage.py", "test"])
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    again = run(project, ["-m", "routechan", "upgrade"])
    assert "0 files rewritten" in again.stdout
    assert {path: path.read_bytes() for path in before} == before
