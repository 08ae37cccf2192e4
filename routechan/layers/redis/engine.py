"""The engine: what the two faces of a Redis layer call, for one process.

Messages to this process stay in its ``Store``; all others go through the ``Driver``. The ``Mailbox`` reads what other
processes send to its channels, and a ``Fetcher`` gets messages of channels that other processes read too. A forked
child makes an engine of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from ... import names
from ...encoding import Content, LazyContent, Serializer, check_content, encode_headers
from ...exceptions import ChannelLayerUnavailable
from ..envelope import GROUP, MESSAGE, Deliver, Headers, hand_over
from ..history import HistoryRules
from ..losses import Losses
from ..options import NOW, Capacities, CapacityRules, check_delay, with_defaults
from ..presence import PRESENCE_CAPACITIES
from ..receiver import Opener, Source
from ..statistics import Counts
from ..store import Store
from ..waiters import ThreadWaiter
from .arrivals import Fetcher, Mailbox
from .commands.counting import Counting
from .commands.groups import Groups
from .commands.history import Append, Histories
from .commands.leases import Leases, Renewal
from .commands.messages import LOOK, Messages
from .commands.presence import Presence
from .commands.script import Context, Operation, Script, operation
from .connection import FAULTS, Reconnections, RedisClock
from .driver import Driver
from .giving import Giving
from .housekeeping import Housekeeping
from .members import Members
from .patience import Patience
from .people import People
from .reader import Reader, ReaderTools
from .schema import Keys
from .tails import Tails
from .topology import Topology
from .transport import Transport
from .wire import Wire

T = TypeVar("T")

#: Messages that the mailbox of a process, shared by its sockets, holds unless ``channel_capacity`` says otherwise.
MAILBOX_CAPACITY = 10_000
MAILBOXES = ("websocket.send.*!*", "http.response.*!*", "specific.*!*")

#: How many expired memberships are remembered, to be ended in Redis too; others expire there later.
ENDED_KEPT = 10_000

#: Seconds between additions of this process' counts to those in Redis.
COUNTING_INTERVAL = 1.0

#: Seconds that ``close`` waits for queued operations, and for each reader.
CLOSING_TIME = 1.0


class Engine(Source):
    """The channels and groups of one process, and its way to Redis. Lifetime: layer, in one process. Thread-safe.

    Args:
        topology: the servers.
        prefix: begins all keys.
        expiry: seconds that an unread message lives.
        group_expiry: seconds that a membership lives.
        capacity: messages that a queue holds.
        channel_capacity: other capacities, by pattern.
        channel_bytes: bytes that wait in a queue, above which it takes no more large messages; None for any number.
        max_groups: groups that a channel of a process may be a member of; None for any number.
        serializer: content to bytes and back.
        wire: envelopes to bytes and back.
        lease: seconds after which a process that gave no sign is taken for dead.
        send_timeout: seconds that code which is no consumer waits for Redis.
        mark: begins the name of this process.
        clock: the server's time.
        history: which groups keep a history.
        linger: seconds for which somebody without a socket may come back before that is a leave.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        prefix: str,
        expiry: float,
        group_expiry: float,
        capacity: int,
        channel_capacity: Capacities | None,
        channel_bytes: int | None,
        max_groups: int | None,
        serializer: Serializer,
        wire: Wire,
        lease: float,
        send_timeout: float,
        mark: str,
        clock: RedisClock,
        history: HistoryRules,
        linger: float,
    ) -> None:
        self.process = names.new_process(mark)
        self.marks = names.Marks(self.process)
        self.now = clock.now
        self.counts = counts = Counts()
        self.keys = Keys(prefix)
        self._topology = topology
        self._serializer = serializer
        self.patience = Patience(send_timeout)
        self._count_at = time.monotonic() + COUNTING_INTERVAL
        self._serving = threading.RLock()
        self._closed = False
        losses, reconnections = Losses(counts), Reconnections()
        rules = CapacityRules(capacity, channel_capacity, max_groups, channel_bytes)
        ours = with_defaults(channel_capacity, dict.fromkeys(MAILBOXES, MAILBOX_CAPACITY) | PRESENCE_CAPACITIES)
        self.store = store = Store(self.process, expiry, group_expiry, rules, clock.now, counts, ENDED_KEPT)
        context = Context(
            self.keys,
            process=self.process,
            expiry=expiry,
            group_expiry=group_expiry,
            capacities=CapacityRules(capacity, ours, max_groups, channel_bytes),
            clock=clock,
            counts=counts,
            wire=wire,
            losses=losses,
            is_own=store.is_own,
            marks=self.marks,
        )
        transport = Transport(topology, clock, reconnections)
        self._messages = Messages(context, transport.is_newer)
        self.counting = Counting(context)
        self.leases = Leases(context)
        self._groups = Groups(context, self._messages, self.leases)
        self._driver = driver = Driver(transport)
        self._keeps = history.of if history else None
        self._histories = Histories(context, history, self._groups, self._messages, self.leases)
        giving = Giving(store, self._histories, context, serializer)
        self.tails = tails = self._histories.tails = Tails(store, driver, self._histories, giving)
        presence = Presence(context, serializer, self._messages, self.leases, linger)
        self.people = people = People(store, driver, presence, history, self._look_at, clock.now, lease)
        tools = ReaderTools(self.process, topology, driver, self._messages, self.keys, clock, reconnections, lease)
        self._mailbox = Mailbox(store, driver, self._groups, tails, people, serializer, context, tools, self._look_at)
        self.members = Members(
            store, driver, self._mailbox, self._groups, self._histories, tails, giving, people, self._serve_soon
        )
        self.fetcher = Fetcher(store, driver, self._messages, context, topology, tools)
        self.housekeeping = Housekeeping(
            driver,
            store,
            serializer,
            self._messages,
            self.group_send,
            self._groups,
            tails,
            people,
            self.leases,
            self.counting,
            counts=counts,
            clock=clock,
            reconnections=reconnections,
            lease=lease,
            group_expiry=group_expiry,
        )
        self.opener = Opener(serializer, losses)

    def _look_at(self, due: float) -> None:
        self.housekeeping.look_at(due)

    # Performing operations

    def call(self, operation: Operation[T], patience: float | None = None) -> T:
        """The result of ``operation``, which this thread waits for with ``patience`` as in ``post``, or as it may."""
        if time.monotonic() >= self._count_at:
            self._report_counts()
        return self._driver.call(operation, None, self.patience() if patience is None else patience)

    def ask(self, operation: Operation[T]) -> asyncio.Future[T]:
        """The future of ``operation`` that ``post`` returns, for code that waits for the outcome."""
        return self.post(operation, self.patience())

    def post(self, operation: Operation[T], patience: float | None = None) -> asyncio.Future[T]:
        """A future with the outcome of ``operation``, started from the running event loop; returns as ``Driver.post``.

        It waits for ``patience`` seconds for Redis; for None as long as what consumers send.
        """
        if time.monotonic() >= self._count_at:
            self._report_counts()
        return self._driver.post(operation, patience)

    def _report_counts(self) -> None:
        """Send the counts of this process along with other operations, once a second."""
        now = time.monotonic()
        if now >= self._count_at:
            self._count_at = now + COUNTING_INTERVAL
            if self.counts:
                self._driver.start_along(self.counting.add_statistics())

    # Sending

    def send(self, channel: str, content: Content, delay: float, headers: Headers | None) -> Operation[None] | None:
        """The operation that sends a message; None if it is sent already, because the channel is of this process.

        Args:
            channel: a full channel name.
            content: the content, a dict.
            delay: seconds until it is sent.
            headers: what travels beside the content.

        Raises:
            ChannelFull: a channel of this process is full.
            MessageTooLarge: the content is too large.
        """
        if type(channel) is str:
            names.checked_channel(channel)
        else:
            names.check_channel_name(channel)
        if delay is not NOW and check_delay(delay):
            later = self._send_later(MESSAGE, channel, content, delay, headers)
            return self.leases.if_ours(channel, later) if self.marks.is_foreign(names.queue_name(channel)) else later
        queue = names.queue_name(channel)
        deliver = self.store.attached.get(queue)
        if deliver is not None:
            if headers:
                hand_over(deliver, (channel,), content, headers)
            else:
                deliver((channel,), content)
            return None
        body = self._serializer.encode(content)
        encoded = encode_headers(headers) if headers else b""
        if self.store.is_own(queue):
            self.store.put(channel, body, encoded)
            return None
        send = self._messages.send(queue, channel, body, encoded)
        return self.leases.if_ours(channel, send) if self.marks.is_foreign(queue) else send

    def post_group(
        self, group: str, content: Content, delay: float, headers: Headers | None, waits: bool = False
    ) -> asyncio.Future[None]:
        """Send ``content`` to all members of ``group``, from the running event loop.

        Args:
            group: the name of the group.
            content: the content, a dict.
            delay: seconds until it is sent.
            headers: what travels beside the content.
            waits: whether the caller waits for the outcome.

        Returns:
            A future that is done when the message has left for members in other processes.

        Raises:
            MessageTooLarge: the layer carries no message of this size.
            InvalidContent: it cannot travel, or some members cannot take it; the others got it.
        """
        _check_group_send(group, content)
        patience = self.patience() if waits else None
        if delay is not NOW and check_delay(delay):
            return self.post(self._send_later(GROUP, group, content, delay, headers), patience)
        lazy, encoded = LazyContent(self._serializer, content=content), encode_headers(headers) if headers else b""
        if self._keeps is not None and self._keeps(group) is not None:
            return self.post(Append(self._histories, group, lazy.data, encoded), patience)
        sent = self.post(self._groups.send(group, lazy.data, encoded), patience)
        self.store.deliver(group, lazy, encoded)
        return sent

    def call_group(self, group: str, content: Content, delay: float, headers: Headers | None) -> None:
        """Send ``content`` with ``delay`` and ``headers`` to ``group`` as ``post_group``, and wait on this thread."""
        _check_group_send(group, content)
        if delay is not NOW and check_delay(delay):
            self.call(self._send_later(GROUP, group, content, delay, headers))
            return
        operation, deliver = self.group_send(
            group, LazyContent(self._serializer, content=content), encode_headers(headers)
        )
        try:
            deliver()
        finally:
            self.call(operation)

    def group_send(
        self, group: str, content: LazyContent, headers: bytes
    ) -> tuple[Operation[Any], Callable[[], object]]:
        """The operation that sends ``content`` with encoded ``headers`` to ``group``, and what delivers it here."""
        if self._keeps is not None and self._keeps(group) is not None:
            return Append(self._histories, group, content.data, headers), bool  # they get it with its history
        return self._groups.send(group, content.data, headers), partial(self.store.deliver, group, content, headers)

    def _send_later(
        self, kind: int, name: str, content: Content, delay: float, headers: Headers | None
    ) -> Operation[None]:
        """The operation that keeps a message to a channel or group (``kind``) in Redis for ``delay`` seconds."""
        self.housekeeping.look_at(self.now() + delay)
        if delay <= 2 * LOOK:
            self._driver.start_along(self._messages.tell_due(delay))
        return self._messages.send_later(kind, name, self._serializer.encode(content), encode_headers(headers), delay)

    # Receiving

    def demand(self, queue: str) -> None:
        mark = queue.find("!") + 1
        if mark:
            queue_name = queue[:mark]
            if queue_name in self._mailbox.served:
                return
            if self.store.is_own(queue_name):
                self._serve_soon(queue_name)
                return
        self.housekeeping.start()
        self.fetcher.demand(queue)

    def demand_any(self, queues: Sequence[str]) -> None:
        self.housekeeping.start()
        self.fetcher.demand_any(queues)

    def fetch(self, waiter: ThreadWaiter, block: bool) -> None:
        self.housekeeping.start()
        self._report_counts()
        self.fetcher.fetch(waiter, block)

    def no_demand(self, queues: Iterable[str]) -> None:
        self.fetcher.no_demand(queues)

    def release(self, queues: Iterable[str]) -> None:
        self.fetcher.release(queues)

    def withdraw(self, queues: Sequence[str]) -> None:
        self.fetcher.withdraw(queues)

    # Serving the channels of this process

    def serve(self, queue: str) -> Operation[Renewal] | None:
        """Read what other processes send to ``queue``, which is of this process.

        Returns:
            The operation of ``keep_lease``.
        """
        with self._serving:
            lease = self.housekeeping.keep_lease()
            self._mailbox.serve(queue)
        return lease

    def _serve_soon(self, queue: str) -> None:
        lease = self.serve(queue)
        if lease is not None:
            self._driver.start(lease)

    def attach(self, queue: str, deliver: Deliver) -> None:
        """Hand what is sent to ``queue``, which is of this process, to ``deliver(channels, content)``."""
        self.store.attach(queue, deliver)
        self._serve_soon(queue)

    def detach(self, queue: str) -> Operation[None]:
        """The operation that ends the memberships under ``queue``, and the lease if no queue is served any more."""
        ended = self.store.detach(queue)
        for group, channel in ended:
            self.people.left(group, channel)
        groups = list(dict.fromkeys(group for group, _ in ended))
        last = not (self.store.attached or self.housekeeping.has_wills or self.store.memberships(live=False))
        if last:
            self.housekeeping.leave_lease()
            self._mailbox.forget_served()
        return self._detached(groups, queue, last)

    @operation(changes_membership=True)
    def _detached(self, groups: Sequence[str], queue: str, last: bool) -> Script[None]:
        yield from self._groups.discard_queue(groups, queue).script()
        if last:
            yield from self.leases.end_lease().script()

    def forget(self, channel: str) -> None:
        """End the memberships and the last will of ``channel``, which is gone."""
        self.members.forget(channel)
        self.housekeeping.forget_will(channel)

    def last_will(self, channel: str, to: str, content: Content) -> None:
        """Have another process send ``content`` to the channel ``to`` if this one dies while it has ``channel``."""
        self.housekeeping.leave_will(channel, to, self._serializer.encode(content))

    def flush(self) -> Operation[None]:
        """The operation that removes all messages and groups from Redis; those of this process are removed at once."""
        self.store.flush()
        self.tails.clear()
        self.people.clear()
        return self._flushed()

    @operation(changes_membership=True)
    def _flushed(self) -> Script[None]:
        try:
            nodes = self._topology.nodes()
        except FAULTS as error:
            raise ChannelLayerUnavailable(f"Redis cannot be reached, nothing was removed from it: {error}") from error
        for node in nodes:
            yield from self.leases.flush(node)
        yield from self.leases.tell_flush()

    @operation()
    def channel_statistics(self, channel: str) -> Script[dict[str, Any]]:
        """The counts of the queue of ``channel`` in Redis, with the messages that wait in this process."""
        in_redis = yield from self.counting.statistics(names.queue_name(channel)).script()
        pending, age = self.store.pending(self.store.queue_of(channel))
        return {
            **in_redis,
            "messages_pending": in_redis["messages_pending"] + pending,
            "messages_max_age": max(in_redis["messages_max_age"], age),
        }

    def close(self) -> None:
        """Give back the lease, and end all threads and connections."""
        if self._closed:
            return
        self._closed = True
        self.fetcher.close()
        readers = self._readers()
        if self.counts:
            self._driver.start(self.counting.add_statistics())
        if self.housekeeping.close():
            # Sockets that are still open were not closed in order: let other processes send their last wills now.
            wills = self.housekeeping.has_wills
            self._driver.start(self.leases.drop_lease() if wills else self.leases.end_lease())
        for reader in readers:
            reader.stop()
        self._driver.drain(CLOSING_TIME)
        for reader in readers:
            reader.join(CLOSING_TIME)
        self._driver.close()

    def abandon(self) -> None:
        """Leave everything to the parent, in a forked child."""
        for reader in self._readers():
            reader.abandon()
        self._driver.abandon()

    def _readers(self) -> list[Reader]:
        return [*self.fetcher.readers(), *self._mailbox.readers()]


def _check_group_send(group: str, content: Content) -> None:
    if type(group) is str:
        names.checked_group(group)
    else:
        names.check_group_name(group)
    check_content(content)
