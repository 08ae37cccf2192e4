"""How many files one warm message enters, as ``scripts/journey`` counts them, does not grow unnoticed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.processes import ROOT

#: The most files for each journey. 27 are wanted for "group", and 30 for "workers"; what a send and a commit have in
#: common is one more since it has a file of its own.
FILES = {"inline": 12, "group": 28, "workers": 33, "thread": 22}


@pytest.mark.slow
def test_journeys() -> None:
    """A reader may have to open so many files to follow a message, and no more."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.journey"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    found = {name: int(files) for name, files in re.findall(r"^(\w+) +\d+ +(\d+) ", done.stdout, re.MULTILINE)}
    assert found.keys() == FILES.keys(), done.stdout
    assert {name: files for name, files in found.items() if files > FILES[name]} == {}
