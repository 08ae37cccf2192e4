"""``relative_imports``: imports that Python 2 looked up in the package of the file first."""

from __future__ import annotations

import ast
import sys
from pathlib import PurePath

from ..project import Project
from ..source import Source
from ..statements import bound, is_guarded, uses
from .base import Fixer


def _fix(source: Source, project: Project) -> None:
    """Write the dot, where the module beside the file has what is imported.

    Its name alone says nothing: ``from celery import shared_task`` in a package with a ``celery.py`` is the library.
    """
    folder = source.path.parent
    if folder / "__init__.py" not in project.texts or folder / "manage.py" in project.texts:
        return
    if "absolute_import" in source.text:
        return
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module and not is_guarded(source, node):
            beside = _beside(project, source.path, node.module)
            if beside and {alias.name for alias in node.names} <= project.defined_in(beside):
                start, end = source.span(node)
                module = source.text.index(node.module, start + len("from"), end)
                source.replace(module, module, ".")
        elif isinstance(node, ast.Import) and len(node.names) == 1 and not is_guarded(source, node):
            alias = node.names[0]
            beside = _beside(project, source.path, alias.name) if "." not in alias.name else None
            attributes = {_attribute(source, use) for use in uses(source, bound(alias))}
            if beside and attributes and attributes <= project.defined_in(beside):
                source.replace_node(node, f"from . import {source.of(alias)}")


def _attribute(source: Source, use: ast.Name) -> str:
    parent = source.parents[use]
    return parent.attr if isinstance(parent, ast.Attribute) else ""


def _beside(project: Project, path: PurePath, module: str) -> PurePath | None:
    """The file of ``module`` in the folder of the file ``path``, where no other one of the project is meant."""
    name = module.split(".")[0]
    if name in project.own_packages or name in sys.stdlib_module_names or name == path.stem:
        return None
    whole = path.parent / module.replace(".", "/")
    found = (file for file in (whole.with_suffix(".py"), whole / "__init__.py") if file in project.texts)
    return next(found, None)


FIXER = Fixer("relative_imports", "imports that were relative in Python 2", _fix)
