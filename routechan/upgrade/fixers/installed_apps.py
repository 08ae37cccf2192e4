"""``installed_apps``: ``"channels"`` in INSTALLED_APPS and where its presence is asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..project import Project
from ..source import Source, last_name
from .base import Fixer

APPS = {
    "channels": "routechan_django",
    "channels.delay": "routechan_django.delay",
    "channels.apps.ChannelsConfig": "routechan_django",
    "channels.delay.apps.DelayConfig": "routechan_django.delay",
}


def _fix(source: Source, project: Project) -> None:
    """Name our app."""
    if "channels" in project.own_packages:
        return
    found = {id(node): node for value in _lists_of_apps(source) for node in ast.walk(value)}
    for node in found.values():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in APPS:
            source.replace_string(node, APPS[node.value])


def _lists_of_apps(source: Source) -> Iterator[ast.expr]:
    for node in source.nodes:
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None and any(map(_is_apps, targets)):
                yield node.value
        elif isinstance(node, ast.keyword) and _names_apps(node.arg or ""):
            yield node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and _names_apps(key.value):
                    yield value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "is_installed" or _is_apps(node.func.value):
                yield from node.args
        elif isinstance(node, ast.Compare) and any(_is_apps(other) for other in node.comparators):
            yield node.left


def _is_apps(node: ast.expr) -> bool:
    return _names_apps(last_name(node))


def _names_apps(name: str) -> bool:
    return name == "APPS" or name.endswith("_APPS")


FIXER = Fixer("installed_apps", "the app in INSTALLED_APPS", _fix)
