"""The three tests of each fixer; the module of its name has the cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath

import pytest

from ..helpers import run, told

#: What a fixer's module imports.
__all__ = ["Case", "test_changes", "test_keeps", "test_tells"]


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it."""

    before: str
    #: The text after; of ``TELLS``, what is told.
    after: str = ""
    path: str = "app/code.py"
    others: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        return {self.path: self.before, **self.others}


def fixer_of(request: pytest.FixtureRequest) -> str:
    return str(request.module.__name__).rpartition("test_")[2]


def test_changes(change: Case, request: pytest.FixtureRequest) -> None:
    """The file is rewritten like that, and nothing is left to tell."""
    result = run(fixer_of(request), change.files)
    assert result.texts.get(PurePath(change.path), change.before) == change.after
    assert not [place for place in result.places if place.must]


def test_keeps(keep: Case, request: pytest.FixtureRequest) -> None:
    """Nothing changes, and nothing is told."""
    result = run(fixer_of(request), keep.files)
    assert not result.texts
    assert told(result) == []


def test_tells(tell: Case, request: pytest.FixtureRequest) -> None:
    """The file is left, and the place is named."""
    result = run(fixer_of(request), tell.files)
    assert PurePath(tell.path) not in result.texts
    assert any(tell.after in text for text in told(result)), told(result)
