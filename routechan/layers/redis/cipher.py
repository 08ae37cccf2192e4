"""The option ``symmetric_encryption_keys``: AES-GCM, and keys that can be changed one after the other.

A token is::

    0..15   the sender: random, another one for each process and layer
    16..20  the number of the token among those of its sender
    21..27  random
    28..    what AES-256-GCM makes of the data: as many bytes, and 16 that authenticate them and what they are bound to

The key of a sender is the HMAC-SHA256 of its name, under the SHA-256 of one of the keys of the layer. So each sender
has a key of its own, and uses no nonce (bytes 16 to 27) twice, not even where a process or a machine is copied.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...exceptions import InvalidChannelLayerError
from ...inspection import with_article
from .wire import Unreadable

_SENDER = 16
_NUMBER = 5
_NONCE = 12
_SHORTEST = _SENDER + _NONCE + 16

#: How many senders' keys are kept.
SENDERS = 1024


class _Sender(NamedTuple):
    """Who encrypts. Lifetime: layer, in one process."""

    process: int
    name: bytes
    aead: Any
    numbers: itertools.count[int]


class AesCipher:
    """Encrypts with the first of its keys, and decrypts with any. Lifetime: layer. Thread-safe.

    To change a key without losing messages, add the new one at the end everywhere, then move it to the front, then
    remove the old one.

    Args:
        keys: any text or bytes.

    Raises:
        InvalidChannelLayerError: the package ``cryptography`` is missing, or a key is empty or no text or bytes.
    """

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        try:
            from cryptography import exceptions  # noqa: PLC0415  # an extra, and slow to import
            from cryptography.hazmat.primitives.ciphers import aead  # noqa: PLC0415
        except ImportError as error:
            raise InvalidChannelLayerError(
                "symmetric_encryption_keys needs the package cryptography; "
                "install it with: pip install routechan[crypto]"
            ) from error
        self._aead = aead.AESGCM
        self._invalid = exceptions.InvalidTag
        self._keys = [hashlib.sha256(secret).digest() for secret in _secrets(keys)]
        self._sender: _Sender | None = None
        self._senders: dict[bytes, Any] = {}  # those whose tokens were opened here

    def encrypt(self, data: bytes, bound: bytes) -> bytes:
        """A token of ``data`` that opens only together with ``bound``, which it doesn't hold."""
        sender = self._sender
        if sender is None or sender.process != os.getpid():  # a forked child is another sender
            name = os.urandom(_SENDER)
            sender = self._sender = _Sender(os.getpid(), name, self._make(self._keys[0], name), itertools.count())
        nonce = next(sender.numbers).to_bytes(_NUMBER, "big") + os.urandom(_NONCE - _NUMBER)
        token: bytes = sender.name + nonce + sender.aead.encrypt(nonce, data, bound)
        return token

    def digest(self, data: bytes) -> bytes:
        """The name of ``data`` under the first key, 16 bytes: equal for equal data, else telling nothing."""
        return hmac.digest(self._keys[0], b"digest " + data, "sha256")[:16]

    def decrypt(self, token: bytes, bound: bytes) -> tuple[bytes, bytes, int]:
        """Open a ``token`` that was made together with ``bound``.

        Returns:
            The data, the sender, and the number of the token among those of the sender.

        Raises:
            Unreadable: it was made with none of the keys, with another ``bound``, or was changed.
        """
        name, nonce = token[:_SENDER], token[_SENDER : _SENDER + _NONCE]
        known = self._senders.get(name)
        if len(token) >= _SHORTEST:
            for aead in [known] if known is not None else (self._make(key, name) for key in self._keys):
                try:
                    data: bytes = aead.decrypt(nonce, token[_SENDER + _NONCE :], bound)
                except self._invalid:
                    continue
                if known is None:
                    if len(self._senders) >= SENDERS:
                        self._senders.clear()
                    self._senders[name] = aead
                return data, name, int.from_bytes(nonce[:_NUMBER], "big")
        if known is not None:
            raise Unreadable(
                "changed",
                f"a message of {len(token)} bytes was changed on its way, or moved from where it was sent to: who did "
                "that can write to Redis, and has none of the symmetric_encryption_keys",
            )
        raise Unreadable(
            "key",
            f"a message of {len(token)} bytes cannot be decrypted: it was encrypted with a key that is not among "
            "symmetric_encryption_keys here, or changed on its way",
        )

    def _make(self, key: bytes, sender: bytes) -> Any:
        return self._aead(hmac.digest(key, sender, "sha256"))


def make_cipher(keys: Sequence[str | bytes] | None) -> AesCipher | None:
    """The cipher for ``keys``, the value of the option; None where they are None or empty: then nothing is encrypted.

    Raises:
        InvalidChannelLayerError: ``keys`` is no list of text or bytes, or the package ``cryptography`` is missing.
    """
    if isinstance(keys, (str, bytes)):
        raise InvalidChannelLayerError("symmetric_encryption_keys is a list of keys; write [key] instead of key")
    if keys is not None and not isinstance(keys, Sequence):
        raise InvalidChannelLayerError(
            "symmetric_encryption_keys is a list of keys, of which the first encrypts, not "
            f"{with_article(type(keys).__name__)}"
        )
    return AesCipher(keys) if keys else None


def _secrets(keys: Sequence[str | bytes]) -> list[bytes]:
    secrets = []
    for index, key in enumerate(keys):
        if not isinstance(key, (str, bytes)) or not key:
            # The value is not shown: it may be a secret.
            what = "empty" if isinstance(key, (str, bytes)) else with_article(type(key).__name__)
            raise InvalidChannelLayerError(f"symmetric_encryption_keys[{index}] is {what}; a key is some text or bytes")
        secrets.append(key.encode() if isinstance(key, str) else key)
    return secrets
