"""Fixers one after the other, until nothing changes; what fails is left as it was."""

from __future__ import annotations

import ast
from pathlib import PurePath

import pytest

from routechan.upgrade.fixers import FIXERS
from routechan.upgrade.fixers.base import Fixer
from routechan.upgrade.project import Project
from routechan.upgrade.rewriting import Rewritten, rewrite
from routechan.upgrade.source import Source

FILE, OTHER = PurePath("a.py"), PurePath("b.py")


def replacing(old: str, new: str, name: str = "test") -> Fixer:
    """A fixer that changes names."""

    def fix(source: Source, project: Project) -> None:
        for node in source.nodes:
            if isinstance(node, ast.Name) and node.id == old:
                source.replace_node(node, new)

    return Fixer(name, "", fix)


def rewritten(text: str, *fixers: Fixer) -> Rewritten:
    return rewrite({FILE: text, OTHER: "x = 1\n"}, fixers)


def test_what_one_fixer_makes_for_another() -> None:
    """They run again, in whatever order they stand; who changed a file is told."""
    result = rewritten("a\n", replacing("b", "c", "second"), replacing("a", "b", "first"))
    assert result.texts == {FILE: "c\n"}
    assert result.fixers == {FILE: ["first", "second"]}


def test_fixers_that_do_not_agree() -> None:
    """The file is left as it was, and named."""
    result = rewritten("a\n", replacing("b", "a", "back"), replacing("a", "b", "forth"))
    assert result.texts == {}
    assert [place.text for place in result.places] == [
        "two fixers do not agree about this file; this file was left as it was"
    ]


def test_a_fixer_that_fails() -> None:
    """The file is left as it was, also where another fixer has changed it; other files go on."""

    def fail(source: Source, project: Project) -> None:
        if source.path == FILE:
            raise KeyError("no")

    result = rewrite({FILE: "a\n", OTHER: "a\n"}, [replacing("a", "b"), Fixer("bad", "", fail)])
    assert result.texts == {OTHER: "b\n"}
    (place,) = result.places
    assert (place.path, place.fixer, place.must) == (FILE, "bad", True)
    assert place.text == "the fixer failed: KeyError: 'no'; this file was left as it was"


def test_what_is_no_python() -> None:
    """A fixer that writes none has failed."""
    result = rewritten("a\n", replacing("a", "1 +", "bad"))
    assert result.texts == {}
    assert [place.fixer for place in result.places] == ["bad"]


def test_a_program_that_fails() -> None:
    """It is named once, and the fixers go on."""

    def crash(texts: object) -> dict[PurePath, str]:
        raise RuntimeError("killed")

    result = rewritten("a\n", Fixer("program", "", run_program=crash), replacing("a", "b"))
    assert result.texts == {FILE: "b\n"}
    assert [(place.fixer, place.text) for place in result.places] == [("program", "the program failed: killed")]


def test_a_file_of_python_2() -> None:
    """It is named, and no fixer that needs its tree sees it."""
    result = rewritten("exec a in b\n", replacing("a", "b"), FIXERS["python2_syntax"])
    assert result.texts == {}
    assert [place.line for place in result.places] == [1]


def test_lines_of_places_are_those_of_the_new_text() -> None:
    """Lines that were added above a place count."""

    def add(source: Source, project: Project) -> None:
        if "import" not in source.text:
            source.replace(0, 0, "import os\n\n")

    def tell(source: Source, project: Project) -> None:
        source.tell(source.tree.body[-1], "here")

    result = rewrite({FILE: "a\n"}, [Fixer("tells", "", tell), Fixer("adds", "", add)])
    assert [(place.line, place.text) for place in result.places] == [(3, "here")]


@pytest.mark.parametrize("name", FIXERS)
def test_what_no_fixer_may_touch(name: str) -> None:
    """Code of today, odd files and files of others pass through each fixer."""
    texts = {
        PurePath(
            "a/new.py"
        ): "from routechan import Group, route\nfrom routechan_django.auth import channel_session_user\n",
        PurePath("a/empty.py"): "",
        PurePath("a/later.py"): "from channels_redis.core import RedisChannelLayer\nchannels = 1\n",
        PurePath("a/match.py"): "match a:\n    case {'channels': [*_]}:\n        pass\n",
        PurePath("a/strings.py"): "x = '''\nfrom channels import Group\nprint a\n'''\ny = f'{x!r:>{width}} channels'\n",
        PurePath("a/tabs.py"): "if a:\n\tx = {\n\t\t'b': 1 ,\n\t}\\\n\n",
        PurePath("README.md"): "`daphne project.asgi:channel_layer`, channels==1.1.8\n",
        PurePath("config.yml"): "channels: [a, b]\nserver: uvicorn project.asgi:application\n",
        PurePath("static/a.js"): "channels.Group('a')\n",
    }
    result = rewrite(texts, [FIXERS[name]])
    assert not result.texts
    assert not result.places
