"""Content to bytes and back as layers carry it: within a size, and encrypted where there are keys."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from ..encoding import Content, decode, encode
from ..exceptions import InvalidChannelLayerError, MessageTooLarge, RoutechanError

#: Bytes of encoded content, before encryption; layers have to take 1 MB (``layers-and-protocol`` 1.5).
MAX_SIZE = 10 * 1024 * 1024

#: What every Fernet token begins with, and no encoded message does.
_TOKEN_START = b"gAAAA"


class Undecodable(RoutechanError, ValueError):
    """What arrived cannot be read; the text says whether keys, versions or damage are the likely cause."""


class Serializer:
    """What a layer turns messages into bytes with. Lifetime: layer.

    The first of ``symmetric_encryption_keys`` encrypts and all of them decrypt. To change a key without
    losing messages, add the new one at the end everywhere, then move it to the front, then remove the
    old one. A key is any text or bytes. None and an empty list both mean no encryption.
    """

    def __init__(
        self, max_size: int = MAX_SIZE, symmetric_encryption_keys: Sequence[str | bytes] | None = None
    ) -> None:
        if not isinstance(max_size, int) or isinstance(max_size, bool) or max_size < 1:
            raise InvalidChannelLayerError(f"max_size is a number of bytes such as {MAX_SIZE}, not {max_size!r}")
        self._max_size = max_size
        self._cipher = _make_cipher(symmetric_encryption_keys)

    def encode(self, content: Content) -> bytes:
        """Raises ``InvalidContent`` for what cannot travel, ``MessageTooLarge`` for what is more than ``max_size``."""
        data = encode(content)
        if len(data) > self._max_size:
            raise MessageTooLarge(
                f"the message is {len(data)} bytes when encoded, and this layer carries {self._max_size}; "
                "send it in pieces, or store it and send where it is. The option max_size of the layer sets the limit"
            )
        return data if self._cipher is None else self._cipher.encrypt(data)

    def decode(self, data: bytes) -> Content:
        """A new dict each time; raises ``Undecodable`` and nothing else."""
        if self._cipher is not None:
            data = self._cipher.decrypt(data)
        try:
            return decode(data)
        except ValueError as error:
            if data.startswith(_TOKEN_START):
                raise Undecodable(
                    "a message arrived encrypted, but this layer has no keys; "
                    "give it the symmetric_encryption_keys of the process that sent it"
                ) from None
            raise Undecodable(
                f"a message of {len(data)} bytes cannot be read: {error}. It was damaged on its way, or sent "
                "by something else or by another version of routechan"
            ) from error


class _Cipher:
    """Lifetime: layer."""

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        try:
            from cryptography import fernet  # noqa: PLC0415  # an extra, and slow to import
        except ImportError as error:
            raise InvalidChannelLayerError(
                "symmetric_encryption_keys needs the package cryptography; "
                "install it with: pip install routechan[crypto]"
            ) from error
        # The derivation is that of asgi_redis and channels_redis (section 3.7).
        digests = [hashlib.sha256(secret).digest() for secret in _secrets(keys)]
        self._fernet = fernet.MultiFernet([fernet.Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
        self._invalid = fernet.InvalidToken

    def encrypt(self, data: bytes) -> bytes:
        return self._fernet.encrypt(data)

    def decrypt(self, data: bytes) -> bytes:
        try:
            return self._fernet.decrypt(data)  # at any age: messages carry their own expiry
        except self._invalid:
            if data.startswith(_TOKEN_START):
                reason = (
                    "it was encrypted with a key that is not among symmetric_encryption_keys here, "
                    "or damaged on its way"
                )
            else:
                reason = "it is not encrypted; give the process that sent it the same symmetric_encryption_keys"
            raise Undecodable(f"a message of {len(data)} bytes cannot be decrypted: {reason}") from None


def _make_cipher(keys: Sequence[str | bytes] | None) -> _Cipher | None:
    if isinstance(keys, (str, bytes)):
        raise InvalidChannelLayerError("symmetric_encryption_keys is a list of keys; write [key] instead of key")
    if keys is not None and not isinstance(keys, Sequence):
        raise InvalidChannelLayerError(
            f"symmetric_encryption_keys is a list of keys, of which the first encrypts, not a {type(keys).__name__}"
        )
    return _Cipher(keys) if keys else None


def _secrets(keys: Sequence[str | bytes]) -> list[bytes]:
    secrets = []
    for index, key in enumerate(keys):
        if not isinstance(key, (str, bytes)) or not key:
            # The value is not shown: it may be a secret.
            what = "empty" if isinstance(key, (str, bytes)) else f"a {type(key).__name__}"
            raise InvalidChannelLayerError(f"symmetric_encryption_keys[{index}] is {what}; a key is some text or bytes")
        secrets.append(key.encode() if isinstance(key, str) else key)
    return secrets
