"""The driver: performs the operations of all threads and event loops of a process, combined.

Every thread and every event loop puts its operations into one queue. All operations in that queue leave together, as
one pipeline for each server. A thread that may wait does this itself; for event loops one thread does. So a thousand
sends in flight are a handful of round trips on one connection, no event loop is ever started for a plain call, and an
event loop that ends takes no connection with it. (Measured: redis-py's plain client used like this carries 1.4 to 2
times what its asyncio client does.)

Order: operations take effect in the order they were put in. Those for a server that is away or slow are held back until
it takes commands again, and hold up nobody else.
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
from .commands.script import Call, Callback, Operation, PendingOperation, Step, resolve
from .outage import Outage, all_replies
from .schema import LEASES
from .transport import Outcome, Transport

logger = logging.getLogger("routechan")

T = TypeVar("T")

#: How many operations may wait, and how many leave together.
WAITING = 50_000
TOGETHER = 256

#: The step of an operation that was not begun.
_UNKNOWN = Step([(LEASES, ())], True)


class Driver:
    """The one way to Redis for everything that need not wait there. Lifetime: layer, in one process. Thread-safe.

    Args:
        transport: sends commands and reads replies; for this driver alone.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        transport.on_change = self._changed
        self._lock = transport.lock
        self._waiting: deque[PendingOperation] = deque()
        self._outage = Outage(transport, lambda pending, error: self._finish(pending, error=error), self._look)
        self._along: deque[Operation[Any]] = deque(maxlen=TOGETHER)
        self._finished: dict[asyncio.AbstractEventLoop, list[PendingOperation]] = {}
        self._afterwards: dict[Callable[[], object], None] = {}
        self._signal: SimpleQueue[None] = SimpleQueue()
        self._signalled = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    # Queueing operations

    def call(self, operation: Operation[T], callback: Callback | None = None, patience: float | None = None) -> T:
        """Perform an operation, and wait for it on a thread that may wait.

        Args:
            operation: what is to be done.
            callback: see ``Callback``.
            patience: seconds to wait for a server that is away; ``PATIENCE`` for None.

        Returns:
            What the operation returns.

        Raises:
            ChannelLayerUnavailable: Redis could not be reached, or the layer was closed.
            Exception: what the operation raises.
        """
        pending = PendingOperation(operation, patience)
        if not self._try(pending, callback):
            self._wait_for(pending)
        if pending.error is not None:
            raise pending.error
        result: T = pending.result
        return result

    def attempt(self, operation: Operation[Any], callback: Callback) -> bool:
        """Whether ``operation`` is done, ``callback`` included; if its server is late, other threads go on with it."""
        done = self._try(PendingOperation(operation), callback)
        if not done:
            self._wake()
        return done

    def is_late(self, hash_tag: str) -> bool:
        """Whether the server of ``hash_tag`` is known to be away or late."""
        return self._transport.is_late(hash_tag)

    def _try(self, pending: PendingOperation, callback: Callback | None) -> bool:
        pending.callback = callback
        self._put(pending)
        with self._lock:
            if not pending.done:
                self._run()
        return pending.done

    def _wait_for(self, pending: PendingOperation) -> None:
        """Wait until ``pending`` is done: for a server that is away or slow, or until its deadline."""
        pending.woken = threading.Event()
        while not pending.done:
            now = time.monotonic()
            pending.woken.wait(max(min(self._outage.next_look or now, pending.deadline) - now, 0.001))
            pending.woken.clear()
            with self._lock:
                if not pending.done:
                    self._run()

    def post(self, operation: Operation[T], patience: float | None = None) -> asyncio.Future[T]:
        """Start an operation from the running event loop.

        Args:
            operation: what is to be done.
            patience: seconds to wait for a server that is away; ``PATIENCE`` for None.

        Returns:
            A future with the outcome: what ``call`` returns or raises.

        Raises:
            ChannelLayerUnavailable: the operation could not be queued.
        """
        pending = PendingOperation(operation, patience)
        pending.loop = asyncio.get_running_loop()
        future = pending.future = pending.loop.create_future()
        self._put(pending)
        self._wake()
        return future

    def start(self, operation: Operation[Any], callback: Callback | None = None) -> None:
        """Start an operation from anywhere, and do not wait for it.

        Args:
            operation: what is to be done.
            callback: see ``Callback``; called on another thread.

        Raises:
            ChannelLayerUnavailable: it could not be queued; ``callback`` was called here with the same error.
        """
        pending = PendingOperation(operation)
        pending.callback = callback
        self._put(pending)
        self._wake()

    def start_along(self, operation: Operation[Any]) -> None:
        """Queue ``operation`` to leave with whatever is performed next, in its round trip and on its thread."""
        self._along.append(operation)

    def drain(self, seconds: float) -> None:
        """Wait until every queued operation is done, for ``seconds`` at most."""
        ends = time.monotonic() + seconds
        outage = self._outage
        while (self._waiting or outage.held or outage.parked) and (left := ends - time.monotonic()) > 0:
            if self._lock.acquire(timeout=left):
                try:
                    self._run()
                finally:
                    self._lock.release()
            if self._waiting or outage.held or outage.parked:
                time.sleep(min(0.01, left))

    def close(self) -> None:
        """Fail the operations that still wait, and close all connections."""
        self._closed = True
        self._signal.put(None)
        with self._lock:
            for pending in (*self._outage.clear(), *self._waiting):
                self._finish(pending, error=ChannelLayerUnavailable("this channel layer was closed; nothing was sent"))
            self._waiting.clear()
            self._tell()
            self._transport.close()

    def abandon(self) -> None:
        """Close the copies that a forked child has of the parent's connections."""
        self._closed = True
        self._transport.abandon()

    def _put(self, pending: PendingOperation) -> None:
        if self._closed:
            raise self._refused(pending, "this channel layer was closed; nothing was sent")
        if len(self._waiting) + len(self._outage.held) >= WAITING:
            trouble = self._transport.trouble
            raise self._refused(
                pending, f"{WAITING} operations already wait for Redis; nothing was sent. Last trouble: {trouble}"
            )
        self._waiting.append(pending)

    def _refused(self, pending: PendingOperation, reason: str) -> ChannelLayerUnavailable:
        error = ChannelLayerUnavailable(reason)
        if pending.callback is not None:
            pending.callback(None, error)
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

    def _look(self) -> None:
        """Have the thread, if there is one, look again for how long it may sleep."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._signal.put(None)

    def _serve(self) -> None:
        """The thread that performs operations of event loops, and looks after those of all threads."""
        # Read under the lock: otherwise an operation that another thread is performing would be missed.
        next_look: float | None = None
        while not self._closed:
            with suppress(Empty):
                self._signal.get(timeout=None if next_look is None else max(next_look - time.monotonic(), 0.001))
            self._signalled = False
            with self._lock:
                self._run()
                outage = self._outage
                next_look = outage.next_look if self._waiting or outage.held or outage.parked else None

    # Performing operations, always under the lock

    def _run(self) -> None:
        """Perform what waits; what has to wait for a server is held back."""
        try:
            if self._outage.held or self._outage.parked:
                self._go_on()
                self._outage.expire()
            while self._waiting and self._perform(self._take()):
                self._tell()
        except BaseException as error:
            # Ctrl-C or a bug may have stopped us within a reply: no connection can be trusted any more.
            self._transport.drop()
            if not isinstance(error, Exception):
                raise
            logger.exception("Talking to Redis failed")
        finally:
            self._tell()

    def _changed(self) -> None:
        """A server takes commands again, or does not, or late replies have come. Called under the lock."""
        if not self._closed:
            self._waiting.extendleft(reversed(self._outage.take()))
            self._run()

    def _go_on(self) -> None:
        """Go on with the operations whose late replies have come."""
        going: list[PendingOperation] = []
        again: list[PendingOperation] = []
        for pending, replies in tuple(self._outage.answered()):
            if self._replied(pending, replies):
                again.append(pending)
            elif not pending.done:
                going.append(pending)
        while going:
            going = self._advance(going, again)
        self._waiting.extendleft(reversed(self._outage.hold(again)))

    def _take(self) -> list[PendingOperation]:
        batch: list[PendingOperation] = []
        changes = False
        while self._waiting and len(batch) < TOGETHER:
            operation = self._waiting[0].operation
            if operation.reads_first and changes:
                break  # an operation before it changes what it reads
            changes = changes or operation.changes_membership
            pending = self._waiting.popleft()
            if not pending.done:
                batch.append(pending)
        while self._along:
            batch.append(PendingOperation(self._along.popleft()))
        return batch

    def _perform(self, batch: list[PendingOperation]) -> bool:
        """Whether what waits behind the ``batch`` may be performed now.

        Operations that were certainly not executed are tried again later.
        """
        leading: list[PendingOperation] = batch
        again: list[PendingOperation] = []
        try:
            if self._transport.is_ready():
                leading = self._begin(batch)
                ahead = [pending for pending in leading if pending.operation.reads_first and not pending.done]
                read = self._advance(ahead, again) if ahead else ahead
                going = [p for p in leading if not p.done and (not p.operation.reads_first or p in read)]
                while going:
                    going = self._advance(going, again)
            else:
                for pending in batch:
                    if pending.kept is None:
                        pending.followers, pending.step = [], _UNKNOWN
                again = batch
        except BaseException:
            for pending in batch:
                self._finish(pending, error=ChannelLayerUnavailable("interrupted; the message may have been sent"))
            raise
        if again:
            returning = set(again)
            soon = self._outage.hold([pending for pending in leading if pending in returning])
            self._waiting.extendleft(reversed(soon))
            return not soon
        return True

    def _begin(self, batch: list[PendingOperation]) -> list[PendingOperation]:
        """Start the operations of ``batch``; returns those to be performed, each with its followers."""
        leading: list[PendingOperation] = []
        last_key: str | None = None
        for pending in batch:
            key = pending.operation.batch_key
            if key is not None:
                if key == last_key:
                    leading[-1].followers.append(pending)
                    continue
                pending.followers = []
            last_key = key
            leading.append(pending)
        for pending in leading:
            operation = pending.operation
            if pending.kept is not None:  # it goes on
                continue
            if operation.batch_key is None:
                pending.script = operation.script()
            else:
                pending.script = operation.batch([follower.operation for follower in pending.followers])
            pending.wrote = False
            self._next(pending, None)
        return leading

    def _next(self, pending: PendingOperation, replies: list[Any] | None) -> None:
        if pending.kept is not None and replies is not None:
            replies = all_replies(pending, replies)
        try:
            pending.step = next(pending.script) if replies is None else pending.script.send(replies)
        except StopIteration as end:
            self._ended(pending, end.value)
        except Exception as error:  # the error is the operation's outcome
            self._failed(pending, error)

    def _ended(self, pending: PendingOperation, result: Any) -> None:
        if pending.operation.batch_key is None:
            self._finish(pending, result)
            return
        for each, outcome in zip((pending, *pending.followers), result, strict=True):
            if isinstance(outcome, Exception):
                self._finish(each, error=outcome)
            else:
                self._finish(each, outcome)

    def _failed(self, pending: PendingOperation, error: BaseException) -> None:
        for each in (pending, *pending.followers):
            self._finish(each, error=error)

    def _advance(self, going: list[PendingOperation], again: list[PendingOperation]) -> list[PendingOperation]:
        """One step of each of ``going``; those to be tried again are added to ``again``.

        Returns:
            Those that have another step now.
        """
        calls: list[Call] = []
        for pending in going:
            calls += pending.step.calls
        replies, good = self._transport.perform(calls)
        further: list[PendingOperation] = []
        at = 0
        for pending in going:
            step = pending.step
            end = at + len(step.calls)
            if good:
                pending.wrote = pending.wrote or not step.repeatable
                self._next(pending, replies[at:end])
            elif Outcome.COMING in replies[at:end]:
                self._outage.park(pending, replies, at, end)
            elif self._replied(pending, replies[at:end]):
                again.append(pending)
            elif not pending.done:
                further.append(pending)
            if good and not pending.done:
                further.append(pending)
            at = end
        return further

    def _replied(self, pending: PendingOperation, replies: list[Any]) -> bool:
        """Whether the operation has to be tried again after these ``replies``; else it goes on, or has failed."""
        step = pending.step
        if Outcome.UNSENT in replies or Outcome.IN_DOUBT in replies:
            unsent = all(reply is Outcome.UNSENT for reply in replies)
            if not pending.wrote and (unsent or step.repeatable):
                return True
            if self._outage.keep(pending, replies):
                pending.wrote = True
                return True
            self._failed(pending, self._outage.interrupted())
            return False
        refused = next((reply for reply in replies if isinstance(reply, ResponseError)), None)
        if refused is not None:
            self._failed(pending, ChannelLayerUnavailable(f"Redis refused a command: {refused}"))
            return False
        pending.wrote = pending.wrote or not step.repeatable
        self._next(pending, replies)
        return False

    # Outcomes

    def _finish(self, pending: PendingOperation, result: Any = None, error: BaseException | None = None) -> None:
        if pending.done:
            return  # it was given up before
        pending.result = result
        pending.error = error
        pending.done = True
        if pending.woken is not None:
            pending.woken.set()
        if pending.loop is not None:
            self._finished.setdefault(pending.loop, []).append(pending)
        elif pending.callback is not None:
            try:
                afterwards = pending.callback(result, error)
                if afterwards is not None:
                    self._afterwards[afterwards] = None
            except Exception:  # an error in one callback must not stop other operations
                logger.exception("Handling a reply of Redis failed")

    def _tell(self) -> None:
        """Give the outcomes of finished operations to their event loops, waking each loop once."""
        if self._afterwards:
            afterwards, self._afterwards = self._afterwards, {}
            for call in afterwards:
                try:
                    call()
                except Exception:  # as in ``_finish``
                    logger.exception("Handling replies of Redis failed")
        finished, self._finished = self._finished, {}
        for loop, operations in finished.items():
            try:
                loop.call_soon_threadsafe(resolve, operations)
            except RuntimeError:  # the loop was closed, and its tasks with it
                logger.debug("An event loop ended before Redis answered it")
