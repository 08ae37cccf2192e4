"""The reader: a thread that waits in Redis for messages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import AskError, MovedError, TryAgainError

from ...exceptions import ChannelLayerUnavailable
from .commands.messages import Messages
from .connection import FAULTS, LONGEST_RETRY, NOT_HERE, Connection, Reconnections, RedisClock, Retry
from .driver import Driver
from .schema import Keys
from .topology import Node, Topology

logger = logging.getLogger("routechan")

#: Seconds one blocking command waits at most; less where the connection's own timeout is short.
BLOCK = 5.0

#: The same where a queue may move to another server meanwhile, which does not end the command.
SHORT_BLOCK = 0.5

#: Seconds between looks for messages in a Cluster's slot while it moves key by key.
MOVING = 0.05

#: Seconds to wait for the end of a blocking command that is not needed any more.
RELEASE = 1.0


@dataclass(frozen=True)
class ReaderTools:
    """What all readers of a layer share. Lifetime: layer, in one process.

    Args:
        process: this process.
        topology: the servers that readers connect to.
        driver: sends what wakes a reader.
        messages: makes the operation for that.
        keys: the names of keys.
        clock: learns the time of each server that is connected to.
        reconnections: counts connections.
        lease: seconds after which a process that gave no sign is taken for dead.
    """

    process: str
    topology: Topology
    driver: Driver
    messages: Messages
    keys: Keys
    clock: RedisClock
    reconnections: Reconnections
    lease: float


class Reader:
    """Waits for messages of the queues it is asked for, and hands them on. Lifetime: layer, in one process.

    No caller that gives up ever cancels it, so what it has popped is never lost (R7). A push to a key of its own wakes
    it when the queues to wait for have changed.

    Args:
        tools: what all readers of a layer share.
        name: tells the readers of a process apart.
        hash_tag: that of its queues, or one of those at the same place of the topology.
        slots: how many messages of a queue are waited for now.
        arrived: called with a queue and what was popped off it.
    """

    def __init__(
        self,
        tools: ReaderTools,
        name: str,
        hash_tag: str,
        slots: Callable[[str], int],
        arrived: Callable[[str, list[bytes]], object],
    ) -> None:
        self._tools = tools
        self._topology = tools.topology
        self._hash_tag = hash_tag
        self._slots = slots
        self._arrived = arrived
        self._wake_up = tools.keys.wake_up(hash_tag, f"{tools.process}:{name}")
        block = SHORT_BLOCK if tools.topology.moves_keys else BLOCK
        # What comes for a process that is stopped goes to its last command: its own last wills must not.
        self._block = min(block, tools.topology.socket_timeout / 2, tools.lease / 2)
        self._changed = threading.Condition()
        self._wanted: dict[str, None] = {}  # in rotation: the first queue of a round is the last of the next
        self._armed: Collection[str] = ()
        self._connection: Connection | None = None
        self._target: tuple[Node, Connection] | None = None  # where the slot of the queues moves to
        self._retry = Retry()
        self._thread: threading.Thread | None = None
        self._closed = False

    def waits_for(self, queue: str) -> bool:
        """Whether the next message of ``queue`` comes through this reader.

        No other may fetch it then, to keep the order.
        """
        with self._changed:
            return queue in self._wanted

    def want(self, queue: str) -> None:
        """Wait for messages of ``queue`` too."""
        with self._changed:
            if self._closed or queue in self._wanted:
                return
            self._wanted[queue] = None
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"routechan-reader-{self._hash_tag}", daemon=True
                )
                self._thread.start()
            waiting = bool(self._armed)
            self._changed.notify_all()
        if waiting:
            self._wake()

    def given_up(self, queue: str) -> None:
        """Leave the messages of ``queue`` to other processes if the waiter that gave up was the last one."""
        if queue in self._armed and not self._slots(queue):
            self._wake()

    def release(self, queue: str, ends: float) -> None:
        """Do as ``given_up``, and wait until no message of ``queue`` is on its way here, or it has a waiter again.

        Args:
            queue: the queue.
            ends: when to return in any case, a time of ``time.monotonic``.
        """
        with self._changed:
            if queue not in self._wanted or self._slots(queue):
                return
        self._wake()
        with self._changed:
            while queue in self._wanted and not self._slots(queue) and not self._closed:
                if not self._changed.wait(ends - time.monotonic()):
                    return

    def stop(self) -> None:
        """Ask the thread to end once it has handed on what it popped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._wake()

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread for ``seconds`` at most, and close its connection."""
        if self._thread is not None:
            self._thread.join(seconds)
        if self._connection is not None:
            self._connection.close()

    def abandon(self) -> None:
        """Close the copy that a forked child has of the parent's connection."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def _wake(self) -> None:
        with suppress(ChannelLayerUnavailable):  # the blocking command ends by itself, a little later
            self._tools.driver.start(self._tools.messages.wake_up(self._hash_tag, self._wake_up))

    def _run(self) -> None:
        while (slots := self._next()) is not None:
            try:
                found = self._pop(slots)
            except (*FAULTS, *NOT_HERE) as error:
                self._lost(error)
                continue
            except Exception:  # after any error, wait for messages again
                if not self._closed:
                    logger.exception("Waiting for messages failed")
                self._lost(None)
                continue
            if found is not None:
                try:
                    self._arrived(*found)
                except Exception:  # an error in one message must not stop the next ones
                    logger.exception("Handling messages of %s failed", found[0])
        if self._connection is not None:
            self._connection.close()
        self._leave_target()

    def _next(self) -> dict[str, int] | None:
        """The queues to wait for now, and how many messages of each are waited for; None at the end."""
        with self._changed:
            while not self._closed:
                # The latest messages have been handed on: only now may other readers take the next ones.
                self._armed = ()
                slots = {queue: self._slots(queue) for queue in self._wanted}
                for queue, count in tuple(slots.items()):
                    if not count:
                        del self._wanted[queue], slots[queue]
                self._changed.notify_all()
                if slots:
                    first = next(iter(slots))  # the last of the next round
                    self._wanted[first] = self._wanted.pop(first)
                    slots[first] = slots.pop(first)
                    self._armed = frozenset(slots)
                    return slots
                self._changed.wait()
            self._armed = ()
            return None

    def _pop(self, slots: dict[str, int]) -> tuple[str, list[bytes]] | None:
        connection = self._open()
        queues = list(slots)
        keys = [self._wake_up, *map(self._tools.keys.queue, queues)]
        # Take no more messages than the queue has waiters, whichever queue it is: the rest is for other processes.
        count = min(slots.values())
        try:
            if connection.newer:
                reply = self._ask(connection, ("BLMPOP", self._block, len(keys), *keys, "LEFT", "COUNT", count))
            else:
                reply = self._ask(connection, ("BLPOP", *keys, self._block))
        except (TryAgainError, AskError) as error:
            if isinstance(error, MovedError):
                raise
            return self._pop_one_by_one(connection, queues, count)
        if reply is None:
            return None
        key = reply[0].decode()
        if key == self._wake_up:
            return None
        messages: list[bytes] = reply[1] if connection.newer else [reply[1]]
        if not connection.newer and count > 1:
            try:
                messages += self._ask(connection, ("LPOP", key, count - 1)) or ()
            except (*FAULTS, *NOT_HERE):  # the first message is here and must be kept
                self._connection = None
                connection.close()
        return queues[keys.index(key) - 1], messages

    def _pop_one_by_one(self, connection: Connection, queues: list[str], count: int) -> tuple[str, list[bytes]] | None:
        """What ``_pop`` does, while the slot moves key by key: then no command may name several keys, or wait."""
        for queue in queues:
            command = ("LPOP", self._tools.keys.queue(queue), count)
            try:
                messages = self._ask(connection, command)
            except AskError as error:
                target = self._topology.not_here(error)
                if target is None:
                    raise
                messages = self._ask_target(target, command)
            if messages:
                return queue, messages
        with self._changed:
            self._armed = ()
            self._changed.wait(MOVING)
        return None

    def _ask_target(self, target: Node, command: tuple[Any, ...]) -> Any:
        """The reply of the server that takes the slot over."""
        if self._target is None or self._target[0] is not target:
            self._leave_target()
            self._target = target, target.connect()
        connection = self._target[1]
        try:
            self._ask(connection, ("ASKING",))
            return self._ask(connection, command)
        except FAULTS:
            self._leave_target()
            raise

    def _leave_target(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target[1].close()

    def _ask(self, connection: Connection, command: tuple[Any, ...]) -> Any:
        connection.write([command])
        reply = connection.read()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _open(self) -> Connection:
        if self._connection is None:
            node: Node = self._topology.node_of(self._hash_tag)
            connection = node.connect()
            with self._changed:
                self._connection = connection
                if self._closed:
                    connection.close()
            self._retry.succeeded()
            self._tools.clock.learn_first(connection.time, connection.asked_at, connection.told_at)
            self._tools.reconnections.add()
        return self._connection

    def _lost(self, error: Exception | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._leave_target()
        if self._closed:
            return
        if error is not None and not self._retry.failing:  # log once per outage
            logger.info("Waiting for messages was interrupted, and goes on: %s", error)
        if isinstance(error, NOT_HERE):
            try:
                self._topology.not_here(error)
            except FAULTS as fault:
                logger.info("Redis cannot be reached: %s", fault)
        self._retry.failed()
        with self._changed:
            self._changed.wait(min(max(self._retry.at - time.monotonic(), 0), LONGEST_RETRY))
