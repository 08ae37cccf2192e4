"""Runs django-upgrade and pyupgrade over copies of files."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePath

from ..exceptions import MissingExtra

#: Files that one call of a program gets; command lines have a limit.
BATCH = 200


def check(module: str, package: str) -> None:
    """See whether a program can be run.

    Args:
        module: Its module.
        package: Its package.

    Raises:
        MissingExtra: It is not installed.
    """
    if find_spec(module) is None:
        raise MissingExtra(f"upgrade needs the package {package} (or --skip {module})", "upgrade")


def run(module: str, arguments: Sequence[str], texts: Mapping[PurePath, str]) -> dict[PurePath, str]:
    """What ``python -m MODULE`` makes of files, which it gets as copies.

    Args:
        module: The module of the program.
        arguments: What it gets before the files.
        texts: Path below the root -> text.

    Returns:
        Path -> text; a file that the program cannot read is as it was.

    Raises:
        RuntimeError: The program failed.
    """
    results: dict[PurePath, str] = {}
    paths = list(texts)
    for first in range(0, len(paths), BATCH):
        with tempfile.TemporaryDirectory(prefix="routechan-upgrade-") as folder:
            batch = paths[first : first + BATCH]
            for path in batch:
                copy = Path(folder, path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(texts[path].encode())
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments, "--", *map(str, batch)],
                cwd=folder,
                capture_output=True,
                text=True,
            )
            if "Traceback" in done.stderr:
                raise RuntimeError(f"{module} failed: {done.stderr.strip().splitlines()[-1]}")
            results.update((path, Path(folder, path).read_bytes().decode()) for path in batch)
    return results
