"""The option ``symmetric_encryption_keys``: how keys are derived and changed, and what is said of bad ones."""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers.redis.cipher import SENDERS, AesCipher, make_cipher
from routechan.layers.redis.wire import Unreadable

DATA = b"some bytes"


#: What the data is bound to.
BOUND = b"where it lies"


def opened(cipher: AesCipher, token: bytes, bound: bytes = BOUND) -> bytes:
    return cipher.decrypt(token, bound)[0]


def test_what_is_encrypted_cannot_be_read_and_differs_each_time() -> None:
    """section 3.7."""
    cipher = AesCipher(["key"])
    first, second = cipher.encrypt(DATA, BOUND), cipher.encrypt(DATA, BOUND)
    assert DATA not in first
    assert first[16:] != second[16:]
    assert opened(cipher, first) == opened(cipher, second) == DATA


@pytest.mark.parametrize("key", ["key", "schlüssel", b"\xff\x00", "long" * 100])
def test_how_a_key_is_derived(key: str | bytes) -> None:
    """docs/spec/wire.rst: any text or bytes will do, text being its UTF-8; a peer in another language does the same."""
    secret = key.encode() if isinstance(key, str) else key
    for each in {key, secret}:
        cipher = AesCipher((each,))
        token = cipher.encrypt(DATA, BOUND)
        sender, nonce, sealed = token[:16], token[16:28], token[28:]
        aead = AESGCM(hmac.digest(hashlib.sha256(secret).digest(), sender, "sha256"))
        assert aead.decrypt(nonce, sealed, BOUND) == DATA
        assert opened(cipher, sender + bytes(12) + aead.encrypt(bytes(12), DATA, BOUND)) == DATA


def test_a_token_names_its_sender_and_its_number() -> None:
    """what replays are known by: the same for one token, another for each."""
    cipher, other = AesCipher(["key"]), AesCipher(["key"])
    tokens = [cipher.encrypt(DATA, BOUND) for _ in range(3)]
    found = [other.decrypt(token, BOUND)[1:] for token in (*tokens, *tokens)]
    assert found == [(tokens[0][:16], number) for number in (0, 1, 2)] * 2
    assert other.encrypt(DATA, BOUND)[:16] != tokens[0][:16]


def test_a_forked_child_is_another_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """it begins with the numbers of its parent, which must not be used twice."""
    cipher = AesCipher(["key"])
    before = cipher.encrypt(DATA, BOUND)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert cipher.encrypt(DATA, BOUND)[:16] != before[:16]


def test_what_is_bound_elsewhere_does_not_open() -> None:
    """house, encryption: where a token lies, and for what, is part of it."""
    cipher = AesCipher(["key"])
    token = cipher.encrypt(DATA, BOUND)
    for trouble in ("key", "changed"):  # before the sender is known, and after
        with pytest.raises(Unreadable) as caught:
            cipher.decrypt(token, b"elsewhere")
        assert caught.value.trouble == trouble
        assert opened(cipher, token) == DATA


def test_keys_are_rotated() -> None:
    """section 3.7: the first encrypts, all decrypt."""
    old, new = AesCipher(["old"]), AesCipher(["new"])
    old_first, new_first = AesCipher(["old", "new"]), AesCipher(["new", "old"])
    for reader in (old_first, new_first):
        for writer in (old, new):
            assert opened(reader, writer.encrypt(DATA, BOUND)) == DATA
    assert opened(old, old_first.encrypt(DATA, BOUND)) == opened(new, new_first.encrypt(DATA, BOUND)) == DATA
    with pytest.raises(Unreadable):
        opened(old, new_first.encrypt(DATA, BOUND))


def test_the_senders_that_are_known_are_bounded() -> None:
    """style, habit 8: who is forgotten is found again."""
    reader, tokens = AesCipher(["old", "key"]), [AesCipher(["key"]).encrypt(DATA, BOUND) for _ in range(SENDERS + 10)]
    for token in (*tokens, tokens[0]):
        assert opened(reader, token) == DATA
    assert len(reader._senders) <= SENDERS


@pytest.mark.parametrize("keys", [None, [], ()])
def test_no_keys_are_no_encryption(keys: Any) -> None:
    """section 3.7: an empty list is as good as None."""
    assert make_cipher(keys) is None


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        *((keys, r"is a list of keys; write \[key\] instead of key") for keys in ("key", b"key", "")),
        *((keys, f"the first encrypts, not an? {type(keys).__name__}") for keys in ({"k"}, {"k": 1}, 5, set())),
        *(
            (["secret", key], rf"^symmetric_encryption_keys\[1\] is {what}; a key is some text or bytes$")
            for key, what in ((None, "a NoneType"), (5, "an int"), ("", "empty"), (b"", "empty"))
        ),
    ],
)  # fmt: skip
def test_what_are_no_keys(keys: Any, text: str) -> None:
    """section 3.1, 3.7: each letter of a text would be a key, without an order none is the first, and an empty one
    everybody knows (a variable missing in the environment). The text shows no secret."""
    with pytest.raises(InvalidChannelLayerError, match=text) as caught:
        make_cipher(keys)
    assert "secret" not in str(caught.value)


def test_encryption_without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """section 3.1: the text names what to install; without keys it is not needed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InvalidChannelLayerError, match=r"pip install routechan\[crypto\]"):
        make_cipher(["key"])
    assert make_cipher(None) is None


@pytest.mark.parametrize("change", [None, 10, 30, -1], ids=["another key", "start", "middle", "end"])
def test_what_cannot_be_decrypted(change: int | None) -> None:
    """R12, section 3.7: with another key, or damaged: not a byte is believed, and the text names the option."""
    data = bytearray(AesCipher(["other" if change is None else "key"]).encrypt(DATA, BOUND))
    if change is not None:
        data[change] ^= 1
    text = (
        rf"a message of {len(data)} bytes cannot be decrypted: it was encrypted with a key that is not among "
        "symmetric_encryption_keys here, or changed on its way"
    )
    with pytest.raises(Unreadable, match=text):
        AesCipher(["key"]).decrypt(bytes(data), BOUND)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """R12: ``Unreadable``; nothing else ends a reader."""
    with pytest.raises(Unreadable):
        AesCipher(["key"]).decrypt(data, BOUND)
