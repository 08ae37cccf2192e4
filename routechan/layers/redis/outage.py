"""Operations that have to wait, because their server is away or slow."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from redis.exceptions import ResponseError

from ...exceptions import ChannelLayerUnavailable
from .commands.script import ATTEMPT, PendingOperation, Step
from .transport import Outcome, Transport


class Outage:
    """Operations that wait for servers. Lifetime: layer, in one process. Used under the driver's lock only.

    Args:
        transport: knows which servers are away.
        fail: called with an operation that may wait no longer, and why.
        look: called when there is an earlier deadline than before.
    """

    def __init__(
        self,
        transport: Transport,
        fail: Callable[[PendingOperation, ChannelLayerUnavailable], object],
        look: Callable[[], object],
    ) -> None:
        self._transport = transport
        self._fail = fail
        self._look = look
        #: Those that were not executed. All of them are earlier than those in the driver's queue.
        self.held: deque[PendingOperation] = deque()
        #: Those that were, each with the list its late replies will be in, and their places there.
        self.parked: list[tuple[PendingOperation, list[Any], int, int]] = []
        self._next_deadline = math.inf

    @property
    def next_look(self) -> float | None:
        """When ``expire`` has to be called or held operations tried again, in seconds of ``time.monotonic``."""
        found = min(self._next_deadline, self._transport.retry.at or math.inf)
        return None if found == math.inf else found

    def hold(self, leading: Iterable[PendingOperation]) -> list[PendingOperation]:
        """Keep operations that were not executed, with their followers, but for those that may wait no longer.

        Args:
            leading: the operations, in their order.

        Returns:
            Those to be tried again soon and before all others, because no server will say when it is time.
        """
        now = time.monotonic()
        kept: list[PendingOperation] = []
        for leader in leading:
            leader.operation.held_up()
            since = self._transport.away_since(tag for tag, _ in leader.step.calls)
            for pending in (leader, *leader.followers):
                if pending.done:
                    continue
                if since is not None:
                    # Nobody waits again for what somebody has waited for in vain.
                    pending.deadline = min(pending.gives_up, since + pending.patience if pending.limited else math.inf)
                if pending.deadline <= now:
                    self._fail(pending, self._unreachable(pending))
                    continue
                kept.append(pending)
                self._until(pending)
        if self._transport.retry.failing:
            return kept
        self.held.extend(kept)
        return []

    def take(self) -> list[PendingOperation]:
        """The held operations, to be tried again, in their order."""
        held = list(self.held)
        self.held.clear()
        return held

    def keep(self, pending: PendingOperation, replies: list[Any]) -> bool:
        """Whether what is left of a step may be sent later: servers have taken theirs, and others certainly not.

        Args:
            pending: an operation by itself, no batch.
            replies: those to its step.
        """
        if Outcome.IN_DOUBT in replies or pending.operation.batch_key is not None:
            return False
        if any(isinstance(reply, ResponseError) for reply in replies):
            return False
        calls, repeatable = pending.step
        left = [call for call, reply in zip(calls, replies, strict=True) if reply is Outcome.UNSENT]
        pending.kept, pending.step = all_replies(pending, replies), Step(left, repeatable)
        return True

    def park(self, pending: PendingOperation, replies: list[Any], at: int, end: int) -> None:
        """Keep ``pending`` until no reply from ``at`` to ``end`` in the list ``replies`` is late any more."""
        self.parked.append((pending, replies, at, end))
        pending.operation.held_up()
        for each in (pending, *pending.followers):
            if each.limited:
                self._until(each)

    def answered(self) -> Iterator[tuple[PendingOperation, list[Any]]]:
        """The parked operations whose replies have come, each with its replies."""
        parked, self.parked = self.parked, []
        for entry in parked:
            pending, replies, at, end = entry
            if Outcome.COMING in replies[at:end]:
                self.parked.append(entry)
            else:
                yield pending, replies[at:end]

    def expire(self) -> None:
        """Fail the operations that have waited long enough."""
        now = time.monotonic()
        if now < self._next_deadline:
            return
        self._next_deadline = math.inf
        for pending in self.held:
            if pending.deadline <= now:
                self._fail(pending, self._unreachable(pending))
        self.held = deque(pending for pending in self.held if not pending.done)
        for pending in self.held:
            self._next_deadline = min(self._next_deadline, pending.deadline)
        for leader, *_ in self.parked:
            for pending in (leader, *leader.followers):
                if pending.done or not pending.limited:
                    continue
                if pending.deadline <= now:
                    self._fail(pending, self._unanswered(pending))
                else:
                    self._next_deadline = min(self._next_deadline, pending.deadline)

    def clear(self) -> list[PendingOperation]:
        """All operations, which are forgotten."""
        found = [*self.held, *(each for leader, *_ in self.parked for each in (leader, *leader.followers))]
        self.held.clear()
        self.parked.clear()
        return found

    def _until(self, pending: PendingOperation) -> None:
        if pending.woken is not None:
            pending.woken.set()  # it waits for its own deadline
        if pending.deadline < self._next_deadline:
            self._next_deadline = pending.deadline
            self._look()

    def interrupted(self) -> ChannelLayerUnavailable:
        """The error of an operation of which nobody knows what was executed."""
        return ChannelLayerUnavailable(
            "the connection to Redis was lost in the midst of an operation: the message may have been sent, and is not "
            f"sent again. The trouble: {self._transport.trouble}"
        )

    def _unreachable(self, pending: PendingOperation) -> ChannelLayerUnavailable:
        away = f"could not be reached for {pending.patience:g} seconds"
        if pending.limited:
            away = f"cannot be reached, and a send waits no longer than {pending.patience:g} s for it (send_timeout)"
        sent = "nothing was sent" if pending.kept is None else "other servers have taken their part, which was sent"
        return ChannelLayerUnavailable(f"Redis {away}; {sent}. Last trouble: {self._trouble}")

    def _unanswered(self, pending: PendingOperation) -> ChannelLayerUnavailable:
        return ChannelLayerUnavailable(
            f"Redis has not answered for {pending.patience or ATTEMPT:g} seconds (send_timeout is {pending.patience:g}"
            f"): the message may have been sent, and is not sent again. The trouble: {self._trouble}"
        )

    @property
    def _trouble(self) -> object:
        return self._transport.trouble or "no answer yet"


def all_replies(pending: PendingOperation, replies: list[Any]) -> list[Any]:
    """The replies to the whole step of ``pending``: ``replies``, and those that were kept when it was sent in part."""
    if pending.kept is None:
        return replies
    more = iter(replies)
    found = [next(more) if reply is Outcome.UNSENT else reply for reply in pending.kept]
    pending.kept = None
    return found
