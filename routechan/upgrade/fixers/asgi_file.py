"""``asgi_file``: ``asgi.py`` gives servers ``application``."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from ..project import Project
from ..source import Source, dotted_name, last_name
from ..statements import imports_from, uses
from .base import Fixer

OLD, NEW = "get_channel_layer", "get_asgi_application"
MODULE = "routechan_django.asgi"


def _wants(path: PurePath, text: str) -> bool:
    """Whether a file is the ``asgi.py`` of a project."""
    return path.suffix == ".py" and path.stem.startswith("asgi") and OLD in text


def _fix(source: Source, project: Project) -> None:
    """Write ``application = get_asgi_application()`` where nothing needs the layer by its name."""
    made = [node for node in source.tree.body if isinstance(node, ast.Assign) and _calls_layer(node.value)]
    calls = list(source.calls(OLD))
    if len(made) != 1 or len(calls) != 1 or len(made[0].targets) != 1:
        return
    target, call = made[0].targets[0], calls[0]
    if not isinstance(target, ast.Name) or uses(source, target.id) or "application" in project.names_in(source.path):
        return
    name = re.escape(target.id)
    if project.mentions(rf"asgi\s+import\s[^\n]*\b{name}\b|\basgi\.{name}\b", source.path):
        return  # the layer itself is used elsewhere, and it is an application too
    if isinstance(call.func, ast.Attribute) and dotted_name(call.func) == f"{MODULE}.{OLD}":
        source.replace_node(call.func, f"{MODULE}.{NEW}")
    else:
        aliases = [
            alias
            for node in imports_from(source, MODULE)
            for alias in node.names
            if alias.name == OLD and not alias.asname
        ]
        if len(aliases) != 1 or not isinstance(call.func, ast.Name):
            return
        source.replace_node(aliases[0], NEW)
        source.replace_node(call.func, NEW)
    source.replace_node(target, "application")


def _calls_layer(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == OLD


FIXER = Fixer("asgi_file", "asgi.py: application = get_asgi_application()", _fix, _wants)
