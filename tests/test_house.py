"""The shape of the source tree: files that can be read at one sitting, and names that cannot be mistaken."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TREES = ("routechan", "routechan_django", "tests")

#: Lines that a file of the library or of the tests may have.
LONGEST = 450

#: What stands at the root of the core: what users import by name, and what everything below rests on.
ROOT_MODULES = {
    *("__init__", "__main__", "app", "channel", "message", "routing", "exceptions", "outbox", "inline"),
    *("interfaces", "encoding", "names", "patterns", "concurrency", "deadlines", "apps"),
}

#: Names that cannot be changed: users import them, or Django does.
GIVEN = {
    frozenset({"routechan_django/test", "routechan_django/tests"}),
    frozenset({"routechan/app", "routechan/apps"}),  # Django looks for ``apps``
}


def stem(name: str) -> str:
    """A name without what only bends its word: ``server``, ``servers``, ``serving`` and ``serve`` are one word.

    >>> stem("running"), stem("test_runserver_1x")
    ('run', 'test_runserv')
    """
    name = re.sub(r"(_?\d+x?)+$", "", name)
    name = re.sub(r"(?<=..)(?:ers|er|ings|ing|eds|ed|es|s|e)$", "", name)
    return re.sub(r"([bdfgklmnprt])\1$", r"\1", name)


def alike(names: list[str]) -> list[set[str]]:
    """The sets of names that are one word."""
    words: dict[str, set[str]] = defaultdict(set)
    for name in names:
        words[stem(name)].add(name)
    return [found for found in words.values() if len(found) > 1]


@pytest.mark.parametrize("tree", TREES)
def test_no_file_is_long(tree: str) -> None:
    """A file holds one concept, in at most 450 lines."""
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / tree).rglob("*.py")}
    long = [f"{path.relative_to(ROOT)}: {lines} lines" for path, lines in sorted(lengths.items()) if lines > LONGEST]
    assert not long, "\n".join(long)


def test_the_root_of_the_core() -> None:
    """A new module belongs into one of the packages, not beside them."""
    assert {path.stem for path in (ROOT / "routechan").glob("*.py")} == ROOT_MODULES


@pytest.mark.parametrize("tree", TREES)
def test_no_two_names_can_be_mistaken(tree: str) -> None:
    """Two modules or folders do not differ by an ending alone; in the tests, a folder may mirror a file."""
    found = []
    for folder in [ROOT / tree, *(path for path in (ROOT / tree).rglob("*") if path.is_dir())]:
        files = [path.stem for path in folder.glob("*.py")]
        folders = [path.name for path in folder.iterdir() if any(path.glob("*.py"))]
        place = folder.relative_to(ROOT).as_posix()
        for names in [files, folders] if tree == "tests" else [files + folders]:
            pairs = [frozenset(f"{place}/{name}" for name in names) for names in alike(names)]
            found += [" and ".join(sorted(pair)) for pair in pairs if pair not in GIVEN]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["server", "servers"], True),
        (["relay", "relayed"], True),
        (["relayed", "relaying"], True),
        (["run", "running"], True),
        (["serve", "server"], True),
        (["watch", "watcher"], True),
        (["test_runserver", "test_runserver_1x"], True),
        (["redis", "redis_units"], False),
        (["socket", "websocket"], False),
        (["message", "messages"], True),
        (["reader", "fetcher"], False),
        (["names", "encoding"], False),
    ],
)
def test_endings(names: list[str], found: bool) -> None:
    """What counts as one word, and what does not."""
    assert bool(alike(names)) is found
