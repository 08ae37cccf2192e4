"""Who is dead: a lease that stands still while Redis answers, whatever any clock says."""

from __future__ import annotations

import math

import pytest

from routechan.layers.redis.judge import GIVEN_UP, LONGEST_WAIT, Judge, Look

LEASE = 15.0


class World:
    """A Redis, processes that renew their leases in it, and a judge who looks. Lifetime: test."""

    def __init__(self) -> None:
        self.now = 1000.0  # of the judge's monotonic clock
        self.ahead = 5_000.0  # how much Redis' clock is ahead of it
        self.judge = Judge(LEASE)
        self.leases: dict[str, float] = {}

    def renew(self, *names: str, lease: float = LEASE) -> None:
        for name in names:
            self.leases[name] = self.now + self.ahead + lease

    def look(self, takes: float = 0.0) -> list[str]:
        """Who is dead, as a look shows that Redis answers after so many seconds."""
        asked = self.now
        self.now += takes
        return list(self.judge.see(Look(asked, self.now, self.now + self.ahead, dict(self.leases))))

    def live(self, seconds: float, *names: str) -> list[tuple[float, str]]:
        """So many seconds in which ``names`` renew their leases: who is dead when."""
        began, found = self.now, []
        while self.now < began + seconds:
            self.now += self.judge.interval
            self.renew(*names)
            found += [(self.now - began, name) for name in self.look()]
        return found


@pytest.fixture
def world() -> World:
    made = World()
    made.renew("A", "B")
    made.look()
    return made


def test_who_renews_lives(world: World) -> None:
    """section 5 of the design, leases: for ever."""
    assert world.live(600, "A", "B") == []


def test_who_does_not_renew_is_dead_after_a_lease(world: World) -> None:
    """section 5 of the design, leases: and again at each look, until somebody has cleared it away."""
    assert world.live(20, "A") == [(15.0, "B"), (20.0, "B")]


def test_who_gave_its_lease_up_is_dead_at_once(world: World) -> None:
    """a process that closes with open sockets leaves its last wills to the others."""
    world.leases["B"] = GIVEN_UP
    assert world.look() == ["B"]


@pytest.mark.parametrize("jump", [60.0, -60.0, 86_400.0, -86_400.0])
def test_a_jump_of_redis_clock_kills_nobody(world: World, jump: float) -> None:
    """Leases are compared with what they were, not with a clock; who is dead is found dead in bounded time."""
    world.live(30, "A", "B")
    world.ahead += jump
    assert world.look() == []
    assert world.live(60, "A", "B") == []
    world.ahead -= jump
    assert world.look() == []
    (found, *_) = world.live(200, "A")
    assert found[1] == "B"
    assert found[0] <= LONGEST_WAIT * LEASE + LEASE / 3


@pytest.mark.parametrize("takes", [LEASE / 2 + 0.1, 10.0, 3600.0])
def test_a_late_look_proves_nothing(world: World, takes: float) -> None:
    """Redis hung: nobody could renew. From then on others have a whole lease."""
    world.live(10, "A")
    assert world.look(takes) == []
    assert world.live(10, "A") == []
    assert world.live(5, "A") == [(5.0, "B")]


def test_no_look_for_a_while_proves_nothing(world: World) -> None:
    """The judge itself was stopped, or could not reach Redis."""
    world.live(10, "A")
    world.now += 60
    assert world.look() == []
    assert world.live(10, "A") == []


def test_a_look_counts_from_its_answer_to_its_question(world: World) -> None:
    """Redis may have executed each at any moment between: only what lies between two looks is certain."""
    world.leases = {"C": 6_000.0}
    world.now += 5
    assert world.look(takes=1.0) == []
    world.now += 7
    assert world.look() == []
    world.now += 7.0
    assert world.look() == []
    world.now += 0.5
    assert world.look(takes=1.0) == []  # asked for too early, and answered late enough
    assert world.look() == ["C"]


def test_forgetting_gives_everyone_a_lease(world: World) -> None:
    """after a reconnection others may need a little longer."""
    world.live(10, "A")
    world.judge.forget()
    assert world.live(15, "A") == []
    assert world.live(5, "A") == [(5.0, "B")]


def test_a_process_with_a_longer_lease_is_given_its_time(world: World) -> None:
    """while the setting is being changed, some processes renew less often; up to some bound."""
    world.renew("B", lease=40.0)
    world.look()
    assert world.live(40, "A") == [(40.0, "B")]
    world.renew("B", lease=1e9)
    world.look()
    assert world.live(LONGEST_WAIT * LEASE, "A")[0] == (LONGEST_WAIT * LEASE, "B")


@pytest.mark.parametrize("lease", [math.inf, -math.inf, 1e300])
def test_a_lease_that_is_no_time_ends_too(world: World, lease: float) -> None:
    """R12: somebody else wrote it."""
    world.leases["B"] = lease
    world.look()
    assert world.live(LONGEST_WAIT * LEASE, "A")[-1][1] == "B"


def test_it_looks_when_a_lease_would_end(world: World) -> None:
    """no later than needed, and often enough to be in time."""
    assert world.judge.next_look(world.now) == world.now + LEASE / 3
    world.now += 12
    assert world.judge.next_look(world.now) == world.now + 3
    assert world.judge.next_look(world.now + 3) == world.now + 3 + LEASE / 3
