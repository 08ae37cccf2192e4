"""Log lines that repeat: one per kind and interval, with the number of those that were not written."""

from __future__ import annotations

import logging

import pytest

from routechan.telemetry import repeats
from routechan.telemetry.repeats import INTERVAL, OncePerInterval, Repeats


class Log:
    """Log lines by a clock that the test turns. Lifetime: test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.repeats = Repeats(clock=lambda: self.now)

    def lines(self, kind: object, count: int = 1) -> list[str]:
        """What is written of ``count`` lines of ``kind``."""
        return [more for more in (self.repeats.more(kind) for _ in range(count)) if more is not None]


def test_the_first_line_is_written_at_once_and_then_one_per_interval() -> None:
    """The number of those in between stands in the next line, and is counted from there anew."""
    log = Log()
    assert log.lines("a", 1000) == [""]
    log.now += INTERVAL / 2
    assert log.lines("a", 1000) == []
    log.now += INTERVAL / 2
    assert log.lines("a", 5) == [" (1999 more like this since it was last said)"]
    log.now += INTERVAL
    assert log.lines("a") == [" (4 more like this since it was last said)"]
    log.now += INTERVAL
    assert log.lines("a") == [""]


def test_kinds_do_not_hide_each_other() -> None:
    """Another kind is said at once."""
    log = Log()
    assert log.lines("a", 3) == [""]
    assert log.lines("b", 3) == [""]


def test_kinds_without_number_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound all kinds share one, and none is forgotten whose interval is not over."""
    monkeypatch.setattr(repeats, "KINDS", 3)
    log = Log()
    assert [log.lines(kind) for kind in range(3)] == [[""], [""], [""]]
    assert [log.lines(kind) for kind in range(100)] == [[], [], [], [""]] + [[]] * 96
    log.now += INTERVAL
    assert log.lines("new") == [""]
    assert log.lines(0) == [""]


def test_errors_of_another_library(caplog: pytest.LogCaptureFixture) -> None:
    """Each line of code and class of exception once per interval; what is no warning is not touched."""
    log = Log()
    other = logging.getLogger("tests.another")
    limit = OncePerInterval(log.repeats)
    other.addFilter(limit)
    caplog.set_level(logging.INFO, other.name)

    def fails(error: Exception) -> None:
        try:
            raise error
        except Exception:
            other.exception("Exception of %s", "a client")

    def written() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.name == other.name]
        caplog.clear()
        return found

    try:
        for _ in range(100):
            fails(ValueError("one"))
            fails(LookupError("two"))
            other.warning("No HTTP")
            other.info("It goes on")
        assert sorted(written()) == sorted(["Exception of a client"] * 2 + ["No HTTP"] + ["It goes on"] * 100)
        log.now += INTERVAL
        fails(ValueError("one"))
        assert written() == ["Exception of a client (99 more like this since it was last said)"]
    finally:
        other.removeFilter(limit)
