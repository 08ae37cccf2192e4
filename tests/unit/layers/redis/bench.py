"""Operations driven by hand: the test makes up the replies to what they would send."""

from __future__ import annotations

from typing import Any

from routechan.layers.envelope import MESSAGE, Envelope
from routechan.layers.losses import Losses
from routechan.layers.options import CapacityRules
from routechan.layers.redis.commands.counting import Counting
from routechan.layers.redis.commands.groups import Groups
from routechan.layers.redis.commands.leases import Leases
from routechan.layers.redis.commands.messages import Messages
from routechan.layers.redis.commands.script import Context, Operation, Script, Step
from routechan.layers.redis.connection import RedisClock
from routechan.layers.redis.schema import Keys
from routechan.layers.redis.wire import Wire
from routechan.layers.statistics import Counts
from routechan.names import Marks, queue_name

NOW = 1_800_000_000.0
EXPIRY, GROUP_EXPIRY = 60.0, 3600.0
TTL, GROUP_TTL = 121_000, 3_601_000
OLD, FRESH = NOW - 1, NOW + 30
ME = "ME"

#: How much later than ``NOW`` the server's clock may be.
LATEST = 0.25


class StoppedClock(RedisClock):
    def now(self) -> float:
        return NOW

    def latest(self) -> float:
        return NOW + LATEST

    def learn(self, redis_time: float, asked: float, told: float) -> None:
        self.learned = redis_time


class Bench:
    """Operations of one process, whose replies the test makes up. Lifetime: test."""

    def __init__(self, capacity: int = 3, capacities: dict[str, int] | None = None) -> None:
        self.keys = Keys("rc")
        self.counts = Counts()
        self.clock = StoppedClock()
        self.newer = False
        self.context = Context(
            self.keys,
            process=ME,
            expiry=EXPIRY,
            group_expiry=GROUP_EXPIRY,
            capacities=CapacityRules(capacity, {"small*": 1} if capacities is None else capacities),
            clock=self.clock,
            counts=self.counts,
            wire=Wire(),
            losses=Losses(self.counts),
            is_own=lambda queue: queue.endswith(f".{ME}!"),
            marks=Marks(ME),
        )
        self.messages = Messages(self.context, lambda hash_tag: self.newer)
        self.leases = Leases(self.context)
        self.counting = Counting(self.context)
        self.groups = Groups(self.context, self.messages, self.leases)

    def send(self, channel: str, *others: str) -> Run:
        """Messages to one queue, all with the same body."""
        first, *following = [self.messages.send(queue_name(name), name, b"body") for name in (channel, *others)]
        return Run(first.batch(following))

    def counted(self, queue: str | None = None) -> dict[str, int]:
        return {what: count for what, count in self.counts.of(queue).items() if count}


class Run:
    """One operation, step by step. Lifetime: test."""

    def __init__(self, operation: Operation[Any] | Script[Any]) -> None:
        self.operation = operation
        self._script = operation.script() if isinstance(operation, Operation) else operation
        self.done = False
        self.ended: set[tuple[Any, Any]] = set()
        self.result: Any = None
        self._next(None)

    def reply(self, *replies: Any) -> Run:
        """Give the replies of the current step, one for each command."""
        assert not self.done, "it has ended"
        assert len(replies) == len(self.step.calls), self.commands
        self._next(list(replies))
        return self

    def _next(self, replies: list[Any] | None) -> None:
        try:
            self.step: Step = next(self._script) if replies is None else self._script.send(replies)
        except StopIteration as end:
            self.done, self.result = True, end.value

    @property
    def commands(self) -> list[tuple[Any, ...]]:
        return [command for _, command in self.step.calls]

    @property
    def verbs(self) -> list[str]:
        return [command[0] for command in self.commands]

    @property
    def tags(self) -> list[Any]:
        """Where the commands go."""
        return [tag for tag, _ in self.step.calls]


def message(expires: float, name: str = "a", body: bytes = b"body") -> bytes:
    return pack(MESSAGE, name, body, expires)


def pack(kind: int, name: str, body: bytes = b"body", expires: float = NOW + EXPIRY) -> bytes:
    """An envelope in Redis, without headers."""
    return Wire().pack(kind, name, body, b"", expires)


def arrival(name: str, expires: float = FRESH) -> Envelope:
    """A message as it comes out of a queue."""
    return Envelope(MESSAGE, name, b"body", b"", expires)
