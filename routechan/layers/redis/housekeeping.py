"""Housekeeping: the periodic work of a process, on a thread of its own.

It renews the lease of the process, clears away processes whose lease has run out, writes memberships and last wills
again that Redis may have lost, ends memberships in Redis that ended here, and sends delayed messages.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, TypeVar

from ... import names
from ...encoding import LazyContent, Serializer
from ...exceptions import ChannelFull, ChannelLayerUnavailable
from ..envelope import GONE, GROUP, Envelope, hand_over
from ..options import FULL_DELAY
from ..statistics import Counts
from ..store import Store
from .commands.counting import Counting
from .commands.groups import Groups
from .commands.leases import Leases, Renewal
from .commands.messages import LOOK, Messages
from .commands.script import Operation
from .connection import Reconnections, RedisClock
from .driver import Driver
from .judge import Judge, Look
from .people import People
from .tails import Tails

logger = logging.getLogger("routechan")

T = TypeVar("T")

#: Seconds between looks of a process without a lease: no other one can tell it what is due.
LOOK_UNTOLD = 0.1

#: Seconds to wait while Redis cannot be reached.
TROUBLE_DELAY = 0.1


class Housekeeping:
    """The housekeeping thread. Lifetime: layer, in one process that serves channels or waits for messages.

    Args:
        driver: performs operations.
        store: the channels and memberships of this process.
        serializer: bytes to content.
        messages: makes operations on delayed messages.
        group_send: see ``Engine.group_send``.
        groups: makes operations on memberships.
        tails: reads the histories of groups.
        people: knows who reads the channels of this process.
        leases: makes operations on leases and last wills.
        counting: makes operations on counts.
        counts: the counts of this process, to be added to those in Redis.
        clock: the server's time.
        reconnections: shows that Redis may have lost its data.
        lease: seconds after which a process that gave no sign is taken for dead.
        group_expiry: seconds that a membership lives in Redis.
    """

    def __init__(
        self,
        driver: Driver,
        store: Store,
        serializer: Serializer,
        messages: Messages,
        group_send: Callable[[str, LazyContent, bytes], tuple[Operation[Any], Callable[[], object]]],
        groups: Groups,
        tails: Tails,
        people: People,
        leases: Leases,
        counting: Counting,
        *,
        counts: Counts,
        clock: RedisClock,
        reconnections: Reconnections,
        lease: float,
        group_expiry: float,
    ) -> None:
        self._driver = driver
        self._store = store
        self._serializer = serializer
        self._messages = messages
        self._group_send = group_send
        self._groups = groups
        self._tails = tails
        self._people = people
        self._leases = leases
        self._counting = counting
        self._counts = counts
        self._now = clock.now
        self._reconnections = reconnections
        self._connections_seen = 0
        self._lease = lease
        self._judge = Judge(lease)
        self._refresh = group_expiry / 3
        self._changed = reconnections.changed
        self._thread: threading.Thread | None = None
        self._wills: dict[str, tuple[str, bytes]] = {}
        self._unleft: set[str] = set()  # whose last will may not be in Redis yet
        self._told: list[Callable[[Collection[str]], object]] = []
        #: See ``LeftWills``.
        self.cleared_at: float | None = None
        self.taken_back: set[str] = set()
        self._closed = False
        self._leased = False  # whether this process serves anything, and so keeps a lease
        self._failed = False  # whether the last round failed because Redis was away
        self._had_lease = False
        self._restores = False  # whether memberships and last wills are to be written again
        self._under_way: set[str] = set()
        self._outcomes: deque[tuple[str, Callable[[Any], object], Any, BaseException | None]] = deque()
        self._renew_at = 0.0  # times of this process' monotonic clock
        self._judge_at = 0.0
        self._refresh_at = 0.0
        self._look_at = math.inf
        self._count_at = 0.0
        self._read_at = math.inf

    def start(self) -> None:
        """Start to look after delayed messages and dead processes, without a lease for this process."""
        if self._thread is not None:
            return
        with self._changed:
            if self._thread is None and not self._closed:
                self._judge_at = time.monotonic()
                self._count_at = time.monotonic() + LOOK
                self._look_at = min(self._look_at, time.monotonic() + LOOK_UNTOLD)
                self._thread = threading.Thread(target=self._run, name="routechan-housekeeping", daemon=True)
                self._thread.start()

    # Lease

    def keep_lease(self) -> Operation[Renewal] | None:
        """Keep a lease from now on, because this process serves channels.

        Returns:
            The operation that takes the lease, if there was none. Other processes must know of the lease before they
            know of the channels; otherwise they do not tell this process what they change in its groups.
        """
        self.start()
        with self._changed:
            if self._leased:
                return None
            self._leased = True
            self._renew_at = 0.0
            self._refresh_at = time.monotonic() + self._refresh
            self._read_at = time.monotonic() + self._tails.interval
            self._changed.notify_all()
        return self.renewal()

    def renewal(self) -> Operation[Renewal]:
        """The operation that renews the lease, for ``learn``."""
        return self._leases.renew(self._lease, self if self._told else None)

    def leave_lease(self) -> None:
        """Keep the lease no longer, because this process serves nothing any more; the caller gives it back."""
        with self._changed:
            self._leased = self._had_lease = self._restores = False

    @property
    def has_lease(self) -> bool:
        """Whether others know that this process lives."""
        return self._had_lease

    # Last wills

    def leave_will(self, channel: str, to: str, body: bytes) -> None:
        """Have another process send ``body`` to the channel ``to`` if this process dies while it has ``channel``."""
        self._wills[channel] = (to, body)
        self._unleft.add(channel)
        self._driver.start(self._leases.leave_wills(self._wills, [channel]), functools.partial(self._left, channel))

    def _left(self, channel: str, result: object, error: BaseException | None) -> None:
        if error is None:
            self._unleft.discard(channel)

    def forget_will(self, channel: str) -> None:
        """Take the last will of ``channel`` back, if there is one."""
        self._unleft.discard(channel)
        if self._wills.pop(channel, None) is not None:
            self._driver.start(self._leases.forget_will(channel))

    def left(self) -> list[str]:
        """The channels whose last wills are known to have reached Redis."""
        return [channel for channel in tuple(self._wills) if channel not in self._unleft]

    @property
    def has_wills(self) -> bool:
        """Whether there are last wills."""
        return bool(self._wills)

    # Delayed sends

    def look_at(self, due: float) -> None:
        """Look for delayed messages at ``due``, a time of Redis' clock in seconds."""
        with self._changed:
            self._look_at = min(self._look_at, time.monotonic() + max(due - self._now(), 0))
            self._changed.notify_all()

    # Rounds

    def close(self) -> bool:
        """End the thread.

        Returns:
            Whether there is a lease to give back.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is None:
            return False
        self._thread.join(LOOK)
        return self._had_lease

    def _run(self) -> None:
        while not self._closed:
            try:
                self._tick()
            except ChannelLayerUnavailable as error:
                logger.info("Redis cannot be reached, and is asked again: %s", error)
            except Exception:  # an error in one round must not stop the next
                logger.exception("Housekeeping failed")
            with self._changed:
                if self._closed or self._outcomes:
                    continue
                if self._lost():
                    self._changed.wait(TROUBLE_DELAY)
                else:
                    due = min(self._look_at, self._judge_at, self._renew_at)
                    if self._leased:
                        due = min(due, self._refresh_at, self._read_at)
                    self._changed.wait(max(due - time.monotonic(), 0.001))

    def _lost(self) -> bool:
        """Whether Redis may have lost what this process wrote, since the last time it wrote it."""
        return self._failed or self._reconnections.count != self._connections_seen

    def _tick(self) -> None:
        self._take_outcomes()
        now = time.monotonic()
        lost = self._lost()
        if lost:
            self._connections_seen = self._reconnections.count
            self._failed, self._restores = False, self._restores or self._leased
            self._judge.forget()  # others may not have reached Redis again yet
        if lost or now >= self._renew_at:
            self._renew_at = now + self._lease / 3
            self._people.tell_wanted()
            if self._leased:
                self._begin("renew", self.renewal(), self._renewed)
        if self._leased and now >= self._refresh_at:
            self._refresh_at = now + self._refresh
            self._begin("refresh", self._groups.rejoin(self._store.memberships(live=True)))
            self._people.write_again()
            self._leave_wills()
        if self._leased and (lost or now >= self._read_at):
            self._read_at = now + self._tails.interval
            self._tails.look()
        if now >= self._look_at:
            self._look(now)
        if now >= self._judge_at:
            self._judge_at = now + self._judge.interval
            self._begin("look around", self._leases.look_around(), self._looked_around)
        self._take_outcomes()

    # Operations: none is waited for, so that a server that hangs holds up only what goes to it

    def _begin(self, what: str, operation: Operation[T], then: Callable[[T], object] = bool) -> None:
        """Start ``operation``, unless an earlier one of the same name is under way; ``then`` takes its result."""
        if what in self._under_way:
            return
        self._under_way.add(what)

        def ended(result: Any, error: BaseException | None) -> None:
            with self._changed:
                self._outcomes.append((what, then, result, error))
                self._changed.notify_all()

        with suppress(ChannelLayerUnavailable):  # which ``ended`` was told
            self._driver.start(operation, ended)

    def _take_outcomes(self) -> None:
        while self._outcomes:
            what, then, result, error = self._outcomes.popleft()
            self._under_way.discard(what)
            if error is None:
                then(result)
            elif isinstance(error, ChannelLayerUnavailable):
                self._failed = self._failed or what in ("renew", "restore")
                logger.info("Redis cannot be reached, and is asked again: %s", error)
            else:
                logger.error("Housekeeping failed", exc_info=error)

    def on_cleared_away(self, call: Callable[[Collection[str]], object]) -> None:
        """Have ``call`` called as ``Leased.on_cleared_away`` says."""
        self._told.append(call)

    def learn(self, renewal: Renewal) -> None:
        """Tell who asked for it if others cleared this process away, as a ``renewal`` of its lease shows."""
        with self._changed:
            if renewal.cleared is None or renewal.cleared == self.cleared_at:
                return
            self.cleared_at = renewal.cleared
            taken_back, self.taken_back = self.taken_back, set()
            self._people.cleared(renewal.told)
            if self._told:  # whose channels these were ends them now, so nobody needs their last wills again
                for channel in renewal.told:
                    self._wills.pop(channel, None)
                for channel in taken_back:
                    if (will := self._wills.get(channel)) is not None:
                        self.leave_will(channel, *will)
                for call in self._told:
                    call(renewal.told)

    def _renewed(self, renewal: Renewal) -> None:
        if not self._leased:
            return
        kept = renewal.kept
        self.learn(renewal)
        if self._had_lease and not kept:
            logger.warning("The lease of this process was lost; its memberships are written again")
            self._restores = True
        if self._restores and "restore" not in self._under_way:
            self._restores = False
            self._begin("restore", self._groups.rejoin(self._store.memberships(live=False)))
            self._people.write_again()
            self._people.do_again()
            self._leave_wills()
        self._had_lease = True

    def _leave_wills(self) -> None:
        if self._wills:
            channels = list(self._wills)
            self._begin(
                "leave wills",
                self._leases.leave_wills(self._wills, channels),
                lambda _: self._unleft.difference_update(channels),
            )

    def _looked_around(self, look: Look) -> None:
        dead = self._judge.see(look)
        self._judge_at = self._judge.next_look(time.monotonic())
        if self._lost():
            self._judge.forget()
        elif dead:
            self._begin("claim", self._leases.claim(dead, self._lease), self._claimed)

    def _claimed(self, processes: list[str]) -> None:
        for process in processes:
            self._begin(
                f"clear {process} away",
                self._leases.clear_away(process, self._people.clear_away),
                functools.partial(self._cleared, process),
            )

    def _cleared(self, process: str, wills: int) -> None:
        logger.log(
            logging.WARNING if wills else logging.INFO,
            "The process %s is gone: its memberships are ended, and %d last wills of its sockets sent",
            process,
            wills,
        )

    def _look(self, now: float) -> None:
        with self._changed:
            self._look_at = now + (LOOK if self._leased else LOOK_UNTOLD)
        self._store.purge()
        for group, channel in self._store.take_ended():
            self._driver.start(self._groups.discard_own(group, channel))
            self._people.left(group, channel)
        if self._counts and now >= self._count_at:
            self._driver.start_along(self._counting.add_statistics())
        self._begin("look", self._messages.due(), self._found_due)

    def _found_due(self, found: tuple[list[Envelope], float | None]) -> None:
        envelopes, coming = found
        for envelope in envelopes:
            try:
                self._send_due(envelope)
            except Exception:  # an error in one message must not stop the others
                logger.exception("A delayed message to %s is lost", envelope.name)
        if coming is not None:
            self.look_at(coming)

    def _send_due(self, envelope: Envelope) -> None:
        """Send a delayed message, together with others that are due; try a full channel again later."""
        kind, name, body, headers, *_ = envelope
        if kind == GONE:
            self._people.look(name, body)
            return
        sent = functools.partial(self._sent_due, envelope)
        if kind == GROUP:
            operation, deliver_here = self._group_send(name, LazyContent(self._serializer, data=body), headers)
            try:
                deliver_here()
            finally:
                self._driver.start(operation, sent)
            return
        queue = names.queue_name(name)
        deliver = self._store.attached.get(queue)
        try:
            if deliver is not None:
                hand_over(deliver, (name,), self._serializer.decode(body), headers)
            elif self._store.is_own(queue):
                self._store.put(name, body, headers)
            else:
                self._driver.start(self._messages.send(queue, name, body, headers), sent)
        except ChannelFull as error:
            self._sent_due(envelope, None, error)

    def _sent_due(self, envelope: Envelope, result: object, error: BaseException | None) -> None:
        kind, name, body, headers, *_ = envelope
        if isinstance(error, ChannelFull):
            self._driver.start(self._messages.send_later(kind, name, body, headers, FULL_DELAY))
            self.look_at(self._now() + FULL_DELAY)
        elif error is not None:
            logger.error("A delayed message to %s is lost: %s", name, error)
