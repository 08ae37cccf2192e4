"""Each name and idiom that real 1.x code uses is exercised by a 1.x project's own tests, run through the alias."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.redis_servers import SingleServer, shared
from tests.unit.django.alias.running import run

from .aliased import ALIAS, HERE
from .usage_table import IDIOMS, NAMES, REMARKS

LINES = [
    pytest.param(tests, id=f"{kind}: {line}")
    for kind, table in [("name", NAMES), ("idiom", IDIOMS), ("remark", REMARKS)]
    for line, tests in table.items()
]


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], str]:
    """The tests of the project that passed, and what was printed."""
    directory = tmp_path_factory.mktemp("usage")
    environment = {
        "PYTHONWARNINGS": "error",
        "REDIS_PORT": str(shared(request.config, SingleServer).port),
        "REDIS_PREFIX": f"{secrets.token_hex(6)}:",
        "DATABASE": str(directory / "db.sqlite3"),
    }
    passed, printed = set(), ""
    for name, arguments in {
        "all": ["test", "--exclude-tag", "live"],
        "live": ["test", "--tag", "live", "--settings", "project.settings_live"],
    }.items():
        record = directory / f"{name}.json"
        command = [*ALIAS, "manage.py", *arguments]
        finished = run(HERE / "usage", command, PASSED=str(record), **environment)
        printed += finished.stdout + finished.stderr
        if record.exists():
            passed.update(json.loads(record.read_text()))
    return passed, printed


def test_the_whole_suite_passes(outcome: tuple[set[str], str]) -> None:
    """The project's own tests, all of them."""
    _, printed = outcome
    assert printed.count("\nOK\n") == 2, printed


@pytest.mark.parametrize("tests", LINES)
def test_each_line(outcome: tuple[set[str], str], tests: list[str]) -> None:
    """Every line of the count has tests, and they passed."""
    passed, printed = outcome
    assert {f"tests_{test}" for test in tests} - passed == set(), printed


def test_the_table_is_whole() -> None:
    """As many lines as were counted."""
    assert (len(NAMES), len(IDIOMS)) == (60, 53)
