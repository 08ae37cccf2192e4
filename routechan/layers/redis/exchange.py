"""Commands to the servers that hold what they are about, and the replies back.

What a lost connection or a moved slot does to a command is told with its reply; nothing is ever sent twice here.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import BusyLoadingError, MasterDownError, ReadOnlyError

from .connection import FAULTS, NOT_HERE, Connection, is_ask
from .keys import LEASES
from .operations import Call
from .retry import FIRST_RETRY, LONGEST_RETRY, Retry
from .topology import Node, Topology

logger = logging.getLogger("routechan")

#: How often a command is sent on to where servers say it belongs, before it waits like for a lost server.
REDIRECTIONS = 8


class Outcome(enum.Enum):
    UNSENT = "unsent"  # certainly not executed
    IN_DOUBT = "in doubt"  # written, and no reply came


class Exchange:
    """One connection to each server. Lifetime: layer, in one process. Not thread-safe.

    ``connected(connection)`` is called for each connection it opens.
    """

    def __init__(self, topology: Topology, connected: Callable[[Connection], object]) -> None:
        self._topology = topology
        self._connected = connected
        self._connections: dict[Node, Connection] = {}
        self._retries: dict[Node | None, Retry] = {}
        self.trouble: Exception | None = None  # the last

    def meet(self) -> None:
        """Be connected: operations stamp what they send with the server's time, so it is asked before the first."""
        if not self._connections:
            with suppress(*FAULTS):
                self._connection(self._topology.node_of(LEASES))

    def pause(self) -> float:
        """Seconds to wait for a lost server before the next attempt."""
        at = min((retry.at for retry in tuple(self._retries.values()) if retry.at), default=0.0)
        return min(max(at - time.monotonic(), 0.001), LONGEST_RETRY)

    def close(self) -> None:
        """Close all connections; the next command opens others."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def perform(self, calls: list[Call]) -> tuple[list[Any], bool]:
        """The replies to ``calls``, in their order, and whether all are good; all servers work side by side."""
        replies: list[Any] = [Outcome.UNSENT] * len(calls)
        waiting: Sequence[int] = range(len(calls))
        for _ in range(REDIRECTIONS):
            not_here: list[int] = []
            sent: list[tuple[Node, Connection, list[int]]] = []
            for node, places in self._by_node(calls, waiting).items():
                connection = self._connection(node)
                if connection is None:
                    continue
                try:
                    connection.write([calls[place][1] for place in places])
                except FAULTS as error:
                    self._lost(node, error)
                    for place in places:
                        replies[place] = Outcome.IN_DOUBT
                else:
                    sent.append((node, connection, places))
            for node, connection, places in sent:
                found, good, fault = connection.read_many(len(places))
                if good and len(places) == len(calls):
                    return found, True
                if fault is not None:
                    self._lost(node, fault)
                    # A server that is still loading its data has executed nothing.
                    loading = isinstance(fault, BusyLoadingError)
                    left = len(places) - len(found)
                    found += [Outcome.UNSENT if loading else Outcome.IN_DOUBT] * left
                    if loading:
                        self._retry(node).failed()
                for place, reply in zip(places, found, strict=True):
                    replies[place] = reply
                    if isinstance(reply, NOT_HERE):
                        not_here.append(place)
            if not not_here:
                return replies, False
            waiting = self._redirect(calls, replies, sorted(not_here))
            if not waiting:
                return replies, False
        for place in waiting:
            replies[place] = Outcome.UNSENT
        self._retry(None).failed()
        return replies, False

    def _by_node(self, calls: list[Call], places: Sequence[int]) -> dict[Node, list[int]]:
        found: dict[Node, list[int]] = {}
        homes: dict[Any, list[int]] = {}
        try:
            for place in places:
                home = calls[place][0]
                listed = homes.get(home)
                if listed is None:
                    listed = homes[home] = found.setdefault(self._topology.node_of(home), [])
                listed.append(place)
        except FAULTS as error:
            self.trouble = error
            self._retry(None).failed()
            return {}
        for listed in found.values():
            listed.sort()
        return found

    def _redirect(self, calls: list[Call], replies: list[Any], places: list[int]) -> list[int]:
        """Those of ``places`` to be sent again; the server they went to did not execute them."""
        left: list[int] = []
        error: Exception = replies[places[0]]
        self.trouble = error
        for place in places:
            error = replies[place]
            replies[place] = Outcome.UNSENT
            node = None
            if is_ask(error):
                try:
                    node = self._topology.not_here(error)
                except FAULTS as fault:
                    self.trouble = fault
            if node is not None:
                replies[place] = self._ask(node, calls[place])
            if replies[place] is Outcome.UNSENT:
                left.append(place)
        if left:
            time.sleep(FIRST_RETRY)
            try:
                if isinstance(error, (ReadOnlyError, MasterDownError)):
                    for node in {self._topology.node_of(calls[place][0]) for place in left}:
                        self._drop(node)  # who is the master now, a new connection finds out
                else:
                    self._topology.not_here(error)
            except FAULTS as fault:
                self.trouble = fault
                self._retry(None).failed()
                return []
        return left

    def _ask(self, node: Node, call: Call) -> Any:
        """Send one command to the server that is taking over its slot."""
        connection = self._connection(node)
        if connection is None:
            return Outcome.UNSENT
        try:
            connection.write([("ASKING",), call[1]])
            connection.read()
            reply = connection.read()
        except FAULTS as error:
            self._lost(node, error)
            return Outcome.IN_DOUBT
        return Outcome.UNSENT if isinstance(reply, NOT_HERE) else reply

    def _connection(self, node: Node) -> Connection | None:
        connection = self._connections.get(node)
        if connection is None:
            retry = self._retry(node)
            if time.monotonic() < retry.at:
                return None
            try:
                connection = self._connections[node] = node.connect()
            except FAULTS as error:
                if self.trouble is None:
                    logger.warning("Redis at %s cannot be reached; trying again until it can: %s", node, error)
                self.trouble = error
                retry.failed()
                return None
            if self.trouble is not None:
                logger.warning("Redis at %s is reached again", node)
            self.trouble = None
            retry.succeeded()
            self._retry(None).succeeded()
            self._connected(connection)
        return connection

    def _retry(self, node: Node | None) -> Retry:
        return self._retries.setdefault(node, Retry())

    def _lost(self, node: Node, error: Exception) -> None:
        logger.warning("The connection to Redis at %s is lost: %s", node, error)
        self.trouble = error
        self._drop(node)

    def _drop(self, node: Node) -> None:
        connection = self._connections.pop(node, None)
        if connection is not None:
            connection.close()
