"""The messages and groups that one process holds itself.

For the in-memory layer these are all; for a layer that crosses processes, they are those of the channels of this
process, and messages popped off other channels for a reader that has gone.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from .. import names
from ..encoding import LazyContent
from ..exceptions import ChannelFull, InvalidContent, InvalidName, TooManyGroups
from ..telemetry.counters import counters
from .envelope import MESSAGE, Deliver, Envelope, excluded, hand_over, latest_of, make_envelope
from .following import Follower
from .history import Position
from .memberships import Memberships, leave_out
from .options import CapacityRules
from .statistics import Counts
from .waiters import Subscriber, Waiter, forget, in_turn, remember, wake


class Store:
    """Queues, waiters and memberships. Lifetime: layer, in one process. Thread-safe.

    A queue is named by what lies up to ``!``, except for the channels of this process (``new_channel``): each of these
    has one reader, so each is a queue, with a capacity of its own.

    Args:
        process: the part of this process' channel names before ``!``.
        expiry, group_expiry: seconds that an unread message and a membership live.
        rules: how many messages a queue holds, and how many groups a channel of this process may be in.
        clock: the time in seconds, for stamps and expiry.
        counts: where messages are counted.
        ended_kept: how many memberships that expired or went unread are remembered for ``take_ended``.
    """

    def __init__(
        self,
        process: str,
        expiry: float,
        group_expiry: float,
        rules: CapacityRules,
        clock: Callable[[], float],
        counts: Counts,
        ended_kept: int = 0,
    ) -> None:
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.rules = rules
        self.clock = clock
        self.counts = counts
        self.attached: dict[str, Deliver] = {}
        self.followers: dict[str, Follower] = {}  # queue name -> who hears of histories; each is attached too
        self._own = f".{process}!"
        #: The queue of a channel; raises ``InvalidName``.
        self.queue_of = functools.lru_cache(maxsize=16_384)(self._queue_of)
        self._ended: deque[tuple[str, str]] = deque(maxlen=ended_kept)
        self._lock = threading.RLock()
        self._number = 0
        self._purge_at = clock() + 2 * expiry
        self._queues: dict[str, deque[Envelope]] = {}
        self._waiters: dict[str, list[Waiter]] = {}
        self._memberships = Memberships()

    def is_own(self, queue_name: str) -> bool:
        """Whether ``queue_name`` holds channels of this process."""
        return queue_name.endswith(self._own)

    def check_shared(self, queue_name: str) -> str:
        """The checked ``queue_name``; ``InvalidName`` for channels of this process, each read by its full name."""
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

    def put(self, channel: str, body: bytes, headers: bytes = b"") -> None:
        """Queue ``body`` with ``headers`` for ``channel``, or give it to a waiter; ``ChannelFull`` without room."""
        queue = self.queue_of(channel)
        woken: list[Waiter] = []
        with self._lock:
            if not self._offer(queue, (channel, body, headers, self.clock() + self.expiry), woken):
                self.counts.add(names.queue_name(queue), "channel_full_count")
                capacity = self.rules.of(channel)
                most = self.rules.channel_bytes if len(self._queues[queue]) < capacity else None
                raise ChannelFull(queue, capacity, most)
        self.counts.add(names.queue_name(queue), "messages_count")
        self.wake(woken)

    def put_many(
        self, channels: Sequence[str], body: bytes, headers: bytes = b"", expires: float | None = None
    ) -> None:
        """Put one message into each of ``channels``, which share a queue name; channels that are full miss it.

        ``body`` and ``headers`` are encoded. With ``expires`` (seconds) the message was counted where it comes from.
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
                # Fast path for large groups: one consumer waits for its own channel.
                waiting = waiters.pop(channel, None) if own else None
                if waiting is not None and len(waiting) == 1:
                    waiter = waiting[0]
                    waiter.item = make_envelope((MESSAGE, channel, body, headers, expires, self._number))
                    woken.append(waiter)
                    continue
                if waiting is not None:
                    waiters[channel] = waiting
                dropped += not self._offer(channel if own else queue_name, (channel, body, headers, expires), woken)
        self.wake(woken)
        if dropped:
            self.counts.add(queue_name, "dropped_count", dropped)
        if sent_here and dropped < len(channels):
            self.counts.add(queue_name, "messages_count", len(channels) - dropped)

    def keep(self, arrivals: Iterable[Envelope], woken: list[Waiter] | None = None) -> None:
        """Give ``arrivals``, messages popped off queues in Redis, to waiters, and keep the others.

        In a full channel of this process the oldest make room; other channels keep all, because a pop takes no more
        than waiters want. Waiters that got a message are woken, or added to ``woken`` for one ``wake`` of many.
        """
        found: list[Waiter] = [] if woken is None else woken
        with self._lock:
            for _, channel, body, headers, expires, _ in arrivals:
                queue = self.queue_of(channel)
                bounded = self.is_own(names.queue_name(queue))
                while not self._offer(queue, (channel, body, headers, expires), found, bounded):
                    self._queues[queue].popleft()
                    self.counts.add(names.queue_name(queue), "dropped_count")
        if woken is None:
            self.wake(found)

    def take(self, waiter: Waiter) -> bool:
        """Whether ``waiter`` is given a message now; if there is none, it waits."""
        with self._lock:
            for queue in in_turn(waiter.queues):
                if queue not in self._queues:
                    continue
                stored = self._live(queue)
                for item in stored:
                    if waiter.channel is None or waiter.accepts(item.name):
                        stored.remove(item)
                        if not stored:
                            del self._queues[queue]
                        waiter.item = item
                        return True
            remember(self._waiters, waiter)
            return False

    def subscribe(self, subscriber: Subscriber) -> bool:
        """Whether ``subscriber`` has free slots left after it is given what is there, and so waits for more."""
        with self._lock:
            given = True
            while given:
                given = False
                for queue in tuple(subscriber.queues):
                    stored = self._live(queue) if queue in self._queues and subscriber.room(queue) > 0 else None
                    if stored:
                        given = True
                        subscriber.give(stored.popleft())
                        if not stored:
                            del self._queues[queue]
            if subscriber.slots and subscriber not in self._waiters.get(subscriber.queues[0], ()):
                remember(self._waiters, subscriber)
            return subscriber.slots > 0

    def widen(self, subscriber: Subscriber, queue: str) -> Sequence[str]:
        """The queues that ``subscriber`` has to ask for again, now that a message of ``queue`` left its slot."""
        with self._lock:
            return subscriber.vacate(queue)

    def leave(self, waiter: Waiter, *, put_back: bool) -> None:
        """End the wait of ``waiter``; ``put_back`` gives its message to the next waiter, or back to its place (R7)."""
        woken: list[Waiter] = []
        with self._lock:
            forget(self._waiters, waiter)
            for item in waiter.give_back() if put_back else ():
                self._put_back(item, woken)
        self.wake(woken)

    def waiting(self, queue: str) -> int:
        """How many messages the waiters of ``queue`` would take."""
        waiting = self._waiters.get(queue)
        return sum(waiter.room(queue) for waiter in tuple(waiting)) if waiting is not None else 0

    def pending(self, queue: str) -> tuple[int, float]:
        """How many messages wait in ``queue``, and for how many seconds the oldest does."""
        with self._lock:
            stored = self._live(queue)
            return len(stored), self.clock() - stored[0].expires + self.expiry if stored else 0.0

    def fetched(self) -> list[Envelope]:
        """The messages of channels that other processes read too, which are kept here for a reader of this process."""
        with self._lock:
            queues = [queue for queue in self._queues if not self.is_own(names.queue_name(queue))]
            return [item for queue in queues for item in self._queues[queue]]

    def purge(self) -> None:
        """Remove expired messages of all queues, including those without readers."""
        with self._lock:
            self._purge_at = self.clock() + 2 * self.expiry
            for queue in tuple(self._queues):
                self._live(queue)

    def _offer(
        self, queue: str, message: tuple[str, bytes, bytes, float], woken: list[Waiter], bounded: bool = True
    ) -> bool:
        channel, body, headers, expires = message
        if expires > self._purge_at:
            self.purge()
        self._number += 1
        item: Envelope = make_envelope((MESSAGE, channel, body, headers, expires, self._number))
        if queue in self._waiters and self._give(queue, item, woken):
            return True
        stored, rules = self._live(queue), self.rules
        if bounded and (len(stored) >= rules.of(channel) or (len(body) > rules.large and self._bursts(body, stored))):
            return False
        stored.append(item)
        self._queues[queue] = stored
        return True

    def _bursts(self, body: bytes, stored: deque[Envelope]) -> bool:
        """Whether ``body``, which is large, is too large for a queue with what is ``stored``; alone it never is."""
        if not stored or len(body) + sum(len(item.body) for item in stored) <= self.rules.channel_bytes:
            return False
        counters.limited["channel_bytes"] += 1
        return True

    def _give(self, queue: str, item: Envelope, woken: list[Waiter]) -> bool:
        for waiter in tuple(self._waiters.get(queue, ())):
            if waiter.share is not None and waiter.room(queue) <= 0:
                continue
            if waiter.channel is None or waiter.accepts(item.name):
                try:
                    waits = waiter.give(item)
                except RuntimeError:  # its event loop is closed
                    forget(self._waiters, waiter)
                    continue
                if not waits:
                    forget(self._waiters, waiter)
                    woken.append(waiter)
                elif len(self._waiters[queue]) > 1:  # the next message goes to another waiter
                    self._waiters[queue].remove(waiter)
                    self._waiters[queue].append(waiter)
                return True
        return False

    def wake(self, woken: list[Waiter]) -> None:
        """Tell ``woken`` that they have their message; call it without the lock, because a waiter may run at once."""
        while woken and (gone := wake(woken)):
            woken = []
            with self._lock:
                for waiter in gone:
                    for item in waiter.give_back():
                        self._put_back(item, woken)

    def _put_back(self, item: Envelope, woken: list[Waiter]) -> None:
        queue = self.queue_of(item.name)
        if not self._give(queue, item, woken):
            stored = self._queues.setdefault(queue, deque())
            stored.insert(sum(earlier.place < item.place for earlier in stored), item)

    def _live(self, queue: str) -> deque[Envelope]:
        """The queue without expired messages; an empty queue is forgotten until something is put."""
        stored = self._queues.get(queue)
        if stored is None:
            return deque()
        now = self.clock()
        while stored and stored[0].expires < now:
            # An unread message ends the memberships of its channel (item 43 of the spec's list).
            channel = stored.popleft().name
            for group in self._memberships.of(channel):
                self._ended.append((group, channel))
                self._memberships.discard(group, channel)
            self.counts.add(names.queue_name(queue), "expired_count")
        if not stored:
            del self._queues[queue]
        return stored

    # Groups

    def add(self, group: str, channel: str) -> bool:
        """Whether ``channel``, which this makes a member of ``group``, is the first of its queue there.

        Raises ``TooManyGroups``.
        """
        with self._lock:
            most = self.rules.max_groups
            if most is not None and self._memberships.count(channel) >= most:
                self._check_room(group, channel, most)
            return self._memberships.add(group, channel, self.clock() + self.group_expiry)

    def discard(self, group: str, channel: str) -> bool:
        """Whether ``channel``, whose membership of ``group`` this ends, was the last of its queue there."""
        with self._lock:
            last = self._memberships.discard(group, channel)
            follower = self.follower_of(channel)
            if follower is not None:
                follower.left(group, channel)
            return last

    def follower_of(self, channel: str) -> Follower | None:
        """Who hears of the histories of the groups of ``channel``; None for no one."""
        return self.followers.get(names.queue_name(channel)) if self.followers else None

    def forget(self, channel: str) -> list[tuple[str, bool]]:
        """The groups whose membership of ``channel`` this ends, each with whether it was the last of its queue."""
        if channel not in self._memberships:
            return []
        with self._lock:
            return [(group, self._memberships.discard(group, channel)) for group in self._memberships.of(channel)]

    def take_ended(self) -> list[tuple[str, str]]:
        """The memberships, as ``(group, channel)``, that expired or went unread since the last call."""
        with self._lock:
            ended = list(self._ended)
            self._ended.clear()
            return ended

    def members(self, group: str, queue_name: str | None = None) -> dict[str, list[str]]:
        """The live members of ``group`` by queue name, of ``queue_name`` or of all; expired ones are removed first."""
        with self._lock:
            queues = self._memberships.groups.get(group)
            if not queues:
                return {}
            now = self.clock()
            found: dict[str, list[str]] = {}
            for name in tuple(queues) if queue_name is None else (queue_name,):
                if name not in self.attached:  # a live socket is never evicted
                    self._evict(group, name, now)
                if members := queues.get(name):
                    found[name] = list(members)
            return found

    def deliver(
        self,
        group: str,
        content: LazyContent,
        headers: bytes = b"",
        queue_name: str | None = None,
        expires: float | None = None,
        only: str | None = None,
        position: Position | None = None,
    ) -> None:
        """Send ``content`` to the members of ``group`` in ``queue_name``, or in all queues, or to one of them ``only``.

        Full members miss it. It came from another process if ``expires`` (seconds) is given; ``position`` is in the
        history of the group, if it has one. Attached queues get no ``headers`` but ``latest``, and a member that these
        exclude gets nothing. Raises ``InvalidContent`` where some members cannot take it; the others got it.
        """
        refused: InvalidContent | None = None
        queues = self.members(group, queue_name) if only is None else {names.queue_name(only): [only]}
        if headers and (left_out := excluded(headers)) is not None:
            leave_out(left_out, queues)
        for name in [name for name in queues if name in self.attached]:  # first: their content needs no bytes
            members, deliver = queues.pop(name), self.attached.get(name)
            follower = self.followers.get(name) if position is not None else None
            try:
                if follower is not None and position is not None:
                    follower.placed(members, content.content, group, position, latest_of(headers))
                elif deliver is not None and headers:
                    hand_over(deliver, members, content.content, headers)
                elif deliver is not None:
                    deliver(members, content.content)
            except ChannelFull:
                self.counts.add(name, "dropped_count")
            except InvalidContent as error:  # only these members refused it
                refused = error
        for members in queues.values():
            self.put_many(members, content.data, headers, expires)
        if refused is not None:
            raise refused

    def memberships(self, live: bool) -> list[tuple[str, str]]:
        """Each ``(group, channel)``; with ``live``, only those of channels that are served or read now."""
        with self._lock:
            return [
                (group, channel)
                for channel in self._memberships.channels()
                if not live or names.queue_name(channel) in self.attached or self.waiting(channel)
                for group in self._memberships.of(channel)
            ]

    def group_sizes(self, most: int) -> dict[str, int]:
        """How many members each of up to ``most`` groups has here."""
        with self._lock:
            return self._memberships.sizes(most)

    def attach(self, queue_name: str, deliver: Deliver) -> None:
        """Hand what is sent to ``queue_name`` to ``deliver``; ``InvalidName`` if the queue is not of this process."""
        if not self.is_own(queue_name):
            raise InvalidName(f"a queue of this process ends in {self._own!r}, not {queue_name!r}")
        with self._lock:
            self.attached[queue_name] = deliver

    def detach(self, queue_name: str) -> list[tuple[str, str]]:
        """The memberships under ``queue_name``, as ``(group, channel)``, which this ends with its ``attach``."""
        with self._lock:
            self.attached.pop(queue_name, None)
            self.followers.pop(queue_name, None)
            return self._memberships.end_queue(queue_name)

    def flush(self) -> None:
        """Remove all messages and memberships."""
        with self._lock:
            self._queues.clear()
            self._memberships.clear()

    def _check_room(self, group: str, channel: str, most: int) -> None:
        """Raise ``TooManyGroups`` if ``channel`` of this process is in ``most`` groups, and not in ``group``."""
        queue_name, now = names.queue_name(channel), self.clock()
        groups = self._memberships.of(channel)
        if group in groups or not self.is_own(queue_name):
            return
        if queue_name not in self.attached:
            for each in groups:
                self._evict(each, queue_name, now)
        if self._memberships.count(channel) >= most:
            counters.limited["max_groups"] += 1
            raise TooManyGroups(channel, group, most)

    def _evict(self, group: str, queue_name: str, now: float) -> None:
        members = self._memberships.groups.get(group, {}).get(queue_name, {})
        over = list(itertools.takewhile(lambda channel: members[channel] < now, members))
        for channel in over:
            self._ended.append((group, channel))
            self._memberships.discard(group, channel)
        for queue in self._queues.keys() & (members if self.is_own(queue_name) else {queue_name}):
            self._live(queue)
