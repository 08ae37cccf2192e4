"""``manage.py routechan upgrade``: the same as ``python -m routechan upgrade``."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "nonesuch"}})
def test_upgrade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes files and ends with the exit code, whatever checks would say of the project."""
    file = tmp_path / "code.py"
    file.write_text("from channels import Group\n")
    with pytest.raises(SystemExit, match="1"):
        call_command("routechan", "upgrade", str(tmp_path), skip_checks=False)
    assert file.read_text() == "from routechan import Group\n"
    call_command("routechan", "upgrade", str(tmp_path), "--check")
    assert "0 files to be rewritten" in capsys.readouterr().out


def test_mistakes(tmp_path: Path) -> None:
    """They are named, with what would be right."""
    with pytest.raises(CommandError, match="'x' is no fixer; expected imports"):
        call_command("routechan", "upgrade", str(tmp_path), "--only", "x")
