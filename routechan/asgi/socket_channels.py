"""The reply channels of the sockets of this process, which may be in groups with a history."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from ..encoding import Content
from ..exceptions import InvalidContent
from ..layers.base import BaseChannelLayer
from ..layers.history import Position
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from . import translation
from .recovery import Recovery
from .reply_channels import ReplyChannels
from .translation import SocketReply

logger = logging.getLogger("routechan")

#: How many messages are kept parsed, for those who come back at the same time.
PARSED = 1000


class SocketChannels(ReplyChannels[SocketReply]):
    """All sockets, by reply channel. Lifetime: server process, on one event loop.

    It is the ``Follower`` of its layer. What comes from histories keeps its order, whatever threads it comes from.

    Args:
        layer: The layer that delivers the messages.
        missed: Is given each reply to a socket that is gone.
    """

    def __init__(self, layer: BaseChannelLayer, missed: Callable[[SocketReply], object] | None = None) -> None:
        super().__init__("websocket.send", translation.socket_reply, layer, missed)
        self._read_before: dict[int, tuple[Content, SocketReply]] = {}  # by the id of the content, which it keeps

    def attach(self) -> None:
        """Have the layer deliver messages for these reply channels here, on the running event loop."""
        super().attach()
        if self.layer.longest_history:
            self.layer.follow(self.queue, self)

    def placed(
        self, channels: Sequence[str], content: Content, group: str, position: Position, latest: str | None
    ) -> None:
        """Deliver a message from a history.

        Args:
            channels: Reply channels, at least one.
            content: The message.
            group: Its group.
            position: Its position in the history of that.
            latest: Its subject, where a slow client is to get the last one of that only.

        Raises:
            InvalidContent: No socket can take the message.
        """
        self._in_order(self._place, tuple(channels), self._read(content, latest), group, position)

    def caught_up(self, group: str, channel: str, messages: Sequence[tuple[Content, Position, str | None]]) -> None:
        """See ``Follower.caught_up`` for ``group``, ``channel`` and ``messages``; what no socket can take is lost."""
        replies: list[tuple[SocketReply, Position]] = []
        for content, position, latest in messages:
            try:
                replies.append((self._parsed(content, latest), position))
            except InvalidContent as error:
                counters.lost += 1
                logger.error(
                    "A message to %s is lost: %s", channel, error, extra=log_fields(channel, connection=channel)
                )
        self._in_order(self._catch_up, channel, replies, group)

    def _parsed(self, content: Content, latest: str | None) -> SocketReply:
        """The message ``content``, parsed once for all who catch up at the same time."""
        found = self._read_before.get(id(content))
        if found is None or found[0] is not content:
            if len(self._read_before) >= PARSED:
                self._read_before.clear()
            found = self._read_before[id(content)] = content, self._read(content, latest)
        return found[1]

    def joining(self, group: str, channel: str) -> None:
        """See ``Follower.joining`` for ``group`` and ``channel``."""
        self._in_order(self._of_one, channel, lambda recovery: recovery.joining(group))

    def joined(self, group: str, channel: str, position: Position, recovered: bool | None) -> None:
        """See ``Follower.joined`` for ``group``, ``channel``, ``position`` and ``recovered``."""
        self._in_order(self._of_one, channel, lambda recovery: recovery.joined(group, position, recovered))

    def left(self, group: str, channel: str) -> None:
        """See ``Follower.left`` for ``group`` and ``channel``."""
        self._in_order(self._of_one, channel, lambda recovery: recovery.left(group))

    def missing(self, group: str, channels: Sequence[str]) -> None:
        """See ``Follower.missing`` for ``group`` and ``channels``."""
        for channel in channels:
            self._in_order(self._of_one, channel, lambda recovery: recovery.missing(group))

    def _in_order(self, call: Callable[..., object], *arguments: object) -> None:
        if threading.get_ident() == self._thread and not self._from_threads.waiting():
            call(*arguments)
        else:
            self._from_threads.put(partial(call, *arguments))

    def _place(self, channels: Sequence[str], reply: SocketReply, group: str, position: Position) -> None:
        find = self._open.get
        for name in channels:
            connection = find(name)
            if connection is None:
                self.layer.forget(name)
                continue
            recovery: Recovery | None = getattr(connection, "recovery", None)
            if recovery is None:
                connection.reply(reply)
            else:
                recovery.placed(reply, group, position)

    def _catch_up(self, name: str, replies: Sequence[tuple[SocketReply, Position]], group: str) -> None:
        connection = self._open.get(name)
        recovery: Recovery | None = getattr(connection, "recovery", None)
        if connection is None:
            self.layer.forget(name)
        elif recovery is None:
            for reply, _ in replies:
                connection.reply(reply)
        else:
            recovery.caught_up(replies, group)

    def _of_one(self, name: str, tell: Callable[[Recovery], object]) -> None:
        connection = self._open.get(name)
        recovery: Recovery | None = getattr(connection, "recovery", None)
        if recovery is not None:
            tell(recovery)
