"""What the layer does, as commands and the meaning of their replies. No I/O.

An operation is a generator: it yields ``Step`` after ``Step``, is given their replies, and returns its result.
The normal send and the normal receive are one step each (R1). Every command has one key, or keys of one home,
so that the same operations run on one server, on shards and on a Redis Cluster.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from ... import names
from ...exceptions import ChannelFull
from ..base import LONGEST_DELAY, CapacityRules
from ..statistics import COUNTED, Counts
from .clock import RedisClock
from .envelope import FLUSH, GROUP, JOIN, LEAVE, MESSAGE, Envelope, expires_of, pack, unpack
from .keys import DELAYED, LEASES, STATISTICS, Keys, home_of

logger = logging.getLogger("routechan")

#: ``(where, command)``: a home, or a node of the topology itself.
Call = tuple[Any, tuple[Any, ...]]

T = TypeVar("T")


class Step(NamedTuple):
    """Commands that leave together. ``repeatable``: harmless if executed twice, when a lost connection hides whether
    they were executed."""

    calls: list[Call]
    repeatable: bool


Operation = Generator[Step, list[Any], T]


class Arrival(NamedTuple):
    """A message that was taken off a queue."""

    channel: str
    body: bytes
    expires: float


class Sending:
    """A message to a queue. Lifetime: until it is sent.

    Called, it makes the operation. Those to one queue that lie next to each other leave together, in one.
    """

    __slots__ = ("_operations", "body", "channel", "queue")

    def __init__(self, operations: Operations, queue: str, channel: str, body: bytes) -> None:
        self._operations = operations
        self.queue = queue
        self.channel = channel
        self.body = body

    def __call__(self, others: Sequence[Sending] = ()) -> Operation[list[ChannelFull | None]]:
        return self._operations.send(self.queue, [self, *others])


#: How many delayed sends, last wills or keys are handled in one step.
CHUNK = 200

#: How many messages at the head of a queue are looked at, to see whether they expired unread.
HEADS = 10

_STATISTICS_TTL = 86_400_000
_QUEUE_STATISTICS_TTL = 3_600_000


class Operations:
    """Makes operations for one layer. Lifetime: layer."""

    def __init__(
        self,
        keys: Keys,
        *,
        process: str,
        expiry: float,
        group_expiry: float,
        rules: CapacityRules,
        clock: RedisClock,
        counts: Counts,
        is_own: Callable[[str], bool],
    ) -> None:
        self.keys = keys
        self.newer = False  # whether the servers have LMPOP and BLMPOP (Redis 7)
        self._process = process
        self._expiry = expiry
        self._group_expiry = group_expiry
        self._rules = rules
        self._clock = clock
        self._counts = counts
        self._is_own = is_own
        # Twice the expiry: what expired unread is still seen when the next message comes, and tells that nobody reads.
        self._ttl = int(expiry * 2000) + 1000
        self._group_ttl = int(group_expiry * 1000) + 1000

    # Messages

    def send(self, queue: str, messages: Sequence[Sending]) -> Operation[list[ChannelFull | None]]:
        """Messages to one queue, in one command; what became of each."""
        expires = self._clock.now() + self._expiry
        data = [pack(expires, MESSAGE, message.channel, message.body) for message in messages]
        length, _ = yield Step(self._push(queue, *data), False)
        outcomes: list[ChannelFull | None] = [None] * len(messages)
        limits = [self._rules.of(message.channel) for message in messages]
        if length > min(limits):
            fit, _ = yield from self._make_room(queue, data, length, limits)
            for index, fits in enumerate(fit):
                if not fits:
                    outcomes[index] = ChannelFull(queue, limits[index])
        refused = len(messages) - outcomes.count(None)
        if refused:
            self._counts.add(queue, "channel_full_count", refused)
        if refused < len(messages):
            self._counts.add(queue, "messages_count", len(messages) - refused)
        return outcomes

    def _push(self, queue: str, *data: bytes) -> list[Call]:
        key, home = self.keys.queue(queue), home_of(queue)
        return [(home, ("RPUSH", key, *data)), (home, ("PEXPIRE", key, self._ttl))]

    def _make_room(
        self, queue: str, data: Sequence[bytes], length: int, limits: Sequence[int]
    ) -> Operation[tuple[list[bool], list[bytes]]]:
        """After ``data`` made ``queue`` so long: remove what has expired, and take back what is beyond its limit.

        Returns which of ``data`` stay, and what expired unread. Taken back too late, it was read: then it was sent.
        """
        key, home = self.keys.queue(queue), home_of(queue)
        before = length - len(data)
        over = max(before + number - limit for number, limit in enumerate(limits, 1))
        if over <= 0:
            return [True] * len(data), []
        heads, now_long = yield Step([(home, ("LRANGE", key, 0, over - 1)), (home, ("LLEN", key))], repeatable=True)
        now = self._clock.now()
        expired = [head for head in heads if expires_of(head) < now]
        place = before - max(length - now_long, 0) - len(expired)  # of what lies before the next one, if it stays
        fit: list[bool] = []
        for limit in limits:
            fit.append(place < limit)
            place += fit[-1]
        refused = [index for index, fits in enumerate(fit) if not fits]
        calls: list[Call] = [(home, ("LREM", key, 1, head)) for head in expired]
        calls += [(home, ("LREM", key, -1, data[index])) for index in refused]
        if calls:
            removed = yield Step(calls, False)
            if expired:
                self._counts.add(queue, "expired_count", sum(removed[: len(expired)]))
            for index, gone in zip(refused, removed[len(expired) :], strict=True):
                fit[index] = gone == 0
        return fit, expired

    def group_send(self, group: str, body: bytes) -> Operation[None]:
        """To all members but those of this process; its first step reads, and changes nothing."""
        now = self._clock.now()
        (entries,) = yield Step([(group, ("ZRANGEBYSCORE", self.keys.group(group), now, "+inf"))], True)
        expires = now + self._expiry
        sends: list[tuple[str, bytes, int]] = []
        calls: list[Call] = []
        for entry in entries:
            name = entry.decode()
            if name.endswith("!"):
                if self._is_own(name):
                    continue
                data = pack(expires, GROUP, group, body)
            else:
                data = pack(expires, MESSAGE, name, body)
                calls.append((home_of(name), ("LINDEX", self.keys.queue(name), 0)))
            sends.append((name, data, len(calls)))
            calls += self._push(name, data)
        if not calls:
            return
        replies = yield Step(calls, False)
        after: list[Operation[None]] = []
        for queue, data, at in sends:
            head = None if queue.endswith("!") else replies[at - 1]
            if head is not None and 0 < expires_of(head) < now:
                after.append(self._evict(group, queue, data))
            elif replies[at] > (limit := self._rules.of(queue)):
                after.append(self._group_full(group, queue, data, replies[at], limit))
            else:
                self._counts.add(queue, "messages_count")
        if after:
            yield from _together(after)

    def _evict(self, group: str, queue: str, data: bytes) -> Operation[None]:
        """A message to this member expired unread: send it nothing more (43 of the spec's list)."""
        home = home_of(queue)
        yield Step([(home, ("LREM", self.keys.queue(queue), -1, data)), *self._end_entry(group, queue)], False)

    def _end_entry(self, group: str, entry: str) -> list[Call]:
        calls: list[Call] = [(group, ("ZREM", self.keys.group(group), entry))]
        if entry.endswith("!"):
            calls.append((group, ("UNLINK", self.keys.members(group, entry))))
        return calls

    def _group_full(self, group: str, queue: str, data: bytes, length: int, limit: int) -> Operation[None]:
        (fits,), expired = yield from self._make_room(queue, [data], length, [limit])
        self._counts.add(queue, "messages_count" if fits else "dropped_count")
        if expired and queue.endswith("!") and not (yield from self.is_owned(queue)):
            yield Step(self._end_entry(group, queue), True)

    def pop(self, queue: str) -> Operation[list[Arrival]]:
        """The next messages of a queue; more than one where a group message meets several members."""
        while True:
            # In doubt it may be repeated: at worst a message is lost with the connection, none comes twice (R2).
            (data,) = yield Step([(home_of(queue), ("LPOP", self.keys.queue(queue)))], True)
            if data is None:
                return []
            arrivals = yield from self.open(queue, data)
            if arrivals:
                return arrivals

    def pop_any(self, groups: Iterable[Sequence[str]], count: int) -> Operation[list[Arrival]]:
        """The next messages of any one queue, at most ``count``; one command reads all queues of one of ``groups``."""
        for queues in groups:
            while True:
                home = home_of(queues[0])
                keys = [self.keys.queue(queue) for queue in queues]
                if self.newer:
                    (found,) = yield Step([(home, ("LMPOP", len(keys), *keys, "LEFT", "COUNT", count))], True)
                else:  # inside a transaction BLPOP does not wait; it takes one
                    calls = [(home, ("MULTI",)), (home, ("BLPOP", *keys, 0)), (home, ("EXEC",))]
                    *_, (found,) = yield Step(calls, True)
                if not found:
                    break
                queue = queues[keys.index(found[0].decode())]
                arrivals: list[Arrival] = []
                for data in found[1] if self.newer else found[1:]:
                    arrivals += yield from self.open(queue, data)
                if arrivals:
                    return arrivals
        return []

    def open(self, queue: str, data: bytes) -> Operation[list[Arrival]]:
        """What was popped off a queue that no process owns, for whom; nothing if it has expired."""
        envelope = self.live(queue, data)
        if envelope is None:
            return []
        if envelope.kind == MESSAGE:
            return [Arrival(envelope.name, envelope.body, envelope.expires)]
        if envelope.kind == GROUP:
            members = self.keys.members(envelope.name, queue)
            (found,) = yield Step(
                [(envelope.name, ("ZRANGEBYSCORE", members, self._clock.now(), "+inf"))], repeatable=True
            )
            return [Arrival(member.decode(), envelope.body, envelope.expires) for member in found]
        return []

    def live(self, queue: str, data: bytes) -> Envelope | None:
        """What ``data`` says, unless its time is over."""
        envelope = self._read(self.keys.queue(queue), data)
        if envelope is None:
            self._counts.add(queue, "dropped_count")
            return None
        if envelope.expires < self._clock.now():
            if envelope.kind in (MESSAGE, GROUP):
                self._counts.add(queue, "expired_count")
            return None
        return envelope

    def _read(self, key: str, data: bytes) -> Envelope | None:
        """What ``data`` says; None, and a line in the log, for what no process of ours has written."""
        try:
            return unpack(data)
        except ValueError as error:
            logger.error("A message in %s is lost: %s", key, error)
            return None

    def ring(self, home: str, bell: str) -> Operation[None]:
        """Wake a reader of this process."""
        yield Step([(home, ("RPUSH", bell, b"")), (home, ("PEXPIRE", bell, 60_000))], True)

    # Groups

    def group_add(self, group: str, channel: str) -> Operation[None]:
        """For a channel of another process also a note in its queue, so that it comes in order with the messages."""
        now = self._clock.now()
        ends = now + self._group_expiry
        if "!" not in channel:
            key = self.keys.group(group)
            yield Step([(group, ("ZADD", key, ends, channel)), (group, ("PEXPIRE", key, self._group_ttl))], True)
            return
        queue = names.queue_name(channel)
        owned = self._is_own(queue) or (yield from self.is_owned(queue))
        calls = self._join(group, queue, [channel], ends, owned)
        if owned and not self._is_own(queue):
            calls += self._push(queue, pack(now + self._expiry, JOIN, group, channel.encode()))
        yield Step(calls, True)

    def is_owned(self, queue: str) -> Operation[bool]:
        """Whether a living process reads ``queue`` and keeps its members."""
        (lease,) = yield Step([(LEASES, ("ZSCORE", self.keys.leases, home_of(queue)))], True)
        return lease is not None

    def _join(self, group: str, queue: str, channels: Sequence[str], ends: float, owned: bool) -> list[Call]:
        key, members = self.keys.group(group), self.keys.members(group, queue)
        calls: list[Call] = [
            (group, ("ZADD", members, *(part for channel in channels for part in (ends, channel)))),
            (group, ("PEXPIRE", members, self._group_ttl)),
            (group, ("ZADD", key, ends, queue)),
            (group, ("PEXPIRE", key, self._group_ttl)),
        ]
        if owned:  # so that others find what a dead process leaves
            process = home_of(queue)
            groups = self.keys.groups_of(process)
            calls += [
                (process, ("SADD", groups, f"{group} {queue}")),
                (process, ("PEXPIRE", groups, self._group_ttl)),
            ]
        return calls

    def add_member(self, group: str, channel: str) -> Operation[None]:
        """``group_add`` where the queue is of this process, and known to the group already."""
        members = self.keys.members(group, names.queue_name(channel))
        ends = self._clock.now() + self._group_expiry
        yield Step(
            [(group, ("ZADD", members, ends, channel)), (group, ("PEXPIRE", members, self._group_ttl))], repeatable=True
        )

    def group_discard(self, group: str, channel: str) -> Operation[None]:
        if "!" not in channel:
            yield Step([(group, ("ZREM", self.keys.group(group), channel))], True)
            return
        queue = names.queue_name(channel)
        members = self.keys.members(group, queue)
        calls: list[Call] = [(group, ("ZREM", members, channel)), (group, ("ZCARD", members))]
        if self._is_own(queue):
            yield Step(calls, True)
        elif (yield from self.is_owned(queue)):
            calls += self._push(queue, pack(self._clock.now() + self._expiry, LEAVE, group, channel.encode()))
            yield Step(calls, True)
        else:
            _, left = yield Step(calls, True)
            if not left:  # no process keeps these members, so nobody else will end the entry
                yield Step(self._end_entry(group, queue), True)

    def discard_all(self, groups: Sequence[str], queue: str, end_lease: bool = False) -> Operation[None]:
        """A queue of this process has no members in ``groups`` any more."""
        process = home_of(queue)
        for start in range(0, len(groups), CHUNK):
            calls: list[Call] = []
            for group in groups[start : start + CHUNK]:
                calls += self._end_entry(group, queue)
                calls.append((process, ("SREM", self.keys.groups_of(process), f"{group} {queue}")))
            yield Step(calls, True)
        if end_lease:
            yield from self.end_lease()

    def rejoin(self, memberships: Sequence[tuple[str, str]]) -> Operation[None]:
        """Write ``(group, channel)`` of this process again, for another ``group_expiry``."""
        ends = self._clock.now() + self._group_expiry
        together: dict[tuple[str, str], list[str]] = {}
        for group, channel in memberships:
            together.setdefault((group, names.queue_name(channel)), []).append(channel)
        for (group, queue), channels in together.items():
            for start in range(0, len(channels), CHUNK):
                yield Step(self._join(group, queue, channels[start : start + CHUNK], ends, True), True)

    def group_channels(self, group: str) -> Operation[list[str]]:
        """All members but those of this process; who let a message expire unread is one no more."""
        owned, others = yield from self._entries(group)
        now = self._clock.now()
        calls: list[Call] = [
            (group, ("ZRANGEBYSCORE", self.keys.members(group, queue), now, "+inf")) for queue in owned
        ]
        found = (yield Step(calls, True)) if calls else []
        channels = [member.decode() for members in found for member in members]
        return channels + (yield from self._readers(group, others))

    def group_count(self, group: str) -> Operation[int]:
        """How many members there are, but for those of this process."""
        owned, others = yield from self._entries(group)
        now = self._clock.now()
        calls: list[Call] = [(group, ("ZCOUNT", self.keys.members(group, queue), now, "+inf")) for queue in owned]
        counts = (yield Step(calls, True)) if calls else []
        return sum(counts) + len((yield from self._readers(group, others)))

    def _entries(self, group: str) -> Operation[tuple[list[str], list[str]]]:
        """A group's queues that another living process reads, and its other queues and plain channels."""
        now = self._clock.now()
        (entries,) = yield Step([(group, ("ZRANGEBYSCORE", self.keys.group(group), now, "+inf"))], True)
        found = [name for name in (entry.decode() for entry in entries) if not self._is_own(name)]
        queues = [name for name in found if name.endswith("!")]
        calls: list[Call] = [(LEASES, ("ZSCORE", self.keys.leases, home_of(queue))) for queue in queues]
        leases = (yield Step(calls, True)) if calls else []
        owned = [queue for queue, lease in zip(queues, leases, strict=True) if lease is not None]
        return owned, [name for name in found if name not in owned]

    def _readers(self, group: str, entries: list[str]) -> Operation[list[str]]:
        """The members among plain channels and queues of nobody, but for those that do not read."""
        if not entries:
            return []
        now = self._clock.now()
        calls: list[Call] = []
        for name in entries:
            calls += [
                (home_of(name), ("LRANGE", self.keys.queue(name), 0, HEADS - 1)),
                (group, ("ZRANGEBYSCORE", self.keys.members(group, name), now, "+inf")),
            ]
        replies = yield Step(calls, True)
        channels: list[str] = []
        ended: list[Call] = []
        for name, heads, members in zip(entries, replies[::2], replies[1::2], strict=True):
            expired = [self._read(name, head) for head in heads if 0 < expires_of(head) < now]
            unread = [envelope for envelope in expired if envelope is not None]
            if not name.endswith("!"):
                if unread:
                    ended += self._end_entry(group, name)
                else:
                    channels.append(name)
                continue
            silent = {envelope.name for envelope in unread if envelope.kind == MESSAGE}
            everyone = any(envelope.kind == GROUP for envelope in unread)
            for member in (member.decode() for member in members):
                if everyone or member in silent:
                    ended.append((group, ("ZREM", self.keys.members(group, name), member)))
                else:
                    channels.append(member)
        if ended:
            yield Step(ended, True)
        return channels

    # Later

    def send_later(self, kind: int, name: str, body: bytes, delay: float) -> Operation[None]:
        due = self._clock.now() + delay
        member = os.urandom(8) + pack(due, kind, name, body)
        key = self.keys.delayed
        yield Step(
            [(DELAYED, ("ZADD", key, due, member)), (DELAYED, ("PEXPIRE", key, LONGEST_DELAY * 1000))], repeatable=True
        )

    def due(self) -> Operation[tuple[list[Envelope], float | None]]:
        """Delayed sends whose time has come, each given to one caller only, and when the next is due."""
        now, key = self._clock.now(), self.keys.delayed
        ready, coming = yield Step(
            [
                (DELAYED, ("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, CHUNK)),
                (DELAYED, ("ZRANGEBYSCORE", key, f"({now}", "+inf", "WITHSCORES", "LIMIT", 0, 1)),
            ],
            repeatable=True,
        )
        claimed = (yield Step([(DELAYED, ("ZREM", key, member)) for member in ready], False)) if ready else []
        envelopes = [
            envelope
            for member, mine in zip(ready, claimed, strict=True)
            if mine and (envelope := self._read(self.keys.delayed, member[8:])) is not None
        ]
        if len(ready) == CHUNK:
            return envelopes, now
        return envelopes, float(coming[1]) if coming else None

    # Leases and last wills

    def renew(self, until: float) -> Operation[bool]:
        """Whether the lease was there, and not taken away."""
        key = self.keys.leases
        added, _, server_time = yield Step(
            [
                (LEASES, ("ZADD", key, until, self._process)),
                (LEASES, ("PEXPIRE", key, 86_400_000)),
                (LEASES, ("TIME",)),
            ],
            repeatable=False,
        )
        self._clock.learn(int(server_time[0]) + int(server_time[1]) / 1e6)
        return not added

    def end_lease(self) -> Operation[None]:
        calls: list[Call] = [
            (LEASES, ("ZREM", self.keys.leases, self._process)),
            (self._process, ("UNLINK", self.keys.groups_of(self._process))),
            (self._process, ("UNLINK", self.keys.wills_of(self._process))),
        ]
        yield Step(calls, True)

    def drop_lease(self) -> Operation[None]:
        """Let the lease run out now."""
        yield Step([(LEASES, ("ZADD", self.keys.leases, self._clock.now() - 1, self._process))], True)

    def lapsed(self, lease: float) -> Operation[list[str]]:
        """Processes whose lease has run out, and that this one is to clear away.

        A claim is held for one ``lease``: long enough for most, and over when a process that came back dies again.
        """
        now = self._clock.now()
        (found,) = yield Step([(LEASES, ("ZRANGEBYSCORE", self.keys.leases, "-inf", now))], True)
        processes = [name.decode() for name in found if name.decode() != self._process]
        if not processes:
            return []
        claims = yield Step(
            [
                (name, ("SET", self.keys.claim_of(name), self._process, "NX", "PX", int(lease * 1000)))
                for name in processes
            ],
            repeatable=False,
        )
        return [name for name, mine in zip(processes, claims, strict=True) if mine]

    def clear_away(self, process: str) -> Operation[int]:
        """End the memberships of a dead process and send its last wills, each once; returns how many."""
        (joined,) = yield Step([(process, ("SMEMBERS", self.keys.groups_of(process)))], True)
        for start in range(0, len(joined), CHUNK):
            calls: list[Call] = []
            for entry in joined[start : start + CHUNK]:
                group, _, queue = entry.decode().partition(" ")
                calls += self._end_entry(group, queue)
            yield Step(calls, True)
        sent, cursor, wills = 0, b"0", self.keys.wills_of(process)
        while True:
            ((cursor, found),) = yield Step([(process, ("HSCAN", wills, cursor, "COUNT", CHUNK))], True)
            fields = found[::2]
            if fields:
                mine = yield Step([(process, ("HDEL", wills, field)) for field in fields], False)
                expires = self._clock.now() + self._expiry
                calls = []
                for will, claimed in zip(found[1::2], mine, strict=True):
                    envelope = self._read(wills, will) if claimed else None
                    if envelope is not None:
                        # No capacity: there is one for each socket of a dead process, and no other will come.
                        calls += self._push(envelope.name, pack(expires, MESSAGE, envelope.name, envelope.body))
                        sent += 1
                if calls:
                    yield Step(calls, False)
            if cursor in (b"0", 0):
                break
        ends: list[Call] = [
            (LEASES, ("ZREM", self.keys.leases, process)),
            (process, ("UNLINK", self.keys.groups_of(process))),
            (process, ("UNLINK", wills)),
        ]
        yield Step(ends, True)
        return sent

    def last_will(self, channel: str, to: str, body: bytes) -> Operation[None]:
        key = self.keys.wills_of(self._process)
        yield Step(
            [
                (self._process, ("HSET", key, channel, pack(0, MESSAGE, to, body))),
                (self._process, ("PEXPIRE", key, self._group_ttl)),
            ],
            repeatable=True,
        )

    def forget_will(self, channel: str) -> Operation[None]:
        yield Step([(self._process, ("HDEL", self.keys.wills_of(self._process), channel))], True)

    def keep_wills(self) -> Operation[None]:
        yield Step([(self._process, ("PEXPIRE", self.keys.wills_of(self._process), self._group_ttl))], True)

    # All of it

    def flush(self, node: Any) -> Operation[None]:
        """Remove messages and groups from one node, step by step (R14)."""
        cursor: Any = b"0"
        while True:
            scan = ("SCAN", cursor, "MATCH", self.keys.pattern, "COUNT", 5 * CHUNK)
            ((cursor, found),) = yield Step([(node, scan)], True)
            gone = [key for key in found if self.keys.is_content(key.decode(errors="replace"))]
            if gone:
                yield Step([(node, ("UNLINK", key)) for key in gone], True)
            if cursor in (b"0", 0):
                return

    def tell_flush(self) -> Operation[None]:
        """The other processes forget their members too."""
        now = self._clock.now()
        (living,) = yield Step([(LEASES, ("ZRANGEBYSCORE", self.keys.leases, now, "+inf"))], True)
        calls: list[Call] = []
        for process in (name.decode() for name in living):
            if process != self._process:
                calls += self._push(notes_of(process), pack(now + self._expiry, FLUSH, "", b""))
        if calls:
            yield Step(calls, True)

    def add_statistics(self) -> Operation[None]:
        """Add what was counted here to what is counted in Redis."""
        totals, queues = self._counts.take()
        calls = self._increments(self.keys.statistics(), totals, _STATISTICS_TTL)
        for queue, counted in queues.items():
            calls += self._increments(self.keys.statistics(queue), counted, _QUEUE_STATISTICS_TTL)
            if len(calls) >= 5 * CHUNK:
                yield Step(calls, False)
                calls = []
        if calls:
            yield Step(calls, False)

    def _increments(self, key: str, counted: dict[str, int], ttl: int) -> list[Call]:
        calls: list[Call] = [(STATISTICS, ("HINCRBY", key, what, by)) for what, by in counted.items() if by]
        if calls:
            calls.append((STATISTICS, ("PEXPIRE", key, ttl)))
        return calls

    def statistics(self, queue: str | None) -> Operation[dict[str, Any]]:
        yield from self.add_statistics()
        (found,) = yield Step([(STATISTICS, ("HGETALL", self.keys.statistics(queue)))], True)
        stored = dict(zip(found[::2], found[1::2], strict=True))
        counts: dict[str, Any] = {what: int(stored.get(what.encode(), 0)) for what in COUNTED}
        if queue is not None:
            counts["messages_pending"], counts["messages_max_age"] = yield from self._pending(queue)
        return counts

    def _pending(self, queue: str) -> Operation[tuple[int, float]]:
        """How many messages wait, and how many seconds the oldest has waited, but for those that expired."""
        key, home = self.keys.queue(queue), home_of(queue)
        expired = 0
        while True:
            length, heads = yield Step(
                [(home, ("LLEN", key)), (home, ("LRANGE", key, expired, expired + HEADS - 1))], repeatable=True
            )
            now = self._clock.now()
            stamps = [expires_of(head) for head in heads]
            live = [stamp for stamp in stamps if stamp >= now]
            expired += len(stamps) - len(live)
            if live or not heads:
                return max(length - expired, 0), max(now - live[0] + self._expiry, 0.0) if live else 0.0


def notes_of(process: str) -> str:
    """The queue that every serving process reads, whatever channels it has."""
    return f"specific.{process}!"


def _together(operations: list[Operation[Any]]) -> Operation[None]:
    """Several operations, their steps joined to common ones."""
    steps = [(operation, next(operation)) for operation in operations]
    while steps:
        replies = yield Step([call for _, step in steps for call in step.calls], all(s.repeatable for _, s in steps))
        going: list[tuple[Operation[Any], Step]] = []
        at = 0
        for operation, step in steps:
            with suppress(StopIteration):
                going.append((operation, operation.send(replies[at : at + len(step.calls)])))
            at += len(step.calls)
        steps = going
