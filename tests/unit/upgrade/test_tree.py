"""Which files are read, and how they are written."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath

import pytest

from routechan.upgrade import tree
from routechan.upgrade.tree import read, read_tree, write


def make(folder: Path, *names: str, text: str = "x = 1\n") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_is_read(tmp_path: Path) -> None:
    """Code, templates, and files with commands or packages; nothing of others, and nothing that is no text."""
    make(tmp_path, "a/b.py", "Procfile", "Procfile.dev", "manage", "deploy/x.service", "t/x.html", "r/base.in")
    make(tmp_path, ".git/x.py", "node_modules/x.py", "env/lib/x.py", "env/pyvenv.cfg", "a/__pycache__/x.py", "a/x.png")
    make(tmp_path, "x.egg-info/requires.txt")
    (tmp_path / "null.py").write_bytes(b"x\0")
    (tmp_path / "latin.txt").write_bytes(b"\xe9\n")
    (tmp_path / "large.py").write_bytes(b"#" * (tree.LARGEST + 1))
    (tmp_path / "link.py").symlink_to(tmp_path / "a/b.py")
    root, files = read_tree([tmp_path])
    assert root == tmp_path.resolve()
    assert sorted(map(str, files)) == [
        *("Procfile", "Procfile.dev", "a/b.py", "deploy/x.service", "manage", "r/base.in", "t/x.html"),
    ]


def test_files_by_name(tmp_path: Path) -> None:
    """Files and folders together have one root."""
    make(tmp_path, "a/b.py", "a/c.py", "d/e.py")
    root, files = read_tree([tmp_path / "a/b.py", tmp_path / "d"])
    assert root == tmp_path.resolve()
    assert set(files) == {PurePath("a/b.py"), PurePath("d/e.py")}
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_tree([tmp_path / "nothing"])


@pytest.mark.parametrize(
    "before",
    ["# coding: latin-1\r\nx = 'é'\r\n".encode("latin-1"), b"\xef\xbb\xbfx = '\xc3\xa9'\n"],
    ids=["latin", "bom"],
)
def test_bytes_that_are_kept(tmp_path: Path, before: bytes) -> None:
    """Encoding, line ends and mode are what they were."""
    place = tmp_path / "a.py"
    place.write_bytes(before)
    place.chmod(0o751)
    file = read(place)
    assert file is not None
    write(file, file.text.replace("x =", "y ="))
    assert place.read_bytes() == before.replace(b"x =", b"y =")
    assert stat.S_IMODE(place.stat().st_mode) == 0o751
    assert os.listdir(tmp_path) == ["a.py"]


def test_never_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails in the middle leaves the file, and no other one beside it."""
    make(tmp_path, "a.py")
    file = read(tmp_path / "a.py")
    assert file is not None

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(file, "y = 2\n")
    assert (tmp_path / "a.py").read_text() == "x = 1\n"
    assert os.listdir(tmp_path) == ["a.py"]


def test_a_file_that_changed_meanwhile(tmp_path: Path) -> None:
    """It is not overwritten."""
    make(tmp_path, "a.py")
    file = read(tmp_path / "a.py")
    assert file is not None
    make(tmp_path, "a.py", text="z = 3\n")
    with pytest.raises(OSError, match="has changed since it was read"):
        write(file, "y = 2\n")
