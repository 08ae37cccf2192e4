"""Without picows, whose name the error says."""

from __future__ import annotations

import importlib
import sys

import pytest

from routechan.exceptions import MissingExtra


def test_without_picows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picows", None)
    monkeypatch.delitem(sys.modules, "routechan.server")
    with pytest.raises(MissingExtra, match=r"picows; install it with: pip install 'routechan\[fast\]'"):
        importlib.import_module("routechan.server")
