"""What one channel is given of what was sent to a group before it was a member."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from ..encoding import Content, LazyContent
from ..exceptions import ChannelFull
from .envelope import excluded, is_once, latest_of
from .history import Position
from .losses import Losses
from .store import Store

logger = logging.getLogger("routechan")


class Missed(NamedTuple):
    """A message of a history.

    Args:
        position: where it stands.
        content: its content, decoded once for all who are given it; None for an entry that is no message.
        headers: its encoded headers.
    """

    position: Position
    content: LazyContent | None
    headers: bytes


def give_missed(
    store: Store, losses: Losses, group: str, channel: str, messages: Iterable[Missed], expires: float | None = None
) -> None:
    """Give ``channel`` messages of ``group`` in their order.

    Args:
        store: where the channel is read.
        losses: is told of messages that cannot be given.
        group: the group.
        channel: the channel.
        messages: the messages.
        expires: until when they live, in seconds; None for as long as others.
    """
    follower, found = store.follower_of(channel), list[tuple[Content, Position, str | None]]()
    for position, content, headers in messages:
        if content is None or (headers and (excluded(headers) == channel or is_once(headers))):
            continue
        try:
            if follower is not None:
                found.append((content.content, position, latest_of(headers)))
            else:
                store.deliver(group, content, headers, None, expires, channel)
        except (ValueError, ChannelFull) as error:
            losses.add(channel, error)
        except Exception:  # an error in one message must not stop the next ones
            logger.exception("A message to %s is lost", group)
    if follower is not None and found:
        follower.caught_up(group, channel, found)
