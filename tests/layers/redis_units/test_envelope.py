"""What lies in a queue comes out as it went in, and what is no message says so."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routechan.layers.redis.envelope import FLUSH, GROUP, JOIN, LEAVE, MESSAGE, Envelope, expires_of, pack, unpack

names = st.from_regex(r"[a-zA-Z0-9._!?-]{0,99}", fullmatch=True)
#: Times of Redis' clock until the year 5000.
times = st.floats(0, 95_617_584_000)
kinds = st.sampled_from([MESSAGE, GROUP, JOIN, LEAVE, FLUSH])


@given(times, kinds, names, st.binary())
def test_round_trip(expires: float, kind: int, name: str, body: bytes) -> None:
    """R3: to the millisecond, and every byte of the body."""
    data = pack(expires, kind, name, body)
    assert unpack(data) == Envelope(int(expires * 1000) / 1000, kind, name, body)
    assert expires_of(data) == int(expires * 1000) / 1000


def test_fractions_of_a_second_are_kept() -> None:
    """R3 (A9, C11): to the millisecond."""
    assert unpack(pack(1_800_000_000.125, MESSAGE, "a", b"")).expires == 1_800_000_000.125
    assert expires_of(pack(1_800_000_000.999, MESSAGE, "a", b"")) == 1_800_000_000.999


@given(st.binary(max_size=300))
@example(b"")
@example(b"garbage")
@example(b"\xff" * 300)
@example(b"\x00" * 9)
def test_garbage_is_refused_or_read_and_nothing_else(data: bytes) -> None:
    """R12 (C20): whatever lies in a queue, a reader gets a ``ValueError`` at most."""
    assert expires_of(data) >= 0
    with contextlib.suppress(ValueError):
        envelope = unpack(data)
        assert envelope.name.isascii()
        assert data.endswith(envelope.body)


@pytest.mark.parametrize("length", range(10))
def test_what_is_shorter_than_a_head_is_refused(length: int) -> None:
    """R12: and counts as expired long ago, so that it takes no room."""
    data = pack(1_800_000_000, MESSAGE, "", b"")[:length]
    with pytest.raises(ValueError, match="is no message of routechan"):
        unpack(data)
    assert expires_of(data) == 0.0


def test_a_name_that_is_cut_off_is_refused() -> None:
    """R12: a message whose name is shorter than it says was not written by us."""
    with pytest.raises(ValueError, match="is no message of routechan"):
        unpack(pack(1.0, MESSAGE, "channel", b"")[:-3])


def test_a_name_that_is_no_ascii_is_refused() -> None:
    """R12, section 1.1: names are ASCII."""
    with pytest.raises(ValueError, match="is no message of routechan"):
        unpack(pack(1.0, MESSAGE, "é", b""))
