"""Operations on processes: leases, last wills, owners of queues, and the removal of everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from .... import names
from ...envelope import FLUSH, MESSAGE
from ..connection import time_of
from ..judge import GIVEN_UP, Look
from ..schema import LEASES, hash_tag_of, process_queue, will_place
from .script import CHUNK, Call, Context, Operation, Script, Step, operation

T = TypeVar("T")

#: Milliseconds for which Redis keeps the leases, should nobody renew any.
LEASES_TTL = 86_400_000


class Renewal(NamedTuple):
    """What a process learns when it renews its lease.

    Args:
        kept: whether the lease was there already, and not taken away.
        cleared: when others cleared this process away, in seconds of Redis' clock; None if they did not.
        told: the channels whose last wills they have sent, if this is news.
    """

    kept: bool
    cleared: float | None
    told: frozenset[str] = frozenset()


class LeftWills(Protocol):
    """The last wills that a process has left, and what it knows of their fate. Lifetime: layer, in one process."""

    @property
    def cleared_at(self) -> float | None:
        """When others last cleared the process away, as far as it knows."""

    def left(self) -> list[str]:
        """The channels whose last wills are known to have reached Redis."""

    @property
    def taken_back(self) -> set[str]:
        """The channels whose last wills it has removed before others sent them."""


class Leases:
    """Makes operations on processes. Lifetime: layer, in one process.

    Args:
        context: what all operations share.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._keys = context.keys
        self._process = context.process

    # Leases

    @operation()
    def is_owned(self, queue: str) -> Script[bool]:
        """Whether a living process reads ``queue`` and keeps its members."""
        (lease,) = yield Step([(LEASES, ("ZSCORE", self._keys.leases, hash_tag_of(queue)))], True)
        return lease is not None

    def check_ours(self, channel: str) -> Script[bool]:
        """The script of ``is_owned`` for the queue of ``channel``; ``InvalidName`` for a channel of another layer."""
        queue, marks = names.queue_name(channel), self._context.marks
        owned = yield from self.is_owned(queue).script()
        if owned:
            marks.learn(queue)
        elif marks.is_foreign(queue):
            raise names.foreign(channel)
        return owned

    @operation()
    def if_ours(self, channel: str, operation: Operation[T]) -> Script[T]:
        """The ``operation``, once it is known that ``channel`` is not one of another layer; else ``InvalidName``."""
        yield from self.check_ours(channel)
        return (yield from operation.script())

    @operation()
    def renew(self, lease: float, wills: LeftWills | None = None) -> Script[Renewal]:
        """The operation that takes or keeps the lease of this process for ``lease`` seconds.

        Where it learns that others have cleared this process away, it takes the last wills back that they have not
        sent: those that have come to Redis since. Each belongs to whoever removes it.

        Args:
            lease: seconds.
            wills: the last wills of this process; None where nobody is to be told what became of them.
        """
        asked = time.monotonic()
        added, _, cleared, server_time = yield Step(
            [
                (LEASES, ("ZADD", self._keys.leases, self._context.now() + lease, self._process)),
                (LEASES, ("PEXPIRE", self._keys.leases, LEASES_TTL)),
                (LEASES, ("ZSCORE", self._keys.cleared, self._process)),
                (LEASES, ("TIME",)),
            ],
            repeatable=False,
        )
        self._context.clock.learn(time_of(server_time), asked, time.monotonic())
        told: frozenset[str] = frozenset()
        if cleared is not None and wills is not None and float(cleared) != wills.cleared_at:
            told = yield from self._take_back(wills)
        return Renewal(not added, None if cleared is None else float(cleared), told)

    def _take_back(self, wills: LeftWills) -> Script[frozenset[str]]:
        """Take back what is still there; the channels whose last wills others have sent."""
        key, channels = self._keys.wills_of(self._process), wills.left()
        for start in range(0, len(channels), CHUNK):
            chunk = channels[start : start + CHUNK]
            replies = yield Step([(self._process, ("HDEL", key, channel)) for channel in chunk], False)
            wills.taken_back.update(channel for channel, mine in zip(chunk, replies, strict=True) if mine)
        # Another renewal, which was under way at the same time, may have taken some back.
        return frozenset(channels) - wills.taken_back

    @operation(changes_membership=True)
    def end_lease(self) -> Script[None]:
        """The operation that gives back the lease of this process, which leaves nothing behind."""
        calls: list[Call] = [
            (LEASES, ("ZREM", self._keys.leases, self._process)),
            (self._process, ("UNLINK", self._keys.groups_of(self._process))),
            (self._process, ("UNLINK", self._keys.full_of(self._process))),
            (self._process, ("UNLINK", self._keys.wills_of(self._process))),
        ]
        yield Step(calls, True)

    @operation()
    def drop_lease(self) -> Script[None]:
        """The operation that lets the lease run out now, so that another process sends the last wills."""
        yield Step([(LEASES, ("ZADD", self._keys.leases, GIVEN_UP, self._process))], True)

    @operation()
    def look_around(self) -> Script[Look]:
        """The operation that reads the leases of all other processes.

        It writes too, and changes nothing: where others can't renew their leases, because the server refuses or delays
        what writes, the look has to fail or be late as well.
        """
        asked = time.monotonic()
        _, _, server_time, found = yield Step(
            [
                (LEASES, ("ZADD", self._keys.leases, "XX", GIVEN_UP, "")),
                (LEASES, ("PEXPIRE", self._keys.leases, LEASES_TTL)),
                (LEASES, ("TIME",)),
                (LEASES, ("ZRANGE", self._keys.leases, 0, -1, "WITHSCORES")),
            ],
            repeatable=True,
        )
        told, now = time.monotonic(), time_of(server_time)
        self._context.clock.learn(now, asked, told)
        leases: dict[str, float] = {}
        for entry, lease in zip(found[::2], found[1::2], strict=True):
            process = self._context.text(entry, self._keys.leases)
            if process is not None and process != self._process:
                leases[process] = float(lease)
        return Look(asked, told, now, leases)

    @operation()
    def claim(self, dead: Mapping[str, float], lease: float) -> Script[list[str]]:
        """The operation that decides which of several processes clears away those that are dead.

        A claim is held for one ``lease`` (seconds): long enough to clear most away, and over when a process that came
        back dies again.

        Args:
            dead: each dead process, and what its lease was when that was found.
            lease: seconds.

        Returns:
            Those that this process has to clear away.
        """
        calls: list[Call] = []
        for name in dead:
            claim = ("SET", self._keys.claim_of(name), self._process, "NX", "PX", int(lease * 1000))
            calls += [(name, claim), (LEASES, ("ZSCORE", self._keys.leases, name))]
        replies = yield Step(calls, repeatable=False)
        return [
            name
            for (name, before), mine, now in zip(dead.items(), replies[::2], replies[1::2], strict=True)
            if mine and now is not None and float(now) == before
        ]

    @operation(changes_membership=True)
    def clear_away(self, process: str, end_people: Callable[[Sequence[tuple[str, str]]], Script[None]]) -> Script[int]:
        """End the memberships of a dead ``process``, and send its last wills, each once.

        Args:
            process: the process.
            end_people: makes the script that ends what was said of who reads its channels, which are given as pairs of
                a group and a queue.

        Returns:
            How many last wills were sent.
        """
        # First of all a note for the process, should it live: once it finds none, nothing was done to it.
        now, cleared = self._context.now(), self._keys.cleared
        notes: list[Call] = [
            (LEASES, ("ZADD", cleared, now, process)),
            (LEASES, ("ZREMRANGEBYSCORE", cleared, "-inf", now - LEASES_TTL / 1000)),
            (LEASES, ("PEXPIRE", cleared, LEASES_TTL)),
        ]
        yield Step(notes, True)
        groups = self._keys.groups_of(process)
        (joined,) = yield Step([(process, ("SMEMBERS", groups))], True)
        for start in range(0, len(joined), CHUNK):
            entries = (entry.partition(b" ")[::2] for entry in joined[start : start + CHUNK])
            texts = [(self._context.text(group, groups), self._context.text(queue, groups)) for group, queue in entries]
            found = [(group, queue) for group, queue in texts if group is not None and queue is not None]
            if found:
                yield Step([call for entry in found for call in self._context.end_entry(*entry)], True)
                yield from end_people(found)
        sent, cursor, wills = 0, b"0", self._keys.wills_of(process)
        while True:
            ((cursor, found),) = yield Step([(process, ("HSCAN", wills, cursor, "COUNT", CHUNK))], True)
            if found:
                sent += yield from self._send_wills(process, found[::2], found[1::2])
            if cursor in (b"0", 0):
                break
        ends: list[Call] = [
            (LEASES, ("ZREM", self._keys.leases, process)),
            (process, ("UNLINK", groups)),
            (process, ("UNLINK", self._keys.full_of(process))),
        ]
        yield Step(ends, True)  # last wills that have come meanwhile are those of a process that lives
        return sent

    def _send_wills(self, process: str, channels: Sequence[bytes], wills: Sequence[bytes]) -> Script[int]:
        key = self._keys.wills_of(process)
        mine = yield Step([(process, ("HDEL", key, channel)) for channel in channels], False)
        calls: list[Call] = []
        sent = 0
        for channel, will, claimed in zip(channels, wills, mine, strict=True):
            if not claimed:
                continue
            place = will_place(process, channel.decode("ascii", "replace"))
            envelope = self._context.open(will, key, place, 0.0)
            if envelope is not None:
                # No capacity check: each socket of a dead process has one last will, and no more will come.
                _, name, body, headers, *_ = envelope
                queue = names.queue_name(name)
                calls += self._context.push(queue, self._context.seal(queue, MESSAGE, name, body, headers))
                sent += 1
        if calls:
            yield Step(calls, False)
        return sent

    # Last wills

    @operation()
    def leave_wills(self, wills: Mapping[str, tuple[str, bytes]], channels: Sequence[str]) -> Script[None]:
        """The operation that leaves last wills, sent by whichever process clears this one away if it dies.

        They live for a ``group_expiry``, and have to be left again before that.

        Args:
            wills: by channel, the full name of the channel that gets it, and encoded content. What is taken out of it
                before it is sent is not left.
            channels: whose last wills are left.
        """
        key = self._keys.wills_of(self._process)
        for start in range(0, len(channels), CHUNK):
            fields: list[Any] = []
            expires = self._context.now() + self._context.group_expiry
            for channel in channels[start : start + CHUNK]:
                will = wills.get(channel)
                if will is not None:
                    place = will_place(self._process, channel)
                    fields += [channel, self._context.wire.pack(MESSAGE, *will, b"", expires, place)]
            if fields:
                calls: list[Call] = [
                    (self._process, ("HSET", key, *fields)),
                    (self._process, ("PEXPIRE", key, self._context.group_ttl)),
                ]
                yield Step(calls, repeatable=True)

    @operation()
    def forget_will(self, channel: str) -> Script[None]:
        """The operation that takes the last will of ``channel`` back."""
        yield Step([(self._process, ("HDEL", self._keys.wills_of(self._process), channel))], True)

    # Flush

    def flush(self, node: Any) -> Script[None]:
        """Remove messages and groups from ``node``, step by step (R14).

        Returns:
            The script.
        """
        cursor: Any = b"0"
        while True:
            scan = ("SCAN", cursor, "MATCH", self._keys.pattern, "COUNT", 5 * CHUNK)
            ((cursor, found),) = yield Step([(node, scan)], True)
            gone = [key for key in found if self._keys.is_content(key.decode(errors="replace"))]
            if gone:
                yield Step([(node, ("UNLINK", key)) for key in gone], True)
            if cursor in (b"0", 0):
                return

    def tell_flush(self) -> Script[None]:
        """The script that tells all other living processes that all memberships have ended."""
        (living,) = yield Step([(LEASES, ("ZRANGEBYSCORE", self._keys.leases, f"({GIVEN_UP}", "+inf"))], True)
        calls: list[Call] = []
        for process in (self._context.text(name, self._keys.leases) for name in living):
            if process is not None and process != self._process:
                queue = process_queue(process)
                calls += self._context.push(queue, self._context.seal(queue, FLUSH, "", b""))
        if calls:
            yield Step(calls, True)
