"""The command ``upgrade``: its arguments, and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TextIO

from . import programs, report
from .fixers import FIXERS, GROUPS
from .fixers.base import Fixer
from .rewriting import Rewritten, rewrite
from .source import Place
from .tree import File, read_tree, write

DESCRIPTION = (
    "Rewrites a code base of Channels 1.x, and the old Django and Python around it, and names what it cannot decide. "
    "Ends with 0 where there is nothing to do, 1 where files change, 2 where something is to be done by hand."
)


def add_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare the arguments.

    Args:
        parser: Of ``python -m routechan upgrade``, or a group of that of ``manage.py routechan``.
    """
    add = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATH", help="Files and folders (default: this folder).")
    add("--diff", action="store_true", help="Print what would change, and write nothing.")
    add("--check", action="store_true", help="Say which files would change, and write nothing.")
    add("--only", action="append", metavar="FIXER", help="Run this fixer, or those of a group; repeat for more.")
    add("--skip", action="append", metavar="FIXER", default=[], help="Do not run these; likewise.")
    add("--list-fixers", action="store_true", help="Say what the fixers are, and end.")
    add("--json", action="store_true", help="Report as JSON.")


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Do what the arguments say.

    Args:
        options: The arguments.
        out: Where it prints.

    Returns:
        The exit code.

    Raises:
        MissingExtra: A program that a fixer runs is not installed.
        ValueError: There is no fixer of a name, or no file of a path.
    """
    if options.list_fixers:
        width = max(map(len, FIXERS))
        out.writelines(f"{fixer.name:{width}}  {fixer.summary}\n" for fixer in FIXERS.values())
        out.writelines(f"{group:{width}}  a group: {', '.join(names)}\n" for group, names in GROUPS.items())
        return report.NOTHING
    fixers = choose(options.only, options.skip)
    for fixer in fixers:
        if fixer.run_program is not None:
            programs.check(fixer.name, fixer.name.replace("_", "-"))
    try:
        _, files = read_tree(options.paths or [Path()])
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error
    old = {path: file.text for path, file in files.items()}
    result = rewrite(old, fixers)
    writes = not (options.diff or options.check)
    if writes:
        _write(files, result)
    places = result.places if writes else report.with_old_lines(old, result)
    if options.diff and not options.json:
        out.write(report.diff(old, result))
    if options.json:
        out.write(report.as_json(result, places) + "\n")
    else:
        out.write(report.text(result, places, written=writes))
    return report.exit_code(result)


def choose(only: Iterable[str] | None, skip: Iterable[str]) -> list[Fixer]:
    """The fixers to run.

    Args:
        only: The names of those that run, or of groups; None for all.
        skip: The names of those that do not, likewise.

    Raises:
        ValueError: There is no fixer of a name.
    """
    wanted, unwanted = _named(FIXERS if only is None else only), _named(skip)
    return [fixer for name, fixer in FIXERS.items() if name in wanted and name not in unwanted]


def _named(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        if name not in FIXERS and name not in GROUPS:
            raise ValueError(f"{name!r} is no fixer; expected {', '.join((*FIXERS, *GROUPS))}")
        found.update(GROUPS.get(name, (name,)))
    return found


def _write(files: dict[PurePath, File], result: Rewritten) -> None:
    """Write what changes; a file that cannot be written is named."""
    for path in list(result.texts):
        try:
            write(files[path], result.texts[path])
        except (OSError, UnicodeEncodeError) as error:
            names = result.fixers.pop(path)
            del result.texts[path]
            result.places.append(Place(path, 1, names[-1], f"not written: {error}"))
