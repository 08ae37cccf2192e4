"""Which names the modules of an installed package have, read from its files and without importing it."""

from __future__ import annotations

import ast
import functools
import importlib.util
from importlib import metadata
from pathlib import Path


@functools.cache
def version_of(package: str) -> str:
    """The version of a package that is installed, else "".

    Args:
        package: Its name, which is that of its module too.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def has_module(dotted: str) -> bool:
    """Whether a package has a module; True where the package is not installed, so nobody knows.

    Args:
        dotted: The name of the module.
    """
    return _root(dotted) is None or _file(dotted) is not None


@functools.cache
def has_name(module: str, name: str) -> bool:
    """Whether ``from module import name`` finds something; True where that cannot be told.

    Args:
        module: The name of a module.
        name: The name in it, which may be that of a submodule.
    """
    if _root(module) is None:
        return True
    file = _file(module)
    if file is None:
        return False
    if file.suffix != ".py" or _file(f"{module}.{name}") is not None:
        return True
    names = _names(file)
    return name in names or "*" in names or "__getattr__" in names


@functools.cache
def _root(dotted: str) -> Path | None:
    """The folder of the package that ``dotted`` is in."""
    try:
        spec = importlib.util.find_spec(dotted.partition(".")[0])
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@functools.cache
def _file(dotted: str) -> Path | None:
    """The file of a module, or the folder of one without ``__init__.py``."""
    root = _root(dotted)
    if root is None:
        return None
    path = root.joinpath(*dotted.split(".")[1:])
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    compiled = any(path.parent.glob(f"{path.name}.*.so"))
    return path if path.is_dir() or compiled else None


@functools.cache
def _names(file: Path) -> frozenset[str]:
    """What a module binds outside of its functions and classes; "*" for all that another module has."""
    try:
        waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    except (OSError, SyntaxError, ValueError):
        return frozenset({"*"})
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        else:
            waiting += ast.iter_child_nodes(node)
    return frozenset(found)
