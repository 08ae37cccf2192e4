"""``dict_routing``: a routing that is a dict, as before 0.10."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..project import Project
from ..source import Source
from ..statements import add_import
from .base import Fixer

#: What a routing is called, whatever its channels are.
NAMES = {"channel_routing", "routing", "channel_routes"}

ADVICE = "write a list: [route(channel, consumer), ...]"


def _fix(source: Source, project: Project) -> None:
    """Write a list of ``route``."""
    for node in _routings(source):
        keys = [key for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        if len(keys) != len(node.keys) or any(isinstance(value, ast.Dict) for value in node.values):
            source.tell(node, f"a routing that is a dict: {ADVICE}", "")
            continue
        start, end = source.span(node)
        source.replace(start, start + 1, "[")
        source.replace(end - 1, end, "]")
        for key, value in zip(keys, node.values, strict=True):
            between = source.span(key)[1], source.span(value)[0]
            colon = re.fullmatch(r"\s*:(\s*)", source.text[slice(*between)])
            if colon is None:
                continue
            source.replace(source.span(key)[0], source.span(key)[0], "route(")
            source.replace(*between, "," + colon[1])
            source.replace(source.span(value)[1], source.span(value)[1], ")")
        if keys:
            add_import(source, "from routechan import route")


def _routings(source: Source) -> Iterator[ast.Dict]:
    for node in source.tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
        if not NAMES.isdisjoint(names) or any(str(key).startswith(("websocket.", "http.")) for key in keys):
            yield node.value


FIXER = Fixer("dict_routing", "routing as a dict", _fix)
