"""``python -m routechan upgrade``: its options, what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from routechan.cli import main
from routechan.upgrade import programs
from routechan.upgrade.fixers import FIXERS, GROUPS

CODE = "from channels import Group\n"
NEW = "from routechan import Group\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/code.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_are_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run writes and ends with 1, the second has nothing to do and ends with 0."""
    assert main(["upgrade"]) == 1
    assert (project / "app/code.py").read_text() == NEW
    assert "app/code.py: rewritten by imports" in capsys.readouterr().out
    assert main(["upgrade"]) == 0
    assert capsys.readouterr().out == "0 files rewritten, 0 places to be done by hand, 0 worth a look.\n"


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_nothing_is_written(project: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    """``--check`` names the files, and ``--diff`` shows what would change too."""
    assert main(["upgrade", option, "app"]) == 1
    assert (project / "app/code.py").read_text() == CODE
    printed = capsys.readouterr().out
    assert "code.py: to be rewritten by imports" in printed
    assert ("-from channels import Group\n+from routechan import Group\n" in printed) is (option == "--diff")


def test_places(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What needs a hand is named with file, line and row, and the exit code is 2; a second run says it again."""
    (project / "app/code.py").write_text("import six\nfrom channels.layers import get_channel_layer\n")
    for options in (["--check"], [], []):
        assert main(["upgrade", "--only", "imports", "--only", "six", *options]) == 2
    first, *_ = printed = capsys.readouterr().out.split("To be done by hand:\n")[1:]
    assert "app/code.py:2: imports: channels.layers.get_channel_layer: channels.layers is a module" in first
    assert "(docs/differences.rst: AP-01, AP-02)" in first
    assert "app/code.py:1: imports" in printed[1], "the line above was taken out"


def test_what_is_worth_a_look(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not count for the exit code."""
    (project / "app/code.py").write_text("ROOT_URLCONF = 'a'\n")
    assert main(["upgrade"]) == 0
    assert "Worth a look:\napp/code.py:1: leftovers: there is no DEFAULT_AUTO_FIELD" in capsys.readouterr().out


def test_as_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs."""
    (project / "app/more.py").write_text("d.has_key(1)\n")
    assert main(["upgrade", "--json", "--diff"]) == 2
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == 2
    assert said["files"] == [{"path": "app/code.py", "fixers": ["imports"]}]
    (place,) = said["places"]
    assert place == {
        "path": "app/more.py",
        "line": 1,
        "fixer": "python2_names",
        "text": "d.has_key(1): dicts have no has_key: write in",
        "row": "",
        "must": True,
    }


def test_only_some_fixers(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--only`` and ``--skip`` choose; a name that is none is refused."""
    assert main(["upgrade", "--skip", "imports"]) == 0
    assert main(["upgrade", "--only", "urls", "--only", "six"]) == 0
    assert main(["upgrade", "--skip", "channels"]) == 0
    assert main(["upgrade", "--only", "imports"]) == 1
    with pytest.raises(SystemExit, match="2"):
        main(["upgrade", "--skip", "import"])
    assert "'import' is no fixer; expected imports, dotted_strings" in capsys.readouterr().err


def test_a_list_of_fixers(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with what it does."""
    assert main(["upgrade", "--list-fixers"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*FIXERS, *GROUPS]


def test_a_path_that_is_not_there(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is refused."""
    with pytest.raises(SystemExit, match="2"):
        main(["upgrade", "nothing"])
    assert "nothing does not exist" in capsys.readouterr().err


def test_without_the_extra(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install; without the fixers that run programs it works."""
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        main(["upgrade"])
    printed = capsys.readouterr().err
    assert "django-upgrade (or --skip django_upgrade); install it with: pip install 'routechan[upgrade]'" in printed
    assert main(["upgrade", "--skip", "django_upgrade", "--skip", "pyupgrade"]) == 1


def test_a_file_that_cannot_be_written(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and the others are written."""
    (project / "app/other.py").write_text(CODE)
    monkeypatch.setattr("os.replace", lambda old, new: refuse() if "other" in str(new) else Path(old).rename(new))

    def refuse() -> None:
        raise PermissionError("no")

    assert main(["upgrade", "--only", "imports"]) == 2
    assert "app/other.py:1: imports: not written: no" in capsys.readouterr().out
    assert (project / "app/other.py").read_text() == CODE
    assert (project / "app/code.py").read_text() == NEW
