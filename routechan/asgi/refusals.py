"""What a client is told whose event cannot reach its consumer: a close code, or an HTTP status."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from ..encoding import Content
from ..exceptions import ChannelFull, MessageTooLarge
from ..layers.base import BaseChannelLayer
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats

logger = logging.getLogger("routechan")


class Refusal(NamedTuple):
    """How a connection ends: with a WebSocket close ``code``; with an HTTP ``status`` and ``text``."""

    code: int
    status: int
    text: str


TOO_LARGE = Refusal(1009, 413, "The request is too large.")
TOO_BUSY = Refusal(1013, 503, "The server is too busy; try again later.")
FAILED = Refusal(1011, 503, "The server cannot handle this request.")


def refuse(layer: BaseChannelLayer, channel: str, content: Content, error: BaseException, repeats: Repeats) -> Refusal:
    """Log and count an event that cannot reach its consumer.

    Args:
        layer: The layer that may have refused it.
        channel: The channel of the event.
        content: Its content, or what identifies its connection.
        error: Why, of whatever class: a layer of another make has errors of its own.
        repeats: What is logged about the connections of the server.

    Returns:
        What to tell the client.
    """
    counters.events_refused += 1
    refusal = FAILED
    if isinstance(error, (MessageTooLarge, getattr(layer, "MessageTooLarge", MessageTooLarge))):
        refusal = TOO_LARGE
    elif isinstance(
        error,
        (ChannelFull, getattr(layer, "ChannelFull", ChannelFull), ConnectionError, TimeoutError, asyncio.TimeoutError),
    ):
        refusal = TOO_BUSY
    more = repeats.more((channel, type(error)))
    if more is None:
        return refusal
    ends = f"closed with {refusal.code}" if channel.startswith("websocket.") else f"answered with {refusal.status}"
    logger.error(
        "An event on %s of %r cannot reach its consumer, and its connection is %s: %s%s",
        channel,
        content.get("path"),
        ends,
        str(error) or repr(error),
        more,
        extra=log_fields(channel, content),
        exc_info=error if refusal is FAILED else None,  # the others say it all
    )
    return refusal
