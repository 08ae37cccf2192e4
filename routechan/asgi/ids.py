"""Ids: what a client keeps so that it can be given what it missed, and only the server can read."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets as randomness
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from functools import lru_cache

from ..layers.claims import TAG_BYTES, Claims
from ..layers.history import Position

#: Characters that an id has at most.
LONGEST = 4000

#: Bytes that it has then.
_MOST = LONGEST * 3 // 4

#: The first byte of an id: the version of its format, and whether its client may have been in groups that it does not
#: tell of.
_WHOLE, _PARTIAL = 1, 2

_MAC_BYTES = 8

#: So many groups fit into an id, whatever their positions.
_FIT = _MOST // (TAG_BYTES + 2 * 10) - 2

_is_id = re.compile(r"[A-Za-z0-9_-]{1,4000}").fullmatch

#: What an id says: whether it is partial, and tags with positions.
Said = tuple[bool, tuple[tuple[bytes, Position], ...]]


class Ids:
    """Writes and reads ids. Lifetime: server process.

    Args:
        secrets: What all processes of a site share, and nobody else has: the first writes ids, each reads them. Without
            any this process has one of its own, and reads its own ids only.
        longest: For how many seconds groups keep their messages at most.
    """

    def __init__(self, secrets: Sequence[str | bytes], longest: float) -> None:
        given = secrets or (randomness.token_bytes(32),)
        self._mac_keys = [_derived(secret, b"id") for secret in given]
        #: The keys of tags, the first for those that are made now.
        self.tag_keys = [_derived(secret, b"tag") for secret in given]
        self._longest = longest
        #: The id that says ``Said``.
        self.write = lru_cache(maxsize=4096)(self._write)

    def read(self, text: str) -> Claims:
        """What a client claims whose id is ``text``; of one that cannot be read, that it may have missed anything."""
        said = self._read(text)
        partial, entries = (True, ()) if said is None else said
        return Claims(dict(entries), self.tag_keys, partial, time.monotonic() + self._longest)

    def _write(self, said: Said) -> str:
        partial, entries = said
        if len(entries) > _FIT:  # those are left out that have been silent for the longest time
            entries, partial = tuple(sorted(entries, key=_position_of, reverse=True)[:_FIT]), True
        newest = max((position[0] for _, position in entries), default=0)
        data = bytearray([_PARTIAL if partial else _WHOLE])
        _add_number(data, newest)
        for tag, (milliseconds, number) in entries:
            data += tag
            _add_number(data, newest - milliseconds)
            _add_number(data, number)
        return urlsafe_b64encode(bytes(data) + _mac(self._mac_keys[0], data)).rstrip(b"=").decode()

    def _read(self, text: str) -> Said | None:
        if not _is_id(text):
            return None
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (ValueError, binascii.Error):
            return None
        data, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not data or data[0] not in (_WHOLE, _PARTIAL):
            return None
        if not any(hmac.compare_digest(_mac(key, data), mac) for key in self._mac_keys):
            return None
        newest, at = _number(data, 1)
        entries: list[tuple[bytes, Position]] = []
        while at < len(data):
            tag, at = data[at : at + TAG_BYTES], at + TAG_BYTES
            before, at = _number(data, at)
            number, at = _number(data, at)
            entries.append((tag, (newest - before, number)))
        return data[0] == _PARTIAL, tuple(entries)


def _derived(secret: str | bytes, use: bytes) -> bytes:
    given = secret.encode() if isinstance(secret, str) else secret
    return hashlib.blake2b(given, digest_size=32, person=b"routechan." + use).digest()


def _mac(key: bytes, data: Iterable[int]) -> bytes:
    return hashlib.blake2b(bytes(data), digest_size=_MAC_BYTES, key=key).digest()


def _position_of(entry: tuple[bytes, Position]) -> Position:
    return entry[1]


def _add_number(data: bytearray, number: int) -> None:
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, and where the next thing is."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return number, at
