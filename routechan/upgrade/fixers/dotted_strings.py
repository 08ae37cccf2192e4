"""``dotted_strings``: names of Channels 1.x in strings, such as targets of ``mock.patch``, and logger names."""

from __future__ import annotations

import ast
import re

from ..lookup import advice_on, is_old, look_up
from ..project import Project
from ..renames import OLD_BACKENDS
from ..source import Source, last_name
from .base import Fixer

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")

#: Functions that import the module which their first argument names.
IMPORTING = ("import_module", "import_string", "__import__", "patch", "module_loading")

#: The logger of Channels 1.x, and ours.
LOGGER = "django.channels", "routechan"


def _fix(source: Source, project: Project) -> None:
    """Write our names in strings that name a module of 1.x, or something in one."""
    if "channels" in project.own_packages:
        return
    for node in source.strings():
        value = str(node.value)
        if value == LOGGER[0]:
            source.replace_string(node, LOGGER[1])
        elif DOTTED.fullmatch(value) and is_old(value):
            _fix_string(source, node, value)


def _fix_string(source: Source, node: ast.Constant, value: str) -> None:
    found = look_up(value)
    imported = _is_imported(source, node)
    if value in OLD_BACKENDS and not imported:
        return  # another fixer's
    if found is None:
        if advice_on(value) and imported:
            source.tell(node, f"{value!r}: {advice_on(value)}", "AP-01, AP-02")
    elif found.name or imported:
        source.replace_string(node, str(found))


def _is_imported(source: Source, node: ast.Constant) -> bool:
    parent = source.parents[node]
    return isinstance(parent, ast.Call) and last_name(parent.func) in IMPORTING


FIXER = Fixer("dotted_strings", "names of Channels in strings: mock.patch, import_module, loggers", _fix)
