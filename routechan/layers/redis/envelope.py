"""What lies in a queue in Redis: a stamp, a kind, a name and a body, as bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple

#: ``name`` is the channel the message was sent to.
MESSAGE = 0
#: ``name`` is a group; the message is for its members in this queue.
GROUP = 1
#: ``name`` is a group, the body a channel of this queue that another process made a member.
JOIN = 2
LEAVE = 3
#: Messages and groups were removed by another process: the members in this one are none any more.
FLUSH = 4

# When it expires, in milliseconds of Redis' clock; its kind; the length of its name.
_HEAD = struct.Struct(">QBB")


class Envelope(NamedTuple):
    """``expires`` is seconds of Redis' clock."""

    expires: float
    kind: int
    name: str
    body: bytes


def pack(expires: float, kind: int, name: str, body: bytes) -> bytes:
    encoded = name.encode()
    return _HEAD.pack(int(expires * 1000), kind, len(encoded)) + encoded + body


def unpack(data: bytes) -> Envelope:
    """Raises ``ValueError`` for what is no envelope."""
    try:
        milliseconds, kind, length = _HEAD.unpack_from(data)
        end = _HEAD.size + length
        if len(data) < end:
            raise ValueError(f"{data[:40]!r} is no message of routechan: it is cut short")
        return Envelope(milliseconds / 1000, kind, data[_HEAD.size : end].decode("ascii"), data[end:])
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{data[:40]!r} is no message of routechan: {error}") from error


def expires_of(data: bytes) -> float:
    """The stamp of an envelope, in seconds of Redis' clock; 0 for what is none."""
    return int.from_bytes(data[:8], "big") / 1000 if len(data) >= _HEAD.size else 0.0
