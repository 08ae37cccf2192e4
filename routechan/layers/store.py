"""The messages and groups that one process holds itself.

For the in-memory layer that is everything; for a layer that crosses processes, the channels of this process,
and what was taken off other channels for a reader that has gone.
"""

from __future__ import annotations

import functools
import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from .. import names
from ..exceptions import ChannelFull, InvalidContent, InvalidName
from .base import CapacityRules, Deliver
from .parcel import Parcel
from .statistics import Counts
from .waiting import LoopWaiter, Stored, Subscriber, Waiter, make_stored, wake

#: Told when a membership ends by itself: ``ended(group, channel)``.
Ended = Callable[[str, str], object]


class Store:
    """Queues, waiters and memberships. Lifetime: layer. Every method takes the lock.

    A queue is what lies up to ``!``, except for the channels of this process (``new_channel``): each of these is
    read by one consumer, so each is a queue, with a capacity of its own.
    """

    def __init__(
        self,
        process: str,
        expiry: float,
        group_expiry: float,
        rules: CapacityRules,
        clock: Callable[[], float],
        counts: Counts,
        ended: Ended | None = None,
    ) -> None:
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.rules = rules
        self.clock = clock
        self.counts = counts
        self.attached: dict[str, Deliver] = {}
        self._own = f".{process}!"
        #: What a message to a channel lies in; raises ``InvalidName``.
        self.queue_of = functools.lru_cache(maxsize=16_384)(self._queue_of)
        self._ended = ended
        self._lock = threading.RLock()
        self._number = 0
        self._purge_at = clock() + 2 * expiry
        self._queues: dict[str, deque[Stored]] = {}
        self._waiters: dict[str, list[Waiter]] = {}
        # group -> queue name -> channel -> when it ends; by queue name, because one deliver serves all its members
        self._groups: dict[str, dict[str, dict[str, float]]] = {}
        self._memberships: dict[str, set[str]] = {}

    def is_own(self, queue_name: str) -> bool:
        """Whether these are channels of this process."""
        return queue_name.endswith(self._own)

    def check_shared(self, queue_name: str) -> str:
        """Return ``queue_name`` unless these are channels of this process, which nobody reads all at once."""
        if self.is_own(queue_name):
            raise InvalidName(
                f"{queue_name!r} holds channels that new_channel() of the async face made, or a server's; each is "
                "read by its full name: await layer.receive(channel)"
            )
        return queue_name

    def _queue_of(self, channel: str) -> str:
        queue_name = names.queue_name(names.check_channel_name(channel))
        return channel if queue_name.endswith(self._own) else queue_name

    # Messages

    def put(self, channel: str, data: bytes) -> None:
        """Raises ``ChannelFull``."""
        queue = self.queue_of(channel)
        woken: list[Waiter] = []
        with self._lock:
            if not self._offer(queue, channel, data, self.clock() + self.expiry, woken):
                self.counts.add(names.queue_name(queue), "channel_full_count")
                raise ChannelFull(queue, self.rules.of(channel))
        self.counts.add(names.queue_name(queue), "messages_count")
        self.wake(woken)

    def put_many(self, channels: Sequence[str], data: bytes, expires: float | None = None) -> None:
        """One message to each of ``channels``, which share a queue name; those that are full miss it.

        With ``expires`` it came from another process, which counted it.
        """
        woken: list[Waiter] = []
        dropped = 0
        queue_name = names.queue_name(channels[0])
        own = self.is_own(queue_name)
        sent_here = expires is None
        with self._lock:
            if expires is None:
                expires = self.clock() + self.expiry
            waiters = self._waiters
            self._number += 1
            for channel in channels:
                # One consumer waits for its own channel: by far the most frequent in a large group.
                waiting = waiters.pop(channel, None) if own else None
                if waiting is not None and len(waiting) == 1:
                    waiter = waiting[0]
                    waiter.item = make_stored((self._number, expires, channel, data))
                    woken.append(waiter)
                    continue
                if waiting is not None:
                    waiters[channel] = waiting
                dropped += not self._offer(channel if own else queue_name, channel, data, expires, woken)
        self.wake(woken)
        if dropped:
            self.counts.add(queue_name, "dropped_count", dropped)
        if sent_here and dropped < len(channels):
            self.counts.add(queue_name, "messages_count", len(channels) - dropped)

    def keep(self, arrivals: Iterable[tuple[str, bytes, float]], woken: list[Waiter]) -> None:
        """Take what was popped elsewhere: to who waits for it, else in its place.

        Where a channel of this process is full, the oldest make room. Of channels that others read too no more is
        popped than somebody has waited for, and all of it is kept.
        ``arrivals`` are channel, data and when it expires. Who waited is added to ``woken``, to be told with ``wake``,
        together with others.
        """
        with self._lock:
            for channel, data, expires in arrivals:
                queue = self.queue_of(channel)
                bounded = self.is_own(names.queue_name(queue))
                while not self._offer(queue, channel, data, expires, woken, bounded):
                    self._queues[queue].popleft()
                    self.counts.add(names.queue_name(queue), "dropped_count")

    def take(self, waiter: Waiter) -> bool:
        """Fill ``waiter`` with a message if one is there, else let it wait."""
        with self._lock:
            for queue in in_turn(waiter.queues):
                if queue not in self._queues:
                    continue
                stored = self._live(queue)
                for item in stored:
                    if waiter.accepts(item.channel):
                        stored.remove(item)
                        if not stored:
                            del self._queues[queue]
                        waiter.item = item
                        return True
            self._remember_waiter(waiter)
            return False

    def subscribe(self, subscriber: Subscriber) -> bool:
        """Give ``subscriber`` what is there; whether it has room left, and waits for more."""
        with self._lock:
            for queue in in_turn(subscriber.queues):
                stored = self._live(queue)
                while stored and subscriber.room:
                    subscriber.give(stored.popleft())
                if not stored:
                    self._queues.pop(queue, None)
            if subscriber.room:
                self._remember_waiter(subscriber)
            return subscriber.room > 0

    def widen(self, subscriber: Subscriber) -> bool:
        """``subscriber`` takes one more; whether it had no room, so that it has to ``subscribe`` again."""
        with self._lock:
            subscriber.room += 1
            return subscriber.room == 1

    async def wait(self, waiter: LoopWaiter) -> None:
        """Return when ``waiter``, which ``take`` left waiting, has its message."""
        try:
            await waiter.future
        except BaseException:
            self.leave(waiter, put_back=True)
            raise

    def leave(self, waiter: Waiter, *, put_back: bool) -> None:
        """End a wait. What a cancelled waiter was given goes to the next one, or back to its place (R7)."""
        woken: list[Waiter] = []
        with self._lock:
            self._forget_waiter(waiter)
            for item in waiter.give_back() if put_back else ():
                self._put_back(item, woken)
        self.wake(woken)

    def waiting(self, queue: str) -> int:
        """How many messages of ``queue`` are waited for."""
        waiting = self._waiters.get(queue)
        return sum(waiter.room for waiter in tuple(waiting)) if waiting is not None else 0

    def pending(self, queue: str) -> tuple[int, float]:
        """How many messages wait in ``queue``, and for how many seconds the oldest does."""
        with self._lock:
            stored = self._live(queue)
            return len(stored), self.clock() - stored[0].expires + self.expiry if stored else 0.0

    def fetched(self) -> list[Stored]:
        """What was taken off channels that others read too, and waits here for a reader of this process."""
        with self._lock:
            queues = [queue for queue in self._queues if not self.is_own(names.queue_name(queue))]
            return [item for queue in queues for item in self._queues[queue]]

    def purge(self) -> None:
        """Forget what has expired in queues that nobody reads."""
        with self._lock:
            self._purge_at = self.clock() + 2 * self.expiry
            for queue in tuple(self._queues):
                self._live(queue)

    def _offer(
        self, queue: str, channel: str, data: bytes, expires: float, woken: list[Waiter], bounded: bool = True
    ) -> bool:
        if expires > self._purge_at:
            self.purge()
        self._number += 1
        item = Stored(self._number, expires, channel, data)
        if queue in self._waiters and self._give(queue, item, woken):
            return True
        stored = self._live(queue)
        if bounded and len(stored) >= self.rules.of(channel):
            return False
        stored.append(item)
        self._queues[queue] = stored
        return True

    def _give(self, queue: str, item: Stored, woken: list[Waiter]) -> bool:
        for waiter in tuple(self._waiters.get(queue, ())):
            if waiter.accepts(item.channel):
                try:
                    waits = waiter.give(item)
                except RuntimeError:  # its event loop is closed
                    self._forget_waiter(waiter)
                    continue
                if not waits:
                    self._forget_waiter(waiter)
                    woken.append(waiter)
                elif len(self._waiters[queue]) > 1:  # the next one is somebody else's
                    self._waiters[queue].remove(waiter)
                    self._waiters[queue].append(waiter)
                return True
        return False

    def wake(self, woken: list[Waiter]) -> None:
        """Tell them that they have their message. Outside the lock, because a waiter may run at once."""
        while woken and (gone := wake(woken)):
            woken = []
            with self._lock:
                for waiter in gone:
                    for item in waiter.give_back():
                        self._put_back(item, woken)

    def _put_back(self, item: Stored, woken: list[Waiter]) -> None:
        queue = self.queue_of(item.channel)
        if not self._give(queue, item, woken):
            stored = self._queues.setdefault(queue, deque())
            stored.insert(sum(earlier.number < item.number for earlier in stored), item)

    def _remember_waiter(self, waiter: Waiter) -> None:
        for queue in waiter.queues:
            if queue in self._waiters:
                self._waiters[queue].append(waiter)
            else:
                self._waiters[queue] = [waiter]

    def _forget_waiter(self, waiter: Waiter) -> None:
        for queue in waiter.queues:
            waiting = self._waiters.get(queue)
            if waiting is not None and waiter in waiting:
                waiting.remove(waiter)
                if not waiting:
                    del self._waiters[queue]

    def _live(self, queue: str) -> deque[Stored]:
        """The queue without what has expired; an empty one is forgotten until something is put."""
        stored = self._queues.get(queue)
        if stored is None:
            return deque()
        now = self.clock()
        while stored and stored[0].expires < now:
            # Nobody reads this member: keep it in no group (43 of the spec's list).
            channel = stored.popleft().channel
            for group in self._ended_by_itself(channel):
                self._discard(group, channel)
            self.counts.add(names.queue_name(queue), "expired_count")
        if not stored:
            del self._queues[queue]
        return stored

    def _ended_by_itself(self, channel: str) -> tuple[str, ...]:
        groups = tuple(self._memberships.get(channel, ()))
        if self._ended is not None:
            for group in groups:
                self._ended(group, channel)
        return groups

    # Groups

    def add(self, group: str, channel: str) -> bool:
        """Whether this is the first member of its queue."""
        with self._lock:
            queues = self._groups.setdefault(group, {})
            members = queues.setdefault(names.queue_name(channel), {})
            first = not members
            members.pop(channel, None)  # so that they stay in the order in which they end
            members[channel] = self.clock() + self.group_expiry
            self._memberships.setdefault(channel, set()).add(group)
            return first

    def discard(self, group: str, channel: str) -> bool:
        """Whether this was the last member of its queue."""
        with self._lock:
            return self._discard(group, channel)

    def forget(self, channel: str) -> list[tuple[str, bool]]:
        """End all memberships of ``channel``: their groups, and whether it was the last of its queue there."""
        if channel not in self._memberships:
            return []
        with self._lock:
            groups = tuple(self._memberships.get(channel, ()))
            return [(group, self._discard(group, channel)) for group in groups]

    def members(self, group: str, queue_name: str | None = None) -> dict[str, list[str]]:
        """Queue name -> live members, of one queue name or all, after those that expired are gone."""
        with self._lock:
            queues = self._groups.get(group)
            if queues is None:
                return {}
            now = self.clock()
            found: dict[str, list[str]] = {}
            for name in tuple(queues) if queue_name is None else (queue_name,):
                if name not in self.attached:  # a live socket is never evicted
                    self._evict(group, name, now)
                members = queues.get(name)
                if members:
                    found[name] = list(members)
            return found

    def deliver(self, group: str, parcel: Parcel, queue_name: str | None = None, expires: float | None = None) -> None:
        """One message to the members of ``queue_name``, or to all; those that are full miss it.

        Raises ``InvalidContent`` for what some members cannot take, after the others got it.
        """
        refused: InvalidContent | None = None
        queues = self.members(group, queue_name)
        # Those attached first: their content need not become bytes.
        for name in [name for name in queues if name in self.attached]:
            members = queues.pop(name)
            deliver = self.attached.get(name)
            try:
                if deliver is not None:
                    deliver(members, parcel.content)
            except ChannelFull:
                self.counts.add(name, "dropped_count")
            except InvalidContent as error:  # of these members' making: the others still get it
                refused = error
        for members in queues.values():
            self.put_many(members, parcel.data, expires)
        if refused is not None:
            raise refused

    def memberships(self, live: bool) -> list[tuple[str, str]]:
        """``(group, channel)`` of all members, or of those that somebody serves or reads now."""
        with self._lock:
            return [
                (group, channel)
                for channel, groups in self._memberships.items()
                if not live or names.queue_name(channel) in self.attached or self.waiting(channel)
                for group in groups
            ]

    def attach(self, queue_name: str, deliver: Deliver) -> None:
        if not self.is_own(queue_name):
            raise InvalidName(f"a queue of this process ends in {self._own!r}, not {queue_name!r}")
        with self._lock:
            self.attached[queue_name] = deliver

    def detach(self, queue_name: str) -> list[tuple[str, str]]:
        """End the memberships under ``queue_name``; returns them as ``(group, channel)``."""
        with self._lock:
            self.attached.pop(queue_name, None)
            ended = [
                (group, channel) for group, queues in self._groups.items() for channel in queues.get(queue_name, ())
            ]
            for group, channel in ended:
                self._discard(group, channel)
            return ended

    def flush(self) -> None:
        with self._lock:
            self._queues.clear()
            self._groups.clear()
            self._memberships.clear()

    def _evict(self, group: str, queue_name: str, now: float) -> None:
        members = self._groups.get(group, {}).get(queue_name, {})
        over = list(itertools.takewhile(lambda channel: members[channel] < now, members))
        for channel in over:
            if self._ended is not None:
                self._ended(group, channel)
            self._discard(group, channel)
        for queue in self._queues.keys() & (members if self.is_own(queue_name) else {queue_name}):
            self._live(queue)

    def _discard(self, group: str, channel: str) -> bool:
        groups = self._memberships.get(channel)
        if groups is None or group not in groups:
            return False
        groups.remove(group)
        if not groups:
            del self._memberships[channel]
        queue_name = names.queue_name(channel)
        members = self._groups[group][queue_name]
        del members[channel]
        if members:
            return False
        del self._groups[group][queue_name]
        if not self._groups[group]:
            del self._groups[group]
        return True


def in_turn(queues: Sequence[str]) -> Sequence[str]:
    """A busy channel must not starve a quiet one (2.3): in random order."""
    return queues if len(queues) < 2 else random.sample(queues, len(queues))


def channels_of(members: dict[str, list[str]]) -> Iterable[str]:
    """The channels in what ``members`` gives."""
    for channels in members.values():
        yield from channels
