"""``imports``: modules and names of Channels 1.x, asgi_redis and asgiref in import statements."""

from __future__ import annotations

import ast

from ..lookup import Found, advice_on, is_old, look_up
from ..project import Project
from ..source import Source, dotted_name
from ..statements import import_otherwise, is_exported, rename_module, stands_alone
from .base import Fixer

AP = "AP-01, AP-02"
OLD_ROOTS = ("channels", "asgi_redis", "asgiref")


def _fix(source: Source, project: Project) -> None:
    """Import from this library, each name from the module that has it."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            _fix_from(source, project, node)
            if node.module == "routechan_django.alias" and any(alias.name == "install" for alias in node.names):
                source.tell(node, "the alias: when nothing has the old names any more, take install() out", must=False)
    for root in OLD_ROOTS:
        _fix_plain(source, project, root)


def _fix_from(source: Source, project: Project, node: ast.ImportFrom) -> None:
    module = node.module or ""
    if module.split(".")[0] not in OLD_ROOTS or _is_own(source, project, node, module):
        return
    dotted = [f"{module}.{alias.name}" for alias in node.names]
    if (module == "asgiref" or not is_old(module)) and not any(map(is_old, dotted)):
        return
    if node.names[0].name == "*":
        found = look_up(module)
        if found and not found.name:
            rename_module(source, node, found.module)
        else:
            source.tell(node, f"from {module} import *: {_advice(module)}", AP)
        return
    targets: list[tuple[str, str]] = []
    for alias, old in zip(node.names, dotted, strict=True):
        found = look_up(old)
        if found is None:
            source.tell(node, f"{old}: {_advice(old)}", AP)
            return
        targets.append(_target(found, alias))
    if not import_otherwise(source, node, targets):
        modules = ", ".join(dict.fromkeys(target[0] for target in targets))
        source.tell(node, f"the names of {module} are now in {modules}: split this import", AP)


def _target(found: Found, alias: ast.alias) -> tuple[str, str]:
    module, name = (found.module, found.name) if found.name else (found.module.rpartition(".")[::2])
    if name != alias.name and not alias.asname:
        name = f"{name} as {alias.name}"
    return module, name


def _is_own(source: Source, project: Project, node: ast.stmt, module: str) -> bool:
    """Whether the name is of a package of the project itself."""
    root = module.split(".")[0]
    if root not in project.own_packages:
        return False
    source.tell(
        node,
        f"{module}: the project has a package {root!r} of its own, so this may be that, or Channels; where it is "
        "Channels, import from routechan and routechan_django",
        AP,
    )
    return True


def _advice(dotted: str) -> str:
    return advice_on(dotted) or "Channels 1.1.8 had no such name; find what does its work in docs/reference"


def _fix_plain(source: Source, project: Project, root: str) -> None:
    """``import channels.asgi``, and what is read from ``channels`` in the file."""
    statements = [
        (node, alias)
        for node in source.nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[0] == root and (root != "asgiref" or is_old(alias.name))
    ]
    for node, alias in [pair for pair in statements if pair[1].asname]:
        found = look_up(alias.name)
        if _is_own(source, project, node, alias.name):
            continue
        if found and not found.name:
            source.replace_node(alias, f"{found.module} as {alias.asname}")
        else:
            source.tell(node, f"import {alias.name} as {alias.asname}: {_of_package(alias.name)}", AP)
    plain = [pair for pair in statements if not pair[1].asname]
    if plain and not _is_own(source, project, plain[0][0], root):
        _fix_chains(source, root, plain)


def _of_package(name: str) -> str:
    if name == "channels":
        return "its names are now in routechan, and its modules in routechan and routechan_django"
    return _advice(name)


def _fix_chains(source: Source, root: str, statements: list[tuple[ast.Import, ast.alias]]) -> None:
    first = statements[0][0]
    roots = [node for node in source.nodes if isinstance(node, ast.Name) and node.id == root]
    parameters = any(isinstance(node, ast.arg) and node.arg == root for node in source.nodes)
    if parameters or any(not isinstance(node.ctx, ast.Load) for node in roots) or _is_exported_name(source, root):
        source.tell(first, f"import {root}: the file has other things of that name; import what it uses by name", AP)
        return
    chains: list[tuple[ast.expr, Found]] = []
    for node in roots:
        chain: ast.expr = node
        while isinstance(source.parents.get(chain), ast.Attribute):
            chain = source.parents[chain]  # type: ignore[assignment]
        found = look_up(dotted_name(chain))
        if found is None:
            source.tell(chain, f"{dotted_name(chain)}: {_of_package(dotted_name(chain))}", AP)
            return
        chains.append((chain, found))
    needed = {found.module for _, found in chains}
    named: dict[ast.alias, str] = {}
    for _, alias in statements:
        found = look_up(alias.name)
        if alias.name != root and found is None:
            source.tell(first, f"import {alias.name}: {_advice(alias.name)}", AP)
            return
        if found is not None:
            named[alias] = str(found)
    missing = sorted(needed - set(named.values()))
    for position, (statement, alias) in enumerate(statements):
        modules = [named[alias]] if alias in named else []
        modules += missing if position == 0 else []
        _import_modules(source, statement, alias, modules or ["routechan"])
    for chain, found in chains:
        source.replace_node(chain, str(found))


def _is_exported_name(source: Source, root: str) -> bool:
    """Whether a module hands ``root`` on, in a list of names.

    Args:
        source: The file.
        root: The name.
    """
    return is_exported(source, root) and "__all__" in source.text


def _import_modules(source: Source, node: ast.Import, alias: ast.alias, modules: list[str]) -> None:
    if len(node.names) == 1 and stands_alone(source, node):
        source.replace_node(node, f"\n{source.indent(node)}".join(f"import {module}" for module in modules))
    else:
        source.replace_node(alias, ", ".join(modules))


FIXER = Fixer("imports", "import from routechan and routechan_django", _fix)
