"""What a serving process does from time to time.

It renews its lease, clears away processes whose lease has run out, keeps the memberships of its live channels,
and sends what was to be sent later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from ...exceptions import ChannelLayerUnavailable
from .envelope import Envelope
from .operations import Operations
from .pipe import Pipe

logger = logging.getLogger("routechan")

#: Seconds between looks at what is to be sent later; each process looks, so that none must.
LOOK = 1.0

#: Seconds to wait while Redis cannot be reached.
TROUBLE_DELAY = 0.1


class Keeper:
    """One thread. Lifetime: layer, in one process that serves channels or waits for messages.

    ``restore(everything)`` writes the memberships of this process again, all or those in use;
    ``due(envelope)`` sends what was delayed; ``purge`` forgets what has expired here.
    """

    def __init__(
        self,
        pipe: Pipe,
        operations: Operations,
        *,
        lease: float,
        group_expiry: float,
        now: Callable[[], float],
        restore: Callable[[bool], object],
        due: Callable[[Envelope], object],
        purge: Callable[[], object],
    ) -> None:
        self._pipe = pipe
        self._operations = operations
        self._lease = lease
        self._refresh = group_expiry / 3
        self._now = now
        self._restore = restore
        self._due = due
        self._purge = purge
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._leased = False  # False where nothing is served: then there is no lease to keep
        self._lost = False  # a connection was: Redis may have lost its data
        self._had_lease = False
        self._renew_at = 0.0  # times of this process' monotonic clock
        self._judge_at = 0.0
        self._refresh_at = 0.0
        self._look_at = 0.0

    def start(self) -> None:
        """Look after delayed messages and dead processes; keep no lease of one's own."""
        if self._thread is not None:
            return
        with self._changed:
            if self._thread is None and not self._closed:
                self._judge_at = time.monotonic() + self._lease
                self._thread = threading.Thread(target=self._run, name="routechan-keeper", daemon=True)
                self._thread.start()

    def keep_lease(self) -> bool:
        """This process serves channels; returns whether it did not until now."""
        self.start()
        with self._changed:
            if self._leased:
                return False
            self._leased = True
            self._renew_at = 0.0
            self._refresh_at = time.monotonic() + self._refresh
            self._changed.notify()
            return True

    def reconnected(self) -> None:
        """Redis was away: whatever it knew of this process is written again."""
        with self._changed:
            self._lost = True
            self._changed.notify()

    def look_at(self, due: float) -> None:
        """Something is to be sent at ``due``, a time of Redis' clock."""
        with self._changed:
            self._look_at = min(self._look_at, time.monotonic() + max(due - self._now(), 0))
            self._changed.notify()

    def leave_lease(self) -> None:
        """This process serves nothing any more; who asks for this gives the lease back."""
        with self._changed:
            self._leased = self._had_lease = False

    def close(self) -> bool:
        """End; returns whether there is a lease to be given back."""
        with self._changed:
            self._closed = True
            self._changed.notify()
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
            except Exception:  # the next round comes
                logger.exception("Keeping the lease failed")
            with self._changed:
                if self._lost:
                    self._changed.wait(TROUBLE_DELAY)
                elif not self._closed:
                    due = min(self._look_at, self._judge_at)
                    if self._leased:
                        due = min(due, self._renew_at, self._refresh_at)
                    self._changed.wait(max(due - time.monotonic(), 0.001))

    def _tick(self) -> None:
        now = time.monotonic()
        lost, self._lost = self._lost, False
        if self._leased and (lost or now >= self._renew_at):
            self._renew(now, lost)
        if self._leased and now >= self._refresh_at:
            self._refresh_at = now + self._refresh
            self._restore(False)
        if now >= self._look_at:
            self._look(now)
        if lost or now > self._judge_at + self._lease / 3:
            # Who was away himself does not judge the others, who may have been away for the same reason.
            self._judge_at = time.monotonic() + self._lease
        elif now >= self._judge_at:
            self._judge_at = now + self._lease / 3
            self._judge()

    def _judge(self) -> None:
        for process in self._pipe.call(partial(self._operations.lapsed, self._lease)):
            wills = self._pipe.call(partial(self._operations.clear_away, process))
            logger.log(
                logging.WARNING if wills else logging.INFO,
                "The process %s is gone: its memberships are ended, and %d last wills of its sockets sent",
                process,
                wills,
            )

    def _renew(self, now: float, lost: bool) -> None:
        self._renew_at = now + self._lease / 3
        try:
            kept = self._pipe.call(partial(self._operations.renew, self._now() + self._lease))
            if self._had_lease and not kept:
                logger.warning("The lease of this process was lost; its memberships are written again")
            if lost or (self._had_lease and not kept):
                self._restore(True)
        except ChannelLayerUnavailable:
            self._lost = True
            raise
        self._had_lease = self._leased

    def _look(self, now: float) -> None:
        with self._changed:
            self._look_at = now + LOOK
        self._purge()
        envelopes, coming = self._pipe.call(self._operations.due)
        for envelope in envelopes:
            try:
                self._due(envelope)
            except Exception:  # one message's trouble; the others come
                logger.exception("A delayed message to %s is lost", envelope.name)
        if coming is not None:
            self.look_at(coming)
