"""No test of a project reaches the Redis of its settings, whatever runs the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.redis_servers import SingleServer, shared

PROJECT = "tests.integration.testruns.project"
FOLDER = Path(__file__).parent / "project"
#: Without the plugins that happen to be installed, for speed.
PYTEST = (
    f"-m pytest -q --noconftest -p no:cacheprovider -o python_files=*.py -c {os.devnull} -o python_classes=".split()
)
PYTEST += ["--rootdir", str(ROOT)]
PLUGIN = ["-p", "routechan_django.pytest_plugin"]
ALL = [str(FOLDER / "cases.py"), str(FOLDER / "functions.py")]

CASES, FUNCTIONS = 14, 7

#: Command line -> how many tests that runs.
RUNNERS = {
    "manage.py test": (["-m", "django", "test", f"{PROJECT}.cases", f"{PROJECT}.further"], CASES + 3),
    "parallel": (["-m", "django", "test", "--parallel", "2", f"{PROJECT}.cases"], CASES),
    "unittest": (["-m", "unittest", f"{PROJECT}.cases"], CASES),
    "a runner of one's own": (["-m", f"{PROJECT}.run_by_hand"], CASES),
    "pytest": ([*PYTEST, *PLUGIN, *ALL], CASES + FUNCTIONS),
    "pytest-django": ([*PYTEST, *PLUGIN, "-p", "pytest_django.plugin", *ALL], CASES + FUNCTIONS),
    "pytest without the plugin": ([*PYTEST, ALL[0]], CASES),
}


def run(redis: SingleServer, *arguments: str, early: str = "yes") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings",
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "REDIS": redis.url,
            "SEND_EARLY": early,
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture
def redis(pytestconfig: pytest.Config) -> SingleServer:
    return shared(pytestconfig, SingleServer)


@pytest.mark.parametrize("runner", RUNNERS)
def test_nothing_reaches_redis(redis: SingleServer, runner: str) -> None:
    """The tests pass, each with layers of its own, and Redis has no connection more than before."""
    arguments, tests = RUNNERS[runner]
    before = redis.connections().ever
    # What an app sends before a runner of the project's own begins is sent by a program like any other.
    done = run(redis, *arguments, early="" if "own" in runner else "yes")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    counted = re.search(r"Ran (\d+) tests|(\d+) passed", said)
    assert counted is not None, said
    assert int(counted[1] or counted[2]) == tests, said
    assert redis.connections().ever == before


def test_what_is_no_test_reaches_redis(redis: SingleServer) -> None:
    """The same project as a server has it: not even test modules, or the variables of a test, keep it from Redis."""
    code = (
        "import unittest, pytest, django, django.test, django.test.runner; django.setup(); from routechan import Group;"
        "Group('production').add('reader'); print(Group('production').channels())"
    )
    done = run(redis, "-c", code, "test", "pytest")
    assert done.stdout == "['reader']\n", done.stderr
    assert redis.keys("routechan:*production*")
