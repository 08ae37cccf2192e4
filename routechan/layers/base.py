"""The contract of a channel layer, and its async face; the 1.x face is that of ``layers/sync.py``.

The async face (``BaseChannelLayer``) is what Channels 4 consumers call; the 1.x face (``SyncChannelLayer``) is what 1.x
code calls and what ``message.channel_layer`` gives. Both move plain content and never see a ``Message``. A layer of
your own has to have the abstract methods of ``BaseChannelLayer``; everything else is made of them (see
``docs/layers.rst``). Every layer passes the same tests, ``tests/contract``.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, ClassVar

from .. import exceptions, names
from ..encoding import Content
from .envelope import EXCLUDE, LATEST, ONCE, Deliver, Headers
from .following import Follower
from .history import History
from .options import FULL_DELAY, LONGEST_DELAY, NOW, Capacities, CapacityRules, check_delay, check_seconds
from .polling import PollingQueue, PollingSubscription, wait_for_message
from .receiver import Delivery, Subscription, Take
from .statistics import COUNTED
from .sync import Faces, RunningSyncLayer, SyncChannelLayer, no_presence

__all__ = [
    "EXCLUDE",
    "FULL_DELAY",
    "LATEST",
    "LONGEST_DELAY",
    "NOW",
    "ONCE",
    "BaseChannelLayer",
    "Capacities",
    "CapacityRules",
    "Deliver",
    "Delivery",
    "Headers",
    "Subscription",
    "SyncChannelLayer",
    "Take",
    "check_delay",
    "check_seconds",
]


class BaseChannelLayer(Faces, ABC):
    """The async face. Lifetime: process. Safe to use from several threads and event loops.

    Every method of our own layers checks names: a bad one raises ``InvalidName`` (a ``TypeError``). Content that is no
    dict or cannot travel raises ``InvalidContent`` when it is sent.
    """

    #: Whether other processes see the same channels; if not, workers would get no messages.
    crosses_processes: ClassVar[bool]

    #: The name of this process on the layer: the part of its channels' names before ``!``, after the last dot.
    process: str

    #: Seconds between two calls of ``poll`` that found nothing, in the methods that are built on it.
    poll_interval: ClassVar[float] = 0.05

    # What a layer must implement

    @abstractmethod
    async def send(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        """Put a message at the end of ``channel``; never wait for room.

        Args:
            channel: a full channel name.
            content: what ``routechan.encoding`` carries.
            delay: seconds after which the message is sent. A channel that is full then is tried again each second.
            headers: what travels beside the content, and arrives with it.

        Raises:
            ChannelFull: the channel holds as many messages as it may.
            MessageTooLarge: the layer carries no message of this size.
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """

    @abstractmethod
    async def poll(self, channels: Sequence[str]) -> Delivery | None:
        """Take the next message of any of ``channels`` that there is now.

        Messages of one channel come in order, each is taken once, and a busy channel does not starve a quiet one.

        Args:
            channels: full channel names; one that ends in ``!`` stands for all channels that begin with it.

        Returns:
            A ``Delivery``, or None where there is no message now.

        Raises:
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """

    @abstractmethod
    async def group_add(self, group: str, channel: str) -> None:
        """Make ``channel`` a member of ``group`` for ``group_expiry`` seconds; adding again renews.

        Raises:
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """

    @abstractmethod
    async def group_discard(self, group: str, channel: str) -> None:
        """End the membership of ``channel`` in ``group``; silent where there is none.

        Raises:
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """

    async def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        """``group_add`` of ``channel`` to ``group``, and give it what was sent before, ahead of anything newer.

        Args:
            group: a group that keeps a history.
            channel: a full channel name.
            last: how many of the last messages, if not all after ``since`` can be given.
            since: the position of the last message that its reader has.

        Returns:
            Whether it was given all that came after ``since``; None without that.

        Raises:
            NoHistory: the group keeps no history.
            ValueError: ``last`` is no number from 0 on.
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """
        raise exceptions.NoHistory(group)

    async def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        """The newest messages of ``group``, a new list; the oldest of them first.

        Args:
            group: a group that keeps a history.
            limit: how many at most; None for all that are kept.
            since: the position after which they come; None for any.

        Raises:
            NoHistory: the group keeps no history.
            ValueError: ``limit`` is no number from 0 on.
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """
        raise exceptions.NoHistory(group)

    async def group_introduce(self, group: str, channel: str, who: Content) -> None:
        """Say that ``who`` reads ``channel``, a member of ``group``, until it leaves or somebody else is said to.

        Args:
            group: the group.
            channel: the full name of a member.
            who: a dict with an ``id``, a str or an int.

        Raises:
            InvalidContent: ``who`` is something else, or cannot travel.
            MessageTooLarge: ``who`` is too large.
            NotImplementedError: the layer does not keep who is present.
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """
        raise NotImplementedError(no_presence(self))

    async def group_present(self, group: str) -> list[Content]:
        """What was said last of each who is present in ``group``, a new list: numbers as ids first, each ascending.

        Raises:
            NotImplementedError: the layer does not keep who is present.
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """
        raise NotImplementedError(no_presence(self))

    def want_presence(self, channels: Iterable[str]) -> None:
        """Consumers of this process take what is sent to ``channels``.

        If ``group.join`` or ``group.leave`` is one of them, the layer sends to it from now on. Call it from any thread;
        it must not wait, and raises nothing.
        """

    @abstractmethod
    async def group_channels(self, group: str) -> list[str]:
        """The full names of the members of ``group``, in no promised order.

        Raises:
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """

    @abstractmethod
    def forget(self, channel: str) -> None:
        """End the memberships of ``channel``, which is gone, in all groups, and take back its last will.

        Called for each socket that closes, from any thread; must not wait long, and raises nothing.
        """

    @abstractmethod
    async def flush(self) -> None:
        """Remove all messages and groups, those of all processes.

        Raises:
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """

    # Built on those; a layer may override them

    @property
    def sync(self) -> SyncChannelLayer:
        """The 1.x face over the same channels."""
        made: SyncChannelLayer | None = self.__dict__.get("_made_sync")
        if made is None:
            made = self.__dict__["_made_sync"] = RunningSyncLayer(self)
        return made

    def post(
        self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None
    ) -> Awaitable[None] | None:
        """Start a ``send`` now, without waiting; call it only on the event loop's own thread.

        Calls take effect in the order they are made. ``channel``, ``content``, ``delay``, ``headers``: see ``send``.

        Returns:
            An awaitable for the outcome, or None where the message is sent already.

        Raises:
            ChannelFull: the channel is full, if that is known at once.
        """
        return asyncio.get_running_loop().create_task(self.send(channel, content, delay, headers=headers))

    def post_group(
        self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None
    ) -> Awaitable[None] | None:
        """What ``post`` returns, for a ``group_send`` to ``group`` with its ``content``, ``delay`` and ``headers``."""
        return asyncio.get_running_loop().create_task(self.group_send(group, content, delay, headers=headers))

    async def group_send(
        self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None
    ) -> None:
        """Send ``content`` to every member of ``group``; a full member misses the message, counted as dropped.

        A message with a ``delay`` (seconds) goes to those who are members when it is sent, if the layer can do that,
        else to those who are members now. ``headers`` and the errors are those of ``send``; the member that a header
        ``exclude`` names is passed over.
        """
        left_out = None if headers is None else headers.get(EXCLUDE)
        for channel in await self.group_channels(group):
            if channel == left_out:
                continue
            try:
                await self.send(channel, content, delay, headers=headers)
            except exceptions.ChannelFull:
                self.count_dropped(channel, 1)

    async def receive(self, channel: str) -> Content:
        """The content of the next message of ``channel``, a full name, once it comes; cancelling loses nothing (R7)."""
        names.check_channel_name(channel)
        return (await wait_for_message(self.poll, (channel,), self.poll_interval)).content

    def subscribe(self, channels: Iterable[str], take: Take, prefetch: int) -> Subscription:
        """A subscription that calls ``take(delivery)`` on the running event loop for each message of ``channels``.

        Messages of one channel come in order, and a busy channel does not starve a quiet one. Each delivery holds one
        prefetch slot until its ``release`` or ``done``; while all slots are held, messages stay in the layer for other
        processes. (Requests that ran side by side may fetch a little more; it waits, see ``held_headers``.)

        Args:
            channels: names of channels; a process-specific one ends at its ``!``, and was not made by ``new_channel``
                of this face.
            take: called with each ``Delivery``; what it raises is logged.
            prefetch: how many slots there are.

        Raises:
            ChannelLayerUnavailable: the layer was closed.
        """
        found = [names.check_receive_name(name) for name in channels]
        return PollingSubscription(self.poll, found, take, prefetch, self.poll_interval)

    def held_headers(self) -> list[dict[str, Any]]:
        """The headers of messages that were fetched for subscriptions and have not reached them.

        Messages wait like this while their event loop is held up, or while no prefetch slot is free. Those without
        headers are left out. Any thread may call this.
        """
        return []

    async def withdraw(self, channels: Iterable[str]) -> list[Delivery]:
        """The messages of ``channels`` that had left the layer for this process and reached no consumer.

        Call it when all subscriptions to ``channels`` in this process have ended, before the process ends: no other
        process will get these messages.
        """
        return []

    async def new_channel(self, prefix: str = "specific") -> str:
        """An unused process-specific name, ``<prefix>.<process>!<random>``, that begins with ``prefix``."""
        return names.new_channel(prefix, self.process)

    async def group_count(self, group: str) -> int:
        """How many members ``group`` has."""
        return len(await self.group_channels(group))

    def local_groups(self, most: int) -> dict[str, int]:
        """How many channels of this process are in each group, for up to ``most`` groups; empty if that is not known.

        It asks no server. Any thread may call this.
        """
        return {}

    async def global_statistics(self) -> dict[str, Any]:
        """The counts of ``SyncChannelLayer.global_statistics``; zeros where a layer counts nothing."""
        return dict.fromkeys(COUNTED, 0)

    async def channel_statistics(self, channel: str) -> dict[str, Any]:
        """The counts of ``SyncChannelLayer.channel_statistics`` for ``channel``; zeros where a layer counts nothing."""
        return {**dict.fromkeys(COUNTED, 0), "messages_pending": 0, "messages_max_age": 0.0}

    async def length(self, channel: str) -> int:
        """How many messages wait in ``channel``, asked as cheaply as can be: those that expired may be among them."""
        return int((await self.channel_statistics(channel))["messages_pending"])

    def now(self) -> float:
        """The time in seconds, on a clock that the processes which share the layer agree on."""
        return time.time()

    def hurry(self) -> None:
        """Have consumers wait less for a server that is away, because this process is about to end."""

    def close(self) -> None:
        """End what the layer runs and holds open, for good; overrides call this."""
        for attached in self.__dict__.pop("_attached", {}).values():
            attached.end()

    # What servers need

    def attach(self, queue: str, deliver: Deliver) -> None:
        """Hand on what is sent to ``queue`` from now on; its members do not expire, because they are live sockets.

        Args:
            queue: a name that ends in ``.<process>!``.
            deliver: called with ``(channels, content)`` in any thread, and with a third argument for a message with the
                header ``latest``; must not wait.
        """
        attached: dict[str, PollingQueue] = self.__dict__.setdefault("_attached", {})
        attached[queue] = PollingQueue(self.poll, queue, deliver, self.poll_interval)

    def detach(self, queue: str) -> Awaitable[None] | None:
        """End ``attach`` and the memberships under ``queue``; call it only on the event loop's own thread.

        Returns:
            An awaitable for the end, or None.
        """
        attached: PollingQueue | None = self.__dict__.get("_attached", {}).pop(queue, None)
        if attached is not None:
            attached.end()
        return None

    def keeps_history(self, group: str) -> bool:
        """Whether ``group`` keeps a history."""
        return False

    @property
    def longest_history(self) -> float:
        """For how many seconds messages are kept at most; 0 where no group keeps a history."""
        return 0.0

    def follow(self, queue: str, follower: Follower) -> None:
        """Tell ``follower`` where the channels of ``queue``, which is attached, are in histories; until ``detach``.

        Args:
            queue: a name that ends in ``.<process>!``.
            follower: gets their messages too that come from a history.
        """

    async def is_served(self, channel: str) -> bool:
        """Whether a living process takes what is sent to ``channel``, of a queue of ``!``; True if in doubt."""
        queue = names.queue_name(channel)
        return not queue.endswith(f".{self.process}!") or queue in self.__dict__.get("_attached", {})

    def count_dropped(self, channel: str, messages: int) -> None:
        """Count ``messages`` (a number) for ``channel`` as dropped in the statistics, if the layer keeps any."""

    def last_will(self, channel: str, to: str, content: Content) -> None:
        """Have another process send ``content`` to ``to``, once, if this process dies; where a layer can do so.

        ``channel`` lies under an attached queue; ``forget`` takes its last will back.
        """
