"""Arrivals: how messages get out of Redis into the store of this process.

The ``Mailbox`` reads the queues of this process all the time. The ``Fetcher`` gets messages of channels that any
process may read, for those who wait here: a new waiter's message is popped at once, along with whatever leaves through
the driver. If there is none, a ``Reader`` waits in Redis for the next.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ...encoding import LazyContent, Serializer
from ...exceptions import ChannelFull, ChannelLayerUnavailable, TooManyGroups
from ...telemetry.log_fields import log_fields
from ...telemetry.repeats import Repeats
from ..envelope import DUE, FLUSH, GROUP, JOIN, LEAVE, MESSAGE, NEWS, WHO, Envelope, hand_over
from ..history import Position, parse_position
from ..receiver import Source
from ..store import Store
from ..waiters import ThreadWaiter, Waiter, in_turn
from .commands.groups import Groups
from .commands.messages import Messages
from .commands.script import Callback, Context, Operation
from .driver import Driver
from .people import People
from .reader import RELEASE, Reader, ReaderTools
from .schema import hash_tag_of, process_queue
from .tails import Tails
from .topology import Topology

logger = logging.getLogger("routechan")

#: How many messages a process takes from its mailbox at once.
BATCH = 500

#: Seconds that ``withdraw`` waits for pops on their way.
WITHDRAWING_TIME = 1.0


class Mailbox:
    """Reads the queues of this process, and keeps its store as they say. Lifetime: layer, in one process. Thread-safe.

    Args:
        store: the channels and groups of this process.
        driver: performs what follows from a changed membership.
        groups: makes operations for that.
        tails: reads the histories of groups.
        people: knows who reads the channels of this process.
        serializer: bytes to content.
        context: reads what was popped.
        readers: what readers are made with.
        look_at: called with the time when something is due that another process sends later.
    """

    def __init__(
        self,
        store: Store,
        driver: Driver,
        groups: Groups,
        tails: Tails,
        people: People,
        serializer: Serializer,
        context: Context,
        readers: ReaderTools,
        look_at: Callable[[float], object],
    ) -> None:
        self._store = store
        self._driver = driver
        self._groups = groups
        self._tails = tails
        self._people = people
        self._serializer = serializer
        self._context = context
        self._tools = readers
        self._look_at = look_at
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._full: set[str] = set()  # channels that other processes are told to be in as many groups as they may
        self._repeats = Repeats()
        #: The queues that are read.
        self.served: set[str] = set()

    def serve(self, queue: str) -> None:
        """Read ``queue``, and the queue that is for the process as a whole."""
        with self._lock:
            if self._reader is None:
                process = self._context.process
                self._reader = Reader(self._tools, "mailbox", process, lambda queue: BATCH, self._arrived)
                self._reader.want(process_queue(process))
            self._reader.want(queue)
            self.served.add(queue)

    def forget_served(self) -> None:
        """Forget which queues are served, so that the next one is served anew."""
        self.served.clear()

    def readers(self) -> list[Reader]:
        """The reader if there is one, for those who stop it."""
        return [self._reader] if self._reader is not None else []

    def left(self, channel: str) -> None:
        """A membership of ``channel`` has ended: it may join another group."""
        if channel in self._full:
            self._full.discard(channel)
            self._driver.start(self._groups.has_room(channel))

    def _arrived(self, queue: str, messages: list[bytes]) -> None:
        envelopes = [envelope for data in messages if (envelope := self._context.live(queue, data)) is not None]
        news = [(each.name, position, each.headers) for each in envelopes if (position := _told(each)) is not None]
        if news:
            self._tails.fetch(news)
        for envelope in envelopes:
            try:
                self._take(queue, envelope)
            except (ValueError, ChannelFull) as error:
                self._context.losses.add(envelope.name, error)
            except Exception:  # an error in one message must not stop the next ones
                logger.exception("A message to %s is lost", envelope.name)

    def _take(self, queue: str, envelope: Envelope) -> None:
        kind, name, body, headers, expires, _ = envelope
        if kind == MESSAGE:
            deliver = self._store.attached.get(queue)
            if deliver is not None and headers:
                hand_over(deliver, (name,), self._serializer.decode(body), headers)
            elif deliver is not None:
                deliver((name,), self._serializer.decode(body))
            else:
                self._store.keep([envelope])
        elif kind == GROUP:
            self._store.deliver(name, LazyContent(self._serializer, data=body), headers, queue, expires)
        elif kind == JOIN:
            channel = body.decode()
            try:
                if headers:
                    first = self._tails.join(name, channel, headers, partial(self._refuse, queue))
                else:
                    first = self._store.add(name, channel)
            except TooManyGroups as error:
                self._refuse(queue, error)
                return
            if first:
                # The last member may just have left, and so removed the entry that the other process wrote.
                self._driver.start(self._groups.rejoin([(name, channel)]))
        elif kind == LEAVE:
            channel = body.decode()
            self._full.discard(channel)  # whoever sent this has told others
            self._tails.leave(name, channel)
            self._people.drop(name, channel)
            if self._store.discard(name, channel):
                self._driver.start(self._groups.discard_queue([name], queue))
        elif kind == FLUSH:
            self._store.flush()
            self._tails.clear()
            self._people.clear()
        elif kind == DUE:
            self._look_at(float(body))
        elif kind == WHO:
            self._people.noted(envelope)
        elif (position := _told(envelope)) is not None:
            self._tails.news(name, position, early=True)

    def _refuse(self, queue: str, error: TooManyGroups) -> None:
        """Take back that another process made a channel a member of one group too many."""
        channel, group = error.channel, error.group
        self._full.add(channel)
        self._people.left(group, channel)
        self._driver.start(self._groups.take_back(group, channel, queue not in self._store.members(group, queue)))
        more = self._repeats.more("max_groups")
        if more is not None:
            logger.warning("%s%s", error, more, extra=log_fields(channel, connection=channel))


def _told(envelope: Envelope) -> Position | None:
    """The position that ``envelope`` is news of; None for another kind."""
    return parse_position(envelope.body.decode(errors="replace")) if envelope.kind == NEWS else None


class _Fetch:
    """A pop on its way. Lifetime: until it has come.

    Args:
        queues: the queues it looks at.
        count: how many messages it may take of any one of them.
        wants: whether queues without a message are waited for then.
    """

    __slots__ = ("count", "queues", "wants")

    def __init__(self, queues: list[str], count: int, wants: bool) -> None:
        self.queues = queues
        self.count = count
        self.wants = wants


class Fetcher(Source):
    """The source of a store, in Redis. Lifetime: layer, in one process. Thread-safe.

    Args:
        store: gets the fetched messages, for its waiters.
        driver: performs pops.
        messages: makes pops.
        context: reads what readers have popped.
        topology: says which queues one command can read.
        readers: what readers are made with.
    """

    def __init__(
        self,
        store: Store,
        driver: Driver,
        messages: Messages,
        context: Context,
        topology: Topology,
        readers: ReaderTools,
    ) -> None:
        self._store = store
        self._driver = driver
        self._messages = messages
        self._context = context
        self._topology = topology
        self._tools = readers
        self._lock = threading.RLock()
        self._asked: dict[str, int] = {}  # queue -> messages asked for by pops on their way
        self._popped = threading.Condition(self._lock)  # notified when a pop has come back
        self._woken: list[Waiter] = []  # waiters that were given a message by a pop
        self._readers: dict[str, Reader] = {}  # by place of the topology
        self._closed = False

    def demand(self, queue: str) -> None:
        with self._lock:
            asked = self._asked.get(queue, 0)
            # To keep the order, only the reader fetches from a queue that it waits for.
            if self._is_awaited(queue) or asked >= self._store.waiting(queue):
                return
            self._asked[queue] = asked + 1
        self._start(self._messages.pop(queue), partial(self._came, _Fetch([queue], 1, True)))

    def demand_any(self, queues: Sequence[str]) -> None:
        with self._lock:
            missing = {
                queue: self._store.waiting(queue) - self._asked.get(queue, 0)
                for queue in queues
                if not self._is_awaited(queue)
            }
            wanted = [queue for queue, count in missing.items() if count > 0]
            if not wanted:
                return
            # Any one queue may yield this many; a message fetched beyond what is waited for is lost to other processes.
            count = min(missing[queue] for queue in wanted)
            places = self._topology.together(wanted)
            if count < len(places):
                # Those that are known to hold up what is sent there hold up nothing else.
                late = [place for place in places if self._driver.is_late(hash_tag_of(place[0]))]
                good = [place for place in places if place not in late]
                pops = [self._pop_any(side, count) for side in (good, *([place] for place in late)) if side]
            else:  # side by side, so that a server that hangs holds up its own queues only
                pops = [self._pop_any([place], count // len(places)) for place in places]
        for pop, came in pops:
            self._start(pop, came)

    def _start(self, pop: Operation[list[Envelope]], came: Callback) -> None:
        try:
            self._driver.start(pop, came)
        except ChannelLayerUnavailable:  # the reader goes on trying
            if self._closed:
                raise

    def fetch(self, waiter: ThreadWaiter, block: bool) -> None:
        with self._lock:
            queues = [queue for queue in waiter.queues if not self._is_awaited(queue)]
            places = self._topology.together(in_turn(queues))
        answered = False
        for place in places:
            with self._lock:
                # Not while a server holds up the pop of an earlier call: it might bring a message for each.
                wanted = [queue for queue in place if self._asked.get(queue, 0) < self._store.waiting(queue)]
                if not wanted:
                    continue
                pop, came = self._pop_any([wanted], 1, wants=block)
            if answered or place is not places[-1]:
                answered = self._driver.attempt(pop, came) or answered
            else:  # no server has answered: it is waited for, and said so
                self._driver.call(pop, came)
            if waiter.item is not None:
                break
        if not block:
            self._store.leave(waiter, put_back=False)

    def no_demand(self, queues: Iterable[str]) -> None:
        for reader, queue in self._readers_of(queues):
            reader.given_up(queue)

    def release(self, queues: Iterable[str]) -> None:
        ends = time.monotonic() + RELEASE
        for reader, queue in self._readers_of(queues):
            if not self._driver.is_late(hash_tag_of(queue)):
                reader.release(queue, ends)

    def withdraw(self, queues: Sequence[str]) -> None:
        ends = time.monotonic() + WITHDRAWING_TIME
        with self._lock:
            self._popped.wait_for(lambda: not any(queue in self._asked for queue in queues), WITHDRAWING_TIME)
        for reader, queue in self._readers_of(queues):
            reader.release(queue, ends)

    def readers(self) -> list[Reader]:
        """The readers that were started, for those who stop them.

        It takes no lock: a forked child asks for them, and another thread may have held it when the child was forked.
        """
        return list(self._readers.values())

    def close(self) -> None:
        """Start no more readers."""
        with self._lock:
            self._closed = True

    def _readers_of(self, queues: Iterable[str]) -> Iterable[tuple[Reader, str]]:
        for queue in queues:
            reader = self._reader_of(queue)
            if reader is not None:
                yield reader, queue

    def _reader_of(self, queue: str) -> Reader | None:
        return self._readers.get(self._topology.place_of(hash_tag_of(queue)))

    def _is_awaited(self, queue: str) -> bool:
        reader = self._reader_of(queue)
        return reader is not None and reader.waits_for(queue)

    def _pop_any(
        self, places: Sequence[Sequence[str]], count: int, wants: bool = True
    ) -> tuple[Operation[list[Envelope]], Callback]:
        """The operation, and the callback for its outcome; needs the lock.

        Args:
            places: queues, by place; the first is looked at first.
            count: how many messages at most.
            wants: whether queues without a message are waited for then.
        """
        fetch = _Fetch([queue for place in places for queue in place], count, wants)
        for queue in fetch.queues:
            self._asked[queue] = self._asked.get(queue, 0) + count
        pop = self._messages.pop_any(places, count, partial(self._held_up, fetch))
        return pop, partial(self._came, fetch)

    def _held_up(self, fetch: _Fetch, behind: Sequence[Sequence[str]]) -> None:
        """Fetch from the places ``behind`` the one that holds ``fetch`` up with another pop."""
        with self._lock:
            queues = [queue for place in behind for queue in place]
            fetch.queues = [queue for queue in fetch.queues if queue not in queues]
            for queue in queues:
                self._asked[queue] -= fetch.count
            pop, came = self._pop_any(behind, fetch.count, fetch.wants)
        self._start(pop, came)

    def _came(
        self, fetch: _Fetch, arrivals: list[Envelope] | None, error: BaseException | None
    ) -> Callable[[], object]:
        """Take the outcome of a pop; called in the order of the pops, so that messages stay in order."""
        if error is not None:
            logger.info("Fetching messages of %s is put off: %s", ", ".join(fetch.queues), error)
        if arrivals:
            self._store.keep(arrivals, self._woken)
        with self._lock:
            for queue in fetch.queues:
                left = self._asked.pop(queue) - fetch.count
                if left:
                    self._asked[queue] = left
                elif fetch.wants and self._store.waiting(queue) and not self._closed:
                    # Not while another pop is on its way: messages of two fetches may arrive in the wrong order.
                    self._want(queue)
            self._popped.notify_all()
        return self._wake

    def _wake(self) -> None:
        """Wake the waiters of several pops all at once, because each wake-up is a system call."""
        woken, self._woken = self._woken, []
        self._store.wake(woken)

    def _want(self, queue: str) -> None:
        hash_tag = hash_tag_of(queue)
        place = self._topology.place_of(hash_tag)
        reader = self._readers.get(place)
        if reader is None:
            reader = self._readers[place] = Reader(self._tools, "waiting", hash_tag, self._store.waiting, self._read)
        reader.want(queue)

    def _read(self, queue: str, messages: list[bytes]) -> None:
        """Keep ``messages`` that a reader has popped off ``queue``."""
        arrivals: list[Envelope] = []
        for data in messages:
            envelope = self._context.live(queue, data)
            if envelope is None:
                continue
            if envelope.kind == MESSAGE:  # needs no Redis, which may be away again
                arrivals.append(envelope)
            else:
                self._store.keep(arrivals)
                try:
                    arrivals = self._driver.call(self._messages.receivers(queue, envelope))
                except ChannelLayerUnavailable as error:
                    arrivals = []
                    self._context.losses.add(queue, error)
        self._store.keep(arrivals)
