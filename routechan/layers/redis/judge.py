"""Which processes are dead: their leases have stood still, while Redis answered all the time.

A lease says until when its process wants to live, by the clock of Redis. That clock may be set, Redis may have been
away, and so may the process that looks. So no lease is compared with a clock. A process is dead when its lease has not
changed for a while *by the monotonic clock of the process that looks*, and when all its looks in that while were
answered in time: then Redis took renewals all the time, and none came.
"""

from __future__ import annotations

from typing import NamedTuple

#: What stands in place of a lease that was given up, in order that others send the last wills at once.
GIVEN_UP = 0

#: How much longer than one's own lease others may live, where their setting is larger: while it is being changed.
LONGEST_WAIT = 4


class Look(NamedTuple):
    """What a look at the leases found.

    Args:
        asked: when it was asked for, on the clock of ``time.monotonic``.
        told: when the answer was here, likewise.
        now: the time of Redis, in seconds.
        leases: each other process, and until when its lease is, in seconds of Redis' clock.
    """

    asked: float
    told: float
    now: float
    leases: dict[str, float]


class _Sight(NamedTuple):
    """One lease, since it was first seen as it is now."""

    lease: float
    since: float
    ends: float  # when its process is dead, if it stays so


class Judge:
    """Tells from looks at the leases which processes are dead. Lifetime: layer, in one process.

    Args:
        lease: seconds after which a process that gave no sign is taken for dead.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._seen: dict[str, _Sight] = {}
        self._last = 0.0  # when the latest look was answered

    @property
    def interval(self) -> float:
        """Seconds between looks."""
        return self._lease / 3

    def next_look(self, now: float) -> float:
        """When to look next, after a look ``now``: in time, and when a lease that stands still has done so for long."""
        ends = [sight.ends for sight in self._seen.values() if sight.ends > now]
        return min([now + self.interval, *ends])

    def forget(self) -> None:
        """Begin anew: others may have been unable to renew their leases."""
        self._seen.clear()

    def see(self, look: Look) -> dict[str, float]:
        """The dead that ``look`` shows, each with its lease.

        A process that renews its lease every third of it, and is held up for less than half of it between two looks,
        still renews it in time. So a look that comes later than that, or takes so long, proves nothing: it begins anew.
        """
        if look.told - self._last > self._lease / 2:
            self.forget()
        self._last = look.told
        seen: dict[str, _Sight] = {}
        dead: dict[str, float] = {}
        for process, lease in look.leases.items():
            sight = self._seen.get(process)
            if sight is None or sight.lease != lease:
                wait = min(max(lease - look.now, self._lease), LONGEST_WAIT * self._lease)
                sight = _Sight(lease, look.told, look.told + wait)
            seen[process] = sight
            if lease == GIVEN_UP or look.asked >= sight.ends:
                dead[process] = lease
        self._seen = seen
        return dead
