"""What unit tests of several folders share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def without_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's Channels is not in use, though another test of this process may have imported it."""
    monkeypatch.delitem(sys.modules, "channels.layers", raising=False)
