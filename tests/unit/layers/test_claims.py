"""What a client that came back says it has."""

from __future__ import annotations

from routechan.encoding import decode_headers, encode_headers
from routechan.layers.claims import CLAIMS, UNKNOWN, Claims, tag_of

KEYS = [b"first", b"second"]


def claims(**positions: int) -> Claims:
    return Claims({tag_of(group, KEYS[0]): (at, 0) for group, at in positions.items()}, KEYS)


def test_a_position_is_used_once() -> None:
    """Whoever asks first has it, unless it is given back; until it is settled it is left for the next id."""
    claimed = claims(a=1)
    assert (claimed.take("a"), claimed.take("a"), claimed.take("b")) == ("1-0", None, None)
    assert len(claimed.left()) == 1
    claimed.give_back("a")
    assert claimed.take("a") == "1-0"
    assert claimed.settle("a") is False
    assert claimed.left() == []
    assert claimed.take("a") is None


def test_what_is_settled_unasked() -> None:
    """Whether nobody has looked at a claim is told, once."""
    claimed = claims(a=1)
    assert (claimed.settle("a"), claimed.settle("a"), claimed.settle("b")) == (True, False, False)


def test_tags_of_a_former_key() -> None:
    """A tag of any of the keys is found."""
    claimed = Claims({tag_of("a", KEYS[1]): (1, 0)}, KEYS)
    assert claimed.take("a") == "1-0"


def test_claims_travel_in_a_header() -> None:
    """A worker has what nobody has used, and needs no secret for it; nothing travels where nothing is left."""
    claimed = Claims({tag_of(group, KEYS[0]): (at, 7) for group, at in (("a", 1), ("b", 2))}, KEYS, partial=True)
    assert (claimed.take("a"), claimed.take("c")) == ("1-7", UNKNOWN)
    there = Claims.of_header(decode_headers(encode_headers({CLAIMS: claimed.header()}))[CLAIMS])
    assert [there.take(group) for group in "abcd"] == [None, "2-7", None, UNKNOWN]
    whole = claims(a=1)
    assert whole.header() is not None
    whole.take("a")
    assert whole.header() is None
