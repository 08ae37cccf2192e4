"""``middleware``: MIDDLEWARE_CLASSES, and middleware classes that are written for it."""

from __future__ import annotations

import ast

from ..project import Project
from ..source import Source, last_name
from ..statements import add_import
from .base import Fixer

OLD, NEW = "MIDDLEWARE_CLASSES", "MIDDLEWARE"
GONE = "django.contrib.auth.middleware.SessionAuthenticationMiddleware"
#: Hook -> how many arguments it has in Django; middleware of other frameworks has others.
HOOKS = {
    "process_request": 2,
    "process_response": 3,
    "process_view": 5,
    "process_exception": 3,
    "process_template_response": 3,
}
MIXIN = "MiddlewareMixin"


def _fix(source: Source, project: Project) -> None:
    """Write ``MIDDLEWARE``, and classes that can stand in it."""
    names = {node.id for node in source.nodes if isinstance(node, ast.Name)}
    for node in source.nodes:
        if isinstance(node, ast.Name | ast.Attribute) and last_name(node) == OLD:
            if NEW in names:
                source.tell(node, f"{OLD} is read no more, and {NEW} is set here too: keep that alone", must=False)
            elif isinstance(node, ast.Name):
                source.replace_node(node, NEW)
            else:
                end = source.span(node)[1]
                source.replace(end - len(OLD), end, NEW)
        elif isinstance(node, ast.keyword) and node.arg == OLD:
            start = source.span(node)[0]
            source.replace(start, start + len(OLD), NEW)
        elif isinstance(node, ast.List | ast.Tuple):
            for index, element in enumerate(node.elts):
                if isinstance(element, ast.Constant) and element.value == GONE:
                    source.remove_element(node.elts, index)
        elif isinstance(node, ast.ClassDef) and "middleware" in (node.name + source.path.as_posix()).lower():
            _fix_class(source, node)


def _fix_class(source: Source, node: ast.ClassDef) -> None:
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    bases = [last_name(base) for base in node.bases]
    hooks = [methods[name] for name in HOOKS.keys() & methods.keys()]
    if (
        not hooks
        or any(len(hook.args.args) != HOOKS[hook.name] for hook in hooks)
        or "__call__" in methods
        or bases not in ([], ["object"])
    ):
        return
    init = methods.get("__init__")
    if init is not None:
        if "get_response" not in [argument.arg for argument in init.args.args]:
            source.tell(node, f"{node.name} is a middleware as before Django 1.10: give its __init__ get_response")
        return
    if node.bases:
        source.replace_node(node.bases[0], MIXIN)
    else:
        start = source.span(node)[0]
        colon = source.text.index(":", start)
        source.replace(start, colon, f"class {node.name}({MIXIN})")
    add_import(source, f"from django.utils.deprecation import {MIXIN}")


FIXER = Fixer("middleware", "MIDDLEWARE_CLASSES and middleware classes for it", _fix)
