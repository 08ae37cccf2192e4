"""The keeper's rounds, on a clock that the test moves: what it does when, and what it leaves alone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers.redis import keeper as keeper_module
from routechan.layers.redis.envelope import MESSAGE, Envelope
from routechan.layers.redis.keeper import LOOK, Keeper
from tests.waiting import wait_until

from .fakes import SOON

LEASE = 15.0
GROUP_EXPIRY = 300.0


class FakeOperations:
    """Names instead of operations: the pipe of the bench knows what they answer. Lifetime: test."""

    due = "due"

    def renew(self, until: float) -> None:
        raise AssertionError("only the pipe performs an operation")

    def lapsed(self, lease: float) -> None:
        raise AssertionError("only the pipe performs an operation")

    def clear_away(self, process: str) -> None:
        raise AssertionError("only the pipe performs an operation")


class Bench:
    """A keeper without a thread, ``tick`` by ``tick``; also its pipe. Lifetime: test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.done: list[Any] = []
        self.kept = True
        self.dead: list[str] = []
        self.delayed: list[Envelope] = []
        self.coming: float | None = None
        self.unavailable = False
        self.keeper = Keeper(
            self,  # type: ignore[arg-type]
            FakeOperations(),  # type: ignore[arg-type]
            lease=LEASE,
            group_expiry=GROUP_EXPIRY,
            now=lambda: self.now + 5_000,
            restore=lambda everything: self.done.append(("restore", everything)),
            due=self._due,
            purge=lambda: self.done.append("purge"),
        )
        # As ``start`` does, but for the thread.
        self.keeper._thread = threading.Thread()
        self.keeper._judge_at = self.now + LEASE

    def call(self, make: Any, **options: Any) -> Any:
        """What the pipe does with an operation."""
        if self.unavailable:
            raise ChannelLayerUnavailable("away")
        if make == "due":
            self.done.append("look")
            due, self.delayed = self.delayed, []
            return due, self.coming
        name, argument = make.func.__name__, make.args[0]
        if name == "lapsed":
            self.done.append("judge")
            found, self.dead = self.dead, []
            return found
        self.done.append((name, argument))
        return self.kept if name == "renew" else 2

    def _due(self, envelope: Envelope) -> None:
        self.done.append(("send", envelope.name))
        if envelope.name == "bad":
            raise LookupError("sending it failed")

    def tick(self, after: float = 0.0) -> list[Any]:
        """What one round does, so many seconds after the last."""
        self.now += after
        self.done.clear()
        self.keeper._tick()
        return list(self.done)

    def times(self, what: Any, seconds: float, step: float = 0.5) -> list[float]:
        """When a round does ``what``, in the next so many seconds."""
        began, found = self.now, []
        while self.now < began + seconds:
            if what in [done if isinstance(done, str) else done[0] for done in self.tick(step)]:
                found.append(self.now - began)
        return found


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Of a process that serves channels."""
    made = Bench()
    monkeypatch.setattr(keeper_module.time, "monotonic", lambda: made.now)
    made.keeper.keep_lease()
    return made


def test_the_lease_is_renewed_three_times_as_often_as_it_lasts(bench: Bench) -> None:
    """Redis' clock says until when; two renewals may fail."""
    assert ("renew", bench.now + 5_000 + LEASE) in bench.tick()
    found = bench.times("renew", 30)
    assert found == [5.0, 10.0, 15.0, 20.0, 25.0, 30.0]


def test_others_are_not_judged_at_first(bench: Bench) -> None:
    """A process that has just come gives the others one lease's time to show themselves."""
    found = bench.times("judge", 31)
    assert found[0] == LEASE
    assert found == [15.0, 20.0, 25.0, 30.0]


def test_who_was_late_does_not_judge(bench: Bench) -> None:
    """A machine that slept finds all leases lapsed, its neighbours' too: it waits until they can have renewed them."""
    bench.times("renew", 30)
    bench.dead = ["NEIGHBOUR"]
    done = bench.tick(after=3600)
    assert ("renew", bench.now + 5_000 + LEASE) in done
    assert "judge" not in done
    found = bench.times("judge", 20)
    assert found == [15.0, 20.0]


def test_who_lost_redis_does_not_judge(bench: Bench) -> None:
    """The others may have lost it too."""
    bench.times("renew", 30)
    bench.keeper.reconnected()
    assert "judge" not in bench.tick(1.0)
    assert bench.times("judge", 20) == [15.0, 20.0]


def test_a_dead_process_is_cleared_away_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R2: and the log says so; with last wills it is a warning."""
    bench.times("renew", 14)
    bench.dead = ["DEAD", "GONE"]
    done = bench.tick(1.5)
    assert [what for what in done if what[0] == "clear_away"] == [("clear_away", "DEAD"), ("clear_away", "GONE")]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "The process DEAD" in caplog.text
    assert bench.times("clear_away", 30) == []


def test_a_lease_that_was_taken_away_has_all_written_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Another process took this one for dead, and ended its memberships."""
    bench.kept = False
    assert not [done for done in bench.tick() if done[0] == "restore"]  # the first lease was never there
    assert ("restore", True) in bench.tick(5)
    assert "The lease of this process was lost" in caplog.text
    bench.kept = True
    assert not [done for done in bench.tick(5) if done[0] == "restore"]


def test_a_new_connection_has_all_written_again(bench: Bench) -> None:
    """R6: Redis may have lost its data with it; once for each loss."""
    bench.tick()
    bench.keeper.reconnected()
    assert ("restore", True) in bench.tick()
    assert ("restore", True) not in bench.tick(5)


def test_a_restoration_that_fails_is_made_up_for(bench: Bench) -> None:
    """R6: Redis is away again in the midst of it."""
    bench.tick()
    bench.keeper.reconnected()
    bench.unavailable = True
    for _ in range(2):
        with pytest.raises(ChannelLayerUnavailable):
            bench.tick(1)
    bench.unavailable = False
    assert ("restore", True) in bench.tick(1)


def test_memberships_in_use_are_refreshed(bench: Bench) -> None:
    """design section 5: those of live channels never reach ``group_expiry``."""
    found = [(now, done) for now in range(350) for done in bench.tick(1.0) if done[0] == "restore"]
    assert found == [(99, ("restore", False)), (199, ("restore", False)), (299, ("restore", False))]


# Later


def envelope(name: str) -> Envelope:
    return Envelope(0.0, MESSAGE, name, b"")


def test_delayed_sends_are_looked_for_each_second(bench: Bench) -> None:
    """Another process may have sent them; what has expired here is forgotten on the way (R8)."""
    bench.tick()
    assert bench.times("look", 5) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert "purge" in bench.tick(LOOK)


def test_it_looks_when_something_is_due(bench: Bench) -> None:
    """R3: not at the next full second; times are of Redis' clock."""
    bench.tick()
    bench.keeper.look_at(bench.now + 5_000 + 0.25)
    assert "look" not in bench.tick(0.2)
    bench.delayed = [envelope("a")]
    assert ("send", "a") in bench.tick(0.06)


def test_it_looks_when_the_next_is_due(bench: Bench) -> None:
    """R3: Redis told when that is, whoever sent it."""
    bench.coming = bench.now + 5_000 + 0.25
    bench.tick()
    bench.coming = None
    assert "look" in bench.tick(0.26)


def test_what_was_due_long_ago_is_looked_for_at_once(bench: Bench) -> None:
    """a clock that was set is no reason to wait."""
    bench.tick()
    bench.keeper.look_at(0.0)
    assert "look" in bench.tick()


def test_a_delayed_send_that_fails_costs_only_itself(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R12: it was claimed, so it is lost, and logged."""
    bench.delayed = [envelope("bad"), envelope("good")]
    assert ("send", "good") in bench.tick()
    assert "A delayed message to bad is lost" in caplog.text


# Lease, thread and end


def test_who_serves_nothing_keeps_no_lease(bench: Bench) -> None:
    """what was delayed and who has died is looked after all the same; serving again begins with a lease."""
    bench.tick()
    bench.keeper.leave_lease()
    done = [what for _ in range(40) for what in bench.tick(0.5)]
    assert not [what for what in done if what[0] in ("renew", "restore")]
    assert (done.count("look"), done.count("judge")) == (20, 2)
    bench.keeper.keep_lease()
    bench.kept = False  # it was given back, which is no loss
    done = bench.tick(0.5)
    assert "renew" in [what[0] for what in done]
    assert ("restore", True) not in done


def test_keeping_it_twice_is_keeping_it_once(bench: Bench) -> None:
    """a process attaches several queues."""
    bench.tick()
    bench.keeper.keep_lease()
    assert bench.times("renew", 6) == [5.0]


class Counting:
    """A pipe that counts renewals, and fails as often as it is told. Lifetime: test."""

    def __init__(self, failures: list[BaseException]) -> None:
        self.failures = failures
        self.calls = 0

    def call(self, make: Any, **options: Any) -> Any:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        if make == "due":
            return [], None
        return [] if make.func.__name__ == "lapsed" else True


def running(pipe: Any) -> Keeper:
    nothing: Callable[..., None] = lambda *arguments: None  # noqa: E731
    return Keeper(
        pipe,
        FakeOperations(),  # type: ignore[arg-type]
        lease=0.06,
        group_expiry=60,
        now=time.monotonic,
        restore=nothing,
        due=nothing,
        purge=nothing,
    )


@pytest.mark.parametrize("error", [ChannelLayerUnavailable("away"), LookupError("a mistake of ours")])
def test_its_thread_survives_a_round_that_failed(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """R6: the next round comes."""
    caplog.set_level(logging.CRITICAL, "routechan")
    pipe = Counting([error])
    keeper = running(pipe)
    keeper.keep_lease()
    keeper.keep_lease()
    wait_until(lambda: pipe.calls > 3, "it went on")
    thread = keeper._thread
    assert thread is not None
    assert keeper.close() is True
    thread.join(SOON)
    assert not thread.is_alive()


def test_what_never_started_has_no_lease_to_give_back() -> None:
    """``close`` tells whether there is one; after it nothing starts."""
    pipe = Counting([])
    keeper = running(pipe)
    assert keeper.close() is False
    keeper.keep_lease()
    assert keeper._thread is None
    assert pipe.calls == 0
