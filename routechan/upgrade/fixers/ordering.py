"""``ordering``: slight ordering, which Channels removed in 1.0."""

from __future__ import annotations

import ast

from ..project import Project
from ..source import Source
from .base import Fixer

REMOVED = "slight ordering was removed in Channels 1.0"


def _fix(source: Source, project: Project) -> None:
    """Write strict ordering, which does what slight ordering did and more."""
    for call in source.calls("enforce_ordering"):
        slight = [keyword for keyword in call.keywords if keyword.arg == "slight"]
        if slight and len(call.keywords) == 1 and not call.args:
            source.replace_node(call, source.of(call.func))
        elif slight and len(call.keywords) == 1 and len(call.args) == 1:
            end = source.span(call.args[0])[1]
            source.replace(end, source.span(slight[0])[1], "")
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            _fix_class(source, node)


def _fix_class(source: Source, node: ast.ClassDef) -> None:
    strict = any(_sets(item) == "strict_ordering" for item in node.body)
    for item in node.body:
        if _sets(item) != "slight_ordering" or not isinstance(item, ast.Assign):
            continue
        value = item.value
        if not isinstance(value, ast.Constant) or value.value is not True:
            source.tell(item, f"{source.of(item)}: {REMOVED}; take it out", "")
        elif strict:
            source.tell(item, f"{source.of(item)}: {REMOVED}; strict_ordering is set here too: keep that alone", "")
        else:
            source.replace_node(item.targets[0], "strict_ordering")


def _sets(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


FIXER = Fixer("ordering", "slight ordering, of Channels before 1.0", _fix)
