"""The end of channel sessions: they are removed when their connection ends, whatever consumers it had."""

from __future__ import annotations

import logging
from typing import Any

from routechan import Message
from routechan.telemetry.log_fields import message_log_fields

from ..ends import ends
from .stores import ChannelSession

logger = logging.getLogger("routechan")

#: How the channels begin after whose events a connection may be over.
LAST_EVENTS = ("websocket.disconnect", "http.")

REQUEST, REQUEST_OVER = "http.request", "http.disconnect"

#: The channels after whose events a channel session is removed.
CHANNELS = frozenset(("websocket.disconnect", REQUEST, REQUEST_OVER))

#: The attribute of a message that waits for its turn, so that its connection is not over.
PARKED = "__parked__"


def watch_ends() -> None:
    """Remove the channel sessions of connections that end in this process, from now on."""
    if ends.is_over is None:
        ends.remove = remove_session
        ends.is_over = is_over


def is_over(invocation: Any) -> bool:
    """Whether the connection that ``invocation`` has consumed an event of is over, and may have a session.

    Args:
        invocation: A run of a consumer, which has ended; what it sent last has not left yet.
    """
    message: Message = invocation.message
    channel, attributes = message.channel_name, vars(message)
    if channel not in CHANNELS or message.reply_channel is None or PARKED in attributes:
        return False
    if invocation.later and "__doomed__" not in attributes:  # its consumer is run again
        return False
    session = attributes.get("channel_session")
    if channel == REQUEST:
        return session is not None and _may_be_stored(session) and _is_answered(invocation)
    return session is None or _may_be_stored(session)


def _may_be_stored(session: Any) -> bool:
    # An async consumer that was cancelled does not wait until its thread has saved what it changed.
    return bool(not getattr(session, "was_read", True) or getattr(session, "found", True) or session.modified)


def _is_answered(invocation: Any) -> bool:
    """Whether the response to a request is complete, and no consumer is told of its end."""
    message: Message = invocation.message
    reply_channel: Any = message.reply_channel
    over = Message({"reply_channel": reply_channel.name, "path": message.get("path")}, REQUEST_OVER, None)
    if invocation.dispatcher.router.takes(over):
        return False
    return bool(getattr(reply_channel, "closed", False)) or any(
        entry[0].name == reply_channel.name and not entry[1].get("more_content") for entry in invocation.entries
    )


def remove_session(invocation: Any) -> None:
    """Remove the channel session of a connection that is over; what fails is logged.

    Args:
        invocation: The run of the consumer of its last event.
    """
    message: Message = invocation.message
    try:
        session = vars(message).get("channel_session")
        if not isinstance(session, ChannelSession):
            reply_channel: Any = message.reply_channel
            session = ChannelSession(reply_channel.name, kept=getattr(reply_channel, "kept", None))
        session.remove()
    except Exception as error:  # the connection ends anyway, and so does the row, when it expires
        logger.warning(
            "The channel session of a connection that is over could not be removed: %r",
            error,
            extra=message_log_fields(message),
        )
