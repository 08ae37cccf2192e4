"""The contract of a channel layer: an async face, a sync face, and the rules both share.

The async face (``BaseChannelLayer``) is what Channels 4 consumers call; the sync face
(``SyncChannelLayer``) is what 1.x code calls and what ``message.channel_layer`` gives. Both move plain
content and never see a ``Message``. Every layer passes the same tests, ``tests/layers/contract``.
"""

from __future__ import annotations

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from .. import exceptions, names
from ..encoding import Content

#: What takes the content sent to channels of this process: ``deliver(channels, content)``.
Deliver = Callable[[Sequence[str], Content], None]

Capacities = Mapping["str | re.Pattern[str]", int]


class CapacityRules:
    """How many unread messages a queue may hold.

    Patterns are shell globs (the whole name) or compiled expressions (from its start); the first that
    matches counts. The full channel name is tried before the part up to ``!`` (R4), because older
    layers matched one or the other.
    """

    def __init__(self, capacity: int, channel_capacity: Capacities | None) -> None:
        self.capacity = capacity
        self._patterns: list[tuple[re.Pattern[str], int]] = [
            (re.compile(fnmatch.translate(pattern)) if isinstance(pattern, str) else pattern, limit)
            for pattern, limit in (channel_capacity or {}).items()
        ]

    def of(self, channel: str) -> int:
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


class BaseChannelLayer(_Layer, ABC):
    """The async face. Lifetime: process. Safe to use from several threads and event loops.

    Names are checked by every method: a bad one raises ``InvalidName`` (a ``TypeError``). Content that is
    no dict or cannot travel raises ``InvalidContent`` when it is sent.
    """

    #: True where another process sees the same channels; False keeps workers from being started in vain.
    crosses_processes: ClassVar[bool]

    @property
    @abstractmethod
    def sync(self) -> SyncChannelLayer:
        """The 1.x face over the same channels."""

    @abstractmethod
    def post(self, channel: str, content: Content) -> Awaitable[None] | None:
        """Start a send now, without waiting; what is returned, if anything, is awaited for its outcome.

        Calls take effect in the order they are made. Only for the event loop's own thread.
        Raises ``ChannelFull`` if that is known at once.
        """

    @abstractmethod
    def post_group(self, group: str, content: Content) -> Awaitable[None] | None:
        """``group_send`` as ``post`` is to ``send``."""

    async def send(self, channel: str, content: Content) -> None:
        """Put ``content`` at the end of ``channel``; never waits for room, raises ``ChannelFull``."""
        pending = self.post(channel, content)
        if pending is not None:
            await pending

    async def group_send(self, group: str, content: Content) -> None:
        """Send to every member; a member that is full misses the message, counted as dropped."""
        pending = self.post_group(group, content)
        if pending is not None:
            await pending

    @abstractmethod
    async def receive(self, channel: str) -> Content:
        """Wait for the next message of ``channel`` (a full name). Cancelling loses nothing (R7)."""

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
    async def flush(self) -> None:
        """Remove all messages and groups."""

    @abstractmethod
    def attach(self, queue: str, deliver: Deliver) -> None:
        """From now on ``deliver`` takes what is sent to ``queue`` (a name ending in ``!``) of this process.

        It is called in any thread and must not wait. Members under an attached queue are live sockets
        and requests: their memberships do not expire.
        """

    @abstractmethod
    def detach(self, queue: str) -> None:
        """End ``attach``, and the memberships under ``queue``."""

    @abstractmethod
    def count_dropped(self, channel: str, messages: int) -> None:
        """Messages for a channel under an attached queue were dropped: count them in the statistics."""

    @abstractmethod
    def forget(self, channel: str) -> None:
        """A channel under an attached queue is gone: end its memberships, which would not expire."""


class SyncChannelLayer(_Layer, ABC):
    """The 1.x face (``layers-and-protocol`` 2.2). Lifetime: process. Thread-safe.

    Where an operation would block, it refuses to do so on a running event loop: ``WouldBlock`` names
    the async twin.
    """

    #: The async face over the same channels.
    layer: BaseChannelLayer

    @abstractmethod
    def send(self, channel: str, content: Content) -> None:
        """Put ``content`` at the end of ``channel``; raises ``ChannelFull``."""

    @abstractmethod
    def send_group(self, group: str, content: Content) -> None:
        """Send to every member; a full member misses the message."""

    @abstractmethod
    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """One message of any of ``channels``, as ``(full channel name, content)``.

        ``(None, None)`` when there is none; with ``block`` only after waiting a while.
        A process-specific name is given up to and including its ``!``.
        """

    def receive_many(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """The older name of ``receive``, which 1.x workers call."""
        return self.receive(channels, block)

    @abstractmethod
    def new_channel(self, pattern: str) -> str:
        """An unused name made of ``pattern``, which ends in ``?``, and random letters."""

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
