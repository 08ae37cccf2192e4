"""Operations on queues: send, pop, send later.

The normal send and the normal receive are one step each (R1). Every command has one key, or keys of one hash tag, so
that the same operations run on one server, on shards and on a Redis Cluster.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from ....exceptions import ChannelFull
from ....telemetry.counters import counters
from ...envelope import DUE, GROUP, MESSAGE, Envelope, excluded, make_envelope
from ...options import LONGEST_DELAY
from ..judge import GIVEN_UP
from ..schema import DELAYED, DELAYED_PLACE, LEASES, hash_tag_of, process_queue
from ..wire import expires_of
from .script import CHUNK, KEY_BY_KEY, Call, Context, Operation, Script, Step, operation

#: Seconds between looks of a process for delayed messages. Every process looks, so that no single one is needed.
LOOK = 1.0


class Send(Operation[None]):
    """A message to a queue in Redis. Lifetime: until it is sent.

    Neighbours to one queue leave in one command: a busy worker sends twenty answers to a server in one. The result is
    None, or ``ChannelFull`` is raised.

    Args:
        messages: makes the commands.
        queue: the queue, also the ``batch_key``.
        channel: the full name of the channel.
        body: encoded content.
        headers: encoded headers; empty where there are none.
    """

    __slots__ = ("_messages", "batch_key", "body", "channel", "headers")

    batch_key: str

    def __init__(self, messages: Messages, queue: str, channel: str, body: bytes, headers: bytes) -> None:
        self._messages = messages
        self.batch_key = queue
        self.channel = channel
        self.body = body
        self.headers = headers

    def script(self) -> Script[None]:
        (outcome,) = yield from self.batch(())
        if outcome is not None:
            raise outcome

    def batch(self, others: Sequence[Send]) -> Script[list[Exception | None]]:
        return self._messages.send_all(self.batch_key, [self, *others])


class LargeSend(Operation[None]):
    """A large message to a queue in Redis, once it is known how many bytes wait there. Lifetime: until it is sent.

    Asked beforehand, because it takes long to send such a message in vain; a full channel is tried again and again.
    Other processes may send at the same moment: then more wait for a while, one message of each.

    Args:
        context: what all operations share.
        message: the message.
        pushing: queue -> bytes of the large messages that this process sends right now.
    """

    __slots__ = ("_context", "_message", "_pushing")

    reads_first = True

    def __init__(self, context: Context, message: Send, pushing: dict[str, int]) -> None:
        self._context = context
        self._message = message
        self._pushing = pushing

    def script(self) -> Script[None]:
        context, message, pushing = self._context, self._message, self._pushing
        queue, size, most = message.batch_key, len(message.body), context.capacities.channel_bytes
        (used,) = yield Step([context.bytes_of(queue)], True)
        before = (used or 0) + pushing.get(queue, 0)
        if before and before + size > most:
            counters.limited["channel_bytes"] += 1
            context.counts.add(queue, "channel_full_count")
            raise ChannelFull(queue, context.capacities.of(message.channel), most)
        pushing[queue] = pushing.get(queue, 0) + size
        try:
            yield from message.script()
        finally:
            pushing[queue] -= size
            if not pushing[queue]:
                del pushing[queue]


class Pop(Operation[list[Envelope]]):
    """The next messages of a queue. Lifetime: until they have come.

    Args:
        messages: makes the commands.
        queue: the name of the queue.
    """

    __slots__ = ("_messages", "_queue")

    def __init__(self, messages: Messages, queue: str) -> None:
        self._messages = messages
        self._queue = queue

    def script(self) -> Script[list[Envelope]]:
        return self._messages.pop_one(self._queue)


class PopAny(Operation[list[Envelope]]):
    """The next messages of any one of several queues, at several places. Lifetime: until they have come.

    Args:
        messages: makes the commands.
        places: the queues, by place.
        count: how many messages at most.
        held_up: called with the places that are left to others.
    """

    __slots__ = ("_at", "_count", "_left", "_messages", "_places")

    def __init__(
        self,
        messages: Messages,
        places: Sequence[Sequence[str]],
        count: int,
        held_up: Callable[[Sequence[Sequence[str]]], object],
    ) -> None:
        self._messages = messages
        self._places = list(places)
        self._count = count
        self._left = held_up
        self._at = 0

    def script(self) -> Script[list[Envelope]]:
        return self._messages.pop_places(self._places, self._count, self._reach)

    def _reach(self, number: int) -> None:
        self._at = number

    def held_up(self) -> None:
        behind = self._places[self._at + 1 :]
        if behind:
            del self._places[self._at + 1 :]
            self._left(behind)


class Messages:
    """Makes operations on queues. Lifetime: layer, in one process.

    Args:
        context: what all operations share.
        is_newer: whether the server of a hash tag has the commands of Redis 7.
    """

    def __init__(self, context: Context, is_newer: Callable[[str], bool]) -> None:
        self._context = context
        self._keys = context.keys
        self._counts = context.counts
        self._is_newer = is_newer
        self._pushing: dict[str, int] = {}  # queue -> bytes of large messages on their way

    # Sending

    def send(self, queue: str, channel: str, body: bytes, headers: bytes = b"") -> Operation[None]:
        """The operation that puts a message at the end of ``queue``.

        A large one asks first how many bytes wait there: it takes long to send in vain.

        Args:
            queue: the queue of ``channel``.
            channel: a full channel name.
            body: encoded content.
            headers: encoded headers; empty where there are none.

        Raises:
            ChannelFull: raised when the operation is performed.
        """
        message = Send(self, queue, channel, body, headers)
        if len(body) <= self._context.capacities.large:
            return message
        return LargeSend(self._context, message, self._pushing)

    def send_all(self, queue: str, messages: Sequence[Send]) -> Script[list[Exception | None]]:
        """Send ``messages`` to ``queue``, in one command.

        Returns:
            None or ``ChannelFull`` for each of ``messages``.
        """
        context = self._context
        pack, expires = context.wire.pack, context.now() + context.expiry
        data = [pack(MESSAGE, message.channel, message.body, message.headers, expires, queue) for message in messages]
        length, _ = yield Step(context.push(queue, *data), False)
        outcomes: list[Exception | None] = [None] * len(messages)
        limits = [context.capacities.of(message.channel) for message in messages]
        if length > min(limits):
            fit, _ = yield from self.make_room(queue, data, length, limits)
            for index, fits in enumerate(fit):
                if not fits:
                    outcomes[index] = ChannelFull(queue, limits[index])
        refused = len(messages) - outcomes.count(None)
        if refused:
            self._counts.add(queue, "channel_full_count", refused)
        if refused < len(messages):
            self._counts.add(queue, "messages_count", len(messages) - refused)
        return outcomes

    def make_room(
        self, queue: str, data: Sequence[bytes], length: int, limits: Sequence[int]
    ) -> Script[tuple[list[bool], list[bytes]]]:
        """Remove what has expired from a queue that is too long, then take back what is beyond its limit.

        A message that is taken back too late was read: then it was sent.

        Args:
            queue: the queue.
            data: the messages that were appended to it last.
            length: how long it was then.
            limits: the capacity that each of ``data`` has to keep to.

        Returns:
            Which of ``data`` stay, and what had expired unread.
        """
        key, tag = self._keys.queue(queue), hash_tag_of(queue)
        before = length - len(data)
        excess = max(before + number - limit for number, limit in enumerate(limits, 1))
        if excess <= 0:
            return [True] * len(data), []
        heads, now_long = yield Step([(tag, ("LRANGE", key, 0, excess - 1)), (tag, ("LLEN", key))], repeatable=True)
        now = self._context.now()
        expired = [head for head in heads if expires_of(head) < now]
        place = before - max(length - now_long, 0) - len(expired)  # messages before the next one, if it stays
        fit: list[bool] = []
        for limit in limits:
            fit.append(place < limit)
            place += fit[-1]
        refused = [index for index, fits in enumerate(fit) if not fits]
        calls: list[Call] = [(tag, ("LREM", key, 1, head)) for head in expired]
        calls += [(tag, ("LREM", key, -1, data[index])) for index in refused]
        if calls:
            removed = yield Step(calls, False)
            if expired:
                self._counts.add(queue, "expired_count", sum(removed[: len(expired)]))
            for index, gone in zip(refused, removed[len(expired) :], strict=True):
                fit[index] = gone == 0
        return fit, expired

    # Receiving

    def pop(self, queue: str) -> Pop:
        """The operation that takes the next messages of ``queue``.

        It takes more than one where a group message goes to several members.
        """
        return Pop(self, queue)

    def pop_one(self, queue: str) -> Script[list[Envelope]]:
        """The script of ``pop`` for ``queue``."""
        while True:
            # Repeatable: at worst a message is lost with the connection, and none is delivered twice (R2).
            (data,) = yield Step([(hash_tag_of(queue), ("LPOP", self._keys.queue(queue)))], True)
            if data is None:
                return []
            envelope = self._context.live(queue, data)
            if envelope is not None:
                if envelope.kind == MESSAGE:
                    return [envelope]
                arrivals = yield from self._receivers(queue, envelope)
                if arrivals:
                    return arrivals

    def pop_any(
        self, places: Sequence[Sequence[str]], count: int, held_up: Callable[[Sequence[Sequence[str]]], object]
    ) -> PopAny:
        """The operation that takes the next messages of any one queue, at most ``count``.

        One command reads all queues of one of ``places``; the places are read one after the other. If the server of one
        holds the operation up, it leaves the places behind that to ``held_up``.
        """
        return PopAny(self, places, count, held_up)

    def pop_places(
        self, places: Sequence[Sequence[str]], count: int, at: Callable[[int], object]
    ) -> Script[list[Envelope]]:
        """The script of ``pop_any`` for ``places`` and ``count``, which tells ``at`` what place it is at."""
        for number, queues in enumerate(places):
            at(number)
            while True:
                tag = hash_tag_of(queues[0])
                keys = [self._keys.queue(queue) for queue in queues]
                found: Any = KEY_BY_KEY
                if len(keys) > 1:
                    if self._is_newer(tag):
                        (found,) = yield Step([(tag, ("LMPOP", len(keys), *keys, "LEFT", "COUNT", count))], True)
                    else:  # in a transaction BLPOP does not block; it takes one message
                        calls = [(tag, ("MULTI",)), (tag, ("BLPOP", *keys, 0)), (tag, ("EXEC",))]
                        *_, results = yield Step(calls, True)
                        found = results if results is KEY_BY_KEY else results[0]
                        if found and found is not KEY_BY_KEY:
                            found = found[0], found[1:]
                if found is KEY_BY_KEY:
                    found = None
                    for key in keys:
                        (popped,) = yield Step([(tag, ("LPOP", key, count))], True)
                        if popped:
                            found = key.encode(), popped
                            break
                if not found:
                    break
                queue = queues[keys.index(found[0].decode())]
                arrivals: list[Envelope] = []
                for data in found[1]:
                    envelope = self._context.live(queue, data)
                    if envelope is not None:
                        if envelope.kind == MESSAGE:
                            arrivals.append(envelope)
                        else:
                            arrivals += yield from self._receivers(queue, envelope)
                if arrivals:
                    return arrivals
        return []

    @operation()
    def receivers(self, queue: str, envelope: Envelope) -> Script[list[Envelope]]:
        """An ``envelope``, popped off ``queue``, which no process owns, as messages to channels."""
        return self._receivers(queue, envelope)

    def _receivers(self, queue: str, envelope: Envelope) -> Script[list[Envelope]]:
        if envelope.kind == MESSAGE:
            return [envelope]
        if envelope.kind != GROUP:  # only a process that serves the queue understands it
            return []
        _, group, body, headers, expires, _ = envelope
        members = self._keys.members(group, queue)
        (found,) = yield Step([(group, ("ZRANGEBYSCORE", members, self._context.now(), "+inf"))], True)
        channels = (self._context.text(member, members) for member in found)
        passed_over = (None, excluded(headers) if headers else None)
        return [
            make_envelope((MESSAGE, name, body, headers, expires, 0)) for name in channels if name not in passed_over
        ]

    @operation()
    def wake_up(self, hash_tag: str, key: str) -> Script[None]:
        """The operation that wakes a reader of this process.

        Args:
            hash_tag: that of the reader.
            key: the wake-up key that the reader waits for, among others.
        """
        yield Step([(hash_tag, ("RPUSH", key, b"")), (hash_tag, ("PEXPIRE", key, 60_000))], True)

    # Sending later

    @operation()
    def send_later(self, kind: int, name: str, body: bytes, headers: bytes, delay: float) -> Script[None]:
        """The operation that keeps a message in Redis until it is due.

        Args:
            kind: ``MESSAGE`` or ``GROUP``.
            name: the channel or the group.
            body: encoded content.
            headers: encoded headers; empty where there are none.
            delay: seconds until it is due.
        """
        key = self._keys.delayed
        due = self._context.clock.latest() + delay  # whoever sends it then must not be early
        member = os.urandom(8) + self._context.wire.pack(kind, name, body, headers, due, DELAYED_PLACE)
        kept: list[Call] = [
            (DELAYED, ("ZADD", key, due, member)),
            (DELAYED, ("PEXPIRE", key, LONGEST_DELAY * 1000)),
        ]
        # Not repeatable, though it is the same member: another process may have taken and sent the first one by then.
        yield Step(kept, repeatable=False)

    @operation()
    def tell_due(self, delay: float) -> Script[None]:
        """The operation that tells two other processes to look for what is due in ``delay`` seconds.

        Where that is soon, none of them would look in time by itself, and this process may end before. It is an
        operation of its own, as a message is kept, and will come, whether they hear of it or not.
        """
        leases: Call = (LEASES, ("ZRANGEBYSCORE", self._keys.leases, f"({GIVEN_UP}", "+inf"))
        (living,) = yield Step([leases], repeatable=True)
        names = (self._context.text(process, self._keys.leases) for process in living)
        others = [name for name in names if name is not None and name != self._context.process]
        due = repr(self._context.clock.latest() + delay).encode()
        told: list[Call] = []
        for process in random.sample(others, min(len(others), 2)):
            queue = process_queue(process)
            told += self._context.push(queue, self._context.seal(queue, DUE, "", due))
        if told:
            yield Step(told, repeatable=True)

    @operation()
    def due(self) -> Script[tuple[list[Envelope], float | None]]:
        """The delayed sends that are due, each given to one caller only, and the time when the next is due."""
        now, key = self._context.now(), self._keys.delayed
        ready, coming = yield Step(
            [
                (DELAYED, ("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, CHUNK)),
                (DELAYED, ("ZRANGEBYSCORE", key, f"({now}", "+inf", "WITHSCORES", "LIMIT", 0, 1)),
            ],
            repeatable=True,
        )
        claimed = (yield Step([(DELAYED, ("ZREM", key, member)) for member in ready], False)) if ready else []
        taken = [member for member, mine in zip(ready, claimed, strict=True) if mine]
        early: list[Call] = [  # somebody else has changed the time in Redis, but not in the envelope
            (DELAYED, ("ZADD", key, due, member)) for member in taken if (due := expires_of(member[8:])) > now
        ]
        if early:
            yield Step(early, True)
        span = self._context.group_expiry
        envelopes = [
            envelope
            for member in taken
            if expires_of(member[8:]) <= now
            and (envelope := self._context.open(member[8:], key, DELAYED_PLACE, span)) is not None
        ]
        if len(ready) == CHUNK:
            return envelopes, now
        return envelopes, float(coming[1]) if coming else None
