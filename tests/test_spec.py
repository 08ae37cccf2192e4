"""The numbers of docs/spec: each has a test or a row among the differences, and each one named exists."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "docs" / "spec"
CONSUMER_API = (SPEC / "consumer-api.rst").read_text()
LAYERS = (SPEC / "layers-and-protocol.rst").read_text()

#: Every number with a text of its own: ``RT-19``, ``item 43``, ``A12``, ``R7``.
DEFINED = set(re.findall(r"_`([^`]+)`", CONSUMER_API + LAYERS))


def sections(page: str) -> set[str]:
    return set(re.findall(r"^\.\. _section ([\d.]+):$", page, re.MULTILINE))


SECTIONS = {"consumer-api": sections(CONSUMER_API), "layers-and-protocol": sections(LAYERS)}

EITHER = set().union(*SECTIONS.values())

#: Prefixes of the consumer API, and those of one letter: weaknesses of older layers, requirements.
PREFIXES = sorted({name[:2] for name in DEFINED if re.fullmatch(r"[A-Z]{2}-\d+", name)})
WEAKNESSES = ("A", "C", "P")

#: What no test can name: the examples of 1.x show how numbers above are used.
EXAMPLES = "UE"

#: Sections that only list numbers, which are looked for one by one, and those on what routechan does not do: a worker
#: that runs an ASGI 3 application, and what 1.x could express that ASGI 3 cannot.
NOT_LOOKED_FOR = re.compile(r"\d+|3\.9|4\.9|5\.\d|6\.1|6\.16|7\.3|7\.5|8\.\d")


def last(prefix: str) -> int:
    """The last number of a series, which has no gaps."""
    numbers = sorted(int(match[1]) for name in DEFINED if (match := re.fullmatch(rf"{prefix}(\d+)", name)))
    assert numbers == list(range(1, len(numbers) + 1)), prefix
    return len(numbers)


@cache
def named_by_tests() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__).resolve())


@cache
def written() -> str:
    return named_by_tests() + (ROOT / "docs" / "differences.rst").read_text()


def numbers(pattern: str, text: str) -> set[int]:
    """The numbers after ``pattern``, singly or as a range (``RT-01 to RT-03``, ``items 26-28``)."""
    found: set[int] = set()
    for match in re.finditer(rf"{pattern}(\d+)(?:(?:\.\.| to |-)(?:{pattern})?(\d+))?", text):
        first, end = int(match[1]), int(match[2] or match[1])
        found.update(range(first, end + 1))
    return found


def items(text: str) -> set[int]:
    """The items of the list of test behaviours that a text names: ``item 43``, ``items 11, 12 and 26-28``."""
    lists = "\n".join(
        re.sub(r",\s*(?=\d)|\sand\s(?=\d)", "\nitem ", line) for line in re.findall(r"[Ii]tems? [\d,\- and]+", text)
    )
    return numbers("[Ii]tems? ", lists)


@pytest.mark.parametrize("prefix", sorted(set(PREFIXES) - {EXAMPLES}))
def test_behaviours(prefix: str) -> None:
    """Each number of the consumer API is named by a test or a difference."""
    assert set(range(1, last(f"{prefix}-") + 1)) - numbers(f"{prefix}-", written()) == set()


def test_items() -> None:
    """Each item of the list of test behaviours is named by a test or a difference."""
    assert set(range(1, last("item ") + 1)) - items(written()) == set()


@pytest.mark.parametrize(
    "section", sorted(section for section in SECTIONS["layers-and-protocol"] if not NOT_LOOKED_FOR.fullmatch(section))
)
def test_sections(section: str) -> None:
    """Each section of the layer and server specification is named by a test or a difference."""
    assert re.search(rf"(?<![\d.]){re.escape(section)}(?!\d)", written())


@pytest.mark.parametrize("number", range(1, last("R") + 1))
def test_requirements(number: int) -> None:
    """Each requirement on a layer over Redis is named by a test, singly: a range would name what nobody thought of."""
    assert re.search(rf"(?<![\w-])R{number}(?!\d| to |\.\.|-)", named_by_tests())


@pytest.mark.parametrize("prefix", WEAKNESSES)
def test_weaknesses(prefix: str) -> None:
    """Each weakness of older layers is named, where it is mended or where it is left."""
    singly = {int(number) for number in re.findall(rf"(?<![\w-]){prefix}(\d+)(?!\d| to )", written())}
    assert set(range(1, last(prefix) + 1)) - singly == set()


def test_the_specification_is_complete() -> None:
    """The numbers that docs/spec had when it was written down: a text that goes missing takes its number along."""
    counts = {prefix: last(f"{prefix}-") for prefix in PREFIXES}
    assert counts == {
        **{"CH": 8, "GR": 8, "MS": 8, "PM": 15, "RT": 36, "WK": 37, "SG": 6, "EX": 10, "UT": 5, "UE": 10},
        **{"SE": 36, "AU": 9, "SC": 10, "HT": 47, "GN": 36, "BI": 31, "DL": 15, "TC": 41, "CM": 25},
        **{"ST": 8, "LM": 14, "AP": 8, "JS": 15, "OB": 34, "PL": 19, "LD": 42, "DM": 5},
    }
    assert [last(prefix) for prefix in ("item ", "R", *WEAKNESSES)] == [162, 15, 17, 24, 7]


# What is named exists.

#: Where numbers are named: in code as comments and docstrings, in documents anywhere.
#: Code of others, some of it Python 2.
PROJECTS = ROOT / "tests" / "projects"

CODE = sorted(
    path
    for folder in ("routechan", "routechan_django", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if PROJECTS not in path.parents
)
DOCUMENTS = [ROOT / "CONTRIBUTING.rst", ROOT / "CHANGELOG.rst", *sorted((ROOT / "docs").rglob("*.rst"))]

#: Two letters and two digits that are no number of ours would be added here.
BEHAVIOUR = re.compile(r"(?<![\w-])([A-Z]{2}-\d{2})(?!\w)")
SINGLE = re.compile(r"(?<![\w.:/%-])([RACP][1-9]\d?)(?![\w.-]\w|\w)")
#: ``section 2.6``, ``sections 2.6 and 6.4``, ``(6.9)``, ``(0.1, steps 9 and 10)``.
SECTION = re.compile(r"[Ss]ections? (\d+\.\d+)(?:(?:,| and| to) (\d+\.\d+))?|\((\d\.\d{1,2})(?:\)|[,;] (?!\d))")
#: Of one page: ```layers-and-protocol`` 1.1 and 1.2``.
SECTION_OF = re.compile(r"``(consumer-api|layers-and-protocol)``,? (\d+\.\d+)(?:(?:,| and| to) (\d+\.\d+))?")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a file of code with their lines; every line of a document."""
    source = path.read_text()
    if path.suffix == ".rst":
        yield from enumerate(source.splitlines(), 1)
        return
    behind = (line[line.index("#") :] for line in source.splitlines() if "#" in line)
    if any(unknown(text, code=True) for text in behind):  # reading tokens takes long, and most files have no such line
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines = node.value.value.splitlines()
            yield from enumerate(lines, node.lineno)


def unknown(text: str, *, code: bool) -> list[str]:
    """The numbers in a text that docs/spec does not have."""
    wrong = [name for name in BEHAVIOUR.findall(text) if name not in DEFINED]
    wrong += [name for name in SINGLE.findall(text) if name not in DEFINED]
    wrong += [f"item {number}" for number in sorted(items(text)) if f"item {number}" not in DEFINED]
    if code:
        wrong += [number for match in SECTION.findall(text) for number in match if number and number not in EITHER]
    for page, *found in SECTION_OF.findall(text):
        wrong += [f"{page} {number}" for number in found if number and number not in SECTIONS[page]]
    return wrong


@pytest.mark.parametrize("kind", ["code", "documents"])
def test_what_is_named_exists(kind: str) -> None:
    """A number in a comment, a docstring or a document is one that docs/spec defines."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {', '.join(names)}"
        for path in (CODE if kind == "code" else DOCUMENTS)
        if path != Path(__file__).resolve()
        for line, text in texts(path)
        if (names := unknown(text, code=kind == "code"))
    ]
    assert not wrong, "docs/spec does not have:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("RT-19 and (RT-99)", ["RT-99"]),
        ("XX-01 is nobody's", ["XX-01"]),
        ("item 43, items 161, 163", ["item 163"]),
        ("R7 (C1, C25)", ["C25"]),
        ("weakness A13, P8.", ["P8"]),
        ("section 2.6, (6.9), sections 3.1 and 9.9", ["9.9"]),
        ("(9.1, step 3)", ["9.1"]),
        ("``consumer-api`` 3.2 and ``layers-and-protocol`` 9.2", ["layers-and-protocol 9.2"]),
        ("``layers-and-protocol`` 1.1 to 9.1", ["layers-and-protocol 9.1"]),
        ("UTF-8, SHA-1, Python 3.12, C++20, P99, A.1, R1D2", ["P99"]),
    ],
)
def test_unknown_numbers_are_found(text: str, names: list[str]) -> None:
    """Each way to name a number, with one that does not exist."""
    assert unknown(text, code=True) == names
