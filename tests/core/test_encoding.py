"""Content travels as it is, or not at all (``layers-and-protocol`` 1.4, R12)."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import inspect
import sys
import threading
import tracemalloc
import types
import uuid
import zoneinfo
from typing import Any, NamedTuple

import msgpack
import pytest
from django.db.models import IntegerChoices, TextChoices
from django.utils.datastructures import MultiValueDict
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from routechan.encoding import MAX_DEPTH, check_content, decode, encode
from routechan.exceptions import InvalidContent, RoutechanError

text = st.text(st.characters(codec="utf-8"))
# Whole seconds: ``fromisoformat`` drops an offset of less than one, which no time zone has.
offsets = st.integers(-86_399, 86_399).map(lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds)))
zones = st.none() | offsets | st.timezones()
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | text
    | st.binary()
    | st.datetimes(timezones=zones)
    | st.dates()
    | st.times(timezones=st.none() | offsets)
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(text, inner, max_size=4)
    ),
)


def exactly(value: Any) -> Any:
    """The value with its types, in a form that ``==`` compares: NaN equals NaN, True is not 1, fold counts."""
    kind = type(value)
    if kind is dict:
        return {key: exactly(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return (kind, [exactly(item) for item in value])
    if kind is datetime.datetime or kind is datetime.time:
        return (kind, value.isoformat(), value.fold)
    return (kind, repr(value))


@given(st.dictionaries(text, values, max_size=5))
def test_what_is_allowed_comes_back(content: dict[str, Any]) -> None:
    """items 13, 14, 15, 136: equal, and of the same types at any depth."""
    assert exactly(decode(encode(content))) == exactly(content)


class Custom(dict[str, Any]):
    pass


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another text"


class Number(int):
    pass


class Point(NamedTuple):
    x: Any
    y: Any


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.Enum):
    RED = "red"


class Day(datetime.date):
    def isoformat(self) -> str:
        return "another text"


anything = st.recursive(
    leaves
    | st.integers()
    | st.integers().map(Number)
    | st.complex_numbers()
    | st.integers(0, 3).map(range)
    | st.sets(st.integers(), max_size=2)
    | st.builds(msgpack.ExtType, st.integers(0, 20), st.binary(max_size=3))
    | st.builds(msgpack.Timestamp, st.integers(0, 2**40), st.integers(0, 999_999_999))
    | st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2)
    | st.text().map(Text)
    | st.dates().map(lambda date: Day(date.year, date.month, date.day))
    | st.binary(min_size=2).map(lambda data: memoryview(data)[::2])
    | st.sampled_from([object(), Level.HIGH, Colour.RED, lazystr("lazy"), SimpleLazyObject(lambda: "lazy")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(Point, inner, inner)
        | st.lists(inner, max_size=2).map(collections.deque)
        | st.dictionaries(st.text(max_size=2) | st.integers() | st.binary(max_size=2), inner, max_size=3)
        | st.dictionaries(text.map(Text), inner, max_size=3).map(Custom)
    ),
)


@given(st.dictionaries(st.text(max_size=3) | st.integers(), anything, max_size=3))
def test_what_is_sent_can_be_read(content: dict[Any, Any]) -> None:
    """R12 (C20): refused at the sender with ``InvalidContent`` naming a place, or readable; nothing else happens."""
    try:
        data = encode(content)
    except InvalidContent as error:
        refusal = str(error)
    else:
        again = decode(data)
        assert exactly(decode(encode(again))) == exactly(again)
        return
    assert refusal.startswith(("message", "the key of message"))


@given(st.binary())
def test_foreign_bytes(data: bytes) -> None:
    """``ValueError``, or a dict; nothing else happens."""
    try:
        content = decode(data)
    except ValueError:
        return
    assert type(content) is dict


@given(st.integers(-128, 127), st.binary(max_size=20))
def test_foreign_values_in_our_extension_types(code: int, data: bytes) -> None:
    """``ValueError``, or a value; nothing else happens."""
    code = abs(code) % 10
    try:
        decode(msgpack.packb({"value": msgpack.ExtType(code, data)}))
    except ValueError:
        return


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
    check_content(Custom(a=1))
    assert decode(encode(Custom(a=Custom(b=1)))) == {"a": {"b": 1}}


def test_the_refusal_is_what_1x_raised() -> None:
    """CH-05, GR-04: ``TypeError`` from a channel, ``ValueError`` from a group, for the same mistake."""
    assert issubclass(InvalidContent, (TypeError,))
    assert issubclass(InvalidContent, (ValueError,))
    assert issubclass(InvalidContent, RoutechanError)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"user": {"tags": {"a"}}},
            r"^message\['user'\]\['tags'\] is a set \(\{'a'\}\), which cannot travel; "
            r"expected str, bytes, int \(64 bits\), float, bool, None, datetime, date, time, timedelta, Decimal, UUID, "
            r"or lists, tuples and dicts of these$",
        ),
        ({"a": {"b": [1, {"c": {1, 2}}]}}, r"message\['a'\]\['b'\]\[1\]\['c'\] is a set"),
        ({"a": ({"b": object()},)}, r"message\['a'\]\[0\]\['b'\] is a object"),
        ({"n": 1j}, r"message\['n'\] is a complex"),
        ({"colour": Colour.RED}, r"message\['colour'\] is a Colour"),
        ({"id": 2**64}, r"message\['id'\] is 18446744073709551616; an int must fit into 64 bits. Send it as text"),
        ({"id": Number(2**64)}, r"message\['id'\] is 18446744073709551616; an int must fit into 64 bits"),
        ({"id": 10**5000}, r"message\['id'\] is <int object at .*>; an int must fit into 64 bits"),
        ({"ids": [0, -(2**63) - 1]}, r"message\['ids'\]\[1\] is -9223372036854775809"),
        ({1: "a"}, r"message has the key 1; keys are str, not int"),
        ({"a": [{b"text": 1}]}, r"message\['a'\]\[0\] has the key b'text'; keys are str, not bytes"),
        ({None: 1}, r"message has the key None; keys are str, not NoneType"),
        ({"a": {1: 1}}, r"message\['a'\] has the key 1; keys are str, not int"),
        ({"a": {(1, 2): 1}}, r"message\['a'\] has the key \(1, 2\); keys are str, not tuple"),
        ({"text": "\ud800"}, r"message\['text'\] is a str \('\\ud800'\), .* surrogates not allowed"),
        ({"\ud800": 1}, r"the key of message\['\\ud800'\] is a str .* surrogates not allowed"),
        ({"a": [msgpack.ExtType(2, b"no date")]}, r"message\['a'\]\[0\] is an ExtType .*Send its data"),
        ({"a": memoryview(b"abcd")[::2]}, r"message\['a'\] is a memoryview"),
        ({"text": SimpleLazyObject(lambda: "text")}, r"message\['text'\] is a SimpleLazyObject"),
        ({"text": gettext_lazy("yes")}, r"message\['text'\] is a lazy string"),
        (
            {"errors": [lazystr("yes")]},
            r"message\['errors'\]\[0\] is a lazy string \('yes'\), which is translated only where it is read; "
            r"send str\(...\) of it, in the language its reader should get",
        ),
    ],
)
def test_the_refusal_names_the_place(content: Any, text: str) -> None:
    """R12: what it is, where it is, and what would do."""
    with pytest.raises(InvalidContent, match=text):
        encode(content)


class Unprintable:
    def __repr__(self) -> str:
        raise OSError("no database")


def test_the_refusal_of_what_has_no_repr() -> None:
    """R12: what is wrong with the message is said, not what is wrong with a repr (a QuerySet's on the event loop)."""
    with pytest.raises(InvalidContent, match=r"message\['users'\] is a Unprintable \(<.*Unprintable object"):
        encode({"users": Unprintable()})


@pytest.mark.parametrize(
    "value",
    [
        (),
        (1, (2, [3, ()])),
        [(), [()]],
        datetime.datetime(2017, 9, 15, 12, 30, 1, 7),
        datetime.datetime(1, 1, 1),
        datetime.datetime(2017, 10, 29, 2, 30, fold=1),
        datetime.datetime(2017, 9, 15, tzinfo=datetime.timezone.utc),
        datetime.datetime(2017, 9, 15, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))),
        datetime.date(2017, 9, 15),
        datetime.time(12, 30),
        datetime.time(2, 30, fold=1),
        datetime.timedelta.min,
        datetime.timedelta.max,
        datetime.timedelta(microseconds=-1),
        decimal.Decimal("1.10"),
        decimal.Decimal("-0"),
        decimal.Decimal("1E+999999"),
        decimal.Decimal("Infinity"),
        decimal.Decimal("NaN"),
        uuid.UUID("c0ffee00-0000-4000-8000-000000000000"),
        float("inf"),
        float("nan"),
        2**64 - 1,
        -(2**63),
        msgpack.Timestamp(5, 7),
    ],
    ids=repr,
)
def test_what_arrives_as_it_was(value: Any) -> None:
    """R12: alone, in a list, in a tuple and in a dict, with its type."""
    content = {"value": value, "list": [value], "tuple": (value,), "dict": {"a": {"value": value}}}
    assert exactly(decode(encode(content))) == exactly(content)


class Word(TextChoices):
    YES = "yes"


class Size(IntegerChoices):
    LARGE = 3


class Binary(bytes):
    pass


class Buffer(bytearray):
    pass


class Rate(float):
    pass


class Moment(datetime.datetime):
    def isoformat(self, *args: Any) -> str:
        return "another text"


class Price(decimal.Decimal):
    def __str__(self) -> str:
        return "another text"


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (Point(1, 2), (1, 2)),
        (bytearray(b"a"), b"a"),
        pytest.param(memoryview(b"a"), b"a", id="memoryview"),
        (Binary(b"a"), b"a"),
        (Buffer(b"a"), b"a"),
        (Rate(1.5), 1.5),
        (Level.HIGH, 3),
        (Size.LARGE, 3),
        (Word.YES, "yes"),
        (Text("a"), "a"),
        (mark_safe("<b>"), "<b>"),
        (collections.OrderedDict(a=Text("b")), {"a": "b"}),
        (collections.Counter("aa"), {"a": 2}),
        (MultiValueDict({"a": ["1", "2"]}), {"a": "2"}),
        ({Word.YES: 1, mark_safe("<b>"): 2}, {"yes": 1, "<b>": 2}),
        (Moment(2017, 9, 15), datetime.datetime(2017, 9, 15)),
        (Day(2017, 9, 15), datetime.date(2017, 9, 15)),
        (Price("1.10"), decimal.Decimal("1.10")),
        (
            datetime.datetime(2017, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Amsterdam")),
            datetime.datetime(2017, 7, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        ),
    ],
    ids=repr,
)
def test_what_arrives_as_something_simpler(sent: Any, received: Any) -> None:
    """section 1.4: a subclass as what it is made of, a time zone as its offset."""
    assert exactly(decode(encode({"value": sent, "list": [sent]}))) == exactly({"value": received, "list": [received]})


def test_an_extension_type_of_a_newer_version() -> None:
    """R12: said so, instead of a value that nobody expects."""
    data = msgpack.packb({"value": msgpack.ExtType(99, b"")})
    with pytest.raises(ValueError, match="extension type 99, which this version of routechan does not know"):
        decode(data)


def test_the_wire_format() -> None:
    """Processes of different versions talk to each other while a new one is deployed: these bytes stay readable."""
    values = {
        "tuple": (1, "a"),
        "datetime": datetime.datetime(2017, 9, 15, 12, 30, 1, 7, datetime.timezone.utc),
        "fold": datetime.datetime(2017, 10, 29, 2, 30, fold=1),
        "date": datetime.date(2017, 9, 15),
        "time": datetime.time(12, 30),
        "timedelta": datetime.timedelta(days=-1, microseconds=1),
        "decimal": decimal.Decimal("1.10"),
        "uuid": uuid.UUID("c0ffee00-0000-4000-8000-000000000000"),
    }
    wire = {
        "tuple": [msgpack.ExtType(1, b""), 1, "a"],
        "datetime": msgpack.ExtType(2, b"2017-09-15T12:30:01.000007+00:00"),
        "fold": msgpack.ExtType(2, b"2017-10-29T02:30:00~"),
        "date": msgpack.ExtType(3, b"2017-09-15"),
        "time": msgpack.ExtType(4, b"12:30:00"),
        "timedelta": msgpack.ExtType(5, b"-86399999999"),
        "decimal": msgpack.ExtType(6, b"1.10"),
        "uuid": msgpack.ExtType(7, bytes.fromhex("c0ffee00000040008000000000000000")),
    }
    assert encode(values) == msgpack.packb(wire)
    assert exactly(decode(msgpack.packb(wire))) == exactly(values)


@pytest.mark.parametrize("value", [[], "text", 5, None])
def test_bytes_that_hold_no_dict(value: Any) -> None:
    """section 1.4: whoever reads can rely on a dict."""
    with pytest.raises(ValueError, match=f"a message is a dict, not {type(value).__name__}"):
        decode(msgpack.packb(value))


def test_bytes_that_look_like_a_tuple() -> None:
    """What marks a tuple on the wire is found in data too; then nothing changes."""
    content = {"data": msgpack.packb(msgpack.ExtType(1, b"")), "list": [1, [2], []]}
    assert exactly(decode(encode(content))) == exactly(content)


def test_a_message_sent_while_another_is_encoded() -> None:
    """R13: from inside a dict's own ``items``, as a finalizer could: neither ends up in the other."""
    inner = []

    class Sends(dict[str, Any]):
        def items(self) -> Any:
            inner.append(encode({"inner": (1, "b" * 100)}))
            return super().items()

    outer = encode({"before": "a" * 100, "dict": Sends(c=1), "after": (2,)})
    assert decode(outer) == {"before": "a" * 100, "dict": {"c": 1}, "after": (2,)}
    assert [decode(data) for data in inner] == [{"inner": (1, "b" * 100)}] * len(inner) != []


def test_a_refused_message_leaves_nothing_in_the_next() -> None:
    """R12: what was packed before the refusal is gone."""
    with pytest.raises(InvalidContent):
        encode({"text": "a", "set": set()})
    assert decode(encode({"b": 1})) == {"b": 1}


def test_a_large_message_leaves_no_memory_behind() -> None:
    """Packers are used again, and keep what they grew to."""
    tracemalloc.start()
    try:
        encode({"bytes": b"\x00" * 8_000_000})
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_encoding_on_many_threads() -> None:
    """R10: each gets its own bytes."""
    wrong: list[Any] = []

    def work(number: int) -> None:
        content = {"number": number, "pairs": [(number, Point(number, str(number)))] * 20, "text": str(number) * number}
        expected = {**content, "pairs": [(number, (number, str(number)))] * 20}
        wrong.extend(data for data in (decode(encode(content)) for _ in range(300)) if data != expected)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_each_decode_makes_a_new_dict() -> None:
    """R13."""
    data = encode({"list": []})
    decode(data)["list"].append(1)
    assert decode(data) == {"list": []}


class Items(list[Any]):
    pass


@pytest.mark.parametrize(
    "wrap", [lambda inner: {"a": inner}, lambda inner: [inner], lambda inner: (inner,), lambda inner: Items([inner])]
)
@pytest.mark.parametrize("depth", [300, 600, 900, 1200, 5000])
def test_content_that_is_too_deep(depth: int, wrap: Any) -> None:
    """R12: readable or refused, at any depth; no ``RecursionError`` on either side."""
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    if depth < MAX_DEPTH:
        assert decode(encode({"value": value})) == {"value": value}
        return
    with pytest.raises(InvalidContent, match=r"more than 400 levels deep, or holds itself: message"):
        encode({"value": value})


def test_content_of_the_greatest_depth() -> None:
    """section 1.4: nested freely, up to ``MAX_DEPTH`` levels; one more is refused."""
    value: Any = []
    for _ in range(MAX_DEPTH - 1):
        value = (value,)
    assert decode(encode({"value": value})) == {"value": value}
    with pytest.raises(InvalidContent, match="more than 400 levels deep"):
        encode({"value": [value]})


@pytest.mark.parametrize("times", [1, 2])
def test_content_that_holds_itself(times: int) -> None:
    """R12: also where it does so more than once, at once."""
    content: dict[str, Any] = {"list": []}
    content["list"] += [content] * times
    with pytest.raises(InvalidContent, match="or holds itself: message"):
        encode(content)


def test_content_sent_from_deep_inside_the_stack() -> None:
    """R12: where there is no room left to look at it, it is refused like any other."""
    content: dict[str, Any] = {}
    for _ in range(300):
        content = {"a": content}

    def deeper(levels: int) -> bytes:
        return deeper(levels - 1) if levels else encode(content)

    used = len(inspect.stack(0))
    with pytest.raises(InvalidContent, match=r"this message cannot travel: maximum recursion depth exceeded"):
        deeper(sys.getrecursionlimit() - used - 150)
