"""Every numbered behaviour the library promises has a test that names it, or a row among the differences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: The numbered behaviours of the consumer API (prefix, last number) that this version covers.
BEHAVIOURS = [
    *[("CH", 8), ("GR", 8), ("MS", 8), ("PM", 15), ("RT", 36), ("WK", 37), ("SG", 6), ("EX", 10), ("UT", 5)],
    *[("SE", 36), ("AU", 9), ("SC", 10), ("HT", 47), ("GN", 36), ("BI", 31), ("DL", 15), ("TC", 41), ("CM", 25)],
    *[("ST", 8), ("LM", 14), ("AP", 8), ("JS", 15), ("OB", 34), ("PL", 19), ("LD", 42), ("DM", 5)],
]

#: Items of the list of test behaviours: the conformance suite, all layers, the interface server.
ITEMS = range(1, 163)

#: What a layer over Redis has to be, each with a test; R15 is the list of items.
REQUIREMENTS = range(1, 16)

#: What older layers are weak in (prefix, last number).
WEAKNESSES = [("A", 17), ("C", 24), ("P", 7)]

#: The sections of the layer and server specification, at their second level.
SECTIONS = [
    "1.1",
    "1.2",
    "1.3",
    "1.4",
    "1.5",
    *(f"2.{n}" for n in range(1, 12)),
    *(f"3.{n}" for n in range(1, 9)),
    *(f"4.{n}" for n in range(1, 9)),
    *(f"6.{n}" for n in range(2, 16)),
    "7.1",
    "7.2",
    "7.4",
]


def named_by_tests() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__).resolve())


def written() -> str:
    return named_by_tests() + (ROOT / "docs" / "differences.rst").read_text()


def numbers(pattern: str, text: str) -> set[int]:
    """The numbers after ``pattern``, singly or as a range (``RT-01 to RT-03``, ``items 26-28``)."""
    found: set[int] = set()
    for match in re.finditer(rf"{pattern}(\d+)(?:(?:\.\.| to |-)(?:{pattern})?(\d+))?", text):
        first, last = int(match[1]), int(match[2] or match[1])
        found.update(range(first, last + 1))
    return found


@pytest.mark.parametrize(("prefix", "last"), BEHAVIOURS)
def test_behaviours(prefix: str, last: int) -> None:
    """Each id of the consumer API is named."""
    assert set(range(1, last + 1)) - numbers(f"{prefix}-", written()) == set()


def test_items() -> None:
    """Each item of the list of test behaviours is named."""
    lists = "\n".join(
        re.sub(r",\s*(?=\d)|\sand\s(?=\d)", "\nitem ", line)
        for line in re.findall(r"[Ii]tems? [\d,\- and]+", written())
    )
    assert set(ITEMS) - numbers("[Ii]tems? ", lists) == set()


@pytest.mark.parametrize("section", SECTIONS)
def test_sections(section: str) -> None:
    """Each section of the layer and server specification is named."""
    assert re.search(rf"(?<![\d.]){re.escape(section)}(?!\d)", written())


@pytest.mark.parametrize("number", REQUIREMENTS)
def test_requirements(number: int) -> None:
    """Each requirement on a layer over Redis is named by a test, singly: a range would name what nobody thought of."""
    assert re.search(rf"(?<![\w-])R{number}(?!\d| to |\.\.|-)", named_by_tests())


@pytest.mark.parametrize(("prefix", "last"), WEAKNESSES)
def test_weaknesses(prefix: str, last: int) -> None:
    """Each weakness of older layers is named, where it is mended or where it is left."""
    singly = {int(number) for number in re.findall(rf"(?<![\w-]){prefix}(\d+)(?!\d| to )", written())}
    assert set(range(1, last + 1)) - singly == set()
