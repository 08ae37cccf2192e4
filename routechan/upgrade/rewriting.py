"""Runs fixers over the texts of a code base, until nothing changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from .fixers.base import Fixer
from .project import Project
from .source import Place, Source, is_python

#: Times that all fixers run; each may make something for another one.
PASSES = 6


@dataclass
class Rewritten:
    """What became of a code base. Lifetime: one run of the command."""

    #: Path -> the text it should have; of files that change.
    texts: dict[PurePath, str] = field(default_factory=dict)
    #: Path -> the names of the fixers that changed it.
    fixers: dict[PurePath, list[str]] = field(default_factory=dict)
    #: What a person has to look at; lines are those of the new texts.
    places: list[Place] = field(default_factory=list)


class _Failed(Exception):
    """A fixer could not do its work on a file."""


class Rewriting:
    """One run of fixers over a code base. Lifetime: one run of the command.

    Args:
        texts: Path -> text.
        fixers: The fixers that run, in their order.
    """

    def __init__(self, texts: Mapping[PurePath, str], fixers: Sequence[Fixer]) -> None:
        self._old = texts
        self._fixers = fixers
        self._sources = {path: Source(path, text) for path, text in texts.items()}
        self._changed_by: dict[PurePath, list[str]] = {}
        #: Files that are left as they were -> why.
        self._left: dict[PurePath, Place] = {}
        #: What programs could not do.
        self._failures: list[Place] = []

    def run(self) -> Rewritten:
        """Run all fixers until nothing changes.

        Returns:
            The texts that change, and what a person has to look at.
        """
        for _ in range(PASSES):
            before = dict(self._sources)
            told = self._run_once()
            changed = [path for path, source in self._sources.items() if source is not before[path]]
            if not changed:
                break
        else:
            for path in changed:
                self._leave(path, self._changed_by[path][-1], "two fixers do not agree about this file")
        told = [place for place in told if place.path not in self._left]
        places = [*self._left.values(), *self._failures, *told]
        texts = {path: source.text for path, source in self._sources.items() if source.text != self._old[path]}
        fixers = {path: self._changed_by[path] for path in texts}
        return Rewritten(texts, fixers, sorted(places, key=lambda place: (place.path, place.line)))

    @property
    def _project(self) -> Project:
        return Project({path: source.text for path, source in self._sources.items()}, self._old)

    def _wanted(self, fixer: Fixer) -> Iterable[Source]:
        for path, source in self._sources.items():
            if path not in self._left and fixer.wants(path, source.text) and (not fixer.parses or source.parses):
                yield source

    def _run_once(self) -> list[Place]:
        """Run each fixer once; what they tell, which is right where nothing has changed."""
        project = self._project
        told: list[Place] = []
        for fixer in self._fixers:
            if fixer.run_program is not None:
                self._run_program(fixer)
            for source in list(self._wanted(fixer)):
                source.begin()
                try:
                    fixer.fix(source, project)
                    self._keep(fixer, source, source.result())
                except Exception as error:  # the next file may be better
                    self._leave(source.path, fixer.name, f"the fixer failed: {type(error).__name__}: {error}")
                told += [Place(source.path, line, fixer.name, text, row, must) for line, text, row, must in source.told]
        return told

    def _run_program(self, fixer: Fixer) -> None:
        program = fixer.run_program
        if program is None or any(place.fixer == fixer.name for place in self._failures):
            return
        try:
            texts = program({source.path: source.text for source in self._wanted(fixer)})
        except Exception as error:
            self._failures.append(Place(PurePath(), 0, fixer.name, f"the program failed: {error}"))
            return
        for path, text in texts.items():
            try:
                self._keep(fixer, self._sources[path], text)
            except _Failed as error:
                self._leave(path, fixer.name, f"the program failed: {error}")

    def _keep(self, fixer: Fixer, source: Source, text: str) -> None:
        if text == source.text:
            return
        new = Source(source.path, text)
        if is_python(source.path, text) and not new.parses:
            raise _Failed("what it wrote is no Python")
        self._sources[source.path] = new
        names = self._changed_by.setdefault(source.path, [])
        if fixer.name not in names:
            names.append(fixer.name)

    def _leave(self, path: PurePath, fixer: str, text: str) -> None:
        self._sources[path] = Source(path, self._old[path])
        self._left[path] = Place(path, 1, fixer, f"{text}; this file was left as it was")


def rewrite(texts: Mapping[PurePath, str], fixers: Sequence[Fixer]) -> Rewritten:
    """What becomes of a code base.

    Args:
        texts: Path -> text.
        fixers: The fixers that run, in their order.
    """
    return Rewriting(texts, fixers).run()
