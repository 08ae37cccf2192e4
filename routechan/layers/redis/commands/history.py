"""Operations on histories: a group's messages in a stream of Redis, which each process with members reads.

A send appends to the stream, and tells those processes that there is news. What is told carries no content, so
nothing is lost where it is: a process reads on from where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from .... import names
from ....encoding import encode_headers
from ...envelope import GROUP, MESSAGE, NEWS, excluded, is_once
from ...history import HistoryRules, Kept, Position, parse_position, position_text
from ..schema import hash_tag_of, history_place
from .entries import Found, Sealed, Told, told_of
from .groups import Groups
from .leases import Leases
from .messages import Messages
from .script import Call, Context, Operation, Script, Step, operation

#: How many entries are read at once.
PAGE = 500

#: How many entries are kept at least, for the processes that read them right now: a burst may be longer than a history.
WINDOW = 1000

#: How many bytes of content are told along with the news of it, which saves those who are up to date a read.
TOLD = 16 * 1024

#: Of how many groups it is remembered which positions their histories have, for channels of other processes.
SEEN = 100

#: The field of an entry that holds the envelope.
FIELD = "m"

#: A position before all others.
NOWHERE: Position = (0, 0)

#: Headers of a ``JOIN``: the position after which the channel is a member, and how much it is given of what was before.
POSITION = "position"
SINCE = "since"
LAST = "last"


class Tails(Protocol):
    """What this process reads of the histories of its groups. Lifetime: layer, in one process. Thread-safe."""

    def position(self, group: str) -> Position | None:
        """The position that the history of ``group`` was read up to; None where it is not read."""

    def news(self, group: str, position: Position) -> None:
        """There is an entry at ``position`` in the history of ``group``."""

    def feed(self, group: str, found: Found) -> None:
        """What was ``found`` in the history of ``group`` is to be given when there is news of it."""

    def told(self, group: str, told: Told) -> None:
        """What was ``told`` of the history of ``group`` need not be read, if it was read up to that."""

    def prepare(self, group: str, whole: bool) -> tuple[Position | None, bool]:
        """Get ready for a member to join ``group``, which may need the ``whole`` of the history.

        Returns:
            The position that the history was read up to, or None, and whether all of it is kept here.
        """

    def begin(self, group: str, entries: Sequence[Sealed], whole: bool, found: Found | None) -> None:
        """Read the history of ``group`` on from the end of ``entries``; keep them, if they are the ``whole`` of it.

        Where it was read before, ``found`` is what came since.
        """

    def admit(self, request: CatchUp) -> bool | Exception | None:
        """Make the channel of ``request`` a member, once it was given what it asks for.

        Returns:
            What ``CatchUp`` returns, or what it raises.
        """


class Append(Operation[None]):
    """A message to a group with a history. Lifetime: until it is sent.

    Neighbours to one group leave together, and are news once.

    Args:
        histories: makes the commands.
        group: the group.
        body: encoded content.
        headers: encoded headers; empty where there are none.
    """

    __slots__ = ("_histories", "batch_key", "body", "group", "headers")

    batch_key: str

    def __init__(self, histories: Histories, group: str, body: bytes, headers: bytes) -> None:
        self._histories = histories
        self.batch_key = f"append {group}"  # no queue has such a name
        self.group = group
        self.body = body
        self.headers = headers

    def script(self) -> Script[None]:
        yield from self.batch(())

    def batch(self, others: Sequence[Append]) -> Script[list[Exception | None]]:
        return self._histories.append_all(self.group, [self, *others])


class CatchUp(Operation["bool | None"]):
    """A channel of this process joins a group with a history. Lifetime: until it is a member.

    Neighbours that join one group share what is read. The result is whether the channel was given all that came after
    ``since``; None where that was not asked for. ``TooManyGroups`` is raised.

    Args:
        histories: makes the commands.
        group: the group.
        channel: the channel.
        last: how many of the last messages it is given.
        since: the position after which it is given all messages, if these are there; None for ``last`` only.
        joined: the position after which it is a member, where another process has made it one.
    """

    __slots__ = ("_histories", "batch_key", "channel", "group", "joined", "last", "since")

    batch_key: str
    changes_membership = True

    def __init__(
        self,
        histories: Histories,
        group: str,
        channel: str,
        last: int,
        since: str | None,
        joined: Position | None,
    ) -> None:
        self._histories = histories
        self.joined = joined
        self.batch_key = f"catch up {group}"
        self.group = group
        self.channel = channel
        self.last = last
        self.since = since

    @property
    def asks(self) -> bool:
        """Whether it asks for what was sent before."""
        return bool(self.last) or self.since is not None

    @property
    def known(self) -> Position:
        """The position that is in the history: its client has got it elsewhere, or another process has seen it."""
        return max(self.joined or NOWHERE, parse_position(self.since) or NOWHERE)

    @property
    def looks_back(self) -> bool:
        """Whether it needs what was sent before."""
        return self.asks or self.joined is not None

    def script(self) -> Script[bool | None]:
        (outcome,) = yield from self.batch(())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def batch(self, others: Sequence[CatchUp]) -> Script[list[bool | Exception | None]]:
        return self._histories.admit_all(self.group, [self, *others])


class Histories:
    """Makes operations on histories. Lifetime: layer, in one process.

    Args:
        context: what all operations share.
        rules: which groups keep a history.
        groups: makes operations on members.
        messages: makes room in queues that are full.
        leases: knows which process lives.
    """

    #: Given later, because it needs these operations.
    tails: Tails

    def __init__(
        self, context: Context, rules: HistoryRules, groups: Groups, messages: Messages, leases: Leases
    ) -> None:
        self.rules = rules
        self._context = context
        self._keys = context.keys
        self._groups = groups
        self._messages = messages
        self._leases = leases
        self._seen: dict[str, deque[Position]] = {}  # group -> the positions that its history is to have

    # Sending

    def append_all(self, group: str, messages: Sequence[Append]) -> Script[list[Exception | None]]:
        """The script that appends ``messages`` to the history of ``group``, and tells who reads it.

        Members that no process of ours reads for get them as without a history.
        """
        context, count, kept = self._context, len(messages), self.rules.need(group)
        now, place = context.now(), history_place(group)
        pack, expires = context.wire.pack, now + kept.seconds
        calls = [
            self._add(group, kept, pack(GROUP, group, message.body, message.headers, expires, place))
            for message in messages
        ]
        key = self._keys.group(group)
        calls += [self._expire(group, kept), (group, ("ZRANGEBYSCORE", key, now, "+inf"))]
        position, told = self.tails.position(group), None
        tells = sum(len(message.body) for message in messages) <= TOLD
        if tells:
            calls.append(self._newest(group, count + 1))
        elif position is not None:
            calls += self._after(group, position)
        replies = yield Step(calls, False)
        positions = [_position(reply) for reply in replies[:count]]
        if tells:
            told = told_of(_entries(reversed(replies[count + 2])), positions)
            if told is not None:
                self.tails.told(group, told)
        elif position is not None:
            self.tails.feed(group, _found(*replies[count + 2 :]))
        self.tails.news(group, positions[-1])
        entries = (context.text(entry, key) for entry in replies[count + 1])
        readers: dict[str, str] = {}  # process -> one of its queues
        others: list[str] = []
        for name in entries:
            if name is None or context.is_own(name):
                continue
            if names.mark_of(name) is None:
                others.append(name)
            else:
                readers.setdefault(hash_tag_of(name), name)
        if readers:
            yield from self._tell(group, list(readers.values()), positions[-1], told, count)
        for message in messages if others else ():
            yield from self._groups.push(group, others, message.body, message.headers)
        return [None] * count

    def _tell(self, group: str, queues: Sequence[str], latest: Position, told: Told | None, count: int) -> Script[None]:
        context, body = self._context, position_text(latest).encode()
        headers = b"" if told is None else told.headers()
        news = [context.seal(queue, NEWS, group, body, headers) for queue in queues]
        pushes = [context.push(queue, data) for queue, data in zip(queues, news, strict=True)]
        replies = yield Step([call for calls in pushes for call in calls], True)
        for queue, data, length in zip(queues, news, replies[::2], strict=True):
            context.counts.add(queue, "messages_count", count)
            limit = context.capacities.of(queue)
            if length > limit:  # of a process that hangs; it will look by itself
                yield from self._messages.make_room(queue, [data], length, [limit])

    # Reading

    @operation()
    def after(self, group: str, position: Position) -> Script[Found]:
        """The operation that reads what came after ``position``, and keeps the history of ``group`` for longer."""
        calls = [*self._after(group, position), self._expire(group, self.rules.need(group))]
        entries, length, _ = yield Step(calls, True)
        return _found(entries, length)

    @operation()
    def newest(self, group: str, count: int) -> Script[list[Sealed]]:
        """The operation that reads the newest ``count`` entries of ``group``, the oldest of them first."""
        (found,) = yield Step([self._newest(group, count)], True)
        return _entries(reversed(found))

    @operation()
    def since(self, group: str, position: Position) -> Script[list[Sealed] | None]:
        """The operation that reads the entry at ``position`` in the history of ``group``, and those after it.

        None if it is not there any more, or more than the history is to have came after it.
        """
        (found,) = yield Step([self._since(group, position)], True)
        return self._whole(group, position, found)

    def _whole(self, group: str, position: Position, found: Sequence[Any]) -> list[Sealed] | None:
        entries = _entries(found)
        kept = entries and entries[0][0] == position and len(entries) <= self.rules.need(group).size + 1
        return entries if kept else None

    def _since(self, group: str, position: Position) -> Call:
        kept = self.rules.need(group)
        return group, ("XRANGE", self._keys.history(group), position_text(position), "+", "COUNT", kept.size + 2)

    def _at(self, group: str, position: Position) -> Call:
        at = position_text(position)
        return group, ("XRANGE", self._keys.history(group), at, at)

    def _newest(self, group: str, count: int) -> Call:
        return group, ("XREVRANGE", self._keys.history(group), "+", "-", "COUNT", count)

    def _after(self, group: str, position: Position) -> list[Call]:
        key = self._keys.history(group)
        return [(group, ("XRANGE", key, f"({position_text(position)}", "+", "COUNT", PAGE)), (group, ("XLEN", key))]

    def _add(self, group: str, kept: Kept, data: bytes) -> Call:
        # One more than is promised: who was at the oldest of those that came since can tell that nothing is missing.
        most = max(kept.size + 1, WINDOW)
        return group, ("XADD", self._keys.history(group), "MAXLEN", most, "*", FIELD, data)

    def _expire(self, group: str, kept: Kept) -> Call:
        return group, ("PEXPIRE", self._keys.history(group), int(kept.seconds * 1000))

    def _mark(self, group: str) -> Script[Sealed]:
        """Begin the history of ``group``, which is empty, with an entry that is no message: a position to be at."""
        kept = self.rules.need(group)
        expires = self._context.now() + kept.seconds
        data = self._context.wire.pack(NEWS, group, b"", b"", expires, history_place(group))
        position, _ = yield Step([self._add(group, kept, data), self._expire(group, kept)], True)
        return _position(position), data

    # Members

    def admit_all(self, group: str, requests: Sequence[CatchUp]) -> Script[list[bool | Exception | None]]:
        """The script of ``requests``, channels of this process that join ``group``; what each returns or raises.

        Other processes know of them first, and then it is read where the history ends.
        """
        looks_back = any(request.looks_back for request in requests)
        read, kept = self.tails.prepare(group, looks_back)
        calls = self._groups.join(group, [request.channel for request in requests])
        whole = looks_back and not kept
        late = read is not None and any(request.known > read for request in requests)
        if read is None or whole or late:
            calls.append(self._newest(group, self.rules.need(group).size + 1 if whole else 1))
            calls += [] if read is None else self._after(group, read)
        written = len(calls)
        replies = yield Step(calls, True)
        if read is None or whole or late:
            at = written - (1 if read is None else 3)
            entries, found = _entries(reversed(replies[at])), None if read is None else _found(*replies[at + 1 :])
            if not entries:
                entries, whole = [(yield from self._mark(group))], True
            self.tails.begin(group, entries, whole, found)
        outcomes = [self.tails.admit(request) for request in requests]
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Exception):
                yield from self._groups.discard_own(group, request.channel).script()
        return outcomes

    def add_elsewhere(
        self, group: str, channel: str, last: int = 0, since: str | None = None
    ) -> Operation[bool | None]:
        """The operation that makes ``channel``, which is not of this process, a member of ``group``.

        Where a process serves it, that process gives it what it asks for: see ``CatchUp`` for ``last`` and ``since``.
        """
        add = self._add_to_queue if "!" in channel else self._add_plain
        return add(group, channel, last, since)

    @operation(reads_first=True, changes_membership=True)
    def _add_to_queue(self, group: str, channel: str, last: int, since: str | None) -> Script[bool | None]:
        owned = yield from self._leases.check_ours(channel)
        return (yield from self._add_elsewhere(group, channel, last, since, owned))

    @operation(changes_membership=True)
    def _add_plain(self, group: str, channel: str, last: int, since: str | None) -> Script[bool | None]:
        return self._add_elsewhere(group, channel, last, since, False)

    def _add_elsewhere(
        self, group: str, channel: str, last: int, since: str | None, owned: bool
    ) -> Script[bool | None]:
        asked = None if since is None else parse_position(since)
        calls = self._groups.write_elsewhere(group, channel, owned)
        at = len(calls)
        calls.append(self._newest(group, max(last, 1)))
        if asked is not None:
            calls.append(self._at(group, asked) if owned else self._since(group, asked))
        replies = yield Step(calls, True)
        added, (newest, *found) = bool(replies[0]), replies[at:]
        missed = self._whole(group, asked, found[0]) if asked is not None and not owned else None
        recovered = None if since is None else missed is not None
        if owned and asked is not None and found[0]:
            recovered = yield from self._is_kept(group, asked, _entries(newest)[0][0])
        entries = _entries(reversed(newest))
        if not entries:
            entries = [(yield from self._mark(group))]
        if owned:
            headers: dict[str, Any] = {POSITION: position_text(entries[-1][0]), LAST: last}
            if since is not None:
                headers[SINCE] = since
            yield from self._groups.tell_join(group, channel, encode_headers(headers), added)
        elif missed is not None or last:
            yield from self._hand_over(group, channel, entries[-last:] if missed is None else missed[1:])
        return recovered

    def _is_kept(self, group: str, asked: Position, newest: Position) -> Script[bool]:
        """Whether no more came after ``asked``, an entry of the history of ``group``, than this is to have.

        The positions are kept from one who asks to the next: thousands may come back at the same time.
        """
        kept = self.rules.need(group)
        seen = self._seen.pop(group, None)
        if seen is None or seen[-1] < newest:
            if seen is not None:
                entries, length = yield Step(self._after(group, seen[-1]), True)
                found = _found(entries, length)
            if seen is None or found.more:
                (entries,) = yield Step([self._newest(group, kept.size + 1)], True)
                found, seen = Found(_entries(reversed(entries)), 0, False), deque(maxlen=kept.size + 1)
            seen.extend(position for position, _ in found.entries if not seen or position > seen[-1])
        while len(self._seen) >= SEEN:
            self._seen.pop(next(iter(self._seen)), None)
        self._seen[group] = seen
        return asked in seen

    def _hand_over(self, group: str, channel: str, missed: Sequence[Sealed]) -> Script[None]:
        """Send ``channel``, which no process serves, what was sent to ``group`` before it was a member."""
        queue, calls = names.queue_name(channel), list[Call]()
        for _, data in missed:
            envelope = self._context.peek(data, history_place(group))
            if envelope is None or envelope.kind != GROUP or is_once(envelope.headers):
                continue
            if excluded(envelope.headers) != channel:
                sealed = self._context.seal(queue, MESSAGE, channel, envelope.body, envelope.headers)
                calls += self._context.push(queue, sealed)
        if calls:
            yield Step(calls, False)


def _position(found: bytes) -> Position:
    milliseconds, _, number = found.partition(b"-")
    return int(milliseconds), int(number)


def _entries(found: Iterable[Any]) -> list[Sealed]:
    """What XRANGE has ``found``; what somebody else wrote there has another form, and is nothing that can be read."""
    return [(_position(entry[0]), entry[1][1] if entry[1] else b"") for entry in found]


def _found(entries: Sequence[Any], length: int) -> Found:
    return Found(_entries(entries), length, len(entries) == PAGE)
