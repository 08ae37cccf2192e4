"""``decoded_values``: ``message["path"].decode()``, which was bytes before 1.0, or in Python 2."""

from __future__ import annotations

import ast

from ..project import Project
from ..source import Source, last_name
from .base import Fixer

#: What has been text since 1.0.
TEXT = ("path", "text")


def _fix(source: Source, project: Project) -> None:
    """Take the text as it is."""
    for call in source.calls("decode", "encode"):
        if not isinstance(call.func, ast.Attribute):
            continue
        value = call.func.value
        if not _is_text_of_message(value):
            continue
        if call.func.attr == "decode":
            source.replace_node(call, source.of(value))


def _is_text_of_message(node: ast.expr) -> bool:
    """Whether ``node`` is ``message["path"]``, ``message.content["path"]``, or ``.get("path")`` of either."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value in TEXT and _is_message(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        key = node.args[0]
        return isinstance(key, ast.Constant) and key.value in TEXT and _is_message(node.func.value)
    return False


def _is_message(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute) and node.attr == "content":
        node = node.value
    return last_name(node) in ("message", "msg")


FIXER = Fixer("decoded_values", "path and text of a message, which are no bytes", _fix)
