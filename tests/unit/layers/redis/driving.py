"""A driver to a server in this process, and operations whose steps the test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from routechan.exceptions import ChannelFull
from routechan.layers.redis.commands.script import Operation, Script, Step
from routechan.layers.redis.connection import Reconnections, RedisClock
from routechan.layers.redis.driver import Driver
from routechan.layers.redis.transport import Transport

from .fakes import FakeNode, FakeTopology

LOST = RedisConnectionError("it is gone")


class Op(Operation[Any]):
    """``steps`` steps of ``size`` commands each; returns the replies of the last. Lifetime: test."""

    def __init__(
        self,
        number: Any,
        *,
        steps: int = 1,
        repeatable: bool = True,
        tag: str = "h",
        size: int = 1,
        reads_first: bool = False,
        changes_membership: bool = False,
    ) -> None:
        self.number = number
        self.steps = steps
        self.repeatable = repeatable
        self.tag = tag
        self.size = size
        self.reads_first = reads_first
        self.changes_membership = changes_membership

    def script(self) -> Script[Any]:
        replies = None
        for step in range(self.steps):
            replies = yield Step([(self.tag, (f"STEP{step}", self.number))] * self.size, self.repeatable)
        return replies


class Bench:
    """A driver to ``node``, the only one until the test adds others. Lifetime: test."""

    def __init__(self) -> None:
        self.node = FakeNode()
        self.topology = FakeTopology(self.node)
        self.clock = RedisClock()
        self.reconnections = Reconnections()
        self.driver = Driver(Transport(self.topology, self.clock, self.reconnections))

    def call(self, number: Any, **options: Any) -> Any:
        return self.driver.call(Op(number, **options))

    def post(self, number: Any, **options: Any) -> asyncio.Future[Any]:
        return self.driver.post(Op(number, **options))

    def start(self, number: Any, callback: Any = None, **options: Any) -> None:
        self.driver.start(Op(number, **options), callback)

    def keep(self, outcomes: list[Any], *numbers: Any) -> None:
        """Start an operation of each number; its result or error is added to ``outcomes``."""
        for number in numbers:
            self.start(number, lambda result, error: outcomes.append(error or result))


class Send(Operation[None]):
    """One command for all of a batch; what says "full" is refused. Lifetime: test."""

    def __init__(self, queue: str, body: bytes) -> None:
        self.batch_key = queue
        self.body = body

    def batch(self, others: Sequence[Send]) -> Script[list[Exception | None]]:
        bodies = [send.body for send in (self, *others)]
        yield Step([("h", ("RPUSH", self.batch_key, *bodies))], False)
        return [ChannelFull("a", 1) if body == b"full" else None for body in bodies]
