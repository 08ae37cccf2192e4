"""What a client that came back says it has: positions, each of a group whose name it does not know."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from .history import Position, parse_position, position_text

#: Bytes of a tag.
TAG_BYTES = 8

#: The header of an event that carries the claims of its socket to a worker.
CLAIMS = "claims"

#: The position of a client that may have missed anything: none that a history has.
UNKNOWN = ""


@lru_cache(maxsize=16_384)
def tag_of(group: str, key: bytes) -> bytes:
    """The tag of ``group``, which stands for its name where a client sees it.

    Args:
        group: The name.
        key: What all processes of a site share, and nobody else has.
    """
    return hashlib.blake2b(group.encode(), digest_size=TAG_BYTES, key=key, person=b"routechan.tag").digest()


class Claims:
    """What one client says it has. Lifetime: connection; in a worker, message. Thread-safe.

    Each position is used once: by the consumer that adds the socket to its group.

    Args:
        positions: By tag.
        keys: Of the tags.
        partial: Whether the client may have been in groups that it does not tell of: it may have missed anything there.
        ends: When nothing is claimed any more, on the clock of ``time.monotonic``.
    """

    def __init__(
        self, positions: Mapping[bytes, Position], keys: Sequence[bytes], partial: bool = False, ends: float = math.inf
    ) -> None:
        self._keys = tuple(keys)
        self._ends = ends
        self._lock = threading.Lock()
        self._positions = dict(positions)
        self._used: set[bytes] = set()
        self._partial = partial

    @property
    def partial(self) -> bool:
        """Whether the client may have been in groups that it does not tell of."""
        return self._partial and not self._over()

    def take(self, group: str) -> str | None:
        """The position that the client has in the history of ``group``, for the first who asks; None if it has none.

        It is still among the ``left`` ones until ``settle``.
        """
        with self._lock:
            if self._over():
                return None
            tags = self._tags(group)
            if not self._used.isdisjoint(tags):
                return None
            for tag in tags:
                if tag in self._positions:
                    self._used.add(tag)
                    return position_text(self._positions[tag])
            if not self._partial:
                return None
            self._used.add(tags[0])
            return UNKNOWN

    def give_back(self, group: str) -> None:
        """Have the position of ``group`` be there for another try."""
        with self._lock:
            self._used.difference_update(self._tags(group))

    def settle(self, group: str) -> bool:
        """The socket is in ``group``: what it claimed there is over; whether nobody has taken that."""
        untaken = self.take(group) is not None
        with self._lock:
            for tag in self._tags(group):
                self._positions.pop(tag, None)
        return untaken

    def left(self) -> list[tuple[bytes, Position]]:
        """The tags and positions that are not settled."""
        with self._lock:
            if self._over():
                self._positions.clear()
            return list(self._positions.items())

    def header(self) -> list[Any] | None:
        """The claims for a worker, as the value of a header; None where nothing is left to be claimed."""
        with self._lock:
            if self._over():
                return None
            untaken = [[tag, position_text(at)] for tag, at in self._positions.items() if tag not in self._used]
            if not untaken and not self._partial:
                return None
            return [list(self._keys), untaken, sorted(self._used), self._partial]

    @classmethod
    def of_header(cls, header: Any) -> Claims:
        """The claims in ``header``, a value of the method ``header``."""
        keys, untaken, used, partial = header
        claims = cls({tag: at for tag, text in untaken if (at := parse_position(text)) is not None}, keys, partial)
        claims._used.update(used)
        return claims

    def _over(self) -> bool:
        return time.monotonic() > self._ends

    def _tags(self, group: str) -> list[bytes]:
        return [tag_of(group, key) for key in self._keys]
