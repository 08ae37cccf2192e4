"""``pyupgrade``: six, old names of unittest and of collections, by the program pyupgrade.

It would also modernise what works. Of what it changes, only the parts are taken around a name that stops code.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from pathlib import PurePath

from .. import programs
from .base import Fixer

ARGUMENTS = (
    "--py310-plus",
    "--keep-percent-format",
    "--keep-runtime-typing",
    "--exit-zero-even-if-changed",
)

#: Functions of six that are named alone, after ``from six import ...``.
SIX = (
    "text_type|string_types|binary_type|integer_types|class_types|unichr|iteritems|itervalues|iterkeys|viewitems|"
    "viewvalues|viewkeys|with_metaclass|add_metaclass|ensure_str|ensure_text|ensure_binary|raise_from|reraise|indexbytes|iterbytes|int2byte|byte2int|"
    "get_function_code|advance_iterator|create_bound_method"
)
#: What stops code on today's Python, and pyupgrade mends.
STOPS = (
    r"\bsix\b|\bassert(_|Equals|NotEquals|AlmostEquals|NotAlmostEquals|RaisesRegexp|RegexpMatches|NotRegexpMatches|"
    r"ItemsEqual)\b|\bfail(Unless|If)\w*|from collections import|^\s*(import|from)\b.*\bmock\b|\bcollections\.[A-Z]"
)


def _run(texts: Mapping[PurePath, str]) -> Mapping[PurePath, str]:
    """The files after those changes of pyupgrade that are needed."""
    selected = {path: text for path, text in texts.items() if re.search(STOPS, text, re.MULTILINE)}
    if not selected:
        return {}
    done = programs.run("pyupgrade", ARGUMENTS, selected)
    return {path: _needed_part(selected[path], text) for path, text in done.items()}


def _needed_part(old: str, new: str) -> str:
    """``old`` with those changes of ``new`` whose lines have a name that stops code."""
    stops = re.compile(STOPS + (rf"|\b({SIX})\b" if re.search(r"\bfrom six import\b", old) else ""))
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    result: list[str] = []
    for kind, start, end, new_start, new_end in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        lines, replaced = before[start:end], after[new_start:new_end]
        if kind == "replace" and len(lines) == len(replaced):
            result += [b if stops.search(a) else a for a, b in zip(lines, replaced, strict=True)]
        else:
            result += replaced if any(map(stops.search, lines)) else lines
    return _if_whole("".join(result), old)


def _if_whole(text: str, otherwise: str) -> str:
    """``text``, unless the parts that were taken make no whole."""
    try:
        ast.parse(text)
    except SyntaxError:
        return otherwise
    return text


FIXER = Fixer("pyupgrade", "six, old names of unittest and collections, by pyupgrade", run_program=_run)
