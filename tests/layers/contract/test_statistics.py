"""What a layer can tell about itself (section 2.8)."""

from __future__ import annotations

import pytest

from routechan.exceptions import ChannelFull
from routechan.layers import SyncChannelLayer

from ..conftest import Backend


def test_messages_are_counted(face: SyncChannelLayer) -> None:
    """items 48, 49, 50."""
    face.send("first", {})
    face.send("first", {})
    face.send("second", {})
    totals = face.global_statistics()
    assert (totals["messages_count"], totals["channel_full_count"]) == (3, 0)
    first, second = face.channel_statistics("first"), face.channel_statistics("second")
    assert (first["messages_count"], first["messages_pending"], first["channel_full_count"]) == (2, 2, 0)
    assert (second["messages_count"], second["messages_pending"], second["channel_full_count"]) == (1, 1, 0)
    assert int(first["messages_max_age"]) == int(second["messages_max_age"]) == 0


def test_refused_sends_are_counted_apart(backend: Backend) -> None:
    """item 51: they are no messages."""
    face = backend.make(capacity=1).sync
    face.send("first", {})
    for _ in range(4):
        with pytest.raises(ChannelFull):
            face.send("first", {})
    for counts in (face.global_statistics(), face.channel_statistics("first")):
        assert (counts["messages_count"], counts["channel_full_count"]) == (1, 4)
    assert face.channel_statistics("other")["channel_full_count"] == 0


def test_the_age_is_that_of_the_oldest_message(backend: Backend) -> None:
    """section 2.8: seconds the oldest has waited; 0 when none waits."""
    face = backend.make().sync
    face.send("first", {})
    backend.elapse(0.3)
    face.send("first", {})
    assert 0.25 <= face.channel_statistics("first")["messages_max_age"] < 5
    face.receive(["first"])
    assert face.channel_statistics("first")["messages_max_age"] < 0.25
    face.receive(["first"])
    assert face.channel_statistics("first")["messages_max_age"] == 0


def test_expired_messages_are_not_pending(backend: Backend) -> None:
    """section 8.1, 18 (A2, A3): neither counted nor asked for their age."""
    face = backend.make(expiry=0.3).sync
    face.send("first", {})
    backend.elapse(0.4)
    counts = face.channel_statistics("first")
    assert (counts["messages_pending"], counts["messages_max_age"], counts["messages_count"]) == (0, 0, 1)


def test_a_channel_is_counted_with_its_queue(face: SyncChannelLayer) -> None:
    """section 2.6: counted up to ``!``, whichever of its names is asked for."""
    face.send("process!a", {})
    face.send("process!b", {})
    for channel in ("process!a", "process!"):
        counts = face.channel_statistics(channel)
        assert (counts["messages_count"], counts["messages_pending"]) == (2, 2)


def test_a_channel_nobody_used(face: SyncChannelLayer) -> None:
    """section 2.8: zero, not an error."""
    counts = face.channel_statistics("never")
    assert (counts["messages_count"], counts["messages_pending"], counts["messages_max_age"]) == (0, 0, 0)
