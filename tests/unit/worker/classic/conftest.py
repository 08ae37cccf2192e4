"""Workers of 1.x that do not wait long."""

from __future__ import annotations

import pytest

from routechan.layers import memory as memory_module
from routechan.worker import classic as classic_module


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker sees the end of its rounds soon."""
    monkeypatch.setattr(memory_module, "BLOCKING_WAIT", 0.01)
    monkeypatch.setattr(classic_module, "FAULT_DELAY", 0.01)
    monkeypatch.setattr(classic_module, "REQUEUE_INTERVAL", 0.001)
