"""The channel layer of one process, for development, tests and single-process sites.

Content travels as bytes here too, so that what works on this layer works on the others.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import names
from ..encoding import MAX_SIZE, Content, LazyContent, Serializer, check_content, encode_headers
from ..exceptions import ChannelFull
from .delays import Delays
from .envelope import Deliver, Headers, hand_over
from .faces import StoreChannelLayer, StoreSyncLayer
from .following import Follower
from .history import History, HistoryRules, check_number
from .kept import Histories
from .losses import Losses
from .memberships import channels_of
from .options import (
    CHANNEL_BYTES,
    FULL_DELAY,
    MAX_GROUPS,
    NOW,
    Capacities,
    CapacityRules,
    check_delay,
    check_seconds,
    with_defaults,
)
from .people import People
from .presence import LINGER, PRESENCE_CAPACITIES
from .receiver import NoSource, Opener, Receiver
from .statistics import Counts
from .store import Store

#: Seconds a blocking ``receive`` of the 1.x face waits before it gives up.
BLOCKING_WAIT = 1.0


class InMemoryChannelLayer(StoreChannelLayer):
    """Channels and groups in the memory of this process. Lifetime: process.

    Args:
        expiry: seconds that an unread message lives; fractions are allowed.
        group_expiry: seconds that a membership lives after its latest add.
        capacity: messages that a queue holds.
        channel_capacity: other capacities, by glob or compiled pattern.
        max_size: bytes of encoded content that a message has at most.
        channel_bytes: bytes that wait in a queue, above which it takes no more large messages; None for any number.
        max_groups: groups that one socket, or other channel of this process, may be a member of; None for any number.
        history: which groups keep a history, by glob or compiled pattern: how many messages (``size``), for how many
            ``seconds``.
        linger: seconds for which somebody who is present may be without a socket before that is a ``group.leave``.
        clock: the time in seconds, for stamps and expiry.

    Raises:
        InvalidChannelLayerError: an option has no such value.
    """

    crosses_processes = False

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        *,
        max_size: int = MAX_SIZE,
        channel_bytes: int | None = CHANNEL_BYTES,
        max_groups: int | None = MAX_GROUPS,
        history: Mapping[str | re.Pattern[str], Mapping[str, Any]] | None = None,
        linger: float = LINGER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_seconds(expiry=expiry, group_expiry=group_expiry)
        check_seconds(or_zero=True, linger=linger)
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.capacity = capacity
        self.channel_capacity = channel_capacity
        self.process = names.new_process(names.random_part(3))
        self._counts = Counts()
        rules = CapacityRules(capacity, with_defaults(channel_capacity, PRESENCE_CAPACITIES), max_groups, channel_bytes)
        serializer = Serializer(max_size)
        self._store = Store(self.process, expiry, group_expiry, rules, clock, self._counts)
        self._receiver = Receiver(self._store, NoSource(), Opener(serializer, Losses(self._counts)), BLOCKING_WAIT)
        self._marks = names.Marks(self.process)
        self._rules = HistoryRules(history)
        self.histories = Histories(self._rules, self._store, serializer)
        self.people = People(self._store, serializer, self._send_event, linger)
        self._sync = InMemorySyncLayer(self, self._store, serializer, self._marks)

    def _send_event(self, channel: str, content: Content) -> None:
        self._sync.send(channel, content)

    @property
    def receiver(self) -> Receiver:
        return self._receiver

    @property
    def counts(self) -> Counts:
        return self._counts

    @property
    def sync(self) -> InMemorySyncLayer:
        return self._sync

    def post(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        # A send in memory never waits, so both faces use one call.
        self._sync.send(channel, content, delay, headers=headers)

    def post_group(self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        self._sync.send_group(group, content, delay, headers=headers)

    async def group_add(self, group: str, channel: str) -> None:
        self._sync.group_add(group, channel)

    async def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        return self._sync.group_catch_up(group, channel, last=last, since=since)

    async def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        return self._sync.group_history(group, limit, since)

    async def group_introduce(self, group: str, channel: str, who: Content) -> None:
        self._sync.group_introduce(group, channel, who)

    async def group_present(self, group: str) -> list[Content]:
        return self._sync.group_present(group)

    def want_presence(self, channels: Iterable[str]) -> None:
        self.people.want(channels)

    async def group_discard(self, group: str, channel: str) -> None:
        self._sync.group_discard(group, channel)

    async def group_channels(self, group: str) -> list[str]:
        return self._sync.group_channels(group)

    def local_groups(self, most: int) -> dict[str, int]:
        return self._store.group_sizes(most)

    async def flush(self) -> None:
        self._sync.flush()

    async def global_statistics(self) -> dict[str, Any]:
        return self._sync.global_statistics()

    async def channel_statistics(self, channel: str) -> dict[str, Any]:
        return self._sync.channel_statistics(channel)

    def close(self) -> None:
        self._sync.flush()

    def attach(self, queue: str, deliver: Deliver) -> None:
        self._store.attach(queue, deliver)

    def detach(self, queue: str) -> None:
        for group, channel in self._store.detach(queue):
            self.people.left(group, channel)

    def keeps_history(self, group: str) -> bool:
        return self._rules.of(group) is not None

    @property
    def longest_history(self) -> float:
        return self._rules.longest

    def follow(self, queue: str, follower: Follower) -> None:
        self._store.followers[queue] = follower

    async def check_foreign(self, channel: str, queue: str) -> None:
        if self._marks.is_foreign(queue):
            raise names.foreign(channel)

    async def is_served(self, channel: str) -> bool:
        return names.queue_name(channel) in self._store.attached

    def forget(self, channel: str) -> None:
        self._store.forget(channel)
        self.people.forget(channel)


class InMemorySyncLayer(StoreSyncLayer[InMemoryChannelLayer]):
    """The 1.x face of ``InMemoryChannelLayer``. Lifetime: its layer's.

    Args:
        layer: the async face.
        store: the channels and groups of both faces.
        serializer: content to bytes and back.
        marks: tells channels of other layers.
    """

    def __init__(self, layer: InMemoryChannelLayer, store: Store, serializer: Serializer, marks: names.Marks) -> None:
        super().__init__(layer)
        self._is_foreign = marks.is_foreign
        self._store = store
        self._serializer = serializer
        self._histories = layer.histories
        self._people = layer.people
        self._deliver = layer.histories.deliver_to
        self._delays = Delays()

    def send(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        if delay is not NOW and check_delay(delay):
            self._check(channel)
            self._send_later(channel, self._serializer.encode(content), encode_headers(headers), delay)
            return
        if type(channel) is str:
            names.checked_channel(channel)
        else:
            names.check_channel_name(channel)
        queue = names.queue_name(channel)
        deliver = self._store.attached.get(queue)
        if deliver is not None:
            if headers:
                hand_over(deliver, (channel,), content, headers)
            else:
                deliver((channel,), content)
        elif self._is_foreign(queue):
            raise names.foreign(channel)
        else:
            encoded = encode_headers(headers) if headers else b""
            self._store.put(channel, self._serializer.encode(content), encoded)

    def _send_later(self, channel: str, body: bytes, headers: bytes, delay: float) -> None:
        def due() -> None:
            deliver = self._store.attached.get(names.queue_name(channel))
            try:
                if deliver is not None:
                    hand_over(deliver, (channel,), self._serializer.decode(body), headers)
                else:
                    self._store.put(channel, body, headers)
            except ChannelFull:
                self._send_later(channel, body, headers, FULL_DELAY)

        self._delays.call_later(delay, due)

    def send_group(self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        names.check_group_name(group)
        check_content(content)
        lazy, encoded = LazyContent(self._serializer, content=content), encode_headers(headers)
        data = lazy.data  # whoever is a member, what another process could not be told is refused
        if check_delay(delay):
            later = LazyContent(self._serializer, data=data)
            self._delays.call_later(delay, lambda: self._deliver(group, later, encoded))
        else:
            self._deliver(group, lazy, encoded)

    def group_add(self, group: str, channel: str) -> None:
        self._histories.add(names.check_group_name(group), self._check(channel))

    def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        check_number("last", last)
        return self._histories.catch_up(names.check_group_name(group), self._check(channel), last, since)

    def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        check_number("limit", limit)
        return self._histories.history(names.check_group_name(group), limit, since)

    def group_discard(self, group: str, channel: str) -> None:
        self._store.discard(names.check_group_name(group), self._check(channel))
        self._people.left(group, channel)

    def group_introduce(self, group: str, channel: str, who: Content) -> None:
        self._people.introduce(names.check_group_name(group), self._check(channel), who)

    def group_present(self, group: str) -> list[Content]:
        return self._people.present(names.check_group_name(group))

    def _check(self, channel: str) -> str:
        if self._is_foreign(names.queue_name(names.check_channel_name(channel))):
            raise names.foreign(channel)
        return channel

    def group_channels(self, group: str) -> list[str]:
        return list(channels_of(self._store.members(names.check_group_name(group))))

    def group_count(self, group: str) -> int:
        return len(self.group_channels(group))

    def flush(self) -> None:
        self._delays.clear()
        self._histories.clear()
        self._people.clear()
        self._store.flush()

    def global_statistics(self) -> dict[str, Any]:
        return dict(self._store.counts.of(None))

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        queue = self._store.queue_of(channel)
        pending, age = self._store.pending(queue)
        counts = self._store.counts.of(names.queue_name(channel))
        return {**counts, "messages_pending": pending, "messages_max_age": age}
