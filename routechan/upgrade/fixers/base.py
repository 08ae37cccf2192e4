"""What a fixer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from ..project import Project
from ..source import Source, is_python


def _nothing(source: Source, project: Project) -> None:
    """A fixer that only runs a program."""


@dataclass(frozen=True)
class Fixer:
    """One kind of change, or of place to name. Lifetime: process."""

    #: As ``--only`` and ``--skip`` take it; also the name of its module, of its section in the docs, and of its tests.
    name: str
    #: One line for ``--list-fixers``.
    summary: str
    #: Edits a file, and tells what it cannot decide. What is told is told of a file that has been edited too.
    fix: Callable[[Source, Project], None] = _nothing
    #: Whether it looks at a file, by its path and its text.
    wants: Callable[[PurePath, str], bool] = is_python
    #: Whether the file has to be Python 3 for it.
    parses: bool = True
    #: Edits all files at once by a program: path -> text before, and after.
    run_program: Callable[[Mapping[PurePath, str]], Mapping[PurePath, str]] | None = None
