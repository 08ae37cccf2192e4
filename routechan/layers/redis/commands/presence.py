"""Operations on presence: who reads which channel in a group, who has joined it, and who has left.

A *person* is the name of an ``id``. A person's score in ``joined`` is positive after a join. Each end of a socket
replaces it with a mark, a negative number of its own, and has a look scheduled for when the linger is over. Whoever
looks then finds out whether it was the last end and no socket is there; if so, it removes the person by that mark, as
only one process can, and tells of the leave. A join replaces a mark, so that nobody can remove the person by it.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .... import names
from ....encoding import Content, Serializer
from ....exceptions import ChannelFull
from ...envelope import GONE, MESSAGE, WHO, Envelope
from ...options import FULL_DELAY, LONGEST_DELAY
from ...presence import JOINED, LEFT, Somebody, check_who, encoded_id, event, is_who, newest_of
from ..schema import DELAYED, DELAYED_PLACE, LEASES, who_place
from .leases import Leases
from .messages import Messages
from .script import CHUNK, Call, Context, Script, Step, operation

#: In front of an encoded ``who``: when it was said, in seconds of Redis' clock.
_SINCE = struct.Struct(">d")

#: Scores are whole numbers below this one, which Redis keeps exactly; none is drawn twice.
_SCORES = 2**53


#: Of how many sockets, in all groups, what was read of them is kept opened, for the next time they say the same.
OPENED_KEPT = 20_000


class _Opened(NamedTuple):
    """Who reads a channel, as it was read from Redis. Lifetime: until that group is read again.

    Args:
        channel: the channel.
        since: when it was said, in seconds of Redis' clock.
        who: who reads it; not to be changed.
        expires: until when, in the same seconds.
        body: both as bytes.
        is_flat: whether a copy of ``who`` shares nothing with it.
    """

    channel: str
    since: float
    who: Content
    expires: float
    body: bytes
    is_flat: bool


class Presence:
    """Makes operations on presence. Lifetime: layer, in one process.

    Args:
        context: what all operations share.
        serializer: content to bytes and back.
        messages: sends to the channels of joins and leaves.
        leases: knows which process lives.
        linger: seconds for which somebody without a socket may come back before that is a leave.
    """

    def __init__(
        self, context: Context, serializer: Serializer, messages: Messages, leases: Leases, linger: float
    ) -> None:
        self.linger = linger
        self._context = context
        self._keys = context.keys
        self._serializer = serializer
        self._messages = messages
        self._leases = leases
        self._opened: dict[str, dict[bytes, _Opened]] = {}  # group -> what was read last -> what it says
        #: The channels of joins and leaves that consumers of this process take.
        self.wanted: tuple[str, ...] = ()

    def somebody(self, who: Content) -> Somebody:
        """What is kept of ``who``; ``InvalidContent`` and ``MessageTooLarge`` as ``check_who``."""
        person = self._person(check_who(who))
        return Somebody(person, self._serializer.encode(who), self._context.now())

    def _person(self, who: Content) -> str:
        return self._context.wire.digest(encoded_id(who))

    # Joining

    @operation(changes_membership=True)
    def introduce(self, group: str, channel: str, somebody: Somebody) -> Script[None]:
        """The operation that says that ``somebody`` reads ``channel`` in ``group``, and tells of a join if it is one.

        The channel is of this process, or of none.
        """
        yield from self._introduce(group, channel, somebody, [])

    @operation(reads_first=True, changes_membership=True)
    def introduce_elsewhere(self, group: str, channel: str, somebody: Somebody) -> Script[None]:
        """The operation that says that ``somebody`` reads ``channel`` of another process in ``group``, and tells it."""
        owned = yield from self._leases.check_ours(channel)
        told: list[Call] = []
        if owned:
            queue, body = names.queue_name(channel), self._packed(somebody)
            note = self._serializer.encode({"channel": channel, "who": body})
            told = self._context.push(queue, self._context.seal(queue, WHO, group, note))
        yield from self._introduce(group, channel, somebody, told)

    def noted(self, envelope: Envelope) -> tuple[str, Somebody]:
        """The channel, and who reads it, of ``envelope``, which another process sent; else ``ValueError``."""
        found = self._serializer.decode(envelope.body)
        channel, body = found.get("channel"), found.get("who")
        if not isinstance(channel, str) or not isinstance(body, bytes):
            raise ValueError("it does not say who reads which channel")
        since, who = self._unpacked(body)
        return channel, Somebody(self._person(who), body[_SINCE.size :], since)

    def _introduce(self, group: str, channel: str, somebody: Somebody, told: list[Call]) -> Script[None]:
        present, joined, score = self._keys.present(group), self._keys.joined(group), _new_score()
        calls: list[Call] = [
            (group, ("HGET", present, channel)),
            *self._write(group, channel, somebody),
            (group, ("ZADD", joined, "NX", score, somebody.key)),
            (group, ("ZSCORE", joined, somebody.key)),
            (group, ("PEXPIRE", joined, self._context.group_ttl)),
            (LEASES, ("ZSCORE", self._keys.wanted, JOINED)),
            *told,
        ]
        previous, *rest = yield Step(calls, True)
        _, found, _, wanted = rest[4:8]
        # Before the socket was written, a leave may have been under way that has to find out that it is none.
        while found is not None and float(found) < 0:
            (_, found) = yield Step(
                [
                    (group, ("ZADD", joined, "XX", "GT", score, somebody.key)),
                    (group, ("ZSCORE", joined, somebody.key)),
                ],
                True,
            )
            if found is None:  # it was a leave
                (_, found) = yield Step(
                    [
                        (group, ("ZADD", joined, "NX", score, somebody.key)),
                        (group, ("ZSCORE", joined, somebody.key)),
                    ],
                    True,
                )
            elif float(found) == score:
                found = None
        first = found is not None and float(found) == score
        other = None if previous is None else self._peek(group, previous)
        if other is not None and other[1].key != somebody.key:  # somebody else has read the channel before
            yield Step(self._end(group, channel, other[1]), True)
        if first and self._is_wanted(JOINED, wanted):
            yield from self._tell(JOINED, group, somebody.who)

    def _write(self, group: str, channel: str, somebody: Somebody) -> list[Call]:
        context, present, sockets = self._context, self._keys.present(group), self._keys.sockets(group)
        expires = context.now() + context.group_expiry
        value = context.wire.pack(MESSAGE, channel, self._packed(somebody), b"", expires, who_place(group))
        return [
            (group, ("HSET", present, channel, value)),
            (group, ("PEXPIRE", present, context.group_ttl)),
            (group, ("ZADD", sockets, 0, f"{somebody.key} {channel}")),
            (group, ("PEXPIRE", sockets, context.group_ttl)),
        ]

    def write_again(
        self, people: Sequence[tuple[str, str]], reads: Callable[[str, str], Somebody | None]
    ) -> Iterable[Script[None]]:
        """The scripts that write again what Redis may have lost, for another ``group_expiry``; nobody joins by that.

        Args:
            people: pairs of ``(group, channel)``.
            reads: who reads a channel in a group; None if it has left.
        """
        for start in range(0, len(people), CHUNK):
            yield self._write_again(people[start : start + CHUNK], reads)

    def _write_again(
        self, people: Sequence[tuple[str, str]], reads: Callable[[str, str], Somebody | None]
    ) -> Script[None]:
        calls: list[Call] = []
        for group, channel in people:
            somebody = reads(group, channel)
            if somebody is not None:
                joined = self._keys.joined(group)
                calls += self._write(group, channel, somebody)
                calls.append((group, ("ZADD", joined, "NX", _new_score(), somebody.key)))
                calls.append((group, ("PEXPIRE", joined, self._context.group_ttl)))
        if calls:
            yield Step(calls, True)

    # Leaving

    @operation(changes_membership=True)
    def remove(self, group: str, channel: str, somebody: Somebody) -> Script[None]:
        """The operation that says that ``somebody`` does not read ``channel`` in ``group`` any more."""
        mark = -_new_score()
        removed, *_ = yield Step(
            [(group, ("HDEL", self._keys.present(group), channel)), *self._end(group, channel, somebody, mark)], True
        )
        if not removed:  # Redis has lost it, and maybe that the person has joined, too
            yield Step([(group, ("ZADD", self._keys.joined(group), "NX", mark, somebody.key))], True)

    def discard(self, group: str, channel: str) -> Script[None]:
        """The script of ``remove`` for ``channel`` in ``group``, not of this process, if somebody reads it."""
        (found,) = yield Step([(group, ("HGET", self._keys.present(group), channel))], True)
        if found is not None:
            yield from self._remove(group, [found], channel)

    def clear_away(self, memberships: Sequence[tuple[str, str]]) -> Script[None]:
        """The script that says that nobody reads the channels of a dead process any more.

        Args:
            memberships: pairs of a group, and a queue of that process that was a member.
        """
        calls: list[Call] = [(group, ("HVALS", self._keys.present(group))) for group, _ in memberships]
        found = yield Step(calls, True)
        for (group, queue), values in zip(memberships, found, strict=True):
            yield from self._remove(group, values, queue)

    def _remove(self, group: str, values: Sequence[bytes], begins: str) -> Script[None]:
        for start in range(0, len(values), CHUNK):
            calls: list[Call] = []
            for each in (self._peek(group, value) for value in values[start : start + CHUNK]):
                if each is not None and each[0].startswith(begins):
                    calls.append((group, ("HDEL", self._keys.present(group), each[0])))
                    calls += self._end(group, *each)
            if calls:
                yield Step(calls, True)

    def _end(self, group: str, channel: str, somebody: Somebody, mark: int | None = None) -> list[Call]:
        mark = -_new_score() if mark is None else mark
        return [
            (group, ("ZREM", self._keys.sockets(group), f"{somebody.key} {channel}")),
            (group, ("ZADD", self._keys.joined(group), "XX", mark, somebody.key)),
            *self._look_later(group, somebody.key, somebody.who, mark),
        ]

    def _look_later(self, group: str, person: str, who: bytes, mark: int) -> list[Call]:
        due = self._context.clock.latest() + self.linger
        body = self._serializer.encode({"person": person, "who": who, "mark": mark})
        member = os.urandom(8) + self._context.wire.pack(GONE, group, body, b"", due, DELAYED_PLACE)
        return [
            (DELAYED, ("ZADD", self._keys.delayed, due, member)),
            (DELAYED, ("PEXPIRE", self._keys.delayed, LONGEST_DELAY * 1000)),
        ]

    @operation()
    def look(self, group: str, body: bytes) -> Script[None]:
        """The operation that finds out whether somebody has left ``group``, and tells of it if so.

        ``body`` says who, and by which mark; it was scheduled when a socket ended. A repeated look finds out nothing.
        """
        found = self._serializer.decode(body)
        person, who, mark = found["person"], found["who"], found["mark"]
        joined = self._keys.joined(group)
        score, sockets, wanted = yield Step(
            [
                (group, ("ZSCORE", joined, person)),
                (
                    group,
                    ("ZRANGEBYLEX", self._keys.sockets(group), f"[{person} ", f"({person}!", "LIMIT", 0, 1),
                ),
                (LEASES, ("ZSCORE", self._keys.wanted, LEFT)),
            ],
            True,
        )
        if score is None or sockets:
            return
        if float(score) > 0:  # the end of a socket came between what its join did: it has to be looked at again
            again = -_new_score()
            yield Step(
                [(group, ("ZADD", joined, "XX", again, person)), *self._look_later(group, person, who, again)], True
            )
            return
        if float(score) != mark:  # another socket has ended since, and is looked at later
            return
        (removed,) = yield Step([(group, ("ZREMRANGEBYSCORE", joined, mark, mark))], False)
        if removed and self._is_wanted(LEFT, wanted):
            yield from self._tell(LEFT, group, who)

    # Telling

    @operation()
    def want(self, seconds: float) -> Script[None]:
        """The operation that tells others what is ``wanted``, for so many ``seconds``."""
        until = self._context.now() + seconds
        wanted: list[Any] = [part for channel in self.wanted for part in (until, channel)]
        key = self._keys.wanted
        yield Step([(LEASES, ("ZADD", key, *wanted)), (LEASES, ("PEXPIRE", key, int(seconds * 1000) + 1000))], True)

    def _is_wanted(self, channel: str, until: bytes | None) -> bool:
        return channel in self.wanted or (until is not None and float(until) >= self._context.now())

    def _tell(self, channel: str, group: str, who: bytes) -> Script[None]:
        body = self._serializer.encode(event(group, self._serializer.decode(who)))
        try:
            yield from self._messages.send(channel, channel, body).script()
        except ChannelFull:
            yield from self._messages.send_later(MESSAGE, channel, body, b"", FULL_DELAY).script()

    # Reading

    @operation(reads_first=True)
    def present(self, group: str) -> Script[list[Content]]:
        """The operation that reads who is present in ``group``."""
        (values,) = yield Step([(group, ("HVALS", self._keys.present(group)))], True)
        now, place, before = self._context.now(), who_place(group), self._opened.pop(group, {})
        opened: dict[bytes, _Opened] = {}
        found: list[tuple[float, Content]] = []
        for value in values:
            each = before.get(value) or self._open(value, group, place)
            if each is not None:
                opened[value] = each
                if each.expires >= now:
                    found.append((each.since, each.who.copy() if each.is_flat else self._unpacked(each.body)[1]))
        if sum(map(len, self._opened.values())) + len(opened) > OPENED_KEPT:
            self._opened.clear()
        self._opened[group] = opened
        return newest_of(found)

    def _open(self, value: bytes, group: str, place: str) -> _Opened | None:
        """What ``value``, one of ``present``, says; None for what cannot be read."""
        try:
            _, channel, body, _, expires, _ = self._context.wire.unpack(value, place)
            since, who = self._unpacked(body)
            is_flat = not any(isinstance(part, (list, dict, tuple)) for part in who.values())
            return _Opened(channel, since, who, expires, body, is_flat)
        except ValueError as error:
            self._context.losses.pass_over(self._keys.present(group), error)
            return None

    def _peek(self, group: str, value: bytes) -> tuple[str, Somebody] | None:
        found = self._open(value, group, who_place(group))
        if found is None:
            return None
        return found.channel, Somebody(self._person(found.who), found.body[_SINCE.size :], found.since)

    def _packed(self, somebody: Somebody) -> bytes:
        return _SINCE.pack(somebody.since) + somebody.who

    def _unpacked(self, body: bytes) -> tuple[float, Content]:
        if len(body) > _SINCE.size:
            who = self._serializer.decode(body[_SINCE.size :])
            if is_who(who):
                return _SINCE.unpack_from(body)[0], who
        raise ValueError("it does not say who reads a channel")


def _new_score() -> int:
    return random.randrange(1, _SCORES)
