"""``is_authenticated``: calls of what is no method any more."""

from __future__ import annotations

import ast

from ..project import Project
from ..source import Source, last_name
from .base import Fixer

NAMES = ("is_authenticated", "is_anonymous")


def _fix(source: Source, project: Project) -> None:
    """Read the attribute of a user."""
    for call in source.calls(*NAMES):
        if not isinstance(call.func, ast.Attribute) or call.args or call.keywords:
            continue
        receiver = call.func.value
        name = last_name(receiver.func if isinstance(receiver, ast.Call) else receiver)
        if "user" in name.lower() or name == "u":
            source.replace_node(call, source.of(call.func))
        else:
            source.tell(call, f"{source.of(call)}: if this is a user, {call.func.attr} is no method any more")


FIXER = Fixer("is_authenticated", "user.is_authenticated() and is_anonymous()", _fix)
