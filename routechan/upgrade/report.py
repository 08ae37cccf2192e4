"""What the command prints: a diff, a report for people, or one for programs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from ..inspection import counted
from .rewriting import Rewritten
from .source import Place

#: Exit codes.
NOTHING, CHANGED, BY_HAND = 0, 1, 2

DIFFERENCES = "docs/differences.rst"


def exit_code(result: Rewritten) -> int:
    """What the command ends with: 2 where somebody has to do something, else 1 where files change, else 0.

    Args:
        result: What became of the code base.
    """
    if any(place.must for place in result.places):
        return BY_HAND
    return CHANGED if result.texts else NOTHING


def diff(old: Mapping[PurePath, str], result: Rewritten) -> str:
    """The changes, as ``git diff`` shows them.

    Args:
        old: Path -> text before.
        result: What became of the code base.
    """
    lines: list[str] = []
    for path, text in sorted(result.texts.items()):
        before, after = old[path].splitlines(keepends=True), text.splitlines(keepends=True)
        for line in difflib.unified_diff(before, after, f"a/{path.as_posix()}", f"b/{path.as_posix()}"):
            lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def with_old_lines(old: Mapping[PurePath, str], result: Rewritten) -> list[Place]:
    """The places, with the lines that they have in files that are not written.

    Args:
        old: Path -> text before.
        result: What became of the code base.
    """
    maps = {path: _old_lines(old[path], text) for path, text in result.texts.items()}
    return [
        Place(p.path, maps.get(p.path, {}).get(p.line, p.line), p.fixer, p.text, p.row, p.must) for p in result.places
    ]


def _old_lines(before: str, after: str) -> dict[int, int]:
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    lines: dict[int, int] = {}
    for _, start, end, new_start, new_end in matcher.get_opcodes():
        for line in range(new_start, new_end):
            lines[line + 1] = min(start + line - new_start, max(end - 1, start)) + 1
    return lines


def text(result: Rewritten, places: Sequence[Place], *, written: bool) -> str:
    """The report for people.

    Args:
        result: What became of the code base.
        places: What is to be looked at.
        written: Whether the files were written.
    """
    verb = "rewritten" if written else "to be rewritten"
    lines = [f"{path.as_posix()}: {verb} by {', '.join(names)}" for path, names in sorted(result.fixers.items())]
    must = [place for place in places if place.must]
    may = [place for place in places if not place.must]
    for title, group in (("To be done by hand:", must), ("Worth a look:", may)):
        if group:
            lines += ["", title, *map(_line, group)]
    summary = (
        f"{counted(len(result.texts), 'file')} {verb}, {counted(len(must), 'place')} to be done by hand, "
        f"{len(may)} worth a look."
    )
    return "\n".join([*lines, "", summary, ""]).lstrip("\n")


def _line(place: Place) -> str:
    row = f" ({DIFFERENCES}: {place.row})" if place.row else ""
    return f"{place.path.as_posix()}:{place.line}: {place.fixer}: {place.text}{row}"


def as_json(result: Rewritten, places: Iterable[Place]) -> str:
    """The report for programs.

    Args:
        result: What became of the code base.
        places: What is to be looked at.
    """
    return json.dumps(
        {
            "exit_code": exit_code(result),
            "files": [{"path": path.as_posix(), "fixers": names} for path, names in sorted(result.fixers.items())],
            "places": [
                {
                    "path": place.path.as_posix(),
                    "line": place.line,
                    "fixer": place.fixer,
                    "text": place.text,
                    "row": place.row,
                    "must": place.must,
                }
                for place in places
            ],
        },
        indent=2,
    )
