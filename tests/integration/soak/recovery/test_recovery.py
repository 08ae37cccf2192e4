"""The short form of ``scripts/soak --recovery``: each fault once, with few clients."""

from __future__ import annotations

import pytest

from .__main__ import main
from .members import GAP
from .truth import judge

ARGUMENTS = ["6", "--members", "40", "--groups", "4", "--pause", "3", "--lease", "10"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_each_fault_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Every client has every message once and in order, or was told of the gap before it got what came behind."""
    assert main(ARGUMENTS) == 0, capfd.readouterr().out


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ([1, 2, 3], {"given": 3}),
        ([1, 3], {"given": 2, "silent": 1}),
        ([1, GAP, 3], {"given": 2, "gap": 1}),
        ([1, 3, GAP], {"given": 2, "silent": 1}),
        ([1, 2], {"given": 2, "silent": 1}),
        ([1, 2, GAP], {"given": 2, "gap": 1}),
        ([1, 2, 2, 3], {"given": 3, "twice": 1}),
        ([2, 1, 3], {"given": 2, "twice": 1, "silent": 1}),
        ([1, 2, 3, 9], {"given": 3, "gone": 1}),
    ],
)
def test_what_is_wrong_is_seen(heard: list[int], found: dict[str, int]) -> None:
    """The judge of the soak sees a missed message, and a gap that is told too late."""
    assert +judge([1, 2, 3], heard) == found
