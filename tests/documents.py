"""The documents of this repository, and the code in them.

``python -m tests.documents FOLDER`` makes a package of that code, for type checkers. Each block is a module of
its own, because blocks of one document take up the same names again.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from symtable import SymbolTable, symtable

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.rst", ROOT / "CONTRIBUTING.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
READMES = [*DOCUMENTS, *sorted((ROOT / "examples").rglob("*.rst")), *sorted((ROOT / "benchmarks").glob("*.rst"))]


def blocks(document: Path, language: str) -> list[str]:
    """The blocks of code in ``document``, in order."""
    pattern = rf"^\.\. code-block:: {language}\n\n((?:(?: {{4}}.*)?\n)+)"
    return [textwrap.dedent(match[1]) for match in re.finditer(pattern, document.read_text() + "\n", re.MULTILINE)]


def needs_channels(block: str) -> bool:
    """Whether a block of Python imports Channels, which has no types."""
    return "import channels" in block or "from channels" in block


def needs_tasks(block: str) -> bool:
    """Whether a block of Python needs ``django.tasks``, which Django has from 6.0 on."""
    return "routechan_django.tasks import" in block or "django.tasks import" in block


def modules(document: Path) -> dict[str, str]:
    """The blocks of Python in ``document`` by the name of a module; what a block before has made is imported."""
    stem = re.sub(r"\W", "_", str(document.relative_to(ROOT).with_suffix(""))).lower()
    found: dict[str, str] = {}
    homes: dict[str, str] = {}
    for number, block in enumerate(blocks(document, "python"), start=1):
        if needs_channels(block):
            continue
        module = f"{stem}_{number}"
        top = symtable(block, module, "exec")
        made = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        missing = sorted((_asked_of(top) - made) & homes.keys())
        found[module] = "".join(f"from .{homes[name]} import {name}\n" for name in missing) + block
        homes |= dict.fromkeys(made, module)
    return found


def _asked_of(scope: SymbolTable) -> set[str]:
    """The names that a scope and those within it take from the module."""
    symbols = scope.get_symbols()
    here = {symbol.get_name() for symbol in symbols if symbol.is_global() or scope.get_type() == "module"}
    return here.union(*map(_asked_of, scope.get_children()))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir()
    Path(folder, "__init__.py").touch()
    for page in DOCUMENTS:
        for name, source in modules(page).items():
            Path(folder, f"{name}.py").write_text(source)
