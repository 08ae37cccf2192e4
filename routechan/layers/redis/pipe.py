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
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from ...exceptions import ChannelLayerUnavailable
from .connection import Connection
from .exchange import Exchange, Outcome
from .operations import Call, Operation, Sending, Step
from .topology import Topology

logger = logging.getLogger("routechan")

T = TypeVar("T")

#: Seconds that an entry waits for Redis to come back.
PATIENCE = 10.0

#: How many entries may wait, and how many leave together.
WAITING = 50_000
TOGETHER = 256


class Entry:
    """One operation. Lifetime: until it is done."""

    __slots__ = (
        "callback",
        "deadline",
        "done",
        "error",
        "followers",
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

    def __init__(self, make: Callable[..., Operation[Any]], prelude: bool, joins: bool) -> None:
        self.make = make
        self.followers: list[Entry] = []  # sends to the same queue that leave with this one
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
        self._exchange = Exchange(topology, connected)
        self._spare = spare
        self._told = told
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
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
            time.sleep(self._exchange.pause())
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
        """Start an operation from anywhere; ``callback(result, error)`` is called on another thread.

        Where it cannot be put in, that is raised, after ``callback`` was called here.
        """
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
                time.sleep(min(self._exchange.pause(), max(deadline - time.monotonic(), 0)))

    def close(self) -> None:
        """What still waits fails."""
        self._closed = True
        self._signal.put(None)
        with self._lock:
            for entry in self._entries:
                self._finish(entry, error=ChannelLayerUnavailable("this channel layer was closed; nothing was sent"))
            self._entries.clear()
            self._tell()
            self._exchange.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connections, which it goes on using."""
        self._closed = True
        self._exchange.close()

    def _put(self, entry: Entry) -> None:
        if self._closed:
            raise self._refused(entry, "this channel layer was closed; nothing was sent")
        if len(self._entries) >= WAITING:
            trouble = self._exchange.trouble
            raise self._refused(
                entry, f"{WAITING} operations already wait for Redis; nothing was sent. Last trouble: {trouble}"
            )
        self._entries.append(entry)

    def _refused(self, entry: Entry, reason: str) -> ChannelLayerUnavailable:
        error = ChannelLayerUnavailable(reason)
        if entry.callback is not None:
            entry.callback(None, error)
        return error

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
        waiting = False  # known under the lock: without it an entry in the hands of another thread would be overlooked
        while not self._closed:
            with suppress(Empty):
                self._signal.get(timeout=self._exchange.pause() if waiting else None)
            self._signalled = False
            with self._lock:
                self._run()
                waiting = bool(self._entries)

    # Running; all of this under the lock

    def _run(self) -> None:
        """Perform what waits, until nothing does or a server is lost."""
        try:
            while self._entries and self._perform(self._take()):
                self._tell()
        except BaseException as error:
            # Ctrl-C, or a mistake of ours, in the midst of a reply: no connection can be trusted any more.
            self._exchange.close()
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
            self._exchange.meet()
            leading = self._begin(batch, now)
            ahead = [entry for entry in leading if entry.prelude and not entry.done]
            again = self._advance(ahead) if ahead else []
            if not again:
                going = [entry for entry in leading if not entry.done]
                while going:
                    again += self._advance(going)
                    waiting = set(again)
                    going = [entry for entry in going if not entry.done and entry not in waiting]
            else:
                again = [entry for entry in leading if not entry.done]
        except BaseException:
            for entry in batch:
                if not entry.done:
                    self._finish(entry, error=ChannelLayerUnavailable("interrupted; the message may have been sent"))
            raise
        if again:
            returning = {entry for leader in again for entry in (leader, *leader.followers)}
            self._entries.extendleft(entry for entry in reversed(batch) if entry in returning)
        return not again

    def _begin(self, batch: list[Entry], now: float) -> list[Entry]:
        """Start what is not too late; returns those whose operations are to be performed.

        Sends to one queue that lie next to each other are one operation, led by the first: a busy worker answers a
        server twenty times in one command.
        """
        leading: list[Entry] = []
        for entry in batch:
            if now > entry.deadline:
                self._finish(
                    entry,
                    error=ChannelLayerUnavailable(
                        f"Redis could not be reached for {PATIENCE:g} seconds; nothing was sent. "
                        f"Last trouble: {self._exchange.trouble}"
                    ),
                )
                continue
            make = entry.make
            if type(make) is Sending:
                leader = leading[-1].make if leading else None
                if type(leader) is Sending and leader.queue == make.queue:
                    leading[-1].followers.append(entry)
                    continue
                entry.followers = []
            leading.append(entry)
        for entry in leading:
            make = entry.make
            entry.generator = make([each.make for each in entry.followers]) if entry.followers else make()
            entry.wrote = False
            self._next(entry, None)
        return leading

    def _next(self, entry: Entry, replies: list[Any] | None) -> None:
        try:
            entry.step = next(entry.generator) if replies is None else entry.generator.send(replies)
        except StopIteration as end:
            self._ended(entry, end.value)
        except Exception as error:  # the operation's own outcome
            self._failed(entry, error)

    def _ended(self, entry: Entry, result: Any) -> None:
        if type(entry.make) is not Sending:
            self._finish(entry, result)
            return
        for each, error in zip((entry, *entry.followers), result, strict=True):
            self._finish(each, error=error)

    def _failed(self, entry: Entry, error: BaseException) -> None:
        for each in (entry, *entry.followers):
            self._finish(each, error=error)

    def _advance(self, entries: list[Entry]) -> list[Entry]:
        """One step of each; returns those to be tried again."""
        calls: list[Call] = []
        for entry in entries:
            calls += entry.step.calls
        replies, good = self._exchange.perform(calls)
        again: list[Entry] = []
        at = 0
        for entry in entries:
            step = entry.step
            end = at + len(step.calls)
            mine = replies[at:end]
            at = end
            if good:
                entry.wrote = entry.wrote or not step.repeatable
                self._next(entry, mine)
                continue
            if Outcome.UNSENT in mine or Outcome.IN_DOUBT in mine:
                unsent = all(reply is Outcome.UNSENT for reply in mine)
                if not entry.wrote and (unsent or step.repeatable):
                    again.append(entry)
                else:
                    self._failed(
                        entry,
                        ChannelLayerUnavailable(
                            "the connection to Redis was lost in the midst of an operation: the message may have been "
                            f"sent, and is not sent again. The trouble: {self._exchange.trouble}"
                        ),
                    )
                continue
            refused = next((reply for reply in mine if isinstance(reply, ResponseError)), None)
            if refused is not None:
                self._failed(entry, ChannelLayerUnavailable(f"Redis refused a command: {refused}"))
                continue
            entry.wrote = entry.wrote or not step.repeatable
            self._next(entry, mine)
        return again

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
