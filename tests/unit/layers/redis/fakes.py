"""A server in this process, and what leads to it: what is written is kept, what is read the test decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from routechan.layers.redis.connection import Connection
from routechan.layers.redis.topology import Node, Topology

#: Seconds after which a wait that should end at once has failed.
SOON = 20.0


class FakeNode(Node):
    """A server. ``answer(command)`` makes its replies; an exception is raised as redis-py does. Lifetime: test.

    ``writes`` holds the commands of each write.
    """

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.writes: list[list[tuple[Any, ...]]] = []
        self.connects = 0
        self.newer = True
        self.time = 0.0
        self.refused: Exception | None = None
        self.on_write: Callable[[], object] = lambda: None
        self.answer: Callable[[tuple[Any, ...]], Any] = lambda command: 1
        self.connections: list[FakeConnection] = []

    def connect(self) -> FakeConnection:  # type: ignore[override]
        self.connects += 1
        if self.refused is not None:
            raise self.refused
        self.connections.append(FakeConnection(self))
        return self.connections[-1]

    @property
    def commands(self) -> list[tuple[Any, ...]]:
        return [command for write in self.writes for command in write]


class FakeConnection(Connection):
    """Ours, over none of redis-py's. Lifetime: until it is closed."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self._unread: list[tuple[Any, ...]] = []
        self._connection = self  # in place of redis-py's
        self.closed = False
        self._unwritten = None
        self.newer = node.newer
        self.time = node.time
        self.asked_at = self.told_at = time.monotonic()

    def set_timeout(self, seconds: float) -> None:
        """Whoever holds up an answer holds up who reads it."""

    def write(self, commands: Sequence[tuple[Any, ...]]) -> bool:
        assert not self.closed, "written to after it was closed"
        self._node.on_write()
        self._node.writes.append(list(commands))
        self._unread += commands
        return True

    def read_response(self, disconnect_on_error: bool = True) -> Any:
        assert not self.closed, "read after it was closed"
        reply = self._node.answer(self._unread.pop(0))
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def disconnect(self) -> None:
        self.closed = True


class FakeTopology(Topology):
    """Nodes by hash tag; tags without one are at the first. Lifetime: test."""

    socket_timeout = 5.0

    def __init__(self, *nodes: FakeNode) -> None:
        self._nodes = nodes or (FakeNode(),)
        self.tags: dict[Any, FakeNode] = {}
        self.moved: list[Exception] = []
        self.ask: FakeNode | None = None

    def node_of(self, hash_tag: Any) -> FakeNode:
        return self.tags.get(hash_tag, self._nodes[0])

    def nodes(self) -> list[Node]:
        return list(self._nodes)

    def place_of(self, hash_tag: str) -> str:
        return self.node_of(hash_tag).name

    def not_here(self, error: Exception) -> Node | None:
        self.moved.append(error)
        return self.ask


class Gate:
    """Holds up whoever passes until it is opened. Lifetime: test."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self._open.wait(SOON), "the gate was never opened"

    def open(self) -> None:
        self._open.set()


def numbers(commands: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The last argument of each command."""
    return [command[-1] for command in commands]
