"""The size of what a layer carries, and what is said of bytes that cannot be read."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routechan.encoding import MAX_SIZE, Serializer, Undecodable, encode
from routechan.exceptions import InvalidChannelLayerError, InvalidContent, MessageTooLarge, RoutechanError

CONTENT = {"text": "hello", "pair": (1, b"2")}


def test_content_is_only_encoded() -> None:
    """section 1.4: and comes back as it was."""
    serializer = Serializer()
    assert serializer.encode(CONTENT) == encode(CONTENT)
    assert serializer.decode(serializer.encode(CONTENT)) == CONTENT


def test_what_cannot_travel_is_refused() -> None:
    """R12."""
    with pytest.raises(InvalidContent, match=r"message\['tags'\] is a set"):
        Serializer().encode({"tags": set()})


# Size


def test_layers_take_a_megabyte_and_more() -> None:
    """section 1.5: the default is ten."""
    assert MAX_SIZE == 10 * 1024 * 1024
    data = Serializer().encode({"bytes": b"\x00" * (MAX_SIZE - 20)})
    assert len(data) <= MAX_SIZE


def test_a_message_that_is_too_large() -> None:
    """section 1.5, R12: one byte more than the limit."""
    size = len(encode(CONTENT))
    serializer = Serializer(size)
    assert serializer.decode(serializer.encode(CONTENT)) == CONTENT
    with pytest.raises(
        MessageTooLarge,
        match=rf"the message is {size} bytes when encoded, and this layer carries {size - 1}; "
        "send it in pieces, or store it and send where it is. The option max_size of the layer sets the limit",
    ):
        Serializer(size - 1).encode(CONTENT)


@pytest.mark.parametrize("size", [0, -1, 1.5, "1", None, True])
def test_a_size_is_a_number_of_bytes(size: Any) -> None:
    """A mistake in the settings is found when the layer is built."""
    with pytest.raises(InvalidChannelLayerError, match=f"max_size is a number of bytes such as 10485760, not {size!r}"):
        Serializer(size)


# What cannot be read


def test_undecodable_is_one_of_ours() -> None:
    """One tree of exceptions."""
    assert issubclass(Undecodable, RoutechanError)
    assert issubclass(Undecodable, ValueError)


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


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """R12: a dict or ``Undecodable``; nothing else ends a reader."""
    try:
        content = Serializer().decode(data)
    except Undecodable:
        return
    assert type(content) is dict
