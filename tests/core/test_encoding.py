"""Content travels as it is, or not at all (``layers-and-protocol`` 1.4, R12)."""

from __future__ import annotations

import datetime
import decimal
import enum
import types
import uuid
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routechan.encoding import check_content, decode, encode
from routechan.exceptions import InvalidContent, RoutechanError

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


def types_of(value: Any) -> Any:
    """The types in a value, because True == 1 == 1.0."""
    if isinstance(value, dict):
        return {key: types_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [types_of(item) for item in value]
    return type(value)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), values, max_size=5))
def test_what_is_allowed_comes_back(content: dict[str, Any]) -> None:
    """items 13, 14, 15, 136: equal, and of the same types at any depth."""
    received = decode(encode(content))
    assert received == content
    assert types_of(received) == types_of(content)


anything = st.recursive(
    leaves
    | st.integers()
    | st.dates()
    | st.decimals()
    | st.uuids()
    | st.sets(st.integers(), max_size=2)
    | st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=2) | st.integers() | st.binary(max_size=2), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.text(max_size=3) | st.integers(), anything, max_size=3))
def test_what_is_sent_can_be_read(content: dict[Any, Any]) -> None:
    """R12 (C20): refused at the sender with ``InvalidContent``, or readable; nothing else happens."""
    try:
        data = encode(content)
    except InvalidContent:
        return
    decode(data)


@pytest.mark.parametrize("content", [None, "text", b"bytes", 5, [("a", 1)], types.MappingProxyType({"a": 1})])
def test_a_message_is_a_dict(content: Any) -> None:
    """section 1.4, CH-05: the text shows what one looks like."""
    for check in (check_content, encode):
        with pytest.raises(
            InvalidContent, match=r"a message is a dict such as \{'text': 'hello'\}, not " + type(content).__name__
        ):
            check(content)


def test_a_dict_subclass_is_a_dict() -> None:
    """CH-05: dict subclasses pass."""

    class Custom(dict[str, Any]):
        pass

    check_content(Custom(a=1))
    assert decode(encode(Custom(a=Custom(b=1)))) == {"a": {"b": 1}}


def test_the_refusal_is_what_1x_raised() -> None:
    """CH-05, GR-04: ``TypeError`` from a channel, ``ValueError`` from a group, for the same mistake."""
    assert issubclass(InvalidContent, (TypeError,))
    assert issubclass(InvalidContent, (ValueError,))
    assert issubclass(InvalidContent, RoutechanError)


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"when": datetime.datetime(2017, 9, 15)},
            r"message\['when'\] is a datetime \(datetime.datetime\(2017, 9, 15, 0, 0\)\), which cannot travel; "
            r"expected str, bytes, int \(64 bits\), float, bool, None, or lists and dicts of these",
        ),
        ({"a": {"b": [1, {"c": {1, 2}}]}}, r"message\['a'\]\['b'\]\[1\]\['c'\] is a set"),
        ({"price": decimal.Decimal(1)}, r"message\['price'\] is a Decimal"),
        ({"id": uuid.UUID(int=0)}, r"message\['id'\] is a UUID"),
        ({"colour": Colour.RED}, r"message\['colour'\] is a Colour"),
        ({"id": 2**63}, r"message\['id'\] is 9223372036854775808; an int must fit into 64 bits. Send it as text"),
        ({"ids": [0, -(2**63) - 1]}, r"message\['ids'\]\[1\] is -9223372036854775809"),
        ({1: "a"}, r"message has the key 1; keys are str, not int"),
        ({"a": [{b"text": 1}]}, r"message\['a'\]\[0\] has the key b'text'; keys are str, not bytes"),
        ({None: 1}, r"message has the key None; keys are str, not NoneType"),
        ({"text": "\ud800"}, r"this message cannot travel: .*surrogates not allowed"),
    ],
)
def test_the_refusal_names_the_place(content: Any, text: str) -> None:
    """R12: what it is, where it is, and what would do."""
    with pytest.raises(InvalidContent, match=text):
        encode(content)


class Point(NamedTuple):
    x: int
    y: int


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (Level.HIGH, 3),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (float("inf"), float("inf")),
    ],
)
def test_what_arrives_as_something_simpler(sent: Any, received: Any) -> None:
    """section 1.4: a tuple is a list on the other side; limits of 64 bits are inside."""
    assert decode(encode({"value": sent, "list": [sent]})) == {"value": received, "list": [received]}


def test_each_decode_makes_a_new_dict() -> None:
    """R13."""
    data = encode({"list": []})
    decode(data)["list"].append(1)
    assert decode(data) == {"list": []}


@pytest.mark.parametrize("depth", [300, 600, 900, 1200, 5000])
def test_content_that_is_too_deep(depth: int) -> None:
    """R12: readable or refused, at any depth; no ``RecursionError`` on either side."""
    content: dict[str, Any] = {}
    for _ in range(depth):
        content = {"a": content}
    try:
        data = encode(content)
    except InvalidContent:
        assert depth > 300
    else:
        decode(data)


def test_content_that_holds_itself() -> None:
    """R12."""
    content: dict[str, Any] = {"list": []}
    content["list"].append(content)
    with pytest.raises(InvalidContent):
        encode(content)


def test_content_of_some_depth() -> None:
    """section 1.4: nested freely; 200 levels are no trouble."""
    content: dict[str, Any] = {}
    for _ in range(200):
        content = {"a": [content]}
    assert decode(encode(content)) == content
