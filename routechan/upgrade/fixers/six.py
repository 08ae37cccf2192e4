"""``six``: the copy in Django, which is gone, and imports of six that nothing needs any more."""

from __future__ import annotations

import ast

from ..project import Project
from ..source import Source
from ..statements import (
    add_import,
    bound,
    drop_names,
    import_otherwise,
    imports_from,
    is_exported,
    is_guarded,
    remove_statement,
    rename_module,
    stands_alone,
    uses,
)
from .base import Fixer

COPY = "django.utils.six"


def _fix(source: Source, project: Project) -> None:
    """Import six itself, and only where it is used; pyupgrade writes what Python 3 has."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            if node.module == COPY or node.module.startswith(COPY + "."):
                rename_module(source, node, node.module.removeprefix("django.utils."))
            elif node.module.split(".")[0] == "six":
                _drop_unused(source, project, node)
    for node in imports_from(source, "django.utils"):
        _fix_copy(source, node)
    for node in source.nodes:
        if isinstance(node, ast.Import) and [alias.name for alias in node.names] == ["six"]:
            _drop_plain(source, project, node)


def _fix_copy(source: Source, node: ast.ImportFrom) -> None:
    alias = next((alias for alias in node.names if alias.name == "six"), None)
    if alias is None:
        return
    statement = f"import six as {alias.asname}" if alias.asname not in (None, "six") else "import six"
    if len(node.names) == 1:
        source.replace_node(node, statement)
    elif drop_names(source, node, {"six"}):
        add_import(source, statement)
    else:
        source.tell(node, f"django.utils.six is gone: {statement}, from the package six")


def _drop_unused(source: Source, project: Project, node: ast.ImportFrom) -> None:
    if is_guarded(source, node) or node.names[0].name == "*":
        return
    used = [alias for alias in node.names if uses(source, bound(alias)) or is_exported(source, bound(alias))]
    if len(used) < len(node.names):
        module = node.module or ""
        import_otherwise(source, node, [(module, alias.name) if alias in used else None for alias in node.names])
    if used:
        _tell(source, project, node)


def _drop_plain(source: Source, project: Project, node: ast.Import) -> None:
    name = bound(node.names[0])
    if uses(source, name) or is_exported(source, name):
        _tell(source, project, node)
    elif not is_guarded(source, node) and stands_alone(source, node):
        remove_statement(source, node)


def _tell(source: Source, project: Project, node: ast.stmt) -> None:
    if not project.requires("six"):
        source.tell(node, "six is used, and no requirements file has it: add it, or write what Python 3 has")


FIXER = Fixer("six", "django.utils.six, and imports of six that nothing needs", _fix)
