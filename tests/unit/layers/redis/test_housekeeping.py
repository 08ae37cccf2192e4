"""Rounds of housekeeping, on a clock that the test moves: what it does when, and what it leaves alone."""

from __future__ import annotations

import itertools
import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from routechan import names
from routechan.encoding import Serializer
from routechan.exceptions import ChannelFull, ChannelLayerUnavailable
from routechan.layers.envelope import MESSAGE, Envelope
from routechan.layers.redis.commands.leases import Renewal
from routechan.layers.redis.connection import Reconnections
from routechan.layers.redis.housekeeping import LOOK, Housekeeping
from routechan.layers.redis.judge import Look
from routechan.layers.statistics import Counts
from tests.waiting import wait_until

from .fakes import SOON
from .keeping import GROUP_EXPIRY, LEASE, REFRESHED, RESTORED, Bench, FakeStore, make


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Of a process that serves channels."""
    made = Bench()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    made.housekeeping.keep_lease()
    return made


def test_the_lease_is_renewed_three_times_as_often_as_it_lasts(bench: Bench) -> None:
    """Redis' clock says until when; two renewals may fail."""
    assert ("renew", LEASE, None) in bench.tick()
    found = bench.times("renew", 30)
    assert found == [5.0, 10.0, 15.0, 20.0, 25.0, 30.0]


def test_the_leases_of_others_are_looked_at_three_times_as_often_as_they_last(bench: Bench) -> None:
    """section 5 of the design, leases: from the first round on; and when one has stood still for all its time."""
    assert "look around" in bench.tick()
    assert bench.times("look around", 16) == [5.0, 10.0, 15.0]
    bench.leases = lambda: {"DEAD": 7_000.0}
    assert bench.times("look around", 4) == [4.0]
    assert bench.times("look around", 2) == []
    bench.leases = lambda: {"DEAD": 7_000.0, "LATER": bench.now}
    assert bench.times("look around", 14) == [3.0, 8.0, 13.0]


def test_a_dead_process_is_cleared_away_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R2: and the log says so; with last wills it is a warning."""
    bench.leases = lambda: {"DEAD": 1.0, "GONE": 2.0}
    assert bench.times("clear_away", 15.0) == []
    done = bench.tick(0.5)
    assert [what for what in done if what[0] == "clear_away"] == [
        ("clear_away", name, "and who reads its channels") for name in ("DEAD", "GONE")
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "The process DEAD" in caplog.text
    bench.leases = dict
    assert bench.times("clear_away", 30) == []


@pytest.mark.parametrize("seconds", [8.0, 15.0, 3600.0])
def test_nobody_is_judged_for_a_lease_after_redis_hung(bench: Bench, seconds: float) -> None:
    """The look that hung is executed when Redis goes on, a moment before the neighbour's renewal is."""
    bench.leases = lambda: {"NEIGHBOUR": 5.0}
    bench.times("look around", 11)
    bench.look_takes = seconds
    done = bench.tick(4.5)
    assert "look around" in done
    assert "claim" not in done
    bench.look_takes = 0.0
    assert bench.times("claim", LEASE - 0.6) == []
    assert bench.times("claim", 2) != []  # it has not renewed it since: it is dead


def test_nobody_is_judged_for_a_lease_after_a_sleep(bench: Bench) -> None:
    """A machine that slept finds all leases as they were, its neighbours' too: it waits until they can renew them."""
    bench.leases = lambda: {"NEIGHBOUR": 5.0}
    bench.times("renew", 14)
    done = bench.tick(after=3600)
    assert ("renew", LEASE, None) in done
    assert "claim" not in done
    assert bench.times("claim", LEASE - 0.6) == []


def test_who_waited_for_redis_does_not_judge(bench: Bench) -> None:
    """What the others sent waited as long."""
    bench.leases = lambda: {"NEIGHBOUR": 5.0}
    bench.times("renew", 10)
    bench.renewal_takes = 10.0
    assert "claim" not in bench.tick(after=5.0)
    bench.renewal_takes = 0.0
    assert bench.times("claim", LEASE - 0.6) == []


@pytest.mark.parametrize("within", [False, True], ids=["before", "within"])
def test_who_lost_redis_does_not_judge(bench: Bench, within: bool) -> None:
    """The others may have lost it too; at any time before the answer to the last look."""
    bench.leases = lambda: {"NEIGHBOUR": 5.0}
    bench.times("renew", 14)

    def reconnected() -> dict[str, float]:
        bench.reconnections.add()
        return {"NEIGHBOUR": 5.0}

    if within:
        bench.leases = reconnected
    else:
        bench.reconnections.add()
    done = bench.tick(1.5)
    assert "look around" in done or not within
    assert "claim" not in done
    bench.leases = lambda: {"NEIGHBOUR": 5.0}
    assert bench.times("claim", LEASE - 0.6) == []
    assert bench.times("claim", 7) != []


def test_a_lease_that_was_taken_away_has_all_written_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Another process took this one for dead, and ended its memberships."""
    bench.kept = False
    assert not [done for done in bench.tick() if done[0] == "rejoin"]  # the first lease was never there
    assert RESTORED in bench.tick(5)
    assert "The lease of this process was lost" in caplog.text
    bench.kept = True
    assert not [done for done in bench.tick(5) if done[0] == "rejoin"]


def test_a_new_connection_has_all_written_again(bench: Bench) -> None:
    """R6: Redis may have lost its data with it; once for each loss."""
    bench.tick()
    bench.reconnections.add()
    assert RESTORED in bench.tick()
    assert RESTORED not in bench.tick(5)


def test_a_restoration_that_fails_is_made_up_for(bench: Bench) -> None:
    """R6: Redis is away again in the midst of it."""
    bench.tick()
    bench.reconnections.add()
    bench.unavailable = True
    for _ in range(2):
        assert bench.tick(1) == ["purge"]
    bench.unavailable = False
    assert RESTORED in bench.tick(1)


def test_memberships_in_use_are_refreshed(bench: Bench) -> None:
    """design section 5: those of live channels never reach ``group_expiry``."""
    found = [(now, done) for now in range(350) for done in bench.tick(1.0) if done[0] == "rejoin"]
    assert found == [(99, REFRESHED), (199, REFRESHED), (299, REFRESHED)]


# Later


def envelope(name: str) -> Envelope:
    return Envelope(MESSAGE, name, b"")


def test_delayed_sends_are_looked_for_each_second(bench: Bench) -> None:
    """Another process may have sent them; what has expired here is forgotten on the way (R8)."""
    bench.tick()
    assert bench.times("look", 5) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert "purge" in bench.tick(LOOK)


def test_it_looks_when_something_is_due(bench: Bench) -> None:
    """R3: not at the next full second; times are of Redis' clock."""
    bench.tick()
    bench.housekeeping.look_at(bench.now + 5_000 + 0.25)
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
    bench.housekeeping.look_at(0.0)
    assert "look" in bench.tick()


def test_a_delayed_send_that_fails_costs_only_itself(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R12: it was claimed, so it is lost, and logged."""
    bench.delayed = [envelope("bad"), envelope("good")]
    assert ("send", "good") in bench.tick()
    assert "A delayed message to bad is lost" in caplog.text


def test_a_channel_that_was_full_is_tried_again_after_a_second(bench: Bench) -> None:
    """the contract of ``send``: and not at the next look after that."""
    bench.delayed = [envelope("full")]
    assert ("send_later", MESSAGE, "full", b"", b"", 1.0) in bench.tick()
    assert "look" in [*bench.tick(0.95), *bench.tick(0.06)]


def test_a_delayed_send_that_nobody_here_can_take(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The same for a channel of this process: one that is full is tried again, an error costs only its message."""
    reply_channel = names.queue_name("websocket.send.x.ME!a")

    def deliver(channels: Any, content: Any) -> None:
        if channels == ("websocket.send.x.ME!full",):
            raise ChannelFull("full")
        raise RuntimeError("a mistake of ours")

    bench.store.attached[reply_channel] = deliver
    bench.housekeeping._serializer = Serializer()
    bench.delayed = [
        Envelope(MESSAGE, f"websocket.send.x.ME!{name}", Serializer().encode({"n": 1})) for name in ("bad", "full")
    ]
    bench.delayed.append(envelope("good"))
    done = bench.tick()
    assert [what for what in done if what[0] == "send_later"] == [
        ("send_later", MESSAGE, "websocket.send.x.ME!full", Serializer().encode({"n": 1}), b"", 1.0)
    ]
    assert ("send", "good") in done
    assert "A delayed message to websocket.send.x.ME!bad is lost" in caplog.text
    assert "a mistake of ours" in caplog.text


def test_a_process_that_others_cannot_tell_looks_more_often(bench: Bench) -> None:
    """One without a lease has no queue that others know of."""
    bench.housekeeping.leave_lease()
    bench.tick()
    assert len(bench.times("look", 1.0, step=0.01)) >= 9


def test_what_ended_here_ends_in_redis(bench: Bench) -> None:
    """section 2.4: memberships that ran out, and those of who does not read."""
    bench.store.ended = [("group", "ws.ME!a")]
    assert ("discard_own", "group", "ws.ME!a") in bench.tick()
    assert ("discard_own", "group", "ws.ME!a") not in bench.tick(LOOK)


def test_what_was_counted_is_added_each_second(bench: Bench) -> None:
    """section 2.8: also where nothing is sent; nothing where nothing was counted."""
    assert ("add_statistics",) not in bench.tick()
    bench.counts.add("a", "expired_count")
    assert ("add_statistics",) in bench.tick(LOOK)


def test_who_was_cleared_away_is_told_once(bench: Bench) -> None:
    """Whose last wills others have sent; none is left again for these, but those that were taken back are."""
    told: list[Any] = []
    bench.housekeeping.on_cleared_away(told.append)
    bench.housekeeping.leave_will("ws.ME!a", "websocket.disconnect", b"body")
    bench.housekeeping.leave_will("ws.ME!b", "websocket.disconnect", b"body")
    bench.hung = {"leave_wills"}
    bench.housekeeping.leave_will("ws.ME!c", "websocket.disconnect", b"body")
    assert bench.housekeeping.left() == ["ws.ME!a", "ws.ME!b"]
    bench.tick()
    assert told == []
    bench.kept, bench.cleared, bench.told = False, 123.0, frozenset({"ws.ME!a"})
    bench.housekeeping.taken_back.add("ws.ME!b")
    bench.tick(5)
    assert told == [{"ws.ME!a"}]
    assert list(bench.housekeeping._wills) == ["ws.ME!b", "ws.ME!c"]
    assert [channels for (_, _, channels), _ in bench.left] == [["ws.ME!c"], ["ws.ME!b"], ["ws.ME!b", "ws.ME!c"]]
    assert bench.housekeeping.left() == []
    bench.kept = True
    bench.tick(5)
    assert len(told) == 1
    bench.cleared = 456.0
    bench.tick(5)
    assert len(told) == 2


def test_a_lease_that_redis_lost_is_no_clearing(bench: Bench) -> None:
    """R6: it came back empty; last wills are left again."""
    told: list[Any] = []
    bench.housekeeping.on_cleared_away(told.append)
    bench.housekeeping.leave_will("ws.ME!a", "websocket.disconnect", b"body")
    bench.tick()
    bench.kept = False
    assert "leave_wills" in [done[0] for done in bench.tick(5)]
    assert told == []


# A server that hangs


@pytest.mark.parametrize("what", ["due", "rejoin", "leave_wills", "claim", "clear_away"])
def test_a_server_that_hangs_holds_up_what_goes_to_it_only(bench: Bench, what: str) -> None:
    """The lease is renewed in time, and all else is done, for as long as it hangs; nothing piles up."""
    bench.housekeeping.leave_will("ws.ME!a", "websocket.disconnect", b"body")
    bench.leases = lambda: {"DEAD": 1.0}
    bench.hung = {what}
    began = bench.now
    bench.reconnections.add()
    found = [(bench.now - began, done) for _ in range(700) for done in bench.tick(0.5)]
    renewals = [at for at, done in found if done[0] == "renew"]
    assert max(after - before for before, after in itertools.pairwise(renewals)) <= 5.5
    names = {done if isinstance(done, str) else done[0] for _, done in found}
    hung = {"due": {"look"}, "claim": {"claim", "clear_away"}}.get(what, {what})
    assert names >= {"look", "rejoin", "leave_wills", "claim", "clear_away", "look around"} - hung
    assert len(bench.left) <= 2


def test_what_a_server_that_hung_answers_is_not_lost(bench: Bench) -> None:
    """R2: what was due is sent, and what had failed is tried again."""
    bench.hung = {"due"}
    bench.tick()
    assert bench.times("look", 10) == []
    bench.delayed = [envelope("a")]
    bench.answer()
    assert ("send", "a") in bench.tick()
    assert bench.times("look", 3) != []


# Lease, thread and end


def test_last_wills_are_written_again_with_the_memberships(bench: Bench) -> None:
    """R6: Redis lost them too; one that was taken back is not, and while all is well they only live on."""
    for name in ("a", "b"):
        bench.housekeeping.leave_will(f"ws.ME!{name}", "websocket.disconnect", b"body")
    bench.tick()
    bench.housekeeping.forget_will("ws.ME!b")
    bench.housekeeping.forget_will("ws.ME!b")
    assert bench.done.count(("forget_will", "ws.ME!b")) == 1
    bench.reconnections.add()
    done = bench.tick()
    again = ("leave_wills", {"ws.ME!a": ("websocket.disconnect", b"body")}, ["ws.ME!a"])
    assert [what for what in done if what[0] == "leave_wills"] == [again]
    assert again in bench.tick(GROUP_EXPIRY / 3)


def test_who_serves_nothing_keeps_no_lease(bench: Bench) -> None:
    """what was delayed and who has died is looked after all the same; serving again begins with a lease."""
    bench.tick()
    bench.housekeeping.leave_lease()
    done = [what for _ in range(40) for what in bench.tick(0.5)]
    assert not [what for what in done if what[0] in ("renew", "rejoin")]
    assert (done.count("look"), done.count("look around")) == (39, 4)
    bench.housekeeping.keep_lease()
    bench.kept = False  # it was given back, which is no loss
    done = bench.tick(0.5)
    assert "renew" in [what[0] for what in done]
    assert RESTORED not in done


def test_keeping_it_twice_is_keeping_it_once(bench: Bench) -> None:
    """a process attaches several queues."""
    bench.tick()
    bench.housekeeping.keep_lease()
    assert bench.times("renew", 6) == [5.0]


class Counting:
    """A driver that counts calls, and fails as often as it is told. Lifetime: test."""

    def __init__(self, failures: list[BaseException], raises: bool = False) -> None:
        self.failures = failures
        self.raises = raises
        self.calls = 0

    def start(self, operation: Any, callback: Any) -> None:
        self.calls += 1
        if self.failures:
            failure = self.failures.pop(0)
            if self.raises:
                raise failure
            callback(None, failure)
            return
        results = {"due": ([], None), "look_around": Look(0.0, 0.0, 0.0, {}), "renew": Renewal(True, None)}
        callback(results.get(operation[0], True), None)


def running(driver: Any) -> Housekeeping:
    clock: Any = SimpleNamespace(now=time.monotonic)
    options: dict[str, Any] = {"counts": Counts(), "clock": clock, "reconnections": Reconnections()}
    return make(driver, FakeStore([]), lease=0.06, group_expiry=60, **options)


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("error", [ChannelLayerUnavailable("away"), LookupError("a mistake of ours")])
def test_its_thread_survives_a_round_that_failed(
    error: Exception, raises: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """R6: the next round comes."""
    caplog.set_level(logging.CRITICAL, "routechan")
    driver = Counting([error], raises)
    keeping = running(driver)
    keeping.keep_lease()
    keeping.keep_lease()
    wait_until(lambda: driver.calls > 3, "it went on")
    thread = keeping._thread
    assert thread is not None
    assert keeping.close() is True
    thread.join(SOON)
    assert not thread.is_alive()


def test_what_never_started_has_no_lease_to_give_back() -> None:
    """``close`` tells whether there is one; after it nothing starts."""
    driver = Counting([])
    keeping = running(driver)
    assert keeping.close() is False
    keeping.keep_lease()
    assert keeping._thread is None
    assert driver.calls == 0
