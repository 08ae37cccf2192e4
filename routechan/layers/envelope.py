"""A message in a queue: its content as bytes, with its name, headers and expiry."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..encoding import Content, decode_headers

#: Data beside the content of a message that no consumer sees, made of the same types as content.
Headers = Mapping[str, Any]

#: Takes the content sent to channels of this process: ``deliver(channels, content)``; or, where it has the header
#: ``latest``, ``deliver(channels, content, latest)``.
Deliver = Callable[..., None]

#: The header of a group message that names a channel which does not get it.
EXCLUDE = "exclude"

#: The header of a message to sockets that names its subject: a slow socket is sent the last one of each only.
LATEST = "latest"

#: The header of a group message that is for those who are members now: a history gives it to nobody who comes later.
ONCE = "once"

#: A message to a channel; ``name`` is the channel.
MESSAGE = 0
#: A message to the members of a group that lie in one queue; ``name`` is the group.
GROUP = 1
#: Another process made a channel of this queue a member; ``name`` is the group, the body the channel.
JOIN = 2
#: Another process ended a membership, as ``JOIN``.
LEAVE = 3
#: Another process removed all messages and groups: memberships kept here have ended.
FLUSH = 4
#: Another process sends something later, and soon; the body says when.
DUE = 5
#: The history of a group has a new entry, and this process has members; ``name`` is the group, the body the position.
#: As an entry itself it is no message, but where a history begins.
NEWS = 6
#: Another process said who reads a channel of this queue; ``name`` is the group.
WHO = 7
#: Not in a queue, but among what is due later: see whether somebody has left ``name``, a group.
GONE = 8


class Envelope(NamedTuple):
    """A message in a queue. Lifetime: from the send, or the arrival, until a reader takes it.

    Args:
        kind: one of the kinds above.
        name: a channel, or a group.
        body: encoded content, or what the kind says.
        headers: encoded headers; empty where there are none.
        expires: a time of the layer's clock, in seconds.
        place: its number in its queue, so that what is put back comes before what was sent later.
    """

    kind: int
    name: str
    body: bytes
    headers: bytes = b""
    expires: float = 0.0
    place: int = 0


def excluded(headers: bytes) -> str | None:
    """The channel that a group message with these encoded ``headers`` passes over; None for no one."""
    channel = _header(EXCLUDE, headers)
    return channel if isinstance(channel, str) else None


def is_once(headers: bytes) -> bool:
    """Whether a message with these encoded ``headers`` is given to nobody who was no member when it was sent."""
    return _header(ONCE, headers) is True


def hand_over(deliver: Deliver, channels: Sequence[str], content: Content, headers: Headers | bytes | None) -> None:
    """Give ``content`` to ``deliver``, which serves ``channels``.

    Args:
        deliver: what a server attached.
        channels: who the message is for.
        content: the content.
        headers: those of the message, encoded or not.
    """
    latest = latest_of(headers)
    if latest is None:
        deliver(channels, content)
    else:
        deliver(channels, content, latest)


def latest_of(headers: Headers | bytes | None) -> str | None:
    """The subject of a message with these ``headers``, encoded or not; None for none."""
    if not headers:
        return None
    latest = _header(LATEST, headers) if isinstance(headers, bytes) else headers.get(LATEST)
    return latest if isinstance(latest, str) else None


def _header(name: str, headers: bytes) -> Any:
    if name.encode() not in headers:  # most messages with headers are in a trace, and have no other
        return None
    try:
        return decode_headers(headers).get(name)
    except ValueError:  # whoever opens the message reports that
        return None


#: ``Envelope`` of a tuple of its items, at a third of the price: a group message makes one for each member.
make_envelope = functools.partial(tuple.__new__, Envelope)
