"""Transport: sends each command to the server that holds its keys, and reads the replies.

The reply to a command says what a lost connection or a moved slot did to it; nothing is ever sent twice here. Nobody
waits here for a server that is away or slow: other threads connect to it and read what comes late.
"""

from __future__ import annotations

import enum
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import BusyLoadingError, MasterDownError, ReadOnlyError, TryAgainError

from .commands.script import ATTEMPT, KEY_BY_KEY, Call
from .connection import (
    FAULTS,
    FIRST_RETRY,
    LATE,
    LONGEST_RETRY,
    NOT_HERE,
    TIMEOUTS,
    Connection,
    Reconnections,
    RedisClock,
    Retry,
    is_ask,
)
from .schema import LEASES
from .topology import Node, Topology

logger = logging.getLogger("routechan")

#: How many redirections of a command are followed before it waits as for a lost server.
REDIRECTIONS = 8

#: Seconds of silence after which the log says that a server does not answer.
SILENCE = 1.0


class Outcome(enum.Enum):
    """The outcome of a command without a reply."""

    UNSENT = "unsent"  # certainly not executed
    IN_DOUBT = "in doubt"  # written, and no reply came
    COMING = "coming"  # written, and the reply is late; it takes the place of this in the list of replies


class _Gap:
    """A time in which a server takes no commands: it is connected to, or its replies are late. Lifetime: that time.

    Args:
        connection: the connection whose replies are late, if there is one.
    """

    __slots__ = ("away", "connection", "made", "over", "since", "told", "tried")

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = connection
        self.away = connection is not None  # whether it is known that nothing can be sent now
        self.told = False  # whether the log says so
        self.since = time.monotonic()
        self.made: Connection | None = None  # the new connection
        self.tried = threading.Event()  # whether the first attempt has ended
        self.over = False


class Transport:
    """One connection to each server. Lifetime: layer, in one process.

    Not thread-safe: everything is done under ``lock``.

    Args:
        topology: where commands go.
        clock: learns the time of the server that keeps the leases, and until then that of any other.
        reconnections: counts connections.
    """

    def __init__(self, topology: Topology, clock: RedisClock, reconnections: Reconnections) -> None:
        #: Held by who uses the transport.
        self.lock = threading.Lock()
        #: Called under the lock when a server takes commands again, or late replies have come.
        self.on_change: Callable[[], object] = lambda: None
        self.trouble: Exception | None = None  # the latest error
        self._topology = topology
        self._clock = clock
        self._reconnections = reconnections
        self._connections: dict[Node, Connection] = {}
        self._gaps: dict[Node | None, _Gap] = {}  # None: nobody knows yet which servers there are
        self._connected_at: dict[Node | None, float] = {}
        self._retry = Retry()  # for commands that no server wants
        self._ending = threading.Event()

    # What servers are there

    def is_ready(self) -> bool:
        """Whether there is a connection, and so the server's time is known, with which operations stamp what they send.

        If there is none, it is being made.
        """
        if self._connections:
            return True
        with suppress(*FAULTS):
            if self._knows_servers():
                first = self._topology.node_of(LEASES)
                return any(self._connection(node) is not None for node in (first, *self._topology.nodes()))
        return False

    def away_since(self, hash_tags: Iterable[Any]) -> float | None:
        """The time since which nothing can be sent to a server of one of ``hash_tags``, as is known; else None."""
        if self._retry.failing:
            return time.monotonic()
        gaps = [self._gaps.get(None)]
        if gaps == [None]:
            with suppress(*FAULTS):
                gaps = [self._gaps.get(self._topology.node_of(tag)) for tag in hash_tags]
        long_ago = time.monotonic() - ATTEMPT
        away = [gap.since for gap in gaps if gap is not None and (gap.away or gap.since < long_ago)]
        return max(away, default=None)

    def is_late(self, hash_tag: str) -> bool:
        """Whether the server of ``hash_tag`` is known to be away or late."""
        with suppress(*FAULTS):
            return bool(self._gaps) and self._topology.node_of(hash_tag) in self._gaps
        return True

    def is_newer(self, hash_tag: str) -> bool:
        """Whether the server of ``hash_tag`` has the commands of Redis 7; False where it cannot be reached."""
        with suppress(*FAULTS):
            connection = self._connection(self._topology.node_of(hash_tag))
            return connection is not None and connection.newer
        return False

    @property
    def retry(self) -> Retry:
        """When to try commands again that no server wanted."""
        return self._retry

    def drop(self) -> None:
        """Close all connections, which cannot be trusted any more; others are opened."""
        for node, connection in tuple(self._connections.items()):
            del self._connections[node]
            connection.close()

    def close(self) -> None:
        """Close all connections for good."""
        self._ending.set()
        self.abandon()

    def abandon(self) -> None:
        """Close the connections, in a forked child: another thread may have held any lock when it was forked."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        for gap in self._gaps.values():
            if gap.connection is not None:
                gap.connection.close()

    # Sending commands

    def perform(self, calls: list[Call]) -> tuple[list[Any], bool]:
        """Send commands, to all servers side by side, and read the replies.

        Returns:
            A reply, an error of the server, or an ``Outcome`` for each of ``calls``, and whether all are replies.
        """
        replies: list[Any] = [Outcome.UNSENT] * len(calls)
        waiting: Sequence[int] = range(len(calls))
        for _ in range(REDIRECTIONS):
            not_here: list[int] = []
            sent: list[tuple[Node, Connection, list[int]]] = []
            by_node, known = self._by_node(calls, waiting)
            for node, places in by_node.items():
                connection = self._connection(node)
                if connection is None:
                    continue
                try:
                    all_left = connection.write([calls[place][1] for place in places])
                except FAULTS as error:
                    self._lost(node, error)
                    for place in places:
                        replies[place] = Outcome.IN_DOUBT
                    continue
                if all_left:
                    sent.append((node, connection, places))
                else:
                    self._late(node, connection, replies, places)
            for node, connection, places in sent:
                found, good, fault = connection.read_many(len(places))
                if good and len(places) == len(calls):
                    if self._retry.failing:
                        self._retry.succeeded()
                    return found, True
                for place, reply in zip(places, found, strict=False):
                    replies[place] = reply
                    if isinstance(reply, NOT_HERE):
                        not_here.append(place)
                if isinstance(fault, TIMEOUTS):
                    self._late(node, connection, replies, places[len(found) :])
                elif fault is not None:
                    self._lost(node, fault)
                    _give_up(replies, places[len(found) :], fault)
            if not not_here:
                (self._retry.succeeded if known else self._retry.failed)()
                return replies, False
            waiting = self._redirect(calls, replies, sorted(not_here))
            if not waiting:
                return replies, False
        for place in waiting:
            replies[place] = Outcome.UNSENT
        self._retry.failed()
        return replies, False

    def _by_node(self, calls: list[Call], places: Sequence[int]) -> tuple[dict[Node, list[int]], bool]:
        """The ``places`` by the server they go to, without those whose server is not known; whether all are known."""
        only_node = self._topology.only_node
        if only_node is not None:
            return {only_node: list(places)}, True
        found: dict[Node, list[int]] = {}
        by_tag: dict[Any, list[int]] = {}
        known = True
        for place in places:
            hash_tag = calls[place][0]
            listed = by_tag.get(hash_tag)
            if listed is None:
                listed = by_tag[hash_tag] = []
                try:
                    listed = by_tag[hash_tag] = found.setdefault(self._topology.node_of(hash_tag), listed)
                except FAULTS as error:
                    self.trouble = error
                    known = False
            listed.append(place)
        for listed in found.values():
            listed.sort()
        return found, known

    def _redirect(self, calls: list[Call], replies: list[Any], places: list[int]) -> list[int]:
        """The ``places`` to send again, because the server they went to did not execute them."""
        left: list[int] = []
        error: Exception = replies[places[0]]
        self.trouble = error
        for place in places:
            error = replies[place]
            name = calls[place][1][0]
            if name == "BLPOP":
                replies[place] = replies[place + 1] = KEY_BY_KEY  # outside of its transaction it would wait
                continue
            replies[place] = Outcome.UNSENT
            node = None
            if is_ask(error):
                try:
                    node = self._topology.not_here(error)
                except FAULTS as fault:
                    self.trouble = fault
            if node is not None:
                error = self._ask(node, calls[place])
                replies[place] = Outcome.UNSENT if isinstance(error, NOT_HERE) else error
            if isinstance(error, TryAgainError) and name == "LMPOP":
                replies[place] = KEY_BY_KEY
            if replies[place] is Outcome.UNSENT:
                left.append(place)
        if left or not (is_ask(error) or isinstance(error, TryAgainError)):
            time.sleep(FIRST_RETRY)
            try:
                if isinstance(error, (ReadOnlyError, MasterDownError)):
                    for node in {self._topology.node_of(calls[place][0]) for place in left}:
                        self._drop(node)  # a new connection finds the new master
                else:
                    self._topology.not_here(error)
            except FAULTS as fault:
                self.trouble = fault
                self._retry.failed()
                return []
        return left

    def _ask(self, node: Node, call: Call) -> Any:
        """Send one command to the server that is taking over its slot."""
        connection = self._connection(node)
        if connection is None:
            return Outcome.UNSENT
        try:
            connection.write([("ASKING",), call[1]])
            found, _, fault = connection.finish(2, self._topology.socket_timeout)
            if fault is not None:
                raise fault
            connection.set_timeout(LATE)
        except FAULTS as error:
            self._lost(node, error)
            return Outcome.IN_DOUBT
        return found[1]

    # Servers that are away or late

    def _connection(self, node: Node) -> Connection | None:
        connection = self._connections.get(node)
        if connection is None and node not in self._gaps:
            # What is sent while a server is connected to would be passed by what is sent to other servers.
            gap = self._reach(node)
            if gap.tried.wait(LATE) and gap.made is not None:
                self._there_again(node, gap)
            connection = self._connections.get(node)
        return connection

    def _knows_servers(self) -> bool:
        if not self._topology.is_known:
            gap = self._gaps.get(None)
            if gap is None:
                gap = self._reach(None)
                if gap.tried.wait(LATE) and not gap.away:
                    self._there_again(None, gap)
        return self._topology.is_known

    def _reach(self, node: Node | None) -> _Gap:
        """Connect to ``node`` on another thread, again and again until it is there; for None, ask which there are."""
        gap = self._gaps[node] = _Gap()
        self._beside("connecting", lambda: self._connect(node, gap))
        return gap

    def _connect(self, node: Node | None, gap: _Gap) -> None:
        retry = Retry()
        if time.monotonic() < self._connected_at.get(node, -math.inf) + LONGEST_RETRY:
            self._ending.wait(FIRST_RETRY)  # it takes connections, and ends them
        while not self._ending.is_set():
            try:
                if node is None:
                    self._topology.learn()
                else:
                    connection = node.connect()
                    connection.set_timeout(LATE)
                    gap.made = connection
                break
            except FAULTS as error:
                retry.failed()
                gap.away = True
                gap.tried.set()
                with self.lock:
                    self.trouble = error
                    self._tell(gap, "Redis at %s cannot be reached; trying again until it can: %s", node, error)
                    self.on_change()
            except Exception:  # a mistake of ours must not leave the server alone for ever
                logger.exception("Connecting to Redis failed")
                retry.failed()
            self._ending.wait(max(retry.at - time.monotonic(), 0.001))
        gap.tried.set()
        with self.lock:
            if not gap.over:
                self._there_again(node, gap)
                self.on_change()

    def _late(self, node: Node, connection: Connection, replies: list[Any], places: Sequence[int]) -> None:
        """Let another thread read what is late, and put it into ``replies`` at ``places``."""
        for place in places:
            replies[place] = Outcome.COMING
        del self._connections[node]
        gap = self._gaps[node] = _Gap(connection)
        self._beside("late", lambda: self._finish(node, connection, gap, replies, places))

    def _finish(self, node: Node, connection: Connection, gap: _Gap, replies: list[Any], places: Sequence[int]) -> None:
        patience = self._topology.socket_timeout
        found: list[Any] = []
        fault: Exception | None
        try:
            found, _, fault = connection.finish(len(places), min(SILENCE, patience))
            if isinstance(fault, TIMEOUTS) and patience > SILENCE:
                with self.lock:
                    self._tell(gap, "Redis at %s does not answer; waiting for it: %s", node, fault)
                    self.trouble = fault
                more, _, fault = connection.finish(len(places) - len(found), patience - SILENCE)
                found += more
        except Exception as error:  # closed by another thread meanwhile
            fault = error
        with self.lock:
            for place, reply in zip(places, found, strict=False):
                replies[place] = Outcome.UNSENT if isinstance(reply, NOT_HERE) else reply
            if fault is not None:
                _give_up(replies, places[len(found) :], fault)
            if self._ending.is_set():
                connection.close()
            elif fault is None:
                connection.set_timeout(LATE)
                self._connections[node] = connection
                self._there_again(node, gap)
            else:
                self.trouble = fault
                connection.close()
                gap.connection = None
                self._beside("connecting", lambda: self._connect(node, gap))
            self.on_change()

    def _there_again(self, node: Node | None, gap: _Gap) -> None:
        """The end of ``gap``: the server takes commands."""
        gap.over = True
        del self._gaps[node]
        if node is not None and gap.made is not None:
            if self._ending.is_set():
                gap.made.close()
                return
            learn = self._clock.learn if self._keeps_leases(node) else self._clock.learn_first
            learn(gap.made.time, gap.made.asked_at, gap.made.told_at)
            self._reconnections.add()
            self._connections[node] = gap.made
            self._connected_at[node] = time.monotonic()
        if gap.told:
            logger.warning("Redis at %s is reached again", node or self._topology)
        if not self._gaps:
            self.trouble = None

    def _keeps_leases(self, node: Node) -> bool:
        """Whether ``node`` is the server whose clock is that of the layer."""
        try:
            return self._topology.node_of(LEASES) is node
        except FAULTS:
            return False

    def _lost(self, node: Node, error: Exception) -> None:
        """The connection to ``node`` is gone: a new one is made, unless that is being done."""
        self.trouble = error
        self._drop(node)
        if node not in self._gaps:
            self._tell(self._reach(node), "The connection to Redis at %s is lost: %s", node, error)

    def _drop(self, node: Node) -> None:
        connection = self._connections.pop(node, None)
        if connection is not None:
            connection.close()

    def _tell(self, gap: _Gap, text: str, node: Node | None, error: Exception) -> None:
        """Log once for each ``gap`` that a server is away."""
        if not gap.told:
            gap.told = True
            logger.warning(text, node or self._topology, error)

    def _beside(self, what: str, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"routechan-redis-{what}", daemon=True).start()


def _give_up(replies: list[Any], places: Sequence[int], fault: Exception) -> None:
    """Put into ``replies`` what became of the commands at ``places`` when the connection was lost by ``fault``."""
    # A server that is still loading its data has executed nothing.
    loading = isinstance(fault, BusyLoadingError)
    for place in places:
        replies[place] = Outcome.UNSENT if loading else Outcome.IN_DOUBT
