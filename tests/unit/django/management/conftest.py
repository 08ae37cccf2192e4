"""A process without options of a command line."""

from __future__ import annotations

import pytest

from routechan_django import conf


@pytest.fixture
def no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command of the test sets holds for this test only."""
    monkeypatch.setattr(conf.server, "_command_line", {})
