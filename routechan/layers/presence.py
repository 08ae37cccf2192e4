"""Presence: who is in a group, by ``id``, over all of somebody's sockets.

Who has one socket in a group, or several, is present once. ``group.join`` tells of the first, and ``group.leave`` of
the end of the last, once nobody has come back for as long as the *linger* says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..encoding import Content, encode
from ..exceptions import InvalidContent, MessageTooLarge

#: The channels on which consumers are told who joins a group, and who leaves it.
JOINED = "group.join"
LEFT = "group.leave"
PRESENCE_CHANNELS = frozenset((JOINED, LEFT))

#: Seconds for which somebody without a socket may come back before that is a leave, unless the layer is told otherwise.
LINGER = 5.0

#: Bytes that a ``who`` has at most when encoded: it is kept for each socket, and each ``present`` reads it.
WHO_SIZE = 2048

#: Messages that each of these channels holds unless ``channel_capacity`` says otherwise: a room may fill in a second.
PRESENCE_CAPACITIES = dict.fromkeys(sorted(PRESENCE_CHANNELS), 10_000)

_EXAMPLE = '{"id": 7, "name": "Ann"}'


class Somebody(NamedTuple):
    """Who reads a channel that is a member of a group. Lifetime: until the channel leaves, or is somebody else's.

    Args:
        key: stands for the ``id``: equal for equal ones.
        who: the encoded ``who``.
        since: when that was said, in seconds of the layer's clock.
    """

    key: str
    who: bytes
    since: float


def check_who(who: object) -> Content:
    """Return ``who`` if it says who somebody is.

    Raises:
        InvalidContent: it is no dict with an ``id``, a str or an int, or cannot travel.
        MessageTooLarge: it is too large.
    """
    if not isinstance(who, dict):
        raise InvalidContent(f"who is a dict with an id, such as {_EXAMPLE}, not {who!r:.100}")
    if "id" not in who:
        raise InvalidContent(f"who has no id, which tells people apart: write {_EXAMPLE}, not {who!r:.100}")
    who_id = who["id"]
    if not is_who(who):
        raise InvalidContent(f"who['id'] is a str that is not empty, or an int, such as 7, not {who_id!r:.100}")
    size = len(encode(who))
    if size > WHO_SIZE:
        raise MessageTooLarge(
            f"who is {size} bytes when encoded, of at most {WHO_SIZE}: it is kept for each socket, and read by each "
            "present(). Keep the id and a name in it, and look the rest up by the id"
        )
    return who


def is_who(who: Content) -> bool:
    """Whether the dict ``who`` has an ``id`` that tells people apart."""
    who_id = who.get("id")
    return isinstance(who_id, (int, str)) and who_id is not True and who_id is not False and who_id != ""


def encoded_id(who: Content) -> bytes:
    """The bytes of the ``id`` of ``who``, equal for equal ones: that of 7 is not that of ``"7"``."""
    who_id = who["id"]
    return b"s" + str.encode(who_id) if isinstance(who_id, str) else b"i%d" % who_id


def event(group: str, who: Content) -> Content:
    """The content of a message on ``group.join`` or ``group.leave``: the ``group``, and ``who`` that was."""
    return {"group": group, "who": who}


def newest_of(found: Iterable[tuple[float, Content]]) -> list[Content]:
    """What was said last of each, in order, of pairs ``found``: when it was said, and ``who``."""
    newest: dict[Any, tuple[float, Content]] = {}
    for since, who in found:
        known = newest.get(who["id"])
        if known is None or known[0] <= since:
            newest[who["id"]] = since, who
    return sorted((who for _, who in newest.values()), key=_place)


def _place(who: Content) -> tuple[bool, Any]:
    return isinstance(who["id"], str), who["id"]
