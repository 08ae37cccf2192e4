"""The short form of ``scripts/soak``, with few clients: each fault once, and whatever time is left."""

from __future__ import annotations

import pytest

from .__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_a_minute(capfd: pytest.CaptureFixture[str]) -> None:
    """What is promised for each fault holds: nothing lost beyond it, nothing twice, and no loss that is not logged."""
    assert main(["30", "--sockets", "30", "--crowd", "100", "--patience", "2"]) == 0, capfd.readouterr().out
