"""The benchmarks: goals compare what is measured, and are judged by medians of undisturbed samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvloop")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

#: Names of their modules may be those of others: they are imported in a process of their own.
BEGIN = """
from goals import GOALS, Goal, judge
from results import Results
from rounds import Plan
from sample import Sample
from work import WORK

def verdict(above, below, **more):
    goal = Goal("of a test", "echo", ("a", 1), ("b", 1), 2.0, **more)
    return judge(goal, Results(samples={("echo", "a", 1): above, ("echo", "b", 1): below})).text
"""


def printed(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_goals_compare_what_is_measured() -> None:
    """A system or size that no work has would be "not measured" at the end of a run of an hour."""
    assert printed("print([goal.title for goal in GOALS if not {*goal.pairs()} <= {*WORK[goal.work].pairs()}])") == "[]"


#: What is handed to ``verdict``, and what it says.
VERDICTS = {
    "[Sample(3), Sample(1), Sample(5)], [Sample(1), Sample(1), Sample(9)]": "met",
    "[Sample(3), Sample(1), Sample(5)], [Sample(2), Sample(2), Sample(2)]": "MISSED",
    "[Sample(3)], [Sample(1, others=0.5)]": "not judged: other processes used the CPUs",
    "[Sample(3, {'client': 0.95})], [Sample(1)]": "not judged: the client was the limit",
    "[Sample(3, {'client': 0.95}, spins=True)] * 2, [Sample(1)] * 2": "met (2 rounds)",
    "[Sample(3)], []": "not judged: b, not measured",
    "[Sample(3)], [Sample(1)], at_least=False": "MISSED (1 round)",
    "[Sample(1, values={'p99': 5})] * 3, [Sample(1, values={'p99': 2})] * 3, value='p99'": "met",
}


def test_a_goal_is_judged_by_medians() -> None:
    """What other processes or the client disturbed is no reason to say met or missed."""
    found = printed("\n".join(f"print(verdict({samples}))" for samples in VERDICTS)).split("\n")
    assert dict(zip(VERDICTS, found, strict=True)) == VERDICTS


def test_what_a_goal_compares_is_measured_more_often() -> None:
    """The rest has fewer rounds, what takes long has one, and a short run leaves it out."""
    plan = "WORK['fanout'], ('bare, uvicorn', 1000), ('Node, ws', 1000), ('Node, ws', 10_000)"
    code = f"work, *pairs = {plan}; print([[plan.of(work).get(pair) for pair in pairs] for plan in plans])"
    assert printed(f"plans = Plan(5, 2), Plan(1, 2, only_goals=True); {code}") == "[[5, 2, 1], [1, None, None]]"


def test_a_smoke_run_has_every_system_and_every_work() -> None:
    """So that what no longer starts is seen."""
    code = """
from systems import SYSTEMS
pairs = {name: list(Plan(1, 1, smoke=True).of(work)) for name, work in WORK.items()}
print(sorted(SYSTEMS.keys() - {system for found in pairs.values() for system, _ in found}))
print([name for name, found in pairs.items() if not found])
"""
    assert printed(code).split("\n") == ["[]", "[]"]
