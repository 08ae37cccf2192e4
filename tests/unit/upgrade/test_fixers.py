"""Each fixer has a module, a section in the docs, and tests, all of its name."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from routechan.upgrade import fixers
from routechan.upgrade.fixers import FIXERS

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs/upgrade.rst").read_text()
DIFFERENCES = (ROOT / "docs/differences.rst").read_text()
HERE = Path(fixers.__file__).parent


def test_one_module_each() -> None:
    """The module of a fixer has its name."""
    assert {path.stem for path in HERE.glob("*.py")} - {"__init__", "base"} == set(FIXERS)
    for name, fixer in FIXERS.items():
        assert importlib.import_module(f"{fixers.__name__}.{name}").FIXER is fixer


def test_one_section_each() -> None:
    """docs/upgrade.rst has a section for each fixer, in the order in which they run."""
    sections = re.findall(r"^``(\w+)``\n~+$", DOCS, re.MULTILINE)
    assert sections == list(FIXERS)


@pytest.mark.parametrize("name", FIXERS)
def test_cases(name: str) -> None:
    """Two in five cases of each fixer are texts that it does not change."""
    cases = importlib.import_module(f"{__package__}.fixers.test_{name}")
    left = len(getattr(cases, "KEEPS", ())) + len(getattr(cases, "TELLS", ()))
    assert left >= 2 / 5 * (left + len(cases.CHANGES))


@pytest.mark.parametrize("name", FIXERS)
def test_rows(name: str) -> None:
    """The rows that places name are in docs/differences.rst."""
    module = importlib.import_module(f"{fixers.__name__}.{name}")
    for call in ast.walk(ast.parse((HERE / f"{name}.py").read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "tell":
            for given in call.args[2:3]:
                row = given.value if isinstance(given, ast.Constant) else getattr(module, ast.unparse(given), "")
                assert not row or f"* - {row}\n" in DIFFERENCES, row


def test_the_hook() -> None:
    """The definition for pre-commit has what the extra installs."""
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text()
    listed = re.search(r"^upgrade =\n((?:    .*\n)+)", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert listed is not None
    requirements = ", ".join(f'"{line.strip()}"' for line in listed[1].splitlines())
    assert f"additional_dependencies: [{requirements}]" in hook
    assert "entry: python -m routechan upgrade\n" in hook
