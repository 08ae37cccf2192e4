"""Redis' clock, as a process knows it: never ahead of the server, and how far behind at most."""

from __future__ import annotations

import time

import pytest

from routechan.layers.redis.connection import DRIFT, RedisClock


class Bench:
    """A server whose clock is 5,000 s ahead, and a process that asks it. Lifetime: test."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ahead = 5_000.0
        self.clock = RedisClock()

    @property
    def server(self) -> float:
        return self.now + self.ahead

    def ask(self, there: float = 0.0, back: float = 0.0) -> None:
        """Learn the server's time, with a question and an answer that take so many seconds."""
        asked = self.now
        self.now += there
        told = self.server
        self.now += back
        self.clock.learn(told, asked, self.now)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


@pytest.mark.parametrize(("there", "back"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.2, 0.3), (5.0, 5.0)])
def test_it_is_never_ahead_and_its_latest_never_behind(bench: Bench, there: float, back: float) -> None:
    """what is kept until a time counts from the latest, what is due by now from the earliest: so it is never early."""
    bench.ask(there, back)
    assert bench.clock.now() == pytest.approx(bench.server - back)
    assert bench.clock.latest() == pytest.approx(bench.server + there)


def test_a_slow_answer_takes_away_nothing_that_is_known(bench: Bench) -> None:
    """a busy machine does not make the clock worse."""
    bench.ask(0.001, 0.001)
    bench.now += 5
    bench.ask(0.0, 3.0)
    assert bench.server - 0.02 <= bench.clock.now() <= bench.server
    assert bench.server <= bench.clock.latest() <= bench.server + 0.02


def test_its_latest_does_not_go_back_when_it_is_known_better(bench: Bench) -> None:
    """what is sent later, with the same delay, is not due before what was sent earlier."""
    bench.ask(0.4, 0.0)
    first = bench.clock.latest()
    bench.ask(0.0, 0.0)
    assert bench.clock.latest() == first
    bench.now += 0.5
    assert bench.clock.latest() == pytest.approx(bench.server, abs=0.01)
    assert bench.clock.latest() > first


def test_it_follows_a_clock_that_is_faster(bench: Bench) -> None:
    """what was known long ago is worth less."""
    bench.ask()
    for _ in range(100):
        bench.now += 60
        bench.ahead += 60 * DRIFT / 2
        bench.ask(0.01, 0.01)
        assert bench.clock.now() <= bench.server + 1e-6
        assert bench.clock.latest() >= bench.server - 1e-6
        assert bench.clock.latest() - bench.clock.now() < 0.2


@pytest.mark.parametrize("jump", [60.0, -60.0, 0.5, -0.5])
def test_it_follows_a_clock_that_was_set(bench: Bench, jump: float) -> None:
    """what contradicts the new time was true before."""
    bench.ask(0.01, 0.01)
    bench.now += 1
    bench.ahead += jump
    bench.ask(0.01, 0.01)
    assert bench.clock.now() == pytest.approx(bench.server, abs=0.011)


def test_other_servers_teach_it_only_until_the_one_that_counts_does(bench: Bench) -> None:
    """R3: shards may disagree; the one with the leases has the last word."""
    bench.clock.learn_first(7_000.0, bench.now, bench.now)
    assert bench.clock.now() == 7_000.0
    bench.ask()
    assert bench.clock.now() == bench.server
    bench.clock.learn_first(7_000.0, bench.now, bench.now)
    assert bench.clock.now() == bench.server


def test_before_anyone_was_asked_it_is_our_own(bench: Bench) -> None:
    """R3: better than none."""
    assert RedisClock().now() == pytest.approx(time.time(), abs=1.0)
