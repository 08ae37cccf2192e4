"""Operations: the actions of the layer in Redis, as commands and the meaning of their replies.

There is no I/O here. A script is a generator: it yields ``Step`` after ``Step``, is given their replies, and returns
its result. An ``Operation`` starts such a script, and starts it again if a lost server has certainly not executed the
first step. It also says what the driver has to know of it.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

from ....exceptions import InvalidName
from ....names import Marks, checked_channel
from ...envelope import GROUP, MESSAGE, Envelope
from ...losses import Losses
from ...options import CapacityRules
from ...statistics import Counts
from ..connection import RedisClock
from ..schema import Keys, hash_tag_of
from ..wire import Unreadable, Wire

#: Seconds that an operation waits for Redis to come back, where nobody says otherwise.
PATIENCE = 10.0

#: Seconds after which a server that is connected to is known to be away, and that an operation without patience waits
#: while that is not known.
ATTEMPT = 1.0

#: How many delayed sends, last wills or keys are handled in one step.
CHUNK = 200

#: How many messages at the head of a queue are checked for expiry.
HEADS = 10

#: ``(where, command)``: a hash tag, or a node of the topology itself.
Call = tuple[Any, tuple[Any, ...]]

#: The reply to a command with several keys, in place of the server's: keys that may be moving one by one have to be
#: asked for one by one.
KEY_BY_KEY = object()

T = TypeVar("T")
P = ParamSpec("P")


class Step(NamedTuple):
    """Commands that leave together.

    Args:
        calls: the commands, and where each is sent.
        repeatable: harmless if executed twice, when a lost connection hides whether they were executed.
    """

    calls: list[Call]
    repeatable: bool


#: One run of an operation.
Script = Generator[Step, list[Any], T]


class Operation(Generic[T]):
    """One action of the layer in Redis. Lifetime: until it is done."""

    __slots__ = ()

    #: Whether the first step only reads, and may run ahead of earlier operations.
    reads_first: bool = False
    #: Whether it changes memberships, which later operations read.
    changes_membership: bool = False
    #: Neighbouring operations with the same key leave together, as one ``batch``; None for an operation that does not.
    batch_key: str | None = None

    def script(self) -> Script[T]:
        """A new run of the operation."""
        raise NotImplementedError

    def held_up(self) -> None:
        """Called when the operation has to wait for a server that is away or late; may start others in its stead."""

    def batch(self, others: Sequence[Any]) -> Script[list[T | Exception]]:
        """A new run of the operation together with ``others`` of the same ``batch_key``, which may be empty.

        The script returns what each of them returns or raises, in order.
        """
        raise NotImplementedError


#: Called with the result or the error of an operation, before any later operation's callback. A callable it returns is
#: called once after the operations that left together, however many callbacks returned the same.
Callback = Callable[[Any, "BaseException | None"], "Callable[[], object] | None"]


class PendingOperation:
    """An operation in the driver's queue. Lifetime: until it is done.

    Args:
        operation: what is to be done.
        patience: seconds to wait for a server that is away, and for its answer; None for ``PATIENCE`` and any answer.
    """

    __slots__ = (
        "callback",
        "deadline",
        "done",
        "error",
        "followers",
        "future",
        "gives_up",
        "kept",
        "limited",
        "loop",
        "operation",
        "patience",
        "result",
        "script",
        "step",
        "woken",
        "wrote",
    )

    script: Script[Any]  # set, like ``step``, while the operation is performed
    step: Step

    def __init__(self, operation: Operation[Any], patience: float | None = None) -> None:
        self.operation = operation
        self.followers: list[PendingOperation] = []  # operations of the same batch that leave with this one
        self.limited = patience is not None  # whether it is given up while its answer is late, too
        self.patience = PATIENCE if patience is None else patience
        # Until when it waits, and until when it does so for a server that is known to be away.
        self.deadline = self.gives_up = time.monotonic() + self.patience
        if not self.patience:
            self.deadline += ATTEMPT
        self.wrote = False
        self.kept: list[Any] | None = None  # replies to a step that is sent in part, see ``Outage.keep``
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[Any] | None = None
        self.callback: Callback | None = None
        self.woken: threading.Event | None = None  # set when it is done, or its deadline has changed


def resolve(operations: Iterable[PendingOperation]) -> None:
    """Give the outcomes of ``operations`` to their futures, on the event loop of all of them."""
    for pending in operations:
        future = pending.future
        if future is None or future.done():
            continue
        if pending.error is not None:
            future.set_exception(pending.error)
        else:
            future.set_result(pending.result)


class _ScriptOperation(Operation[T]):
    """An operation made of a generator function. Lifetime: until it is done."""

    __slots__ = ("_make", "changes_membership", "reads_first")

    def __init__(self, make: Callable[[], Script[T]], reads_first: bool, changes_membership: bool) -> None:
        self._make = make
        self.reads_first = reads_first
        self.changes_membership = changes_membership

    def script(self) -> Script[T]:
        return self._make()


def operation(
    *, reads_first: bool = False, changes_membership: bool = False
) -> Callable[[Callable[P, Script[T]]], Callable[P, Operation[T]]]:
    """A decorator that makes a generator function return operations.

    Args:
        reads_first, changes_membership: the properties of ``Operation``.
    """

    def decorate(script: Callable[P, Script[T]]) -> Callable[P, Operation[T]]:
        @functools.wraps(script)
        def make(*args: P.args, **kwargs: P.kwargs) -> Operation[T]:
            return _ScriptOperation(functools.partial(script, *args, **kwargs), reads_first, changes_membership)

        return make

    return decorate


def together(scripts: Sequence[Script[Any]]) -> Script[None]:
    """The ``scripts`` as one, whose steps leave side by side."""
    steps = [(script, next(script)) for script in scripts]
    while steps:
        replies = yield Step([call for _, step in steps for call in step.calls], all(s.repeatable for _, s in steps))
        going: list[tuple[Script[Any], Step]] = []
        at = 0
        for script, step in steps:
            with suppress(StopIteration):
                going.append((script, script.send(replies[at : at + len(step.calls)])))
            at += len(step.calls)
        steps = going


class Context:
    """Names, times and formats for the operations of one process. Lifetime: layer, in one process.

    Args:
        keys: the names of keys.
        process: this process.
        expiry: seconds that an unread message lives.
        group_expiry: seconds that a membership lives.
        capacities: how many messages a queue in Redis holds.
        clock: the server's time.
        counts: where messages are counted.
        wire: envelopes to bytes and back.
        losses: where unreadable messages are counted and logged.
        is_own: whether a queue is of this process.
        marks: tells queues of other layers.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        process: str,
        expiry: float,
        group_expiry: float,
        capacities: CapacityRules,
        clock: RedisClock,
        counts: Counts,
        wire: Wire,
        losses: Losses,
        is_own: Callable[[str], bool],
        marks: Marks,
    ) -> None:
        self.keys = keys
        self.process = process
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.capacities = capacities
        self.now = clock.now
        self.clock = clock
        self.counts = counts
        self.wire = wire
        self.losses = losses
        self.is_own = is_own
        self.marks = marks
        # Twice the expiry: an expired message that the next send still sees shows that the channel has no reader.
        self.ttl = int(expiry * 2000) + 1000
        self.group_ttl = int(group_expiry * 1000) + 1000

    def push(self, queue: str, *data: bytes) -> list[Call]:
        """The commands that append ``data`` to ``queue``; the first reply is how long it is then."""
        key, tag = self.keys.queue(queue), hash_tag_of(queue)
        return [(tag, ("RPUSH", key, *data)), (tag, ("PEXPIRE", key, self.ttl))]

    def bytes_of(self, queue: str) -> Call:
        """The command that asks how many bytes ``queue`` takes; None where it is empty."""
        return hash_tag_of(queue), ("MEMORY", "USAGE", self.keys.queue(queue), "SAMPLES", 0)

    def seal(self, queue: str, kind: int, name: str, body: bytes, headers: bytes = b"") -> bytes:
        """The bytes of an envelope that expires as every message does.

        Args:
            queue: where it will lie.
            kind: one of the kinds of ``Envelope``.
            name: a channel, or a group.
            body: encoded content, or what the kind says.
            headers: encoded headers; empty where there are none.
        """
        return self.wire.pack(kind, name, body, headers, self.now() + self.expiry, queue)

    def open(self, data: bytes, key: str, place: str, lasts: float) -> Envelope | None:
        """The envelope in ``data``, taken off ``key``; None for a message that cannot be read, which is lost.

        Args:
            data: its bytes.
            key: for the log.
            place: where it lay.
            lasts: seconds that it may be taken after its expiry, where that can be enforced.
        """
        try:
            envelope = self.wire.take(data, place, self.now(), lasts)
            checked_channel(envelope.name)  # a key will be made of it
            return envelope
        except (Unreadable, InvalidName) as error:
            self.losses.add(None, error, key)
            return None

    def peek(self, data: bytes, queue: str) -> Envelope | None:
        """The envelope in ``data``, which stays in ``queue``; None for what cannot be read."""
        try:
            return self.wire.unpack(data, queue)
        except Unreadable:
            return None

    def live(self, queue: str, data: bytes) -> Envelope | None:
        """The envelope in ``data``, popped off ``queue``.

        None for a message that cannot be read or has expired, which is counted.
        """
        now = self.now()
        try:
            envelope = self.wire.take(data, queue, now)
        except Unreadable as error:
            self.losses.add(queue, error, self.keys.queue(queue))
            return None
        if envelope.expires < now:
            if envelope.kind in (MESSAGE, GROUP):
                self.counts.add(queue, "expired_count")
            return None
        return envelope

    def text(self, found: bytes, key: str) -> str | None:
        """The name ``found`` in ``key``; None for what is no name, which somebody else wrote there."""
        try:
            return checked_channel(found.decode())
        except (UnicodeDecodeError, InvalidName) as error:
            self.losses.pass_over(key, error)
            return None

    def end_entry(self, group: str, entry: str) -> list[Call]:
        """The commands that take ``entry``, a queue with its members or a plain channel, out of ``group``."""
        calls: list[Call] = [(group, ("ZREM", self.keys.group(group), entry))]
        if entry.endswith("!"):
            calls.append((group, ("UNLINK", self.keys.members(group, entry))))
        return calls
