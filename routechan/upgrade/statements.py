"""Import statements: what they bind, and how they are rewritten, added to and removed."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from .source import Source

#: The longest line that is written where several names are imported.
LONGEST = 99


def imports_from(source: Source, *modules: str) -> list[ast.ImportFrom]:
    """The statements ``from MODULE import ...`` of a file.

    Args:
        source: The file.
        *modules: The names of the modules.
    """
    return [
        node for node in source.nodes if isinstance(node, ast.ImportFrom) and not node.level and node.module in modules
    ]


def bound(alias: ast.alias) -> str:
    """The name that ``alias`` binds, a part of an import."""
    return alias.asname or alias.name.partition(".")[0]


def is_guarded(source: Source, node: ast.stmt) -> bool:
    """Whether ``node`` stands in a ``try``, or in an ``if``: whoever wrote that has thought of what is missing.

    Args:
        source: The file.
        node: An import.
    """
    parent = source.parents.get(node)
    return isinstance(parent, ast.Try | ast.If | ast.ExceptHandler)


def is_rebound(source: Source, name: str) -> bool:
    """Whether ``name`` means something else in any part of the file than what its one import binds.

    Args:
        source: The file.
        name: The name.
    """
    imports = 0
    for node in source.nodes:
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.arg) and node.arg == name:
            return True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            if node.name == name:
                return True
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports += sum(bound(alias) == name for alias in node.names)
    return imports > 1


def uses(source: Source, name: str) -> list[ast.Name]:
    """Where ``name`` is read.

    Args:
        source: The file.
        name: The name.
    """
    return [n for n in source.nodes if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)]


def is_exported(source: Source, name: str) -> bool:
    """Whether ``name`` stands in a string of its own, as in ``__all__``.

    Args:
        source: The file.
        name: The name.
    """
    return any(isinstance(node, ast.Constant) and node.value == name for node in source.nodes)


def stands_alone(source: Source, node: ast.stmt) -> bool:
    """Whether nothing else stands on the lines of a statement, and no comment in it.

    Args:
        source: The file.
        node: The statement.
    """
    start, end = source.span(node)
    before = source.text[source.line_span(start)[0] : start]
    after = source.text[end : source.line_span(max(start, end - 1))[1]]
    return not before.strip() and not after.strip() and "#" not in source.text[start:end]


def rename_module(source: Source, node: ast.ImportFrom, module: str) -> None:
    """Import the same names from another module.

    Args:
        source: The file.
        node: The statement.
        module: The other module.
    """
    start, end = source.span(node)
    found = re.compile(r"from\s+([\w.]+)").match(source.text, start, end)
    if found:
        source.replace(*found.span(1), module)


def import_otherwise(source: Source, node: ast.ImportFrom, targets: Sequence[tuple[str, str] | None]) -> bool:
    """Import each name of a statement from where it is now.

    Args:
        source: The file.
        node: The statement.
        targets: For each of its names the module and the name there; None to import it no more.

    Returns:
        Whether it could be done; not where the statement would have to be split and has comments, or shares a line.
    """
    targets = _without_repetitions(node, targets)
    modules = list(dict.fromkeys(target[0] for target in targets if target))
    if len(modules) == 1 and None not in targets:
        rename_module(source, node, modules[0])
        for alias, target in zip(node.names, targets, strict=True):
            if target and target[1] != alias.name:
                source.replace_node(alias, _imported(alias, target[1]))
        return True
    if not stands_alone(source, node):
        return False
    start, end = source.span(node)
    if not modules:
        remove_statement(source, node)
        return True
    statements = []
    for module in modules:
        names = [
            _imported(alias, target[1])
            for alias, target in zip(node.names, targets, strict=True)
            if target and target[0] == module
        ]
        statements.append(from_import(module, names, source.indent(node)))
    source.replace(start, end, f"\n{source.indent(node)}".join(statements))
    return True


def remove_statement(source: Source, node: ast.stmt) -> None:
    """Take out a statement that stands alone, and the empty lines above it if there are some below it too.

    Args:
        source: The file.
        node: The statement.
    """
    start, end = source.span(node)
    first, last = source.line_span(start)[0], source.line_span(max(start, end - 1))[1]
    above = re.compile(r"(?:(?<=\n)[ \t]*\r?\n)*\Z").search(source.text, 0, first)
    below = re.compile(r"(?:[ \t]*\r?\n)*").match(source.text, last)
    if below and below[0] and first == 0:
        last = below.end()  # it is the first thing in the file
    elif below and below[0] and above:
        first = above.start()
    source.replace(first, last, "")


def _without_repetitions(
    node: ast.ImportFrom, targets: Sequence[tuple[str, str] | None]
) -> list[tuple[str, str] | None]:
    """The targets, each once: two old names may be one today."""
    seen: set[tuple[tuple[str, str] | None, str | None]] = set()
    kept: list[tuple[str, str] | None] = []
    for alias, target in zip(node.names, targets, strict=True):
        kept.append(None if (target, alias.asname) in seen else target)
        seen.add((target, alias.asname))
    return kept


def _imported(alias: ast.alias, name: str) -> str:
    if alias.asname:
        return f"{name} as {alias.asname}" if alias.asname != name else name
    return name


def from_import(module: str, names: Sequence[str], indent: str = "") -> str:
    """The statement that imports ``names`` from ``module``.

    Args:
        module: The module.
        names: The names, each as it is written.
        indent: What stands before it.
    """
    line = f"from {module} import {', '.join(names)}"
    if len(indent) + len(line) <= LONGEST:
        return line
    inner = "".join(f"{indent}    {name},\n" for name in names)
    return f"from {module} import (\n{inner}{indent})"


def drop_names(source: Source, node: ast.ImportFrom, names: set[str]) -> bool:
    """Import some names of a statement no more.

    Args:
        source: The file.
        node: The statement.
        names: As they are in the module.

    Returns:
        Whether it could be done.
    """
    module = node.module or ""
    return import_otherwise(source, node, [None if a.name in names else (module, a.name) for a in node.names])


def add_import(source: Source, statement: str) -> None:
    """Add an import below those of the file, if it is not there.

    Args:
        source: The file.
        statement: One line.
    """
    wanted = ast.parse(statement).body[0]
    body = source.tree.body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    if any(_has(node, wanted) for node in imports):
        return
    future = [node for node in imports if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    top = [node for node in imports if node not in future and not _is_relative(node)]
    if top or imports:
        # Below the first block of imports: a later one may stand below code that has to run before it.
        after = _end_of_block(source, (top or imports)[0], top or imports)
        end = source.line_span(max(0, source.span(after)[1] - 1))[1]
        source.replace(end, end, statement + "\n")
    elif body:
        start = source.line_span(source.span(body[0])[0])[0]
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            start = source.line_span(max(0, source.span(body[0])[1] - 1))[1]
            source.replace(start, start, f"\n{statement}\n")
        else:
            gap = "\n\n\n" if isinstance(body[0], ast.ClassDef | ast.FunctionDef) else "\n\n"
            source.replace(start, start, f"{statement}{gap}")


def _is_relative(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level > 0


def _end_of_block(source: Source, first: ast.stmt, imports: Sequence[ast.stmt]) -> ast.stmt:
    body = source.tree.body
    last = first
    for node in body[body.index(first) :]:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            break
        if node in imports:
            last = node
    return last


def _has(node: ast.Import | ast.ImportFrom, wanted: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom) and isinstance(wanted, ast.ImportFrom):
        have = {(alias.name, alias.asname) for alias in node.names}
        return node.module == wanted.module and all((alias.name, alias.asname) in have for alias in wanted.names)
    return ast.dump(node) == ast.dump(wanted)
