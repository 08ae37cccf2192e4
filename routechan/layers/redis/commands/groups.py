"""Operations on groups: memberships, and messages to all members.

A group is kept in two levels: its queues and plain channels, and the channels in each queue. A queue of a living
process is reached by one message, and that process knows its members.
"""

from __future__ import annotations

from collections.abc import Sequence

from .... import names
from ....exceptions import TooManyGroups
from ....telemetry.counters import counters
from ...envelope import GROUP, JOIN, LEAVE, MESSAGE, excluded
from ..schema import LEASES, hash_tag_of
from ..wire import expires_of
from .leases import Leases
from .messages import Messages
from .script import CHUNK, HEADS, Call, Context, Operation, Script, Step, operation, together


class Groups:
    """Makes operations on groups. Lifetime: layer, in one process.

    Args:
        context: what all operations share.
        messages: makes room in queues that are full.
        leases: knows which process lives.
    """

    def __init__(self, context: Context, messages: Messages, leases: Leases) -> None:
        self._context = context
        self._keys = context.keys
        self._messages = messages
        self._leases = leases

    # Sending

    @operation(reads_first=True)
    def send(self, group: str, body: bytes, headers: bytes = b"") -> Script[None]:
        """Send a message to all members that other processes have; a member that is full misses it.

        Args:
            group: the name of the group.
            body: encoded content.
            headers: encoded headers; empty where there are none.

        Returns:
            The operation.
        """
        key = self._keys.group(group)
        (entries,) = yield Step([(group, ("ZRANGEBYSCORE", key, self._context.now(), "+inf"))], True)
        yield from self.push(group, [self._context.text(entry, key) for entry in entries], body, headers)

    def push(self, group: str, entries: Sequence[str | None], body: bytes, headers: bytes) -> Script[None]:
        """Send a message to some ``entries`` of ``group``: queues of other processes, and plain channels.

        ``body`` and ``headers`` are encoded; a member that is full misses the message.

        Returns:
            The script.
        """
        context, now = self._context, self._context.now()
        sends: list[tuple[str, bytes, int]] = []
        calls: list[Call] = []
        large = len(body) > context.capacities.large
        left_out = excluded(headers) if headers else None  # a queue's reader, or its members', knows it by the headers
        for_queues: bytes | None = None  # the same for every queue, unless it is sealed
        for name in entries:
            if name is None or name == left_out:
                continue
            if name.endswith("!"):
                if context.is_own(name):
                    continue
                if for_queues is None or context.wire.sealed:
                    for_queues = context.seal(name, GROUP, group, body, headers)
                data = for_queues
            else:
                data = context.seal(name, MESSAGE, name, body, headers)
                calls.append((hash_tag_of(name), ("LINDEX", self._keys.queue(name), 0)))
            sends.append((name, data, len(calls)))
            calls += context.push(name, data)
            if large:
                calls.append(context.bytes_of(name))
        if not calls:
            return
        replies = yield Step(calls, False)
        after: list[Script[None]] = []
        for queue, data, at in sends:
            head = None if queue.endswith("!") else replies[at - 1]
            if head is not None and 0 < expires_of(head) < now:
                after.append(self._evict(group, queue, data))
            elif replies[at] > (limit := context.capacities.of(queue)):
                after.append(self._full(group, queue, data, replies[at], limit))
            elif large and replies[at] > 1 and (replies[at + 2] or 0) > context.capacities.channel_bytes:
                after.append(self._too_large(queue, data))
            else:
                context.counts.add(queue, "messages_count")
        if after:
            yield from together(after)

    def _evict(self, group: str, channel: str, data: bytes) -> Script[None]:
        """A message to this plain channel expired unread: take the new one back, and end the membership (item 43)."""
        take_back: Call = (hash_tag_of(channel), ("LREM", self._keys.queue(channel), -1, data))
        yield Step([take_back, *self._context.end_entry(group, channel)], False)

    def _too_large(self, queue: str, data: bytes) -> Script[None]:
        """With this message more bytes wait in ``queue`` than may: take it back, unless it was read meanwhile."""
        (taken_back,) = yield Step([(hash_tag_of(queue), ("LREM", self._keys.queue(queue), -1, data))], False)
        if taken_back:
            counters.limited["channel_bytes"] += 1
        self._context.counts.add(queue, "dropped_count" if taken_back else "messages_count")

    def _full(self, group: str, queue: str, data: bytes, length: int, limit: int) -> Script[None]:
        (fits,), expired = yield from self._messages.make_room(queue, [data], length, [limit])
        self._context.counts.add(queue, "messages_count" if fits else "dropped_count")
        if expired and queue.endswith("!") and not (yield from self._leases.is_owned(queue).script()):
            yield Step(self._context.end_entry(group, queue), True)

    # Members

    def add(self, group: str, channel: str) -> Operation[None]:
        """The operation that makes ``channel``, which is not of this process, a member of ``group``."""
        return self._add_elsewhere(group, channel) if "!" in channel else self._add_plain(group, channel)

    @operation(changes_membership=True)
    def _add_plain(self, group: str, channel: str) -> Script[None]:
        yield Step(self.write_elsewhere(group, channel, False), True)

    @operation(reads_first=True, changes_membership=True)
    def _add_elsewhere(self, group: str, channel: str) -> Script[None]:
        """Tell the process that serves the channel through its queue, in order with the messages.

        That process knows how many groups the channel is in, and takes a membership that is one too many back. From
        then on others find the channel among those that are full.
        """
        owned = yield from self._leases.check_ours(channel)
        calls = self.write_elsewhere(group, channel, owned)
        if owned:
            calls += self._tell_join(group, channel)
        added, *_, full = yield Step(calls, True)
        if owned and added:
            self._check_full(group, channel, full)

    def _tell_join(self, group: str, channel: str, headers: bytes = b"") -> list[Call]:
        queue = names.queue_name(channel)
        process = hash_tag_of(queue)
        told = self._context.push(queue, self._context.seal(queue, JOIN, group, channel.encode(), headers))
        return [*told, (process, ("ZSCORE", self._keys.full_of(process), channel))]

    def _check_full(self, group: str, channel: str, full: object) -> None:
        most = self._context.capacities.max_groups
        if full is not None and most is not None:
            raise TooManyGroups(channel, group, most)

    def write_elsewhere(self, group: str, channel: str, owned: bool) -> list[Call]:
        """The commands that write ``channel``, not of this process, into ``group``; ``owned`` if a process serves it.

        Returns:
            The commands; the first reply is how many members it was none of.
        """
        ends = self._context.now() + self._context.group_expiry
        if "!" not in channel:
            key = self._keys.group(group)
            return [(group, ("ZADD", key, ends, channel)), (group, ("PEXPIRE", key, self._context.group_ttl))]
        return self._join(group, names.queue_name(channel), [channel], ends, owned)

    def tell_join(self, group: str, channel: str, headers: bytes, added: bool) -> Script[None]:
        """The script that tells the process of ``channel`` that this joins ``group``, with encoded ``headers``.

        Args:
            group: the name of the group.
            channel: the channel.
            headers: what it needs to know beside that.
            added: whether the channel was no member before.
        """
        *_, full = yield Step(self._tell_join(group, channel, headers), True)
        if added:
            self._check_full(group, channel, full)

    def join(self, group: str, channels: Sequence[str]) -> list[Call]:
        """The commands that write ``channels`` of this process into ``group``."""
        ends = self._context.now() + self._context.group_expiry
        queues: dict[str, list[str]] = {}
        for channel in channels:
            queues.setdefault(names.queue_name(channel), []).append(channel)
        return [call for queue, members in queues.items() for call in self._join(group, queue, members, ends, True)]

    @operation(changes_membership=True)
    def add_own(self, group: str, channel: str) -> Script[None]:
        """The operation that makes ``channel`` of this process, the first of its queue there, a member of ``group``."""
        ends = self._context.now() + self._context.group_expiry
        yield Step(self._join(group, names.queue_name(channel), [channel], ends, True), True)

    @operation(changes_membership=True)
    def add_another(self, group: str, channel: str) -> Script[None]:
        """The operation that makes ``channel`` of this process a member of ``group``, which has its queue already."""
        members = self._keys.members(group, names.queue_name(channel))
        ends = self._context.now() + self._context.group_expiry
        calls: list[Call] = [
            (group, ("ZADD", members, ends, channel)),
            (group, ("PEXPIRE", members, self._context.group_ttl)),
        ]
        yield Step(calls, repeatable=True)

    def _join(self, group: str, queue: str, channels: Sequence[str], ends: float, owned: bool) -> list[Call]:
        key, members, ttl = self._keys.group(group), self._keys.members(group, queue), self._context.group_ttl
        calls: list[Call] = [
            (group, ("ZADD", members, *(part for channel in channels for part in (ends, channel)))),
            (group, ("PEXPIRE", members, ttl)),
            (group, ("ZADD", key, ends, queue)),
            (group, ("PEXPIRE", key, ttl)),
        ]
        if owned:  # so that other processes find the entries of a dead one
            process = hash_tag_of(queue)
            groups = self._keys.groups_of(process)
            calls += [(process, ("SADD", groups, f"{group} {queue}")), (process, ("PEXPIRE", groups, ttl))]
        return calls

    def discard(self, group: str, channel: str, news: bool = False) -> Operation[None]:
        """The operation that ends the membership of ``channel``, which is not of this process, in ``group``.

        With ``news``, whoever serves it is told no sooner than of what was sent to a group with a history before.
        """
        return self._discard_elsewhere(group, channel, news) if "!" in channel else self._discard_plain(group, channel)

    @operation(changes_membership=True)
    def _discard_plain(self, group: str, channel: str) -> Script[None]:
        yield Step([(group, ("ZREM", self._keys.group(group), channel))], True)

    @operation(reads_first=True, changes_membership=True)
    def _discard_elsewhere(self, group: str, channel: str, news: bool) -> Script[None]:
        queue = names.queue_name(channel)
        owned = yield from self._leases.check_ours(channel)
        calls, told = self._remove(group, queue, channel), list[Call]()
        if owned:
            told = self._context.push(queue, self._context.seal(queue, LEAVE, group, channel.encode()))
            told.append(self._has_room(channel))
        _, left, *_ = yield Step(calls if news else calls + told, True)
        if news and told:
            yield Step(told, True)
        if not left and not owned:  # no process keeps these members, so no other one will end the entry
            yield Step(self._context.end_entry(group, queue), True)

    @operation(changes_membership=True)
    def discard_own(self, group: str, channel: str) -> Script[None]:
        """The operation that ends the membership of ``channel`` in ``group``.

        The channel is of this process, and not the last member of its queue there.
        """
        yield Step(self._remove(group, names.queue_name(channel), channel), True)

    def _remove(self, group: str, queue: str, channel: str) -> list[Call]:
        members = self._keys.members(group, queue)
        return [(group, ("ZREM", members, channel)), (group, ("ZCARD", members))]

    @operation(changes_membership=True)
    def discard_queue(self, groups: Sequence[str], queue: str) -> Script[None]:
        """The operation that takes ``queue`` of this process, which has no members left there, out of ``groups``."""
        process = hash_tag_of(queue)
        for start in range(0, len(groups), CHUNK):
            calls: list[Call] = []
            for group in groups[start : start + CHUNK]:
                calls += self._context.end_entry(group, queue)
                calls.append((process, ("SREM", self._keys.groups_of(process), f"{group} {queue}")))
            yield Step(calls, True)

    @operation(changes_membership=True)
    def take_back(self, group: str, channel: str, last: bool) -> Script[None]:
        """The operation that ends a membership of ``channel`` of this process that was one too many.

        It tells other processes that the channel may join no more groups.

        Args:
            group: which another process made it a member of.
            channel: the channel.
            last: whether no other member of its queue is in the group.
        """
        queue = names.queue_name(channel)
        process, full = hash_tag_of(queue), self._keys.full_of(hash_tag_of(queue))
        calls: list[Call] = [
            (process, ("ZADD", full, self._context.now(), channel)),
            (process, ("PEXPIRE", full, self._context.group_ttl)),
        ]
        yield Step(calls, True)
        yield from (self.discard_queue([group], queue) if last else self.discard_own(group, channel)).script()

    @operation(changes_membership=True)
    def has_room(self, channel: str) -> Script[None]:
        """The operation that tells other processes that ``channel`` of this process may join groups again."""
        yield Step([self._has_room(channel)], True)

    def _has_room(self, channel: str) -> Call:
        process = hash_tag_of(names.queue_name(channel))
        return process, ("ZREM", self._keys.full_of(process), channel)

    @operation(changes_membership=True)
    def rejoin(self, memberships: Sequence[tuple[str, str]]) -> Script[None]:
        """The operation that writes memberships of this process again, for another ``group_expiry``.

        Args:
            memberships: pairs of ``(group, channel)``.
        """
        ends = self._context.now() + self._context.group_expiry
        pieces: dict[tuple[str, str], list[str]] = {}
        for group, channel in memberships:
            pieces.setdefault((group, names.queue_name(channel)), []).append(channel)
        for (group, queue), channels in pieces.items():
            for start in range(0, len(channels), CHUNK):
                yield Step(self._join(group, queue, channels[start : start + CHUNK], ends, True), True)

    # Reading members

    @operation(reads_first=True)
    def channels(self, group: str) -> Script[list[str]]:
        """All members of ``group`` that other processes have, without those that let a message expire unread."""
        owned, others = yield from self._entries(group)
        now = self._context.now()
        calls: list[Call] = [
            (group, ("ZRANGEBYSCORE", self._keys.members(group, queue), now, "+inf")) for queue in owned
        ]
        found = (yield Step(calls, True)) if calls else []
        key = self._keys.group(group)
        names = (self._context.text(member, key) for members in found for member in members)
        channels = [name for name in names if name is not None]
        return channels + (yield from self._readers(group, others))

    @operation(reads_first=True)
    def count(self, group: str) -> Script[int]:
        """How many members of ``group`` other processes have."""
        owned, others = yield from self._entries(group)
        now = self._context.now()
        calls: list[Call] = [(group, ("ZCOUNT", self._keys.members(group, queue), now, "+inf")) for queue in owned]
        counts = (yield Step(calls, True)) if calls else []
        return sum(counts) + len((yield from self._readers(group, others)))

    def _entries(self, group: str) -> Script[tuple[list[str], list[str]]]:
        """A group's queues that another living process reads, and its other queues and plain channels."""
        now = self._context.now()
        key = self._keys.group(group)
        (entries,) = yield Step([(group, ("ZRANGEBYSCORE", key, now, "+inf"))], True)
        names = (self._context.text(entry, key) for entry in entries)
        found = [name for name in names if name is not None and not self._context.is_own(name)]
        queues = [name for name in found if name.endswith("!")]
        calls: list[Call] = [(LEASES, ("ZSCORE", self._keys.leases, hash_tag_of(queue))) for queue in queues]
        leases = (yield Step(calls, True)) if calls else []
        owned = [queue for queue, lease in zip(queues, leases, strict=True) if lease is not None]
        return owned, [name for name in found if name not in owned]

    def _readers(self, group: str, entries: list[str]) -> Script[list[str]]:
        """The members among plain channels and queues that no process owns, without those that do not read."""
        if not entries:
            return []
        now = self._context.now()
        calls: list[Call] = []
        for name in entries:
            calls += [
                (hash_tag_of(name), ("LRANGE", self._keys.queue(name), 0, HEADS - 1)),
                (group, ("ZRANGEBYSCORE", self._keys.members(group, name), now, "+inf")),
            ]
        replies = yield Step(calls, True)
        channels: list[str] = []
        ended: list[Call] = []
        for name, heads, members in zip(entries, replies[::2], replies[1::2], strict=True):
            expired = [self._context.peek(head, name) for head in heads if 0 < expires_of(head) < now]
            unread = [envelope for envelope in expired if envelope is not None]
            if not name.endswith("!"):
                if unread:
                    ended += self._context.end_entry(group, name)
                else:
                    channels.append(name)
                continue
            silent = {envelope.name for envelope in unread if envelope.kind == MESSAGE}
            everyone = any(envelope.kind == GROUP for envelope in unread)
            for member in (self._context.text(member, self._keys.members(group, name)) for member in members):
                if member is None:
                    continue
                if everyone or member in silent:
                    ended.append((group, ("ZREM", self._keys.members(group, name), member)))
                else:
                    channels.append(member)
        if ended:
            yield Step(ended, True)
        return channels
