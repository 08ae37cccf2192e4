"""The rules of limits, by a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routechan.limits import rules
from routechan.limits.rules import MOST_RUNS, Buckets, InARow, Permits, Rate, TokenBucket


@pytest.mark.parametrize(
    ("text", "rate"),
    [("5/s", (5, 1.0)), ("100/10s", (100, 10.0)), ("600/m", (600, 60.0)), ("1/h", (1, 3600.0)), ("3/2h", (3, 7200.0))],
)
def test_rates(text: str, rate: tuple[int, float]) -> None:
    """A number of events in so many seconds, minutes or hours."""
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "5", "0/s", "5/0s", "-1/s", "5/d", "5 / s", "5/s ", "a/s", 5, None, b"5/s", True])
def test_no_rates(text: object) -> None:
    """Whatever else is refused with the texts that are none."""
    with pytest.raises(ValueError, match=r"a rate is a text such as '5/s'"):
        Rate.parse(text)


def test_a_bucket_allows_a_burst_and_then_its_rate() -> None:
    """A refused event costs no token, and is told how long to wait."""
    bucket = TokenBucket(Rate(4, 2.0), now=100.0)
    assert [bucket.take(100.0) for _ in range(6)] == [0.0, 0.0, 0.0, 0.0, 0.5, 0.5]
    assert bucket.take(100.25) == 0.25
    assert bucket.take(100.5) == 0.0
    assert bucket.take(100.5) == 0.5


def test_a_bucket_holds_no_more_than_its_count() -> None:
    """After a day of silence the burst is the same."""
    bucket = TokenBucket(Rate(2, 1.0), now=0.0)
    assert bucket.is_full(0.0)
    bucket.take(0.0)
    assert not bucket.is_full(0.25)
    assert bucket.is_full(0.5)
    assert [bucket.take(86400.0) for _ in range(3)] == [0.0, 0.0, 0.5]


def test_permits_are_asked_for_by_the_tenth() -> None:
    """Until a period has no more; the next period begins anew."""
    permits = Permits(Rate(30, 60.0))
    period = permits.period(600.0)
    assert (permits.wanted, period, permits.period(659.9), permits.period(660.0)) == (3, 10, 10, 11)
    assert permits.take("a", period) is None
    assert permits.add("a", period, 3)
    assert [permits.take("a", period) for _ in range(3)] == [True, True, None]
    assert not permits.add("a", period, 0)
    assert permits.take("a", period) is False
    assert permits.take("b", period) is None
    assert permits.take("a", period + 1) is None
    assert permits.add("a", period + 1, 2)
    assert [permits.take("a", period + 1) for _ in range(2)] == [True, None]
    assert Permits(Rate(5, 1.0)).wanted == 1


def test_permits_are_bounded() -> None:
    """Keys of past periods are forgotten first, then the oldest, which are asked for again."""
    permits = Permits(Rate(20, 1.0), most=100)
    for number in range(150):
        permits.add(number, 1, 2)
    assert 88 <= len(permits) <= 100
    assert (permits.take(0, 1), permits.take(149, 1)) == (None, True)
    for number in range(20):
        permits.add(f"next {number}", 2, 2)
    assert len(permits) == 20


def test_failures_in_a_row() -> None:
    """Events that are not told of have succeeded, and begin the row anew, until they are told of after all."""
    row = InARow()
    assert [row.add(number) for number in (1, 2, 3)] == [1, 2, 3]
    assert row.add(5) == 1
    assert row.add(6) == 2
    assert row.add(2) == 3
    assert row.add(8) == 1
    assert row.add(7) == 4
    assert row.add(4) == 8
    assert row.add(4) == 8


@given(st.permutations(range(12)), st.integers(0, 12))
def test_failures_in_a_row_in_any_order(order: list[int], failed: int) -> None:
    """Each tells how many stand around it of those that have failed so far."""
    row, seen = InARow(), set[int]()
    for number in order[:failed]:
        seen.add(number)
        first = last = number
        while first - 1 in seen:
            first -= 1
        while last + 1 in seen:
            last += 1
        assert row.add(number) == last - first + 1


def test_failures_that_are_far_apart_are_bounded() -> None:
    """The oldest runs are forgotten."""
    row = InARow()
    for number in range(0, 1000, 2):
        assert row.add(number) == 1
    assert len(row._runs) == MOST_RUNS
    assert row.add(997) == 3


def test_buckets_are_bounded() -> None:
    """Keys that are silent are forgotten, so that no client fills the memory with new ones."""
    buckets = Buckets(Rate(2, 1.0), most=100)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    for number in range(1000):
        assert buckets.take(number, 0.0)
    assert 88 <= len(buckets) <= 100
    for number in range(1000, 1100):
        assert buckets.take(number, 10.0)
    assert 88 <= len(buckets) <= 100
    assert [buckets.take(1099, 10.0) for _ in range(2)] == [True, False]


def test_new_keys_do_not_cost_a_look_at_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no more room, room is made for many: else each new client of very many holds the server up."""
    looks: list[int] = []
    forget_first = rules._forget_first
    monkeypatch.setattr(rules, "_forget_first", lambda *args: (looks.append(1), forget_first(*args)))
    buckets, permits = Buckets(Rate(2, 3600.0), most=800), Permits(Rate(20, 3600.0), most=800)
    for number in range(1600):
        buckets.take(number, 0.0)
        permits.add(number, 1, 2)
    assert len(looks) == 2 * 8
