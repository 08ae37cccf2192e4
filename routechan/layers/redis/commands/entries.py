"""Entries of histories, as they are read, and told along with news."""

from __future__ import annotations

from typing import NamedTuple

from ....encoding import decode_headers, encode_headers
from ...history import Position, parse_position, position_text

#: Headers of ``NEWS``: the position right before the entries that are told, and these, as positions and envelopes.
AFTER = "after"
ENTRIES = "entries"

#: An entry: its position, and its envelope as bytes.
Sealed = tuple[Position, bytes]


class Found(NamedTuple):
    """What a read of a history found.

    Args:
        entries: the entries behind a position, the oldest first.
        length: how many the history has in all.
        more: whether there are more behind them.
    """

    entries: list[Sealed]
    length: int
    more: bool


class Told(NamedTuple):
    """Entries of a history that follow each other.

    Args:
        after: the position right before them.
        entries: the entries, the oldest first.
    """

    after: Position
    entries: list[Sealed]

    def headers(self) -> bytes:
        """The encoded headers of ``NEWS`` that tell them."""
        entries = [[position_text(position), data] for position, data in self.entries]
        return encode_headers({AFTER: position_text(self.after), ENTRIES: entries})


def told_in(headers: bytes) -> Told | None:
    """What encoded ``headers`` of ``NEWS`` tell; None where that is nothing."""
    if not headers:
        return None
    given = decode_headers(headers)
    after, entries = parse_position(given.get(AFTER)), given.get(ENTRIES)
    if after is None or not isinstance(entries, list):
        return None
    told = [(parse_position(entry[0]), entry[1]) for entry in entries if isinstance(entry, list) and len(entry) == 2]
    return Told(after, [(at, data) for at, data in told if at is not None and isinstance(data, bytes)])


def told_of(newest: list[Sealed], sent: list[Position]) -> Told | None:
    """What was ``sent``, if it ends the ``newest`` entries, each behind the other: then nothing is in between."""
    if len(newest) != len(sent) + 1 or [position for position, _ in newest[1:]] != sent:
        return None
    return Told(newest[0][0], newest[1:])
