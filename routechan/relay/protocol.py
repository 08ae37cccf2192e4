"""What a relaying server and the workers that run its events say to each other.

An event travels as an ordinary message with a *delivery tag* in its headers: where the server wants the ack, and the
number of the event. Everything else is a control message to a channel of a process, which no user code reads. Those to
a server go to a channel among its sockets' reply channels, so an ack stays behind the replies that were sent before it,
leaves with them in one command and arrives with them.

===============  ==============  =============================================================================
control message  from, to        meaning
===============  ==============  =============================================================================
``ack``          worker, server  the event of this number has been consumed; its replies are on their way. With
                                 ``failed``, its consumer has raised an error
``heartbeat``    worker, server  the events of these numbers are being consumed; repeated as long as they are, and
                                 as long as the worker streams to connections of this server
``stream``       worker, server  the stream that the event of this number began has ended; ``cut``: with its worker;
                                 ``failed``: with an error
``closed``       server, worker  this connection is closed: end what streams to it
``given_up``     server, worker  the event of this tag was given up before it began to stream: end its stream
===============  ==============  =============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import names
from ..encoding import Content

#: The header of the delivery tag.
TAG = "tag"

#: The group of the workers that are there, see ``routechan/worker/announcements.py``.
WORKERS = "routechan.workers"

#: Seconds between two heartbeats.
HEARTBEAT_INTERVAL = 0.25


class DeliveryTag(NamedTuple):
    """The tag of an event whose outcome a server waits for.

    ``reply_to`` is the channel for acks and heartbeats, ``number`` counts the server's events. ``deadline`` is until
    when a worker may start the event, in seconds of the layer's clock: run later, it would overtake the connection's
    next one.
    """

    reply_to: str
    number: int
    deadline: float


def tag_of(headers: Mapping[str, Any]) -> DeliveryTag | None:
    """The delivery tag in ``headers``, or None for a message that no server waits for."""
    found = headers.get(TAG)
    if (
        isinstance(found, (list, tuple))
        and len(found) == 3
        and isinstance(found[0], str)
        and isinstance(found[1], int)
        and isinstance(found[2], float)
    ):
        return DeliveryTag(*found)
    return None


def control_channel(process: str) -> str:
    """A new channel for control messages to ``process``."""
    return f"specific.{names.random_part(6)}.{process}!"


def ack(number: int, streams_at: str | None = None, *, failed: bool = False) -> Content:
    """The ack of event ``number``.

    ``streams_at`` is where to say ``closed``, if a stream of it goes on; ``failed``: its consumer has.
    """
    content: Content = {"ack": number}
    if failed:
        content["failed"] = True
    if streams_at is not None:
        content["streams"] = streams_at
    return content


def heartbeat(numbers: list[int], streams_at: str | None = None) -> Content:
    """The heartbeat of the events with these ``numbers``.

    ``streams_at`` is the control channel of the worker, if it streams to connections of this server.
    """
    content: Content = {"heartbeat": numbers}
    if streams_at is not None:
        content["streams"] = streams_at
    return content


def stream_ended(number: int, cut: bool, *, failed: bool = False) -> Content:
    """The control message that the stream of event ``number`` has ended.

    ``cut``: because its worker ends; ``failed``: with an error.
    """
    content: Content = {"stream": number, "cut": cut}
    if failed:
        content["failed"] = True
    return content


def given_up(reply_to: str, number: int) -> Content:
    """The control message that the server at ``reply_to`` has given the event ``number`` up, which streams now."""
    return {"given_up": [reply_to, number]}


def connection_closed(connection: str) -> Content:
    """The control message that ``connection``, a reply channel, is closed."""
    return {"closed": connection}
