"""The size of what a layer carries, its encryption, and what is said of bytes that cannot be read."""

from __future__ import annotations

import base64
import hashlib
import sys
from typing import Any

import msgpack
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from routechan.encoding import encode
from routechan.exceptions import InvalidChannelLayerError, InvalidContent, MessageTooLarge, RoutechanError
from routechan.layers.serializer import MAX_SIZE, Serializer, Undecodable

CONTENT = {"text": "hello", "pair": (1, b"2")}


def test_without_keys_content_is_only_encoded() -> None:
    """section 1.4: and comes back as it was."""
    serializer = Serializer()
    assert serializer.encode(CONTENT) == encode(CONTENT)
    assert serializer.decode(serializer.encode(CONTENT)) == CONTENT


@pytest.mark.parametrize("keys", [None, ["key"]])
def test_what_cannot_travel_is_refused(keys: Any) -> None:
    """R12."""
    with pytest.raises(InvalidContent, match=r"message\['tags'\] is a set"):
        Serializer(symmetric_encryption_keys=keys).encode({"tags": set()})


# Size


def test_layers_take_a_megabyte_and_more() -> None:
    """section 1.5: the default is ten."""
    assert MAX_SIZE == 10 * 1024 * 1024
    data = Serializer().encode({"bytes": b"\x00" * (MAX_SIZE - 20)})
    assert len(data) <= MAX_SIZE


@pytest.mark.parametrize("keys", [None, ["key"]])
def test_a_message_that_is_too_large(keys: Any) -> None:
    """section 1.5, R12: one byte more than the limit; encryption, which adds a third, does not count."""
    size = len(encode(CONTENT))
    serializer = Serializer(size, keys)
    assert serializer.decode(serializer.encode(CONTENT)) == CONTENT
    with pytest.raises(
        MessageTooLarge,
        match=rf"the message is {size} bytes when encoded, and this layer carries {size - 1}; "
        "send it in pieces, or store it and send where it is. The option max_size of the layer sets the limit",
    ):
        Serializer(size - 1, keys).encode(CONTENT)


@pytest.mark.parametrize("size", [0, -1, 1.5, "1", None, True])
def test_a_size_is_a_number_of_bytes(size: Any) -> None:
    """A mistake in the settings is found when the layer is built."""
    with pytest.raises(InvalidChannelLayerError, match=f"max_size is a number of bytes such as 10485760, not {size!r}"):
        Serializer(size)


# Encryption


def test_what_is_encrypted_cannot_be_read_and_differs_each_time() -> None:
    """section 3.7."""
    serializer = Serializer(symmetric_encryption_keys=["key"])
    first, second = serializer.encode(CONTENT), serializer.encode(CONTENT)
    assert b"hello" not in first
    assert first != second
    assert serializer.decode(first) == serializer.decode(second) == CONTENT


@pytest.mark.parametrize("key", ["key", "schlüssel", b"\xff\x00", "long" * 100])
def test_how_a_key_is_derived(key: str | bytes) -> None:
    """section 3.7: SHA-256, URL-safe base64, Fernet; any text or bytes will do."""
    secret = key.encode() if isinstance(key, str) else key
    fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret).digest()))
    serializer = Serializer(symmetric_encryption_keys=[key])
    assert fernet.decrypt(serializer.encode(CONTENT)) == encode(CONTENT)
    assert serializer.decode(fernet.encrypt(encode(CONTENT))) == CONTENT


def test_text_and_its_bytes_are_one_key() -> None:
    """section 3.7."""
    data = Serializer(symmetric_encryption_keys=["schlüssel"]).encode(CONTENT)
    assert Serializer(symmetric_encryption_keys=("schlüssel".encode(),)).decode(data) == CONTENT


def test_keys_are_rotated() -> None:
    """section 3.7: the first encrypts, all decrypt."""
    old, new = Serializer(symmetric_encryption_keys=["old"]), Serializer(symmetric_encryption_keys=["new"])
    old_first = Serializer(symmetric_encryption_keys=["old", "new"])
    new_first = Serializer(symmetric_encryption_keys=["new", "old"])
    for reader in (old_first, new_first):
        assert reader.decode(old.encode(CONTENT)) == reader.decode(new.encode(CONTENT)) == CONTENT
    assert old.decode(old_first.encode(CONTENT)) == new.decode(new_first.encode(CONTENT)) == CONTENT
    with pytest.raises(Undecodable):
        old.decode(new_first.encode(CONTENT))


def test_an_old_message_is_decrypted() -> None:
    """section 3.7: a layer's own stamp says when a message expires, so a delayed one may be a day old."""
    fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"key").digest()))
    data = fernet.encrypt_at_time(encode(CONTENT), 0)
    assert Serializer(symmetric_encryption_keys=["key"]).decode(data) == CONTENT


@pytest.mark.parametrize("keys", [None, [], ()])
def test_no_keys_are_no_encryption(keys: Any) -> None:
    """section 3.7: an empty list is as good as None."""
    assert Serializer(symmetric_encryption_keys=keys).encode(CONTENT) == encode(CONTENT)


@pytest.mark.parametrize("keys", ["key", b"key", ""])
def test_one_key_is_no_list(keys: Any) -> None:
    """section 3.1: else each of its letters would be a key."""
    with pytest.raises(
        InvalidChannelLayerError, match=r"symmetric_encryption_keys is a list of keys; write \[key\] instead of key"
    ):
        Serializer(symmetric_encryption_keys=keys)


@pytest.mark.parametrize("keys", [{"key"}, {"key": 1}, 5, set()])
def test_keys_have_an_order(keys: Any) -> None:
    """section 3.7: without one, no key is the first."""
    with pytest.raises(InvalidChannelLayerError, match=f"of which the first encrypts, not a {type(keys).__name__}"):
        Serializer(symmetric_encryption_keys=keys)


@pytest.mark.parametrize(("key", "text"), [(None, "a NoneType"), (5, "a int"), ("", "empty"), (b"", "empty")])
def test_a_key_that_is_none(key: Any, text: str) -> None:
    """A variable missing in the environment: everybody knows that key. The text shows no secret."""
    with pytest.raises(
        InvalidChannelLayerError,
        match=rf"^symmetric_encryption_keys\[1\] is {text}; a key is some text or bytes$",
    ):
        Serializer(symmetric_encryption_keys=["secret", key])


def test_encryption_without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """section 3.1: the text names what to install; without keys it is not needed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InvalidChannelLayerError, match=r"pip install routechan\[crypto\]"):
        Serializer(symmetric_encryption_keys=["key"])
    assert Serializer().decode(encode(CONTENT)) == CONTENT


# What cannot be read


def test_undecodable_is_one_of_ours() -> None:
    """One tree of exceptions."""
    assert issubclass(Undecodable, RoutechanError)
    assert issubclass(Undecodable, ValueError)


def test_a_message_encrypted_with_another_key() -> None:
    """section 3.7: the text names the option."""
    data = Serializer(symmetric_encryption_keys=["other"]).encode(CONTENT)
    with pytest.raises(
        Undecodable,
        match=rf"a message of {len(data)} bytes cannot be decrypted: "
        "it was encrypted with a key that is not among symmetric_encryption_keys here, or damaged on its way",
    ):
        Serializer(symmetric_encryption_keys=["key"]).decode(data)


@pytest.mark.parametrize("at", [10, 60, -1])
def test_an_encrypted_message_that_was_damaged(at: int) -> None:
    """R12: not a byte of it is believed."""
    serializer = Serializer(symmetric_encryption_keys=["key"])
    data = bytearray(serializer.encode(CONTENT))
    data[at] ^= 1
    with pytest.raises(Undecodable, match="or damaged on its way"):
        serializer.decode(bytes(data))


def test_a_plain_message_where_there_are_keys() -> None:
    """section 3.7: the other process has none; it is not read, or anybody could send."""
    with pytest.raises(
        Undecodable, match="it is not encrypted; give the process that sent it the same symmetric_encryption_keys"
    ):
        Serializer(symmetric_encryption_keys=["key"]).decode(encode(CONTENT))


def test_an_encrypted_message_where_there_are_no_keys() -> None:
    """section 3.7: the other way round."""
    data = Serializer(symmetric_encryption_keys=["key"]).encode(CONTENT)
    with pytest.raises(
        Undecodable, match="arrived encrypted, but this layer has no keys; give it the symmetric_encryption_keys"
    ):
        Serializer().decode(data)


def test_a_value_of_a_newer_version() -> None:
    """R12."""
    data = msgpack.packb({"value": msgpack.ExtType(99, b"")})
    with pytest.raises(Undecodable, match="extension type 99, .* does not know.* or by another version of routechan"):
        Serializer().decode(data)


@pytest.mark.parametrize("data", [b"", encode(CONTENT)[:-1], encode(CONTENT) + b"a", msgpack.packb("text"), b"\xc1"])
def test_damaged_bytes(data: bytes) -> None:
    """R12: cut short, too long, no dict, no msgpack."""
    with pytest.raises(Undecodable, match=f"a message of {len(data)} bytes cannot be read: .+ It was damaged"):
        Serializer().decode(data)


@given(st.binary() | st.binary().map(lambda tail: b"gAAAA" + tail), st.sampled_from([None, ["key"]]))
def test_any_bytes(data: bytes, keys: list[str] | None) -> None:
    """R12: a dict or ``Undecodable``; nothing else ends a reader."""
    try:
        content = Serializer(symmetric_encryption_keys=keys).decode(data)
    except Undecodable:
        return
    assert type(content) is dict
