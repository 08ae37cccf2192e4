"""What was taken is known until it expires, in bounded memory."""

from __future__ import annotations

import pytest

from routechan.layers.redis.replays import ENTRIES, PARTS, Replays

SPAN = 60.0
SENDERS = [bytes([number]) * 16 for number in range(4)]


@pytest.fixture
def replays() -> Replays:
    return Replays(SPAN)


def test_each_is_new_once(replays: Replays) -> None:
    """house, encryption: whatever order they come in, and whoever sent them."""
    sent = [(sender, number) for sender in SENDERS for number in (0, 1, 63, 64, 65, 4096, 2**40 - 1)]
    for sender, number in (*sent[::2], *sent[1::2]):
        assert replays.is_new(sender, number, 100.0, 40.0)
    for sender, number in sent:
        for now in (40.0, 90.0, 100.0):
            assert not replays.is_new(sender, number, 100.0, now)


def test_it_forgets_what_has_expired(replays: Replays) -> None:
    """style, habit 8: the memory of a busy process does not grow."""
    sizes = []
    for second in range(300):
        now = float(second)
        for number in range(100):
            assert replays.is_new(SENDERS[0], (second * 100 + number) * 64, now + SPAN, now)
        for before in (0, 30, 59):
            if second >= before:
                assert not replays.is_new(SENDERS[0], (second - before) * 6400, now - before + SPAN, now)
        sizes.append(sum(len(part.taken) for part in replays._parts))
    assert max(sizes) < 100 * SPAN * 1.3


def test_messages_in_a_row_share_an_entry(replays: Replays) -> None:
    """an entry of some 150 bytes for up to 64 messages of one sender."""
    for number in range(6400):
        assert replays.is_new(SENDERS[0], number, 100.0, 40.0)
    assert sum(len(part.taken) for part in replays._parts) == 100


def test_beyond_its_room_it_forgets_the_oldest(replays: Replays) -> None:
    """style, habit 8: the bound, and what happens beyond it."""
    numbers = range(0, 64 * (ENTRIES + ENTRIES // PARTS), 64)
    for number in numbers:
        assert replays.is_new(SENDERS[0], number, 100.0, 40.0)
    assert sum(len(part.taken) for part in replays._parts) <= ENTRIES
    assert replays.is_new(SENDERS[0], 0, 100.0, 40.0)
    for number in numbers[-ENTRIES * (PARTS - 2) // PARTS :: 1000]:
        assert not replays.is_new(SENDERS[0], number, 100.0, 40.0)
