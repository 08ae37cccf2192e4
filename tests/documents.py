"""The documents of this repository, and the code in them.

``python -m tests.documents FOLDER`` writes that code for type checkers. ``FOLDER/project`` is what the tutorial ends
with, and what the how-to guides add to that. ``FOLDER/documents`` has all other blocks, each of them a module of its
own, because blocks of one document take up the same names again.
"""

from __future__ import annotations

import re
import sys
import textwrap
from functools import cache
from pathlib import Path
from symtable import SymbolTable, symtable
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.rst", ROOT / "CONTRIBUTING.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
READMES = [*DOCUMENTS, *sorted((ROOT / "examples").rglob("*.rst")), *sorted((ROOT / "benchmarks").glob("*.rst"))]

#: The pages whose blocks are files of a project and commands for it, in the order in which they are read.
TUTORIAL = [ROOT / "docs" / f"tutorial{part}.rst" for part in ("", "/login", "/tests", "/production")]
HOWTO = [page for page in sorted((ROOT / "docs" / "howto").glob("*.rst")) if page.name != "index.rst"]
PROJECTS = [*TUTORIAL, *HOWTO]


class Block(NamedTuple):
    """A block of code in a document."""

    language: str
    code: str

    @property
    def file(self) -> str:
        """The file that the first line names, as in ``# project/urls.py``; else empty."""
        named = re.match(r"(?:#|\{#) ([\w./-]+\.\w+)(?:, at the end)?(?: #\})?\n", self.code)
        return named[1] if named else ""

    @property
    def appended(self) -> bool:
        """Whether the block goes to the end of its file."""
        return ", at the end" in self.code.partition("\n")[0]


def all_blocks(document: Path) -> list[Block]:
    """The blocks of code in ``document``, in order."""
    pattern = r"^\.\. code-block:: (\w+)\n\n((?:(?: {4}.*)?\n)+)"
    found = re.finditer(pattern, document.read_text() + "\n", re.MULTILINE)
    return [Block(match[1], textwrap.dedent(match[2]).rstrip("\n") + "\n") for match in found]


def blocks(document: Path, language: str) -> list[str]:
    """The code of the blocks in one language, in order."""
    return [block.code for block in all_blocks(document) if block.language == language]


def needs_channels(block: str) -> bool:
    """Whether a block of Python imports Channels."""
    return "import channels" in block or "from channels" in block


def needs_tasks(block: str) -> bool:
    """Whether a block of Python needs ``django.tasks``, which Django has from 6.0 on."""
    return "routechan_django.tasks import" in block or "django.tasks import" in block


def lacks_types(block: str) -> bool:
    """Whether a block of Python imports Channels or Celery, which have no types."""
    return needs_channels(block) or re.search(r"from (project\.)?celery", block) is not None


def modules(document: Path) -> dict[str, str]:
    """The blocks of Python in ``document`` by the name of a module; what a block before has made is imported."""
    stem = re.sub(r"\W", "_", str(document.relative_to(ROOT).with_suffix(""))).lower()
    found: dict[str, str] = {}
    homes: dict[str, str] = {}
    for number, block in enumerate((each for each in all_blocks(document) if each.language == "python"), start=1):
        if lacks_types(block.code) or (document in PROJECTS and block.code == project().get(block.file)):
            continue
        module = f"{stem}_{number}"
        top = symtable(block.code, module, "exec")
        made = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        missing = sorted((_asked_of(top) - made) & homes.keys())
        found[module] = "".join(f"from .{homes[name]} import {name}\n" for name in missing) + block.code
        homes |= dict.fromkeys(made, module)
    return found


@cache
def project() -> dict[str, str]:
    """The files of Python that the tutorial ends with, by path, and what the other pages add to them."""
    found: dict[str, str] = {}
    for page in PROJECTS:
        for block in all_blocks(page):
            if block.file.endswith(".py") and not (block.appended or block.file.endswith("/settings.py")):
                found[block.file] = block.code if page in TUTORIAL else found.get(block.file, block.code)
    return {name: code for name, code in found.items() if not lacks_types(code)}


def for_pyright(code: str) -> str:
    """Code with the line that it needs where it uses models, because their fields have no types for pyright."""
    return f"# pyright: basic\n{code}" if re.search(r"models import|import models|get_user_model", code) else code


def _asked_of(scope: SymbolTable) -> set[str]:
    """The names that a scope and those within it take from the module."""
    symbols = scope.get_symbols()
    here = {symbol.get_name() for symbol in symbols if symbol.is_global() or scope.get_type() == "module"}
    return here.union(*map(_asked_of, scope.get_children()))


def write_all(folder: Path, files: dict[str, str]) -> None:
    """Write files of Python for type checkers, by path below the folder; each folder becomes a package with types."""
    for name, code in files.items():
        folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        for package in list(Path(name).parents)[:-1]:
            for made in ("__init__.py", "py.typed"):
                folder.joinpath(package, made).touch()
        folder.joinpath(name).write_text(for_pyright(code))


if __name__ == "__main__":
    top = Path(sys.argv[1])
    write_all(top / "project", project())
    write_all(top, {f"documents/{name}.py": code for page in DOCUMENTS for name, code in modules(page).items()})
