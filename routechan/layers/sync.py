"""The contract of a channel layer: its 1.x face, and what both faces share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from .. import exceptions, names
from ..concurrency import refuse_on_loop
from ..encoding import Content
from .envelope import Headers
from .history import History
from .options import NOW, Capacities
from .polling import run
from .receiver import Delivery

if TYPE_CHECKING:
    from .base import BaseChannelLayer


class Faces:
    """What both faces carry, as attributes so that ``except layer.ChannelFull`` works (R11)."""

    ChannelFull = exceptions.ChannelFull
    MessageTooLarge = exceptions.MessageTooLarge
    extensions: ClassVar[list[str]] = ["groups", "flush", "statistics"]

    #: Seconds an unread message lives, and a group membership after its latest add.
    expiry: float = 60
    group_expiry: float = 86400
    #: Messages that a queue holds, and other capacities by pattern.
    capacity: int = 100
    channel_capacity: Capacities | None = None


class SyncChannelLayer(Faces, ABC):
    """The 1.x face (``layers-and-protocol`` 2.2). Lifetime: process. Thread-safe.

    An operation that would block for long raises ``WouldBlock`` on a running event loop, and names the async twin.
    """

    #: The async face over the same channels.
    layer: BaseChannelLayer

    @abstractmethod
    def send(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        """Send ``content`` to ``channel`` with ``delay`` and ``headers``, as ``BaseChannelLayer.send`` does."""

    @abstractmethod
    def send_group(self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        """Send ``content`` to ``group`` with ``delay`` and ``headers``, as ``BaseChannelLayer.group_send`` does."""

    @abstractmethod
    def receive_delivery(self, channels: Iterable[str], block: bool = False) -> Delivery | None:
        """One message of any of ``channels``.

        Args:
            channels: names of channels; a process-specific one ends at its ``!``.
            block: wait a while for a message, if there is none.

        Returns:
            A ``Delivery``, or None where there is no message.

        Raises:
            WouldBlock: with ``block``, on a running event loop.
            ChannelLayerUnavailable: the layer cannot be reached, or was closed.
        """

    def receive(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """The ``(full channel name, content)`` of ``receive_delivery(channels, block)``, or ``(None, None)``.

        ``channels`` and ``block`` are those of ``receive_delivery``.
        """
        delivery = self.receive_delivery(channels, block)
        return (None, None) if delivery is None else (delivery.channel, delivery.content)

    def receive_many(self, channels: Iterable[str], block: bool = False) -> tuple[str, Content] | tuple[None, None]:
        """The result of ``receive`` for ``channels`` and ``block``, under the older name that 1.x workers call."""
        return self.receive(channels, block)

    def new_channel(self, pattern: str) -> str:
        """An unused name: ``pattern``, which must end in ``?`` (else ``InvalidName``), and random letters."""
        if not isinstance(pattern, str) or not pattern.endswith("?"):
            raise exceptions.InvalidName(
                f"new_channel takes a pattern that ends in '?', such as 'reply?', not {pattern!r}"
            )
        return names.check_channel_name(pattern + names.random_part(12))

    @abstractmethod
    def group_add(self, group: str, channel: str) -> None:
        """Make ``channel`` a member of ``group``, as ``BaseChannelLayer.group_add`` does."""

    @abstractmethod
    def group_discard(self, group: str, channel: str) -> None:
        """End the membership of ``channel`` in ``group``, as ``BaseChannelLayer.group_discard`` does."""

    def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        """Add ``channel`` to ``group`` with ``last`` and ``since``, as ``BaseChannelLayer.group_catch_up`` does.

        Returns:
            What that returns.

        Raises:
            NoHistory: the group keeps no history.
        """
        raise exceptions.NoHistory(group)

    def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        """The messages of ``group`` that ``BaseChannelLayer.group_history`` gives for ``limit`` and ``since``.

        Raises:
            NoHistory: the group keeps no history.
        """
        raise exceptions.NoHistory(group)

    def group_introduce(self, group: str, channel: str, who: Content) -> None:
        """Say that ``who`` reads ``channel``, a member of ``group``, as ``BaseChannelLayer.group_introduce`` does.

        Raises:
            NotImplementedError: the layer does not keep who is present.
        """
        raise NotImplementedError(no_presence(self.layer))

    def group_present(self, group: str) -> list[Content]:
        """Who is present in ``group``, as ``BaseChannelLayer.group_present`` gives it.

        Raises:
            NotImplementedError: the layer does not keep who is present.
        """
        raise NotImplementedError(no_presence(self.layer))

    @abstractmethod
    def group_channels(self, group: str) -> list[str]:
        """The members of ``group``, as ``BaseChannelLayer.group_channels`` gives them."""

    @abstractmethod
    def group_count(self, group: str) -> int:
        """How many members ``group`` has."""

    @abstractmethod
    def flush(self) -> None:
        """Remove all messages and groups, as ``BaseChannelLayer.flush`` does."""

    @abstractmethod
    def global_statistics(self) -> dict[str, Any]:
        """``messages_count``, ``channel_full_count``, ``dropped_count`` and ``expired_count`` since the start."""

    @abstractmethod
    def channel_statistics(self, channel: str) -> dict[str, Any]:
        """The counts of the queue of ``channel``, ``messages_pending`` and ``messages_max_age`` (seconds)."""

    def valid_channel_name(self, name: str, receive: bool = False) -> bool:
        """True for a valid ``name``, else ``InvalidName`` (asgiref 1.x); with ``receive``, for one to receive from."""
        (names.check_receive_name if receive else names.check_channel_name)(name)
        return True

    def valid_channel_names(self, channels: list[str], receive: bool = False) -> bool:
        """True for a list ``channels`` of valid names (for ``receive``), else ``AssertionError``, as in asgiref 1.x."""
        if not isinstance(channels, list) or not channels:
            raise AssertionError(f"expected a list of channel names with at least one entry, not {channels!r}")
        return all(self.valid_channel_name(name, receive) for name in channels)

    def valid_group_name(self, name: str) -> bool:
        """True for a valid ``name``, else ``InvalidName`` (asgiref 1.x)."""
        names.check_group_name(name)
        return True


class RunningSyncLayer(SyncChannelLayer):
    """A 1.x face made of the async ``layer``, whose methods it runs to their end. Lifetime: its layer's."""

    #: Seconds a blocking ``receive`` waits before it gives up.
    blocking_wait = 1.0

    def __init__(self, layer: BaseChannelLayer) -> None:
        self.layer = layer
        self.expiry = layer.expiry
        self.group_expiry = layer.group_expiry
        self.capacity = layer.capacity
        self.channel_capacity = layer.channel_capacity

    def send(self, channel: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        run(self.layer.send(channel, content, delay, headers=headers))

    def send_group(self, group: str, content: Content, delay: float = NOW, *, headers: Headers | None = None) -> None:
        run(self.layer.group_send(group, content, delay, headers=headers))

    def receive_delivery(self, channels: Iterable[str], block: bool = False) -> Delivery | None:
        found = [names.check_receive_name(name) for name in channels]
        if block:
            refuse_on_loop("receive(block=True)", "await layer.receive(channel)")
        ends = time.monotonic() + self.blocking_wait
        while True:
            delivery = run(self.layer.poll(found)) if found else None
            if delivery is not None or not block or not found or time.monotonic() >= ends:
                return delivery
            time.sleep(self.layer.poll_interval)

    def group_add(self, group: str, channel: str) -> None:
        run(self.layer.group_add(group, channel))

    def group_catch_up(self, group: str, channel: str, *, last: int = 0, since: str | None = None) -> bool | None:
        return run(self.layer.group_catch_up(group, channel, last=last, since=since))

    def group_history(self, group: str, limit: int | None = None, since: str | None = None) -> History:
        return run(self.layer.group_history(group, limit, since))

    def group_introduce(self, group: str, channel: str, who: Content) -> None:
        run(self.layer.group_introduce(group, channel, who))

    def group_present(self, group: str) -> list[Content]:
        return run(self.layer.group_present(group))

    def group_discard(self, group: str, channel: str) -> None:
        run(self.layer.group_discard(group, channel))

    def group_channels(self, group: str) -> list[str]:
        return run(self.layer.group_channels(group))

    def group_count(self, group: str) -> int:
        return run(self.layer.group_count(group))

    def flush(self) -> None:
        run(self.layer.flush())

    def global_statistics(self) -> dict[str, Any]:
        return run(self.layer.global_statistics())

    def channel_statistics(self, channel: str) -> dict[str, Any]:
        return run(self.layer.channel_statistics(channel))


def no_presence(layer: object) -> str:
    """The text of the error of a ``layer`` that does not keep who is present."""
    return f"{type(layer).__name__} does not keep who is present in a group; use one of routechan.layers"
