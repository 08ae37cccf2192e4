"""The contract of a channel layer: an async face, a sync face, and the rules both share.

The async face (``BaseChannelLayer``) is what Channels 4 consumers call; the sync face
(``SyncChannelLayer``) is what 1.x code calls and what ``message.channel_layer`` gives. Both move plain
content and never see a ``Message``. Every layer passes the same tests, ``tests/layers/contract``.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from .. import exceptions, names
from ..encoding import Content

#: What takes the content sent to channels of this process: ``deliver(channels, content)``.
Deliver = Callable[[Sequence[str], Content], None]

#: What takes the messages of a subscription: ``take(channel, content)``.
Take = Callable[[str, Content], object]

Capacities = Mapping["str | re.Pattern[str]", int]


class CapacityRules:
    """How many unread messages a queue may hold.

    Patterns are shell globs (the whole name) or compiled expressions (from its start); the first that
    matches counts. The full channel name is tried before the part up to ``!`` (R4), because older
    layers matched one or the other.
    """

    def __init__(self, capacity: int, channel_capacity: Capacities | None) -> None:
        _check_capacity("capacity", capacity)
        if channel_capacity is not None and not isinstance(channel_capacity, Mapping):
            raise exceptions.InvalidChannelLayerError(
                f"channel_capacity is a dict of patterns and capacities, such as {{'http.*': 200}}, not "
                f"{channel_capacity!r}"
            )
        for pattern, limit in (channel_capacity or {}).items():
            if not isinstance(pattern, (str, re.Pattern)):
                raise exceptions.InvalidChannelLayerError(
                    f"channel_capacity has the key {pattern!r}; a pattern is a glob or a compiled expression"
                )
            _check_capacity(f"channel_capacity[{pattern!r}]", limit)
        self.capacity = capacity
        self._patterns: list[tuple[re.Pattern[str], int]] = [
            (re.compile(fnmatch.translate(pattern)) if isinstance(pattern, str) else pattern, limit)
            for pattern, limit in (channel_capacity or {}).items()
        ]
        #: The capacity of the queue that a channel lies in.
        self.of = functools.lru_cache(maxsize=4096)(self._of)

    def _of(self, channel: str) -> int:
        if self._patterns:
            for name in (channel, names.queue_name(channel)):
                for pattern, limit in self._patterns:
                    if pattern.match(name):
                        return limit
        return self.capacity


class _Layer:
    """What both faces carry, as attributes so that ``except layer.ChannelFull`` works (R11)."""

    ChannelFull = exceptions.ChannelFull
    MessageTooLarge = exceptions.MessageTooLarge
    extensions: ClassVar[list[str]] = ["groups", "flush", "statistics"]

    #: Seconds an unread message lives, and a group membership after its latest add.
    expiry: float
    group_expiry: float
    capacity: int
    channel_capacity: Capacities | None


def check_seconds(**options: object) -> None:
    """Raise ``InvalidChannelLayerError`` for the first of ``options`` that is no time."""
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise exceptions.InvalidChannelLayerError(
                f"{name} is a number of seconds above 0, such as 60, not {value!r}"
            )


def _check_capacity(where: str, capacity: object) -> None:
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise exceptions.InvalidChannelLayerError(f"{where} is a number of messages from 1 on, not {capacity!r}")


#: No delay, without which nothing needs to be checked.
NOW = 0.0

#: Seconds that a message may be delayed at most.
LONGEST_DELAY = 366 * 86400

#: Seconds until a delayed message tries again a channel that was full.
FULL_DELAY = 1.0


def check_delay(delay: object) -> float:
    """Return ``delay`` if it is a number of seconds, else raise ``ValueError``."""
    if delay is NOW:
        return NOW
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay < float("inf"):
        raise ValueError(f"delay is a number of seconds of at least 0, such as 2.5, not {delay!r}")
    if delay > LONGEST_DELAY:
        raise ValueError(f"delay is at most {LONGEST_DELAY} seconds, not {delay!r}")
    return delay


class Subscription(Protocol):
    """What ``BaseChannelLayer.subscribe`` returns. Only for its event loop. Lifetime: until ``end``."""

    def free(self) -> None:
        """There is room for one more message."""

    def end(self) -> None:
        """Take no more. What was on its way is left to others here, and to ``withdraw``."""


class BaseChannelLayer(_Layer, ABC):
    """The async face. Lifetime: process. Safe to use from several threads and event loops.

    Names are checked by every method: a bad one raises ``InvalidName`` (a ``TypeError``). Content that is
    no dict or cannot travel raises ``InvalidContent`` when it is sent.
    """

    #: True where another process sees the same channels; False keeps workers from being started in vain.
    crosses_processes: ClassVar[bool]

    #: The name of this process on the layer: the part of its channels' names before ``!``, after the last dot.
    process: str

    @property
    @abstractmethod
    def sync(self) -> SyncChannelLayer:
        """The 1.x face over the same channels."""

    @abstractmethod
    def post(self, channel: str, content: Content, delay: float = NOW) -> Awaitable[None] | None:
        """Start a send now, without waiting; what is returned, if anything, is awaited for its outcome.

        Calls take effect in the order they are made. Only for the event loop's own thread.
        Raises ``ChannelFull`` if that is known at once.
        """

    @abstractmethod
    def post_group(self, group: str, content: Content, delay: float = NOW) -> Awaitable[None] | None:
        """``group_send`` as ``post`` is to ``send``."""

    async def send(self, channel: str, content: Content, delay: float = NOW) -> None:
        """Put ``content`` at the end of ``channel``; never waits for room, raises ``ChannelFull``.

        With ``delay``, that many seconds later; a channel that is full then is tried again each second.
        """
        pending = self.post(channel, content, delay)
        if pending is not None:
            await pending

    async def group_send(self, group: str, content: Content, delay: float = NOW) -> None:
        """Send to every member; a member that is full misses the message, counted as dropped.

        With ``delay``, that many seconds later, to who is a member then.
        """
        pending = self.post_group(group, content, delay)
        if pending is not None:
            await pending

    @abstractmethod
    async def receive(self, channel: str) -> Content:
        """Wait for the next message of ``channel`` (a full name). Cancelling loses nothing (R7)."""

    @abstractmethod
    def subscribe(self, channels: Iterable[str], take: Take, room: int) -> Subscription:
        """Have ``take(channel, content)`` called on the running event loop for each message of ``channels``.

        Those of one channel come in their order, a busy channel being no better off. At most ``room`` are taken off
        them until ``subscription.free()`` says that there is room for another: the others stay for other processes.
        (What was asked for in several places at once may be a little more; it waits, see ``held``.)
        A process-specific name must end at its ``!`` and be of another face's making. What ``take`` raises is logged.
        Raises ``ChannelLayerUnavailable`` where the layer was closed.
        """

    def now(self) -> float:
        """The time in seconds, on a clock that the processes which share the layer agree on."""
        return time.time()

    def held(self) -> list[Content]:
        """What was taken off channels for subscriptions of this process, and has not reached them. From any thread.

        It does not while something holds up their event loop, or while there is no room.
        """
        return []

    async def withdraw(self, channels: Iterable[str]) -> list[tuple[str, Content]]:
        """To be called when all subscriptions to ``channels`` here have ended, before the process does.

        Returns what had left the layer for this process by then and reached nobody: nobody else will get it.
        """
        return []

    @abstractmethod
    async def new_channel(self, prefix: str = "specific") -> str:
        """An unused process-specific name, ``<prefix>.<process>!<random>``."""

    @abstractmethod
    async def group_add(self, group: str, channel: str) -> None:
        """Make ``channel`` a member for ``group_expiry`` seconds; adding again renews."""

    @abstractmethod
    async def group_discard(self, group: str, channel: str) -> None:
        """End a membership; silent where there is none."""

    @abstractmethod
    async def group_channels(self, group: str) -> list[str]:
        """The members, in no promised order."""

    @abstractmethod
    async def group_count(self, group: str) -> int:
        """How many members there are."""

    @abstractmethod
    async def flush(self) -> None:
        """Remove all messages and groups."""

    @abstractmethod
    async def global_statistics(self) -> dict[str, Any]:
        """As ``SyncChannelLayer.global_statistics``."""

    @abstractmethod
    async def channel_statistics(self, channel: str) -> dict[str, Any]:
        """As ``SyncChannelLayer.channel_statistics``."""

    @abstractmethod
    def close(self) -> None:
        """End what the layer runs and holds open; it cannot be used after that."""

    @abstractmethod
    def attach(self, queue: str, deliver: Deliver) -> None:
        """From now on ``deliver`` takes what is sent to ``queue``, a name that ends in ``.<process>!``.

        It is called in any thread and must not wait. Members under an attached queue are live sockets
        and requests: their memberships do not expire.
        """

    @abstractmethod
    def detach(self, queue: str) -> Awaitable[None] | None:
        """End ``attach``, and the memberships under ``queue``; what is returned, if anything, is awaited for the end.

        Only for the event loop's own thread.
        """

    @abstractmethod
    async def is_served(self, channel: str) -> bool:
        """Whether a living process takes what is sent to ``channel``, a name of a queue that ends in ``!``."""

    @abstractmethod
    def count_dropped(self, channel: str, messages: int) -> None:
        """Messages for a channel under an attached queue were dropped: count them in the statistics."""

    @abstractmethod
    def forget(self, channel: str) -> None:
        """A channel under an attached queue is gone: end its memberships, which would not expire, and its last will."""

    @abstractmethod
    def last_will(self, channel: str, to: str, content: Content) -> None:
        """If this process dies without a word, another sends ``content`` to ``to``, once.

        ``channel`` lies under an attached queue; ``forget`` takes its last will back.
        """


class SyncChannelLayer(_Layer, ABC):
    """The 1.x face (``layers-and-protocol`` 2.2). Lifetime: process. Thread-safe.

    Where an operation would block, it refuses to do so on a running event loop: ``WouldBlock`` names
    the async twin.
    """

    #: The async face over the same channels.
    layer: BaseChannelLayer

    @abstractmethod
    def send(self, channel: str, content: Content, delay: float = NOW) -> None:
        """As ``BaseChannelLayer.send``."""

    @abstractmethod
    def send_group(self, group: str, content: Content, delay: float = NOW) -> None:
        """As ``BaseChannelLayer.group_send``."""

    @abstractmethod
    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """One message of any of ``channels``, as ``(full channel name, content)``.

        ``(None, None)`` when there is none; with ``block`` only after waiting a while.
        A process-specific name is given up to and including its ``!``.
        """

    def receive_many(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """The older name of ``receive``, which 1.x workers call."""
        return self.receive(channels, block)

    def new_channel(self, pattern: str) -> str:
        """An unused name made of ``pattern``, which ends in ``?``, and random letters."""
        if not isinstance(pattern, str) or not pattern.endswith("?"):
            raise exceptions.InvalidName(
                f"new_channel takes a pattern that ends in '?', such as 'reply?', not {pattern!r}"
            )
        return names.check_channel_name(pattern + names.random_part(12))

    @abstractmethod
    def group_add(self, group: str, channel: str) -> None:
        """As ``BaseChannelLayer.group_add``."""

    @abstractmethod
    def group_discard(self, group: str, channel: str) -> None:
        """As ``BaseChannelLayer.group_discard``."""

    @abstractmethod
    def group_channels(self, group: str) -> list[str]:
        """As ``BaseChannelLayer.group_channels``."""

    @abstractmethod
    def group_count(self, group: str) -> int:
        """As ``BaseChannelLayer.group_count``."""

    @abstractmethod
    def flush(self) -> None:
        """As ``BaseChannelLayer.flush``."""

    @abstractmethod
    def global_statistics(self) -> dict[str, Any]:
        """``messages_count``, ``channel_full_count``, ``dropped_count`` and ``expired_count`` since the start."""

    @abstractmethod
    def channel_statistics(self, channel: str) -> dict[str, Any]:
        """The counts of one queue, ``messages_pending`` and ``messages_max_age`` (seconds)."""

    def valid_channel_name(self, name: str, receive: bool = False) -> bool:
        """True, or ``InvalidName`` (asgiref 1.x)."""
        (names.check_receive_name if receive else names.check_channel_name)(name)
        return True

    def valid_channel_names(self, channels: list[str], receive: bool = False) -> bool:
        """True for a list of valid names; ``AssertionError``, as in asgiref 1.x, for what is no such list."""
        if not isinstance(channels, list) or not channels:
            raise AssertionError(f"expected a list of channel names with at least one entry, not {channels!r}")
        return all(self.valid_channel_name(name, receive) for name in channels)

    def valid_group_name(self, name: str) -> bool:
        """True, or ``InvalidName`` (asgiref 1.x)."""
        names.check_group_name(name)
        return True
