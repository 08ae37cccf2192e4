"""What lies in a queue comes out as it went in, what is no message says so, and what is sealed cannot be changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routechan.encoding import Undecodable, encode
from routechan.layers.envelope import FLUSH, GROUP, JOIN, LEAVE, MESSAGE, Envelope
from routechan.layers.redis.cipher import AesCipher
from routechan.layers.redis.wire import VERSION, SealedWire, Unreadable, Wire, expires_of

#: With a millisecond that no float has exactly.
EXPIRES = 1_800_000_000.125

names = st.from_regex(r"[a-zA-Z0-9._!?-]{0,99}", fullmatch=True)
#: Times of Redis' clock until the year 5000.
times = st.floats(0, 95_617_584_000)
kinds = st.sampled_from([MESSAGE, GROUP, JOIN, LEAVE, FLUSH])
plain, sealed = Wire(), SealedWire(AesCipher(["key"]), "rc", 60.0)

#: A queue.
PLACE = "ws.P!"


@pytest.mark.parametrize("wire", [plain, sealed], ids=["plain", "sealed"])
@given(expires=times, kind=kinds, name=names, body=st.binary(), headers=st.binary())
def test_round_trip(wire: Wire, expires: float, kind: int, name: str, body: bytes, headers: bytes) -> None:
    """R3: to the millisecond, and every byte of headers and body."""
    data = wire.pack(kind, name, body, headers, expires, PLACE)
    assert wire.unpack(data, PLACE) == Envelope(kind, name, body, headers, int(expires * 1000) / 1000)
    assert expires_of(data) == int(expires * 1000) / 1000


@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        (
            (MESSAGE, "a", b"body", b"", EXPIRES),
            "01 00 000001a3185c507d 01 61 626f6479",
        ),
        (
            (MESSAGE, "thumbnail", encode({"n": 1}), encode({"tag": ["x!", 7, 1.5]}), EXPIRES),
            "01 40 000001a3185c507d 09 7468756d626e61696c"
            " 00000013 81a3746167 93a27821 07 cb3ff8000000000000 81a16e01",
        ),
        ((GROUP, "room-1", b"", b"", EXPIRES), "01 01 000001a3185c507d 06 726f6f6d2d31"),
        ((JOIN, "g", b"ws.P!a", b"", EXPIRES), "01 02 000001a3185c507d 01 67 77732e502161"),
        ((LEAVE, "g", b"ws.P!a", b"", EXPIRES), "01 03 000001a3185c507d 01 67 77732e502161"),
        ((FLUSH, "", b"", b"", EXPIRES), "01 04 000001a3185c507d 00"),
        ((MESSAGE, "bye", b"\x80"), "01 00 0000000000000000 03 627965 80"),
    ],
    ids=["message", "headers", "group", "join", "leave", "flush", "last will"],
)  # fmt: skip
def test_the_bytes_of_version_1(arguments: Any, data: str) -> None:
    """docs/spec/wire.rst: another version of routechan, or another program, reads and writes the same."""
    assert VERSION == 1
    assert plain.pack(*arguments).hex() == data.replace(" ", "")
    assert plain.unpack(bytes.fromhex(data.replace(" ", "")))[:4] == Envelope(*arguments)[:4]


def test_the_bytes_of_a_sealed_envelope() -> None:
    """docs/spec/wire.rst: outside stands what may be read without the key, and the flag 0x80; the token opens to the
    rest, and is bound to that and to where it lies."""
    data = sealed.pack(MESSAGE, "a", b"body", b"headers", EXPIRES, PLACE)
    head, token = data[:12], data[12:]
    assert head.hex() == "0180000001a3185c507d0161"
    assert AesCipher(["key"]).decrypt(token, head + b"rc ws.P!")[0] == b"\x00\x00\x00\x07headersbody"
    assert b"body" not in data


def other(wire: Wire = sealed, **changes: Any) -> bytes:
    """The message of the tests below, with changes."""
    given = {"kind": MESSAGE, "name": "a", "body": b"body", "headers": b"h", "expires": EXPIRES, "place": PLACE}
    return wire.pack(**{**given, **changes})


@pytest.mark.parametrize(
    "changes",
    [{"name": "b"}, *({"kind": kind} for kind in range(1, 6)), {"expires": EXPIRES + 1}, {"expires": 0.0}],
    ids=str,
)
def test_what_was_sealed_cannot_be_moved_or_prolonged(changes: Any) -> None:
    """house, encryption: who can write to Redis without the key cannot give a message another channel, kind or time."""
    head = other(plain, body=b"", headers=b"", **changes)
    forged = head[:1] + bytes([head[1] | 0x80]) + head[2:] + other()[12:]
    sealed.unpack(other(), PLACE)  # the sender is known
    with pytest.raises(Unreadable, match="was changed on its way, or moved from where it was sent") as caught:
        sealed.unpack(forged, PLACE)
    assert caught.value.trouble == "changed"


@pytest.mark.parametrize("place", ["ws.P", "ws.Q!", "", "ws.P!a", "will P ws.P!a"])
def test_what_was_sealed_opens_where_it_was_sent_only(place: str) -> None:
    """house, encryption: in no other queue, and not as a last will or a delayed send."""
    assert sealed.unpack(other(), PLACE).name == "a"
    with pytest.raises(Unreadable, match="moved from where it was sent"):
        sealed.unpack(other(), place)


def test_another_prefix_is_another_place() -> None:
    """two layers may share a server and a key."""
    with pytest.raises(Unreadable):
        SealedWire(AesCipher(["key"]), "other", 60.0).unpack(other(), PLACE)


@pytest.mark.parametrize("at", range(1, 13))
def test_every_byte_of_the_head_is_authenticated(at: int) -> None:
    """house, encryption: a bit of the head that is changed makes it unreadable, as one of the token does."""
    data = bytearray(other())
    data[at] ^= 0x02
    with pytest.raises(Unreadable):
        sealed.unpack(bytes(data), PLACE)


def test_what_was_taken_is_not_taken_again() -> None:
    """house, encryption: until it expires, after which it is dropped for that."""
    data, another = other(), other()
    assert sealed.take(data, PLACE, EXPIRES - 60) == sealed.unpack(data, PLACE)
    for now in (EXPIRES - 60, EXPIRES - 1, EXPIRES):
        with pytest.raises(Unreadable, match="it came before") as caught:
            sealed.take(data, PLACE, now)
        assert caught.value.trouble == "replay"
    assert sealed.take(another, PLACE, EXPIRES - 1).body == b"body"
    assert plain.take(other(plain), PLACE, EXPIRES) == plain.take(other(plain), PLACE, EXPIRES)


def test_what_is_kept_for_long_is_not_taken_when_nobody_would_know_a_copy() -> None:
    """house, encryption: a last will, or a delayed send: only as long as copies are refused."""
    data = other()
    with pytest.raises(Unreadable, match="so old") as caught:
        sealed.take(data, PLACE, EXPIRES + 11, lasts=10.0)
    assert caught.value.trouble == "late"
    assert sealed.take(data, PLACE, EXPIRES + 9, lasts=10.0).body == b"body"
    with pytest.raises(Unreadable, match="it came before"):
        sealed.take(data, PLACE, EXPIRES + 9, lasts=10.0)


@pytest.mark.parametrize(
    ("wire", "data", "trouble", "text"),
    [
        (plain, other(), "sealed", "arrived encrypted, but this layer has no keys; give it the symmetric_encryption_k"),
        (sealed, other(plain), "plain", "is not encrypted; give the process that sent it the same"),
        (plain, b"\x02" + other(plain)[1:], "version 2", "was sent by another version, or by something else"),
        (sealed, b"\x02" + other()[1:], "version 2", "which writes and reads version 1"),
        (plain, other(plain, kind=9), "kind 9", "is of the kind 9, which this version does not know"),
        (plain, b"\x01\x20" + other(plain)[2:], "damaged", "it has the unknown flags 0x20"),
        (plain, b"\x01\x10" + other(plain)[2:], "damaged", "it has the unknown flags 0x10"),
        (plain, other(plain)[:-8], "damaged", "it is cut short"),
        (plain, other(plain, name="channel", body=b"", headers=b"")[:-3], "damaged", "it is cut short"),
        (plain, other(plain, headers=b"h" * 9, body=b"")[:-1], "damaged", "it is cut short"),
        (plain, other(plain, name="é"), "damaged", "ascii"),
        *((plain, plain.pack(MESSAGE, "", b"")[:length], "damaged", "it is cut short") for length in range(11)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # bytes are random
)  # fmt: skip
def test_what_cannot_be_read_says_why(wire: Wire, data: bytes, trouble: str, text: str) -> None:
    """R12, section 1.1, 3.7: each kind of trouble has a name, by which the log is kept short."""
    with pytest.raises(Unreadable, match=text) as caught:
        wire.unpack(data)
    assert caught.value.trouble == trouble
    assert isinstance(caught.value, Undecodable)


@given(st.binary(max_size=300), st.sampled_from([plain, sealed]))
@example(b"", plain)
@example(b"garbage", plain)
@example(b"\xff" * 300, sealed)
@example(b"\x01" + b"\x00" * 9, plain)
@example(b"\x01\x40" + b"\x00" * 11, plain)
@example(b"\x01\x80" + b"\x00" * 11 + b"gAAAA" * 20, sealed)
def test_garbage_is_refused_or_read_and_nothing_else(data: bytes, wire: Wire) -> None:
    """R12 (C20): whatever lies in a queue, a reader gets ``Unreadable`` at most."""
    assert expires_of(data) >= 0
    with contextlib.suppress(Unreadable):
        envelope = wire.unpack(data)
        assert envelope.name.isascii()
        assert data.endswith(envelope.body)


@pytest.mark.parametrize("change", [lambda data: data[:10], lambda data: b"\x02" + data[1:], lambda data: b""])
def test_what_is_no_envelope_expired_long_ago(change: Callable[[bytes], bytes]) -> None:
    """R12: so that it takes no room; another version's too."""
    assert expires_of(plain.pack(MESSAGE, "a", b"", b"", EXPIRES)) == EXPIRES
    assert expires_of(change(plain.pack(MESSAGE, "a", b"", b"", EXPIRES))) == 0.0
