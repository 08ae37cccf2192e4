"""What the two faces of a Redis layer share: the channels and groups of one process, and its way to Redis.

What is meant for this process stays in its ``Store``; everything else goes through the ``Pipe``. What others send to
its channels comes through its mailbox, and a ``Fetcher`` gets what is in channels that others read too. A forked child
makes an engine of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ... import names
from ...encoding import Content
from ...exceptions import ChannelFull, ChannelLayerUnavailable, InvalidContent
from ..base import FULL_DELAY, Capacities, CapacityRules, Deliver
from ..parcel import Parcel
from ..serializer import Serializer, Undecodable
from ..statistics import Counts
from ..store import Store, channels_of
from ..waiting import Stored, ThreadWaiter
from .clock import RedisClock
from .connection import FAULTS, Connection
from .envelope import FLUSH, GROUP, JOIN, LEAVE, MESSAGE, Envelope
from .fetcher import Fetcher
from .keeper import Keeper
from .keys import Keys
from .operations import Arrival, Operation, Operations, Sending, notes_of
from .pipe import Pipe
from .reader import Reader
from .topology import Topology

logger = logging.getLogger("routechan")

#: How many messages a process takes from its mailbox at once.
BATCH = 500

#: What may wait in the mailbox of a process, which all its sockets share, unless ``channel_capacity`` says otherwise.
MAILBOX_CAPACITY = 10_000
MAILBOXES = ("websocket.send.*!*", "http.response.*!*", "specific.*!*")

#: Seconds between additions of what was counted here to what is counted in Redis.
COUNTING_INTERVAL = 1.0

#: Seconds for what was posted to leave, and for each reader to end, when the layer is closed.
CLOSING_TIME = 1.0

Make = Callable[[], Operation[Any]]


class Engine:
    """Lifetime: layer, in one process."""

    def __init__(
        self,
        topology: Topology,
        *,
        prefix: str,
        expiry: float,
        group_expiry: float,
        capacity: int,
        channel_capacity: Capacities | None,
        serializer: Serializer,
        lease: float,
        clock: RedisClock,
    ) -> None:
        self.process = names.random_part(10)
        self.topology = topology
        self._serializer = serializer
        self._lease = lease
        self._clock = clock
        self.now = clock.now
        self._keys = Keys(prefix)
        self.counts = Counts()
        self._counted_at = time.monotonic()
        rules = CapacityRules(capacity, channel_capacity)
        given = channel_capacity or {}
        ours: Capacities = {pattern: MAILBOX_CAPACITY for pattern in MAILBOXES if pattern not in given}
        in_redis = CapacityRules(capacity, {**given, **ours})
        self.store = Store(self.process, expiry, group_expiry, rules, clock.now, self.counts, self._ended)
        self.operations = Operations(
            self._keys,
            process=self.process,
            expiry=expiry,
            group_expiry=group_expiry,
            rules=in_redis,
            clock=clock,
            counts=self.counts,
            is_own=self.store.is_own,
        )
        self.pipe = Pipe(topology, connected=self._connected, spare=self._spare, told=lambda: self.fetcher.wake())
        self._keeper = Keeper(
            self.pipe,
            self.operations,
            lease=lease,
            group_expiry=group_expiry,
            now=clock.now,
            restore=self._restore,
            due=self._send_due,
            purge=self.store.purge,
        )
        self.fetcher = Fetcher(topology, self.store, self.pipe, self.operations, self._make_reader)
        self._lock = threading.RLock()
        self._mailbox: Reader | None = None
        self._served: set[str] = set()
        self._wills: dict[str, tuple[str, bytes]] = {}
        self._closed = False

    # Sending

    def send(self, channel: str, content: Content, delay: float) -> Make | None:
        """The operation that sends; None where it is done, because the channel is of this process."""
        if delay:
            return self._send_later(MESSAGE, channel, content, delay)
        queue = names.queue_name(channel)
        deliver = self.store.attached.get(queue)
        if deliver is not None:
            deliver((channel,), content)
            return None
        body = self._serializer.encode(content)
        if self.store.is_own(queue):
            self.store.put(channel, body)
            return None
        return Sending(self.operations, queue, channel, body)

    def group_send(self, group: str, parcel: Parcel) -> Make:
        """The operation that reaches the members in other processes; those of this one are for ``store.deliver``."""
        return partial(self.operations.group_send, group, parcel.data)

    def group_send_now(self, group: str, parcel: Parcel) -> None:
        """Reach all members, on a thread that may wait."""
        make = self.group_send(group, parcel)
        try:
            self.store.deliver(group, parcel)
        finally:
            self.pipe.call(make, prelude=True)

    def group_send_later(self, group: str, content: Content, delay: float) -> Make:
        return self._send_later(GROUP, group, content, delay)

    def parcel(self, content: Content) -> Parcel:
        return Parcel(self._serializer, content=content)

    def _send_later(self, kind: int, name: str, content: Content, delay: float) -> Make:
        self._keeper.look_at(self._clock.now() + delay)
        return partial(self.operations.send_later, kind, name, self._serializer.encode(content), delay)

    def _send_due(self, envelope: Envelope) -> None:
        try:
            parcel = Parcel(self._serializer, data=envelope.body)
            if envelope.kind == GROUP:
                self.group_send_now(envelope.name, parcel)
            else:
                make = self.send(envelope.name, parcel.content, 0.0)
                if make is not None:
                    self.pipe.call(make)
        except ChannelFull:
            self.pipe.call(partial(self.operations.send_later, envelope.kind, envelope.name, envelope.body, FULL_DELAY))

    # Receiving

    def look_at(self, item: Stored) -> Content | None:
        """What was fetched, and stays where it is; None for what cannot be read."""
        try:
            return self._serializer.decode(item.data)
        except Undecodable:
            return None

    def decode(self, item: Stored) -> Content | None:
        """What was fetched; None for what cannot be read, which is lost and counted."""
        try:
            return self._serializer.decode(item.data)
        except Undecodable as error:
            self._lose(item.channel, error)
            return None

    def demand(self, queue: str) -> None:
        """Somebody waits for ``queue``: see to it that its next message is fetched."""
        mark = queue.find("!") + 1
        if mark:
            queue_name = queue[:mark]
            if queue_name in self._served:
                return
            if self.store.is_own(queue_name):
                self._serve_soon(queue_name)
                return
        self.fetcher.demand(queue)

    def fetch(self, waiter: ThreadWaiter, block: bool) -> None:
        """Give ``waiter``, which waits already, a message if there is one, and let it wait on if it may."""
        self._keeper.start()
        self.fetcher.fetch(waiter, block)

    def _make_reader(
        self, name: str, home: str, room: Callable[[str], int], arrived: Callable[[str, list[bytes]], object]
    ) -> Reader:
        self._keeper.start()
        bell = self._keys.bell(home, f"{self.process}:{name}")
        return Reader(
            self.topology,
            home,
            bell=bell,
            ring=partial(self._ring, home, bell),
            key_of=self._keys.queue,
            room=room,
            arrived=arrived,
            connected=self._connected,
        )

    def _ring(self, home: str, bell: str) -> None:
        with suppress(ChannelLayerUnavailable):  # where nothing leaves, its wait ends by itself, a little later
            self.pipe.start(partial(self.operations.ring, home, bell))

    # The mailbox

    def serve(self, queue: str) -> Make | None:
        """Read what other processes send to a queue of this one, and keep the lease of this process.

        Returns the operation that takes the lease where there was none: others must know of it before they know
        of the queue, or they leave no note for what they change in its groups.
        """
        with self._lock:
            if self._mailbox is None:
                self._mailbox = self._make_reader("mailbox", self.process, lambda queue: BATCH, self._mail)
                self._mailbox.want(notes_of(self.process))
            leased = self._keeper.keep_lease()
            self._mailbox.want(queue)
            self._served.add(queue)
        return partial(self.operations.renew, self._clock.now() + self._lease) if leased else None

    def _serve_soon(self, queue: str) -> None:
        make = self.serve(queue)
        if make is not None:
            self.pipe.start(make)

    def attach(self, queue: str, deliver: Deliver) -> None:
        self.store.attach(queue, deliver)
        self._serve_soon(queue)

    def detach(self, queue: str) -> Make:
        """The operation that ends the memberships under ``queue``, and the lease where nothing is served any more."""
        groups = list(dict.fromkeys(group for group, _ in self.store.detach(queue)))
        end = not (self.store.attached or self._wills or self.store.memberships(live=False))
        if end:
            self._keeper.leave_lease()
            self._served.clear()  # so that whatever is served next starts it again
        return partial(self.operations.discard_all, groups, queue, end)

    def _mail(self, queue: str, messages: list[bytes]) -> None:
        for data in messages:
            envelope = self.operations.live(queue, data)
            if envelope is not None:
                try:
                    self._open(queue, envelope)
                except (InvalidContent, Undecodable, ChannelFull) as error:
                    self._lose(envelope.name, error)
                except Exception:  # one message's trouble; those behind it come
                    logger.exception("A message to %s is lost", envelope.name)

    def _open(self, queue: str, envelope: Envelope) -> None:
        _, kind, name, body = envelope
        if kind == MESSAGE:
            deliver = self.store.attached.get(queue)
            if deliver is not None:
                deliver((name,), self._serializer.decode(body))
            else:
                self.fetcher.keep([Arrival(name, body, envelope.expires)])
        elif kind == GROUP:
            self.store.deliver(name, Parcel(self._serializer, data=body), queue, envelope.expires)
        elif kind == JOIN:
            channel = body.decode()
            if self.store.add(name, channel):
                # Its last member may just have left, and taken the entry along that the other process wrote.
                self.pipe.start(partial(self.operations.rejoin, [(name, channel)]), joins=True)
        elif kind == LEAVE:
            if self.store.discard(name, body.decode()):
                self.pipe.start(partial(self.operations.discard_all, [name], queue), joins=True)
        elif kind == FLUSH:
            self.store.flush()

    def _lose(self, channel: str, error: Exception) -> None:
        logger.error("A message to %s is lost: %s", channel, error)
        self.counts.add(names.queue_name(channel), "dropped_count")

    # Groups

    def group_add(self, group: str, channel: str) -> tuple[Make, bool]:
        """The operation, and whether its first step only reads."""
        if not self.store.is_own(names.queue_name(channel)):
            return partial(self.operations.group_add, group, channel), "!" in channel
        self._serve_soon(names.queue_name(channel))
        if self.store.add(group, channel):
            return partial(self.operations.group_add, group, channel), False
        return partial(self.operations.add_member, group, channel), False

    def group_discard(self, group: str, channel: str) -> tuple[Make, bool]:
        """As ``group_add``."""
        if not self.store.is_own(names.queue_name(channel)):
            return partial(self.operations.group_discard, group, channel), "!" in channel
        return self._after_discard(group, channel, self.store.discard(group, channel)), False

    def forget(self, channel: str) -> None:
        """``channel`` is gone: end its memberships and its last will."""
        for group, last in self.store.forget(channel):
            self.pipe.start(self._after_discard(group, channel, last), joins=True)
        if self._wills.pop(channel, None) is not None:
            self.pipe.start(partial(self.operations.forget_will, channel))

    def last_will(self, channel: str, to: str, content: Content) -> None:
        body = self._serializer.encode(content)
        self._wills[channel] = (to, body)
        self.pipe.start(partial(self.operations.last_will, channel, to, body))

    def _after_discard(self, group: str, channel: str, last: bool) -> Make:
        if last:
            return partial(self.operations.discard_all, [group], names.queue_name(channel))
        return partial(self.operations.group_discard, group, channel)

    def _ended(self, group: str, channel: str) -> None:
        """The store ended a membership: nobody reads that channel any more."""
        self.pipe.start(partial(self.operations.group_discard, group, channel), joins=True)

    def own_members(self, group: str) -> list[str]:
        return list(channels_of(self.store.members(group)))

    # All of it

    def flush(self) -> list[Make]:
        """Operations that remove all messages and groups, here and in Redis."""
        self.store.flush()
        try:
            nodes = self.topology.nodes()
        except FAULTS as error:
            raise ChannelLayerUnavailable(f"Redis cannot be reached, nothing was removed from it: {error}") from error
        return [*(partial(self.operations.flush, node) for node in nodes), self.operations.tell_flush]

    def statistics(self, channel: str, in_redis: dict[str, Any]) -> dict[str, Any]:
        """What Redis counts, with what waits here."""
        pending, age = self.store.pending(self.store.queue_of(channel))
        return {
            **in_redis,
            "messages_pending": in_redis["messages_pending"] + pending,
            "messages_max_age": max(in_redis["messages_max_age"], age),
        }

    # Keeping

    def _restore(self, everything: bool) -> None:
        """Write the memberships of live channels again, or all that this process has in Redis."""
        self.pipe.call(partial(self.operations.rejoin, self.store.memberships(live=not everything)), joins=True)
        if everything:
            for channel, (to, body) in tuple(self._wills.items()):
                self.pipe.call(partial(self.operations.last_will, channel, to, body))
        else:
            self.pipe.call(self.operations.keep_wills)

    def _connected(self, connection: Connection) -> None:
        self._clock.learn(connection.time)
        self.operations.newer = connection.newer
        self._keeper.reconnected()

    def _spare(self) -> Make | None:
        """What was counted leaves along with other operations, once a second."""
        now = time.monotonic()
        if now < self._counted_at + COUNTING_INTERVAL:
            return None
        self._counted_at = now
        return self.operations.add_statistics

    # Ending

    def close(self) -> None:
        """Give back the lease, and end all threads and connections."""
        if self._closed:
            return
        self._closed = True
        self.fetcher.close()
        readers = self._all_readers()
        if self.counts:
            self.pipe.start(self.operations.add_statistics)
        if self._keeper.close():
            # Sockets that are still open were not closed in order: others are to send their last wills, now.
            self.pipe.start(self.operations.drop_lease if self._wills else self.operations.end_lease)
        for reader in readers:
            reader.stop()
        self.pipe.drain(CLOSING_TIME)
        for reader in readers:
            reader.join(CLOSING_TIME)
        self.pipe.close()

    def abandon(self) -> None:
        """In a forked child: leave everything to the parent."""
        for reader in self._all_readers():
            reader.abandon()
        self.pipe.abandon()

    def _all_readers(self) -> list[Reader]:
        return [*self.fetcher.readers(), *([self._mailbox] if self._mailbox else [])]
