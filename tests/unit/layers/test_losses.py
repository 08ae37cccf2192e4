"""Messages that are lost: counted each, and logged once for each kind of trouble and interval."""

from __future__ import annotations

import time

import pytest

from routechan.exceptions import UselessContent
from routechan.layers.losses import Losses
from routechan.layers.redis.wire import Unreadable
from routechan.layers.statistics import Counts
from routechan.telemetry.repeats import INTERVAL


def test_a_thousand_losses_are_a_line_for_each_kind_of_trouble(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """house, wire: a rolling upgrade does not fill the log; the next line tells how many were not logged."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counts = Counts()
    losses = Losses(counts)
    for number in range(1000):
        losses.add("process!a", Unreadable("version 2", f"it is new {number}"))
        losses.add("plain", ValueError("it is broken"))
    now += INTERVAL
    losses.add("plain", Unreadable("version 2", "it is still new"))
    assert [record.getMessage() for record in caplog.records] == [
        "A message to process!a is lost: it is new 0",
        "A message to plain is lost: it is broken",
        "A message to plain is lost: it is still new (999 more like this since it was last said)",
    ]
    assert counts.of("process!")["dropped_count"] == 1000
    assert counts.of(None)["dropped_count"] == 2001


def test_a_loss_nobody_can_tell_the_channel_of(caplog: pytest.LogCaptureFixture) -> None:
    """R12: counted in all, and the log says where it lay."""
    counts = Counts()
    Losses(counts).add(None, Unreadable("damaged", "it is cut short"), "rc:delayed:{delayed}")
    assert counts.of(None)["dropped_count"] == 1
    assert counts.take()[1] == {}
    assert caplog.messages == ["A message in rc:delayed:{delayed} is lost: it is cut short"]


def test_what_asked_for_nothing_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    """6.9: an event for consumers of Channels 4 reaches these; that a socket could do nothing with it is said only."""
    counts = Counts()
    losses = Losses(counts)
    for _ in range(3):
        losses.add("room", UselessContent("it asks for nothing"))
    assert counts.of(None).get("dropped_count", 0) == 0
    assert caplog.messages == ["A message to room does nothing here: it asks for nothing"]
