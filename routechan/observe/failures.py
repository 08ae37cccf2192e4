"""What a log record of a failure carries beside its text, so that it can be found by machine.

Give it as ``extra``: ``logger.error("...", extra=about(channel, content))``. A failure is logged once, where it is
known what follows from it.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from ..describe import name_that_thing


def about(
    channel: str | None = None, content: Any = None, *, consumer: object = None, connection: str | None = None
) -> dict[str, Any]:
    """``connection``, ``channel``, ``consumer`` and ``message_id``; each None where there is none.

    ``content`` is that of the message, which names its connection, unless ``connection`` does.
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


def about_message(message: Any, consumer: object = None) -> dict[str, Any]:
    """``about`` a ``Message``. One from no connection is numbered, so that what is said of it belongs together."""
    fields = about(message.channel_name, message.content, consumer=consumer)
    if fields["message_id"] is None:
        known = message.__dict__
        if _NUMBER not in known:
            layer = getattr(message.channel_layer, "layer", None)
            known[_NUMBER] = f"{getattr(layer, 'process', None) or os.getpid()}#{next(_numbers)}"
        fields["message_id"] = known[_NUMBER]
    return fields


def message_id(connection: str | None, content: Any) -> str | None:
    """``connection#order``: the same in the server that holds the connection and in the worker that runs the event.

    The name of the connection has that of its server process in it. A request is one message, and has no order.
    None for a message that came from no connection.
    """
    if connection is None or not isinstance(content, dict):
        return None
    order = content.get("order")
    return f"{connection}#{order}" if isinstance(order, int) else connection


_NUMBER = "__number__"
_numbers = itertools.count(1)
