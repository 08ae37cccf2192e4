"""All commands of a process leave through one pipe, combined.

Whoever wants something, on whatever thread or event loop, puts an entry into one queue. What has gathered there
leaves together, as one pipeline for each server. A thread that may wait does this itself; for event loops one
thread does. So a thousand sends in flight are a handful of round trips on one connection, no event loop is ever
started for a plain call, and an event loop that ends takes no connection with it. (Measured: redis-py's plain
client used like this carries 1.4 to 2 times what its asyncio client does.)

Order: entries take effect in the order they were put in.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from redis.exceptions import BusyLoadingError, MasterDownError, ReadOnlyError, ResponseError

from ...exceptions import ChannelLayerUnavailable
from .connection import FAULTS, NOT_HERE, Connection, is_ask
from .keys import LEASES
from .operations import Call, Operation, Step
from .topology import Node, Topology

logger = logging.getLogger("routechan")

T = TypeVar("T")

#: Seconds that an entry waits for Redis to come back.
PATIENCE = 10.0

#: How many entries may wait, and how many leave together.
WAITING = 50_000
TOGETHER = 256

#: Seconds between attempts to reach a server: the first, and the longest; jitter takes up to half of it off.
FIRST_RETRY = 0.05
LONGEST_RETRY = 1.0

#: How often a command is sent on to where servers say it belongs, before it waits like for a lost server.
REDIRECTIONS = 8


class _Outcome(enum.Enum):
    UNSENT = "unsent"  # certainly not executed
    IN_DOUBT = "in doubt"  # written, and no reply came


class Entry:
    """One operation. Lifetime: until it is done."""

    __slots__ = (
        "callback",
        "deadline",
        "done",
        "error",
        "future",
        "generator",
        "joins",
        "loop",
        "make",
        "prelude",
        "result",
        "step",
        "wrote",
    )

    generator: Operation[Any]  # these two while it is being performed
    step: Step

    def __init__(self, make: Callable[[], Operation[Any]], prelude: bool, joins: bool) -> None:
        self.make = make
        self.prelude = prelude  # its first step only reads, and is taken ahead
        self.joins = joins  # it changes memberships, which later entries read
        self.deadline = time.monotonic() + PATIENCE
        self.wrote = False
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[Any] | None = None
        self.callback: Callable[[Any, BaseException | None], object] | None = None


class Retry:
    """When to try a server again: jittered, further apart each time, for ever."""

    def __init__(self) -> None:
        self._interval = FIRST_RETRY
        self.at = 0.0

    def failed(self) -> None:
        self.at = time.monotonic() + self._interval * random.uniform(0.5, 1.0)
        self._interval = min(self._interval * 2, LONGEST_RETRY)

    def succeeded(self) -> None:
        self._interval = FIRST_RETRY
        self.at = 0.0


class Pipe:
    """The one way to Redis for everything that need not wait there. Lifetime: layer, in one process.

    ``connected(connection)`` is called for each connection it opens, ``spare`` for an operation that may leave
    along with others, ``told`` after some callbacks were called.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        connected: Callable[[Connection], object],
        spare: Callable[[], Callable[[], Operation[Any]] | None],
        told: Callable[[], object],
    ) -> None:
        self._topology = topology
        self._connected = connected
        self._spare = spare
        self._told = told
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        self._connections: dict[Node, Connection] = {}
        self._retries: dict[Node | None, Retry] = {}
        self._trouble: Exception | None = None
        self._finished: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
        self._signal: SimpleQueue[None] = SimpleQueue()
        self._signalled = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    # Putting in

    def call(
        self,
        make: Callable[[], Operation[T]],
        callback: Callable[[Any, BaseException | None], object] | None = None,
        *,
        prelude: bool = False,
        joins: bool = False,
    ) -> T:
        """Wait for an operation, on a thread that may wait; raises what it raises.

        ``callback(result, error)`` is called before any later operation's.
        """
        entry = Entry(make, prelude, joins)
        entry.callback = callback
        self._put(entry)
        while True:
            with self._lock:
                if not entry.done:
                    self._run()
            if entry.done:
                break
            time.sleep(self._pause())
        if entry.error is not None:
            raise entry.error
        result: T = entry.result
        return result

    def post(
        self, make: Callable[[], Operation[T]], *, prelude: bool = False, joins: bool = False
    ) -> asyncio.Future[T]:
        """Start an operation from the running event loop."""
        entry = Entry(make, prelude, joins)
        entry.loop = asyncio.get_running_loop()
        future = entry.future = entry.loop.create_future()
        self._put(entry)
        self._wake()
        return future

    def start(
        self,
        make: Callable[[], Operation[T]],
        callback: Callable[[Any, BaseException | None], object] | None = None,
        *,
        joins: bool = False,
    ) -> None:
        """Start an operation from anywhere; ``callback(result, error)`` is called on another thread."""
        entry = Entry(make, False, joins)
        entry.callback = callback
        self._put(entry)
        self._wake()

    def drain(self, seconds: float) -> None:
        """Wait until what was put in has left, for so long at most."""
        deadline = time.monotonic() + seconds
        while self._entries and time.monotonic() < deadline:
            if self._lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
                try:
                    self._run()
                finally:
                    self._lock.release()
            if self._entries:
                time.sleep(min(self._pause(), max(deadline - time.monotonic(), 0)))

    def close(self) -> None:
        """What still waits fails."""
        self._closed = True
        self._signal.put(None)
        with self._lock:
            for entry in self._entries:
                self._finish(entry, error=ChannelLayerUnavailable("this channel layer was closed; nothing was sent"))
            self._entries.clear()
            self._tell()
            self._close_connections()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connections, which it goes on using."""
        self._closed = True
        self._close_connections()

    def _close_connections(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _put(self, entry: Entry) -> Entry:
        if self._closed:
            raise ChannelLayerUnavailable("this channel layer was closed; nothing was sent")
        if len(self._entries) >= WAITING:
            raise ChannelLayerUnavailable(
                f"{WAITING} operations already wait for Redis; nothing was sent. Last trouble: {self._trouble}"
            )
        self._entries.append(entry)
        return entry

    def _wake(self) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._serve, name="routechan-redis", daemon=True)
                    self._thread.start()
        if not self._signalled:
            self._signalled = True
            self._signal.put(None)

    def _serve(self) -> None:
        """The thread that works for event loops, and retries for all."""
        while not self._closed:
            with suppress(Empty):
                self._signal.get(timeout=self._pause() if self._entries else None)
            self._signalled = False
            with self._lock:
                self._run()

    def _pause(self) -> float:
        """How long to wait for a lost server before the next attempt."""
        at = min((retry.at for retry in tuple(self._retries.values()) if retry.at), default=0.0)
        return min(max(at - time.monotonic(), 0.001), LONGEST_RETRY)

    # Running; all of this under the lock

    def _run(self) -> None:
        """Perform what waits, until nothing does or a server is lost."""
        try:
            while self._entries and self._perform(self._take()):
                self._tell()
        except BaseException as error:
            # Ctrl-C, or a mistake of ours, in the midst of a reply: no connection can be trusted any more.
            self._close_connections()
            if not isinstance(error, Exception):
                raise
            logger.exception("Talking to Redis failed")
        finally:
            self._tell()

    def _take(self) -> list[Entry]:
        batch: list[Entry] = []
        joins = False
        while self._entries and len(batch) < TOGETHER:
            entry = self._entries[0]
            if entry.prelude and joins:
                break  # what it reads ahead is about to change
            joins = joins or entry.joins
            batch.append(self._entries.popleft())
        make = self._spare()
        if make is not None:
            batch.append(Entry(make, False, False))
        return batch

    def _perform(self, batch: list[Entry]) -> bool:
        """Whether all went well; what was certainly not executed is put back in front."""
        now = time.monotonic()
        try:
            self._meet()
            for entry in batch:
                self._begin(entry, now)
            ahead = [entry for entry in batch if entry.prelude and not entry.done]
            again = self._advance(ahead) if ahead else []
            if not again:
                going = [entry for entry in batch if not entry.done]
                while going:
                    again += self._advance(going)
                    waiting = set(again)
                    going = [entry for entry in going if not entry.done and entry not in waiting]
            else:
                again = [entry for entry in batch if not entry.done]
        except BaseException:
            for entry in batch:
                if not entry.done:
                    self._finish(entry, error=ChannelLayerUnavailable("interrupted; the message may have been sent"))
            raise
        if again:
            returning = set(again)
            self._entries.extendleft(entry for entry in reversed(batch) if entry in returning)
        return not again

    def _meet(self) -> None:
        """Operations stamp what they send with the server's time, so the server is asked for it before the first."""
        if not self._connections:
            with suppress(*FAULTS):
                self._connection(self._topology.node_of(LEASES))

    def _begin(self, entry: Entry, now: float) -> None:
        if now > entry.deadline:
            self._finish(
                entry,
                error=ChannelLayerUnavailable(
                    f"Redis could not be reached for {PATIENCE:g} seconds; nothing was sent. "
                    f"Last trouble: {self._trouble}"
                ),
            )
            return
        entry.generator = entry.make()
        entry.wrote = False
        self._next(entry, None)

    def _next(self, entry: Entry, replies: list[Any] | None) -> None:
        try:
            entry.step = next(entry.generator) if replies is None else entry.generator.send(replies)
        except StopIteration as end:
            self._finish(entry, end.value)
        except Exception as error:  # the operation's own outcome, such as ChannelFull
            self._finish(entry, error=error)

    def _advance(self, entries: list[Entry]) -> list[Entry]:
        """One step of each; returns those to be tried again."""
        calls = [call for entry in entries for call in entry.step.calls]
        replies, good = self._exchange(calls)
        again: list[Entry] = []
        at = 0
        for entry in entries:
            step = entry.step
            mine = replies[at : at + len(step.calls)]
            at += len(step.calls)
            if good:
                entry.wrote = entry.wrote or not step.repeatable
                self._next(entry, mine)
                continue
            if _Outcome.UNSENT in mine or _Outcome.IN_DOUBT in mine:
                unsent = all(reply is _Outcome.UNSENT for reply in mine)
                if not entry.wrote and (unsent or step.repeatable):
                    again.append(entry)
                else:
                    self._finish(
                        entry,
                        error=ChannelLayerUnavailable(
                            "the connection to Redis was lost in the midst of an operation: the message may have been "
                            f"sent, and is not sent again. The trouble: {self._trouble}"
                        ),
                    )
                continue
            refused = next((reply for reply in mine if isinstance(reply, ResponseError)), None)
            if refused is not None:
                self._finish(entry, error=ChannelLayerUnavailable(f"Redis refused a command: {refused}"))
                continue
            entry.wrote = entry.wrote or not step.repeatable
            self._next(entry, mine)
        return again

    def _exchange(self, calls: list[Call]) -> tuple[list[Any], bool]:
        """The replies to ``calls``, in their order, and whether all are good; all servers work side by side."""
        replies: list[Any] = [_Outcome.UNSENT] * len(calls)
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
                        replies[place] = _Outcome.IN_DOUBT
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
                    found += [_Outcome.UNSENT if loading else _Outcome.IN_DOUBT] * left
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
            replies[place] = _Outcome.UNSENT
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
            self._trouble = error
            self._retry(None).failed()
            return {}
        for listed in found.values():
            listed.sort()
        return found

    def _redirect(self, calls: list[Call], replies: list[Any], places: list[int]) -> list[int]:
        """Those of ``places`` to be sent again; the server they went to did not execute them."""
        left: list[int] = []
        error: Exception = replies[places[0]]
        self._trouble = error
        for place in places:
            error = replies[place]
            replies[place] = _Outcome.UNSENT
            node = None
            if is_ask(error):
                try:
                    node = self._topology.not_here(error)
                except FAULTS as fault:
                    self._trouble = fault
            if node is not None:
                replies[place] = self._ask(node, calls[place])
            if replies[place] is _Outcome.UNSENT:
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
                self._trouble = fault
                self._retry(None).failed()
                return []
        return left

    def _ask(self, node: Node, call: Call) -> Any:
        """Send one command to the server that is taking over its slot."""
        connection = self._connection(node)
        if connection is None:
            return _Outcome.UNSENT
        try:
            connection.write([("ASKING",), call[1]])
            connection.read()
            reply = connection.read()
        except FAULTS as error:
            self._lost(node, error)
            return _Outcome.IN_DOUBT
        return _Outcome.UNSENT if isinstance(reply, NOT_HERE) else reply

    def _connection(self, node: Node) -> Connection | None:
        connection = self._connections.get(node)
        if connection is None:
            retry = self._retry(node)
            if time.monotonic() < retry.at:
                return None
            try:
                connection = self._connections[node] = node.connect()
            except FAULTS as error:
                if self._trouble is None:
                    logger.warning("Redis at %s cannot be reached; trying again until it can: %s", node, error)
                self._trouble = error
                retry.failed()
                return None
            if self._trouble is not None:
                logger.warning("Redis at %s is reached again", node)
            self._trouble = None
            retry.succeeded()
            self._retry(None).succeeded()
            self._connected(connection)
        return connection

    def _retry(self, node: Node | None) -> Retry:
        return self._retries.setdefault(node, Retry())

    def _lost(self, node: Node, error: Exception) -> None:
        logger.warning("The connection to Redis at %s is lost: %s", node, error)
        self._trouble = error
        self._drop(node)

    def _drop(self, node: Node) -> None:
        connection = self._connections.pop(node, None)
        if connection is not None:
            connection.close()

    # Telling

    def _finish(self, entry: Entry, result: Any = None, error: BaseException | None = None) -> None:
        entry.result = result
        entry.error = error
        entry.done = True
        if entry.loop is not None:
            self._finished.setdefault(entry.loop, []).append(entry)
        elif entry.callback is not None:
            try:
                entry.callback(result, error)
            except Exception:  # whoever asked: the others' operations go on
                logger.exception("Handling a reply of Redis failed")

    def _tell(self) -> None:
        self._told()
        finished, self._finished = self._finished, {}
        for loop, entries in finished.items():
            try:
                loop.call_soon_threadsafe(_resolve, entries)
            except RuntimeError:  # closed, and with it whoever waited
                logger.debug("An event loop ended before Redis answered it")


def _resolve(entries: list[Entry]) -> None:
    for entry in entries:
        future = entry.future
        if future is None or future.done():
            continue
        if entry.error is not None:
            future.set_exception(entry.error)
        else:
            future.set_result(entry.result)
