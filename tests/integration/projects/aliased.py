"""Runs the commands of a 1.x project through the alias."""

from __future__ import annotations

from pathlib import Path

from tests.unit.django.alias.running import run

HERE = Path(__file__).parent

#: What stands between ``python`` and a 1.x command line.
ALIAS = ("-m", "routechan_django.alias")


def manage(project: str, *arguments: str, **environment: str) -> str:
    """What ``manage.py ARGUMENTS`` prints; fails with all of it where the command does."""
    finished = run(HERE / project, [*ALIAS, "manage.py", *arguments], **environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout
