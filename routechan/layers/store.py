"""The messages and groups of one process, shared by both faces of the in-memory layer."""

from __future__ import annotations

import random
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import names
from ..encoding import Content, check_content, encode
from ..exceptions import ChannelFull, InvalidContent
from .base import CapacityRules, Deliver

#: How many queues have their own statistics; with more, the one counted first is forgotten.
COUNTED_QUEUES = 10_000


class Stored(NamedTuple):
    number: int
    sent: float
    channel: str
    data: bytes


class Waiter:
    """Somebody waiting for one message. Lifetime: one ``receive`` call."""

    __slots__ = ("accepts", "item", "queues", "wake")

    def __init__(self, queues: list[str], accepts: str | None, wake: Callable[[], object]) -> None:
        self.queues = queues
        self.accepts = accepts  # a full name, or None for whatever its queues get
        self.item: Stored | None = None
        self.wake = wake


class Store:
    """The channels and groups both faces share. Lifetime: layer. Every method takes the lock."""

    def __init__(self, expiry: float, group_expiry: float, rules: CapacityRules, clock: Callable[[], float]) -> None:
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.rules = rules
        self.clock = clock
        self.attached: dict[str, Deliver] = {}
        self._lock = threading.RLock()
        self._number = 0
        self._queues: dict[str, deque[Stored]] = {}
        self._waiters: dict[str, deque[Waiter]] = {}
        # group -> queue -> channel -> when it was added; by queue, because one deliver serves all its members
        self._groups: dict[str, dict[str, dict[str, float]]] = {}
        self._memberships: dict[str, set[str]] = {}
        self._totals: Counter[str] = Counter()
        self._counts: OrderedDict[str, Counter[str]] = OrderedDict()

    # Messages

    def put(self, channel: str, data: bytes) -> None:
        queue_name = names.queue_name(channel)
        with self._lock:
            self._number += 1
            item = Stored(self._number, self.clock(), channel, data)
            if not self._give(queue_name, item):
                queue = self._live(queue_name)
                limit = self.rules.of(channel)
                if len(queue) >= limit:
                    self._count(queue_name, "channel_full_count")
                    raise ChannelFull(queue_name, limit)
                queue.append(item)
                self._queues[queue_name] = queue
            self._count(queue_name, "messages_count")

    def take(self, waiter: Waiter) -> bool:
        """Fill ``waiter`` with a message if one is there, else let it wait."""
        with self._lock:
            # A busy channel must not starve a quiet one (2.3): ask in random order.
            for queue_name in random.sample(waiter.queues, len(waiter.queues)):
                queue = self._live(queue_name)
                for item in queue:
                    if waiter.accepts in (None, item.channel):
                        queue.remove(item)
                        if not queue:
                            del self._queues[queue_name]
                        waiter.item = item
                        return True
            for queue_name in waiter.queues:
                self._waiters.setdefault(queue_name, deque()).append(waiter)
            return False

    def leave(self, waiter: Waiter, *, put_back: bool) -> None:
        """End a wait. What a cancelled waiter was given goes to the next one, or back to its place (R7)."""
        with self._lock:
            self._forget(waiter)
            if put_back and waiter.item is not None:
                queue_name = names.queue_name(waiter.item.channel)
                if not self._give(queue_name, waiter.item):
                    queue = self._queues.setdefault(queue_name, deque())
                    earlier = sum(item.number < waiter.item.number for item in queue)
                    queue.insert(earlier, waiter.item)

    def _give(self, queue_name: str, item: Stored) -> bool:
        for waiter in tuple(self._waiters.get(queue_name, ())):
            if waiter.accepts in (None, item.channel):
                self._forget(waiter)
                waiter.item = item
                try:
                    waiter.wake()
                except RuntimeError:  # its event loop was closed while it waited
                    waiter.item = None
                    continue
                return True
        return False

    def _forget(self, waiter: Waiter) -> None:
        for queue_name in waiter.queues:
            waiting = self._waiters.get(queue_name)
            if waiting is not None and waiter in waiting:
                waiting.remove(waiter)
                if not waiting:
                    del self._waiters[queue_name]

    def _live(self, queue_name: str) -> deque[Stored]:
        """The queue without what has expired; an empty one is forgotten until something is put."""
        queue = self._queues.get(queue_name)
        if queue is None:
            return deque()
        oldest = self.clock() - self.expiry
        while queue and queue[0].sent < oldest:
            # Nobody reads this member: keep it in no group (43 of the spec's list).
            self.forget(queue.popleft().channel)
            self._count(queue_name, "expired_count")
        if not queue:
            del self._queues[queue_name]
        return queue

    # Groups

    def add(self, group: str, channel: str) -> None:
        with self._lock:
            queue_name = names.queue_name(channel)
            self._groups.setdefault(group, {}).setdefault(queue_name, {})[channel] = self.clock()
            self._memberships.setdefault(channel, set()).add(group)

    def discard(self, group: str, channel: str) -> None:
        with self._lock:
            self._discard(group, channel)

    def _discard(self, group: str, channel: str) -> None:
        groups = self._memberships.get(channel)
        if groups is None or group not in groups:
            return
        groups.remove(group)
        if not groups:
            del self._memberships[channel]
        queue_name = names.queue_name(channel)
        members = self._groups[group][queue_name]
        del members[channel]
        if not members:
            del self._groups[group][queue_name]
            if not self._groups[group]:
                del self._groups[group]

    def members(self, group: str) -> dict[str, list[str]]:
        """Queue -> live members, after those that expired are gone."""
        with self._lock:
            oldest = self.clock() - self.group_expiry
            for queue_name, members in tuple(self._groups.get(group, {}).items()):
                if queue_name in self.attached:
                    continue  # a live socket is never evicted
                self._live(queue_name)
                for channel in [name for name, added in members.items() if added < oldest]:
                    self._discard(group, channel)
            return {queue: list(members) for queue, members in self._groups.get(group, {}).items()}

    def send_group(self, group: str, content: Content) -> None:
        check_content(content)
        queues = self.members(group)
        refused: InvalidContent | None = None
        for queue_name in list(queues):
            deliver = self.attached.get(queue_name)
            if deliver is None:
                continue
            members = queues.pop(queue_name)
            try:
                deliver(members, content)
            except ChannelFull:
                self._count(queue_name, "dropped_count")
            except InvalidContent as error:  # of these members' making: the others still get it
                refused = error
        data = encode(content) if queues else b""
        for queue_name, members in queues.items():
            for channel in members:
                try:
                    self.put(channel, data)
                except ChannelFull:
                    self._count(queue_name, "dropped_count")
        if refused is not None:
            raise refused

    def attach(self, queue_name: str, deliver: Deliver) -> None:
        with self._lock:
            self.attached[queue_name] = deliver

    def detach(self, queue_name: str) -> None:
        with self._lock:
            self.attached.pop(queue_name, None)
            for group, queues in tuple(self._groups.items()):
                for channel in tuple(queues.get(queue_name, ())):
                    self._discard(group, channel)

    def forget(self, channel: str) -> None:
        with self._lock:
            for group in tuple(self._memberships.get(channel, ())):
                self._discard(group, channel)

    def flush(self) -> None:
        with self._lock:
            self._queues.clear()
            self._groups.clear()
            self._memberships.clear()

    # Statistics

    def count_dropped(self, channel: str, messages: int) -> None:
        self._count(names.queue_name(channel), "dropped_count", messages)

    def _count(self, queue_name: str, what: str, by: int = 1) -> None:
        with self._lock:
            self._totals[what] += by
            self._counts.setdefault(queue_name, Counter())[what] += by
            if len(self._counts) > COUNTED_QUEUES:
                self._counts.popitem(last=False)

    def statistics(self, queue_name: str | None) -> dict[str, Any]:
        with self._lock:
            counted = self._totals if queue_name is None else self._counts.get(queue_name, Counter())
            counts: dict[str, Any] = {
                what: counted[what]
                for what in ("messages_count", "channel_full_count", "dropped_count", "expired_count")
            }
            if queue_name is not None:
                queue = self._live(queue_name)
                counts["messages_pending"] = len(queue)
                counts["messages_max_age"] = self.clock() - queue[0].sent if queue else 0.0
            return counts
