"""The list of differences as ``docs/server.rst`` has it."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from .differences import DIFFERENCES, ENDINGS, KINDS, TOLD

#: Characters of a line in the docs.
WIDTH = 120


def differences() -> str:
    """A row for each difference: the servers, what it is, the cases, what the servers do."""
    head = ("server", "verdict", "cases", "what it does")
    rows = [
        (", ".join(difference.kinds), difference.verdict.value, difference.numbers, difference.text)
        for difference in DIFFERENCES
    ]
    return _table(head, rows, (24, 13, 12))


def told() -> str:
    """A row for each server: what a disconnect consumer is told at each end."""
    rows = [(kind, *map(str, codes)) for kind, codes in TOLD.items()]
    return _table(("server", *(f"client {ending}" for ending in ENDINGS)), rows, (24, 12, 12, 14, 18))


def versions() -> str:
    """The versions that the list was made with."""
    packages = sorted({f"{package} {listed}" for kind in KINDS.values() for package, listed in kind.versions.items()})
    return ", ".join(packages)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """A simple table of reStructuredText; its last column takes what is left of the line."""
    every = [*widths, WIDTH - sum(widths) - 2 * len(widths)]
    rule = "  ".join("=" * width for width in every)
    lines = [rule, *_row(head, every), rule]
    for row in rows:
        lines += _row(row, every)
    return "\n".join([*lines, rule])


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    wrapped = [wrap(cell, width, break_on_hyphens=False) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    columns = [[*lines, *[""] * (height - len(lines))] for lines in wrapped]
    padded = [[line.ljust(width) for line in lines] for lines, width in zip(columns, widths, strict=True)]
    return ["  ".join(parts).rstrip() for parts in zip(*padded, strict=True)]
