"""How many sockets one user may have open, over all processes of a layer."""

from __future__ import annotations

import logging
from typing import Any

from routechan import Group, Message
from routechan.telemetry.counters import counters
from routechan.telemetry.log_fields import message_log_fields
from routechan.telemetry.repeats import Repeats

from . import conf
from .sessions.logins import user_group_name

logger = logging.getLogger("routechan")

_repeats = Repeats()


def admits(message: Message, user: Any) -> bool:
    """Whether ``user`` may have the socket that has just been added to the group; else its handshake is refused.

    The sockets of a user are a group, so those of all processes count, and each ends its membership itself. It is asked
    only where ``USER_SOCKETS`` is set, once for each handshake.

    Args:
        message: Its ``websocket.connect``.
        user: Who has logged in.
    """
    most = conf.user_socket_limit()
    if most is None or message.reply_channel is None:
        return True
    group = Group(user_group_name(user), channel_layer=message.channel_layer)
    if group.count() <= most:
        return True
    group.discard(message.reply_channel)
    message.reply_channel.send({"accept": False})
    counters.limited["user_sockets"] += 1
    more = _repeats.more("user_sockets")
    if more is not None:
        logger.warning(
            "WebSocket %r is refused: user %.100s has %d sockets open already (USER_SOCKETS)%s",
            message.content.get("path"),
            user.pk,
            most,
            more,
            extra=message_log_fields(message),
        )
    return False
