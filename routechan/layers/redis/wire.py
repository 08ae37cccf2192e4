"""The bytes of one envelope in Redis; ``docs/spec/wire.rst`` has them one by one.

::

    0      version, 1
    1      kind in the low four bits; 0x40: headers follow the name; 0x80: what follows the name is sealed
    2..9   when it expires, in milliseconds of Redis' clock, big-endian
    10     length of the name
    11..   the name, in ASCII
    then   where there are headers: their length in four bytes, big-endian, and the headers, msgpack
    then   the body

Behind the name of a sealed envelope is a token, to the end; it opens to the length of the headers, the headers, and the
body. It is bound to all that stands before it, and to the place of the envelope.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Protocol

from ...encoding import Undecodable
from ..envelope import GONE, Envelope, make_envelope
from .replays import Replays

#: The format version written here. Messages of other versions are dropped and counted: see ``docs/spec/wire.rst``.
VERSION = 1

_KIND = 0x0F
_HEADERS = 0x40
_SEALED = 0x80
_FLAGS = 0xF0

# Version, kind with flags, when it expires, length of the name.
_HEAD = struct.Struct(">BBQB")
_LENGTH = struct.Struct(">I")


class Unreadable(Undecodable):
    """Bytes in Redis that are no envelope this process can open.

    Args:
        trouble: what is wrong in a word, the same for all messages that are lost for this reason.
        text: the message of the error.
    """

    def __init__(self, trouble: str, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble


class Cipher(Protocol):
    """Encrypts what is sealed, so that it cannot be read or changed without the keys."""

    def digest(self, data: bytes) -> bytes:
        """The name of ``data``, 16 bytes: equal for equal data; without the keys it tells nothing of it."""

    def encrypt(self, data: bytes, bound: bytes) -> bytes:
        """A token of ``data`` that opens only together with ``bound``, which it doesn't hold."""

    def decrypt(self, token: bytes, bound: bytes) -> tuple[bytes, bytes, int]:
        """The data, sender and number of a ``token`` made with ``bound``; ``Unreadable`` if it does not open."""


class Wire:
    """Envelopes to bytes and back, readable in Redis. Lifetime: layer. Thread-safe."""

    #: Whether envelopes are sealed, each for one place.
    sealed = False

    def pack(
        self, kind: int, name: str, body: bytes, headers: bytes = b"", expires: float = 0.0, place: str = ""
    ) -> bytes:
        """The bytes of an envelope.

        Args:
            kind: one of the kinds of ``Envelope``.
            name: a channel, or a group.
            body: encoded content, or what the kind says.
            headers: encoded headers; empty where there are none.
            expires: seconds of Redis' clock.
            place: where it will lie: a queue, or another place of ``schema``. A sealed envelope opens nowhere else.
        """
        encoded = name.encode()
        if headers:
            head = _HEAD.pack(VERSION, kind | _HEADERS, int(expires * 1000), len(encoded))
            return head + encoded + _LENGTH.pack(len(headers)) + headers + body
        return _HEAD.pack(VERSION, kind, int(expires * 1000), len(encoded)) + encoded + body

    def unpack(self, data: bytes, place: str = "") -> Envelope:
        """The envelope in ``data``, which lies at ``place``.

        Raises:
            Unreadable: it is none, is of another version, or cannot be opened with the keys of this layer.
        """
        if len(data) > _HEAD.size and data[0] == VERSION and data[1] <= GONE:
            # Fast path for most messages: no headers, no encryption.
            _, kind, milliseconds, length = _HEAD.unpack_from(data)
            end = _HEAD.size + length
            name = data[_HEAD.size : end]
            if len(data) >= end and name.isascii():
                return make_envelope((kind, name.decode(), data[end:], b"", milliseconds / 1000, 0))
        flags, envelope = _unpack(data)
        if flags & _SEALED:
            raise Unreadable(
                "sealed",
                "a message arrived encrypted, but this layer has no keys; "
                "give it the symmetric_encryption_keys of the process that sent it",
            )
        return envelope

    def digest(self, data: bytes) -> str:
        """A name for ``data``, equal for equal ones in all processes; of sealed wires, it tells nothing of them."""
        return hashlib.blake2b(data, digest_size=16).hexdigest()

    def take(self, data: bytes, place: str, now: float, lasts: float | None = None) -> Envelope:
        """The envelope in ``data``, which was taken off ``place``; it may be taken once.

        Args:
            data: its bytes.
            place: where it lay.
            now: seconds of Redis' clock.
            lasts: seconds that it may be taken after its expiry; None if the caller sees to its expiry.

        Raises:
            Unreadable: see ``unpack``; or it is sealed, and was taken before or is too old.
        """
        return self.unpack(data, place)


class SealedWire(Wire):
    """Envelopes to bytes and back, sealed: nobody without a key reads or changes them. Lifetime: layer. Thread-safe.

    Args:
        cipher: has the keys.
        prefix: that of the layer, which is part of every place.
        expiry: seconds that an unread message lives.
    """

    sealed = True

    def __init__(self, cipher: Cipher, prefix: str, expiry: float) -> None:
        self._cipher = cipher
        self._prefix = prefix.encode() + b" "
        self._messages = Replays(expiry)
        self._others = Replays(expiry)  # what is kept for days does not keep messages in memory

    def pack(
        self, kind: int, name: str, body: bytes, headers: bytes = b"", expires: float = 0.0, place: str = ""
    ) -> bytes:
        encoded = name.encode()
        head = _HEAD.pack(VERSION, kind | _SEALED, int(expires * 1000), len(encoded)) + encoded
        return head + self._cipher.encrypt(_LENGTH.pack(len(headers)) + headers + body, self._bound(head, place))

    def unpack(self, data: bytes, place: str = "") -> Envelope:
        return self._open(data, place)[0]

    def digest(self, data: bytes) -> str:
        return self._cipher.digest(self._prefix + data).hex()

    def take(self, data: bytes, place: str, now: float, lasts: float | None = None) -> Envelope:
        envelope, sender, number = self._open(data, place)
        if lasts is None:
            new = self._messages.is_new(sender, number, envelope.expires, now)
        else:
            ends = envelope.expires + lasts
            if ends < now:
                raise Unreadable("late", "it is so old that nobody knows any more whether it is a copy of another one")
            new = self._others.is_new(sender, number, ends, now)
        if not new:
            raise Unreadable(
                "replay", "it came before: who can write to Redis has copied it, or Redis has lost that it was taken"
            )
        return envelope

    def _bound(self, head: bytes, place: str) -> bytes:
        return head + self._prefix + place.encode()

    def _open(self, data: bytes, place: str) -> tuple[Envelope, bytes, int]:
        flags, envelope = _unpack(data)
        if flags != _SEALED:
            raise Unreadable(
                "plain",
                f"a message of {len(data)} bytes is not encrypted; give the process that sent it the same "
                "symmetric_encryption_keys",
            )
        kind, name, token, _, expires, _ = envelope
        opened, sender, number = self._cipher.decrypt(token, self._bound(data[: len(data) - len(token)], place))
        start = _LENGTH.size + _LENGTH.unpack_from(opened)[0]
        return make_envelope((kind, name, opened[start:], opened[_LENGTH.size : start], expires, 0)), sender, number


def _unpack(data: bytes) -> tuple[int, Envelope]:
    """The flags of an envelope, and the envelope, whose body is still sealed if they say so."""
    try:
        version, flags, milliseconds, length = _HEAD.unpack_from(data)
    except struct.error:
        raise _no_envelope(data, "it is cut short") from None
    if version != VERSION:
        raise Unreadable(
            f"version {version}",
            f"{data[:40]!r} is no message of this version of routechan, which writes and reads version {VERSION}; "
            "it was sent by another version, or by something else",
        )
    kind = flags & _KIND
    flags &= _FLAGS
    if kind > GONE:
        raise Unreadable(f"kind {kind}", f"{data[:40]!r} is of the kind {kind}, which this version does not know")
    end = _HEAD.size + length
    headers = b""
    start = end
    if flags:
        if flags & ~(_HEADERS | _SEALED):
            raise _no_envelope(data, f"it has the unknown flags {flags:#x}")
        if flags & _HEADERS:
            try:
                (size,) = _LENGTH.unpack_from(data, end)
            except struct.error:
                raise _no_envelope(data, "it is cut short") from None
            start = end + _LENGTH.size + size
            headers = data[end + _LENGTH.size : start]
    if len(data) < start:
        raise _no_envelope(data, "it is cut short")
    try:
        name = data[_HEAD.size : end].decode("ascii")
    except UnicodeDecodeError as error:
        raise _no_envelope(data, str(error)) from None
    return flags, make_envelope((kind, name, data[start:], headers, milliseconds / 1000, 0))


def _no_envelope(data: bytes, reason: str) -> Unreadable:
    return Unreadable("damaged", f"{data[:40]!r} is no message of routechan: {reason}")


def expires_of(data: bytes) -> float:
    """When the envelope ``data`` expires, in seconds of Redis' clock, without opening it; 0 for what is no envelope."""
    if len(data) < _HEAD.size or data[0] != VERSION:
        return 0.0
    return int.from_bytes(data[2:10], "big") / 1000
