"""A thread that waits in Redis for messages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from .connection import FAULTS, NOT_HERE, Connection
from .retry import LONGEST_RETRY, Retry
from .topology import Node, Topology

logger = logging.getLogger("routechan")

#: Seconds one blocking command waits at most; less where the connection's own timeout is short.
BLOCK = 5.0

#: Seconds for the end of a wait that is not needed any more; a server that does not answer is not waited for.
RELEASE = 1.0


class Reader:
    """Waits for messages of the queues it is asked for, and hands them on. Lifetime: layer, in one process.

    No caller that gives up ever cancels it, so what it has popped is never lost (R7). ``arrived(queue, messages)``
    takes what came, ``room(queue)`` tells how many messages of a queue are waited for now, ``ring`` pushes to ``bell``,
    which wakes it when it is to wait for other queues than it does. All its queues are at one place of ``topology``.
    """

    def __init__(
        self,
        topology: Topology,
        home: str,
        *,
        bell: str,
        ring: Callable[[], object],
        key_of: Callable[[str], str],
        room: Callable[[str], int],
        arrived: Callable[[str, list[bytes]], object],
        connected: Callable[[Connection], object],
    ) -> None:
        self._topology = topology
        self._home = home
        self._bell = bell
        self._ring = ring
        self._key_of = key_of
        self._room = room
        self._arrived = arrived
        self._connected = connected
        self._block = min(BLOCK, topology.socket_timeout / 2)
        self._changed = threading.Condition()
        self._wanted: dict[str, None] = {}  # in turn: who was first last time is last this time
        self._armed: Collection[str] = ()
        self._connection: Connection | None = None
        self._retry = Retry()
        self._thread: threading.Thread | None = None
        self._closed = False

    def waits_for(self, queue: str) -> bool:
        """Whether the next message of ``queue`` comes through here: then nobody else may fetch it, for the order."""
        with self._changed:
            return queue in self._wanted

    def want(self, queue: str) -> None:
        """Wait for messages of ``queue`` too."""
        with self._changed:
            if self._closed or queue in self._wanted:
                return
            self._wanted[queue] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"routechan-reader-{self._home}", daemon=True)
                self._thread.start()
            ring = bool(self._armed)
            self._changed.notify_all()
        if ring:
            self._ring()

    def given_up(self, queue: str) -> None:
        """Somebody waits no longer: if nobody does, leave the messages of ``queue`` to others."""
        if queue in self._armed and not self._room(queue):
            self._ring()

    def release(self, queue: str, ends: float | None = None) -> None:
        """As ``given_up``; back when no message of ``queue`` is on its way here, or somebody waits for it again.

        Not later than ``ends``, of ``time.monotonic``; a second from now if it is not given.
        """
        if ends is None:
            ends = time.monotonic() + RELEASE
        with self._changed:
            if queue not in self._wanted or self._room(queue):
                return
        self._ring()
        with self._changed:
            while queue in self._wanted and not self._room(queue) and not self._closed:
                if not self._changed.wait(ends - time.monotonic()):
                    return

    def stop(self) -> None:
        """End soon, after what is being handed on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ring()

    def join(self, seconds: float) -> None:
        """Wait for the end; a server that does not answer is not waited for."""
        if self._thread is not None:
            self._thread.join(seconds)
        if self._connection is not None:
            self._connection.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connection."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        while (queues := self._next()) is not None:
            try:
                found = self._pop(queues)
            except (*FAULTS, *NOT_HERE) as error:
                self._lost(error)
                continue
            except Exception:  # whatever it is, messages are waited for again after it
                if not self._closed:
                    logger.exception("Waiting for messages failed")
                self._lost(None)
                continue
            if found is not None:
                try:
                    self._arrived(*found)
                except Exception:  # one message's trouble; the next ones come
                    logger.exception("Handling messages of %s failed", found[0])
        if self._connection is not None:
            self._connection.close()

    def _next(self) -> list[str] | None:
        """The queues to wait for now; None at the end."""
        with self._changed:
            while not self._closed:
                # What just came has been handed on: only now may others take what comes next.
                self._armed = ()
                for queue in [queue for queue in self._wanted if not self._room(queue)]:
                    del self._wanted[queue]
                self._changed.notify_all()
                if self._wanted:
                    first = next(iter(self._wanted))
                    self._wanted[first] = self._wanted.pop(first)
                    self._armed = frozenset(self._wanted)
                    return list(self._wanted)
                self._changed.wait()
            self._armed = ()
            return None

    def _pop(self, queues: Sequence[str]) -> tuple[str, list[bytes]] | None:
        connection = self._open()
        keys = [self._bell, *map(self._key_of, queues)]
        # Whichever of them has messages: no more than are waited for, because the others are for other processes.
        count = max(1, min(map(self._room, queues)))
        if connection.newer:
            reply = self._ask(connection, ("BLMPOP", self._block, len(keys), *keys, "LEFT", "COUNT", count))
        else:
            reply = self._ask(connection, ("BLPOP", *keys, self._block))
        if reply is None:
            return None
        key = reply[0].decode()
        if key == self._bell:
            return None
        messages: list[bytes] = reply[1] if connection.newer else [reply[1]]
        if not connection.newer and count > 1:
            try:
                messages += self._ask(connection, ("LPOP", key, count - 1)) or ()
            except (*FAULTS, *NOT_HERE):  # the first has come all the same
                self._connection = None
                connection.close()
        return queues[keys.index(key) - 1], messages

    def _ask(self, connection: Connection, command: tuple[Any, ...]) -> Any:
        connection.write([command])
        reply = connection.read()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _open(self) -> Connection:
        if self._connection is None:
            node: Node = self._topology.node_of(self._home)
            connection = node.connect()
            with self._changed:
                self._connection = connection
                if self._closed:
                    connection.close()
            self._retry.succeeded()
            self._connected(connection)
        return self._connection

    def _lost(self, error: Exception | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._closed:
            return
        if error is not None and not self._retry.failing:  # said once, until it is reached again
            logger.info("Waiting for messages was interrupted, and goes on: %s", error)
        if isinstance(error, NOT_HERE):
            try:
                self._topology.not_here(error)
            except FAULTS as fault:
                logger.info("Redis cannot be reached: %s", fault)
        self._retry.failed()
        with self._changed:
            self._changed.wait(min(max(self._retry.at - time.monotonic(), 0), LONGEST_RETRY))
