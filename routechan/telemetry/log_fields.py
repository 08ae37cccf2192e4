"""Structured fields of log records: which connection, channel, consumer and message a record is about.

Pass them as ``extra``: ``logger.error("...", extra=log_fields(channel, content))``. Each failure is logged once, by the
code that decides what happens next.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from ..inspection import name_that_thing


def log_fields(
    channel: str | None = None, content: Any = None, *, consumer: object = None, connection: str | None = None
) -> dict[str, Any]:
    """The fields ``connection``, ``channel``, ``consumer`` and ``message_id``; each is None where there is none.

    Args:
        channel: The name of the channel that the message came on or goes to.
        content: The message's content. Its ``reply_channel`` names the connection unless ``connection`` does.
        consumer: The consumer that was running.
        connection: The reply channel of the connection, where there is no content to take it from.
    """
    if connection is None and isinstance(content, dict):
        reply_channel = content.get("reply_channel")
        connection = reply_channel if isinstance(reply_channel, str) else None
    return {
        "connection": connection,
        "channel": channel,
        "consumer": None if consumer is None else name_that_thing(consumer),
        "message_id": message_id(connection, content),
    }


def message_log_fields(message: Any, consumer: object = None) -> dict[str, Any]:
    """The same fields, taken from a ``Message``.

    A message from no connection gets a number of its own, so that all records about it share one ``message_id``.

    Args:
        message: The ``Message`` that is being consumed.
        consumer: The consumer that was running.
    """
    fields = log_fields(message.channel_name, message.content, consumer=consumer)
    if fields["message_id"] is None:
        known = message.__dict__
        if _NUMBER not in known:
            layer = getattr(message.channel_layer, "layer", None)
            known[_NUMBER] = f"{getattr(layer, 'process', None) or os.getpid()}#{next(_numbers)}"
        fields["message_id"] = known[_NUMBER]
    return fields


def message_id(connection: str | None, content: Any) -> str | None:
    """The id ``connection#order``, equal in the server that holds the connection and in the worker that runs the event.

    The connection's name contains its server process, so ids are unique across processes. A request is a single message
    and has no order: its id is the connection's name.

    Args:
        connection: The reply channel of the connection; None for a message that came from no connection.
        content: The message's content.

    Returns:
        The id, or None for a message that came from no connection.
    """
    if connection is None or not isinstance(content, dict):
        return None
    order = content.get("order")
    return f"{connection}#{order}" if isinstance(order, int) else connection


_NUMBER = "__number__"
_numbers = itertools.count(1)
