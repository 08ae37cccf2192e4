"""The files of a code base: which are read, how they are read, and how they are written."""

from __future__ import annotations

import io
import os
import re
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

#: Folders that hold no code of the project.
SKIPPED = {
    *(".git", ".hg", ".svn", ".tox", ".nox", ".mypy_cache", ".pytest_cache", "__pycache__", "site-packages"),
    *("node_modules", "bower_components", ".eggs"),
}

#: Bytes of a file that is looked at.
LARGEST = 1024 * 1024

#: What is looked at, by the end of its name; files without one are looked at too.
SUFFIXES = re.compile(
    r"\.(py|html?|djhtml|jinja|xml|txt|in|pip|ya?ml|service|conf|ini|cfg|sh|bash|toml|lock|json|j2|mk|supervisor|"
    r"upstart|dockerfile|config|sls|tmpl|tpl)$"
)


@dataclass(frozen=True)
class File:
    """A file as it was read."""

    #: Where it is.
    place: Path
    #: Its bytes.
    data: bytes
    #: Its text, with the line ends that it has.
    text: str
    #: How the text is encoded.
    encoding: str


def read_tree(paths: Sequence[Path]) -> tuple[Path, dict[PurePath, File]]:
    """The root of some files and folders, and all files of theirs, by their path below the root.

    Args:
        paths: Files and folders.

    Raises:
        FileNotFoundError: One of them does not exist.
    """
    resolved = [path.resolve() for path in paths]
    for path in resolved:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
    folders = [path if path.is_dir() else path.parent for path in resolved]
    root = Path(os.path.commonpath(folders))
    found: dict[PurePath, File] = {}
    for path in resolved:
        for place in _files_below(path) if path.is_dir() else [path]:
            file = read(place)
            if file is not None:
                found[place.relative_to(root)] = file
    return root, found


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        kept = [name for name in folders if name not in SKIPPED and not name.endswith(".egg-info")]
        folders[:] = sorted(name for name in kept if not Path(parent, name, "pyvenv.cfg").exists())
        for name in sorted(names):
            if SUFFIXES.search(name) or "." not in name.lstrip(".") or name.startswith(("Procfile", "Dockerfile")):
                yield Path(parent, name)


def read(place: Path) -> File | None:
    """A file with its text; None where it has none, is too large, or is a link.

    Args:
        place: Where it is.
    """
    if place.is_symlink() or not place.is_file() or place.stat().st_size > LARGEST:
        return None
    data = place.read_bytes()
    if b"\0" in data:
        return None
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0] if place.suffix == ".py" else "utf-8"
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return None
    return File(place, data, text, encoding)


def write(file: File, text: str) -> None:
    """Put ``text`` in the place of a file's, all of it or nothing.

    Args:
        file: As it was read.
        text: The new text.

    Raises:
        OSError: It cannot be written, or has changed since it was read.
    """
    if file.place.read_bytes() != file.data:
        raise OSError(f"{file.place} has changed since it was read")
    data = text.encode(file.encoding)
    descriptor, name = tempfile.mkstemp(prefix=f".{file.place.name}.", dir=file.place.parent)
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(data)
        os.chmod(name, file.place.stat().st_mode & 0o7777)
        os.replace(name, file.place)
    except BaseException:
        os.unlink(name)
        raise
