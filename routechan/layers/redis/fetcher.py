"""Fetches the messages of channels that any process may read, for those who wait for them in this one.

Who begins to wait has a message popped at once, along with whatever leaves through the pipe. Where there is none, a
``Reader`` waits in Redis for the next.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from ...exceptions import ChannelLayerUnavailable
from ..store import Store, in_turn
from ..waiting import ThreadWaiter, Waiter
from .envelope import MESSAGE
from .keys import home_of
from .operations import Arrival, Operation, Operations
from .pipe import Pipe
from .reader import Reader
from .topology import Topology

logger = logging.getLogger("routechan")

#: Seconds for what was asked for to come, when nobody waits for it any more.
WITHDRAWING_TIME = 1.0

#: ``make_reader(name, home, room, arrived)``: see ``Reader``.
MakeReader = Callable[[str, str, Callable[[str], int], Callable[[str, list[bytes]], object]], Reader]


Make = Callable[[], Operation[list[Arrival]]]
Came = Callable[[Any, "BaseException | None"], object]


class Fetcher:
    """Lifetime: layer, in one process."""

    def __init__(
        self, topology: Topology, store: Store, pipe: Pipe, operations: Operations, make_reader: MakeReader
    ) -> None:
        self._topology = topology
        self._store = store
        self._pipe = pipe
        self._operations = operations
        self._make_reader = make_reader
        self._lock = threading.RLock()
        self._asked: dict[str, int] = {}  # queue -> how many messages are asked for by pops that are on their way
        self._popped = threading.Condition(self._lock)  # one of them has come back
        self._woken: list[Waiter] = []  # who was given a message by one of them
        self._readers: dict[str, Reader] = {}  # by place
        self._closed = False

    def demand(self, queue: str) -> None:
        """Somebody waits for a message of ``queue``: see to it that it is fetched.

        What a reader waits for comes through it alone. Raises ``ChannelLayerUnavailable`` where the layer was closed.
        """
        with self._lock:
            asked = self._asked.get(queue, 0)
            if self._is_awaited(queue) or asked >= self._store.waiting(queue):
                return
            self._asked[queue] = asked + 1
        self._start(partial(self._operations.pop, queue), partial(self._came, (queue,), 1, None))

    def demand_any(self, queues: Sequence[str]) -> None:
        """Somebody waits for messages of any of ``queues``, perhaps for many: as ``demand``."""
        with self._lock:
            missing = {
                queue: self._store.waiting(queue) - self._asked.get(queue, 0)
                for queue in queues
                if not self._is_awaited(queue)
            }
            wanted = [queue for queue, count in missing.items() if count > 0]
            if not wanted:
                return
            # Any one of them may have so many, and what is fetched beyond what is waited for others do not get.
            make, came = self._pop_any(wanted, min(missing[queue] for queue in wanted))
        self._start(make, came)

    def _start(self, make: Make, came: Came) -> None:
        try:
            self._pipe.start(make, came)
        except ChannelLayerUnavailable:  # for now: the reader goes on trying
            if self._closed:
                raise

    def fetch(self, waiter: ThreadWaiter, block: bool) -> None:
        """Give ``waiter``, which waits already, a message if Redis has one, and let it wait on if it may."""
        with self._lock:
            queues = [queue for queue in waiter.queues if not self._is_awaited(queue)]
            make, came = self._pop_any(queues, 1, None if block else waiter)
        if queues:
            self._pipe.call(make, came)
        elif not block:
            self._store.leave(waiter, put_back=False)

    def no_demand(self, queues: Iterable[str]) -> None:
        """Somebody waits for ``queues`` no longer."""
        for reader, queue in self._readers_of(queues):
            reader.given_up(queue)

    def release(self, queues: Iterable[str]) -> None:
        """Let no reader wait for any of ``queues`` on behalf of somebody who does no longer."""
        for reader, queue in self._readers_of(queues):
            reader.release(queue)

    def withdraw(self, queues: Sequence[str]) -> None:
        """Nobody waits for ``queues`` any more: back when nothing of them is on its way here, or it takes too long."""
        ends = time.monotonic() + WITHDRAWING_TIME
        with self._lock:
            self._popped.wait_for(lambda: not any(queue in self._asked for queue in queues), WITHDRAWING_TIME)
        for reader, queue in self._readers_of(queues):
            reader.release(queue, ends)

    def keep(self, arrivals: Iterable[Arrival]) -> None:
        """Give what has come to those who wait for it, else leave it to the next."""
        woken: list[Waiter] = []
        self._store.keep(arrivals, woken)
        self._store.wake(woken)

    def wake(self) -> None:
        """Some pops have come: wake those who got a message all at once, because each wake-up is a system call."""
        woken, self._woken = self._woken, []
        self._store.wake(woken)

    def readers(self) -> list[Reader]:
        with self._lock:
            return list(self._readers.values())

    def close(self) -> None:
        """Have no more readers wait."""
        self._closed = True

    def _readers_of(self, queues: Iterable[str]) -> Iterable[tuple[Reader, str]]:
        """Who would wait for ``queues``, where there is such a reader."""
        for queue in queues:
            reader = self._reader_of(queue)
            if reader is not None:
                yield reader, queue

    def _reader_of(self, queue: str) -> Reader | None:
        return self._readers.get(self._topology.place_of(home_of(queue)))

    def _is_awaited(self, queue: str) -> bool:
        reader = self._reader_of(queue)
        return reader is not None and reader.waits_for(queue)

    def _pop_any(self, queues: Sequence[str], count: int, leaving: Waiter | None = None) -> tuple[Make, Came]:
        """The operation, and what takes its outcome; ``leaving`` waits no longer than that. With the lock held."""
        for queue in queues:
            self._asked[queue] = self._asked.get(queue, 0) + count
        make = partial(self._operations.pop_any, self._topology.together(in_turn(queues)), count)
        return make, partial(self._came, queues, count, leaving)

    def _came(
        self,
        queues: Sequence[str],
        count: int,
        leaving: Waiter | None,
        arrivals: list[Arrival] | None,
        error: BaseException | None,
    ) -> None:
        """Called in the order of the pops, so that messages stay in theirs."""
        if error is not None:
            logger.info("Fetching messages of %s is put off: %s", ", ".join(queues), error)
        if arrivals:
            self._store.keep(arrivals, self._woken)
        if leaving is not None:
            self._store.leave(leaving, put_back=False)
        with self._lock:
            for queue in queues:
                left = self._asked.pop(queue) - count
                if left:
                    self._asked[queue] = left
                elif self._store.waiting(queue) and not self._closed:
                    # Not while another pop is on its way: what two fetch at once may arrive in the wrong order.
                    self._want(queue)
            self._popped.notify_all()

    def _want(self, queue: str) -> None:
        home = home_of(queue)
        place = self._topology.place_of(home)
        reader = self._readers.get(place)
        if reader is None:
            reader = self._readers[place] = self._make_reader("waiting", home, self._store.waiting, self._read)
        reader.want(queue)

    def _read(self, queue: str, messages: list[bytes]) -> None:
        """A reader has popped ``messages``."""
        arrivals: list[Arrival] = []
        for data in messages:
            envelope = self._operations.live(queue, data)
            if envelope is None:
                continue
            if envelope.kind == MESSAGE:  # needs no Redis, which may be gone again
                arrivals.append(Arrival(envelope.name, envelope.body, envelope.expires))
            else:
                self.keep(arrivals)
                try:
                    arrivals = self._pipe.call(partial(self._operations.open, queue, data))
                except ChannelLayerUnavailable as error:
                    arrivals = []
                    logger.error("A message of %s is lost, whose members are not known: %s", queue, error)
        self.keep(arrivals)
