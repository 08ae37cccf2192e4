"""Content travels as it is, or not at all (``layers-and-protocol`` 1.4, R12)."""

from __future__ import annotations

import collections
import datetime
import decimal
import inspect
import os
import subprocess
import sys
import threading
import tracemalloc
import types
import uuid
import zoneinfo
from pathlib import Path
from typing import Any

import msgpack
import pytest
from django.utils.datastructures import MultiValueDict
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from routechan.encoding import MAX_DEPTH, check_content, decode, encode
from routechan.exceptions import InvalidContent, RoutechanError

from .content_values import (
    Binary,
    Buffer,
    Colour,
    Custom,
    Day,
    Items,
    Level,
    Moment,
    Number,
    Point,
    Price,
    Rate,
    Size,
    Text,
    Unprintable,
    Word,
    exactly,
)


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
    assert {TypeError, ValueError, RoutechanError} < set(InvalidContent.__mro__)


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
        ({"a": ({"b": object()},)}, r"message\['a'\]\[0\]\['b'\] is an object"),
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
        ({"users": Unprintable()}, r"message\['users'\] is a Unprintable \(<.*Unprintable object"),
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
    """R12: the text has the value, its path and what is allowed, also if its repr fails (as a QuerySet's may)."""
    with pytest.raises(InvalidContent, match=text):
        encode(content)


#: What arrives as it was sent.
SAME = [
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
]

#: What is sent, and what arrives for it.
SIMPLER = [
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
]


@pytest.mark.parametrize(("sent", "received"), [*((value, value) for value in SAME), *SIMPLER], ids=repr)
def test_what_arrives(sent: Any, received: Any) -> None:
    """R12, section 1.4: with its type, wherever it is; a subclass as its base type, a time zone as its offset."""

    def content(value: Any) -> dict[str, Any]:
        return {"value": value, "list": [value], "tuple": (value,), "dict": {"a": {"value": value}}}

    assert exactly(decode(encode(content(sent)))) == exactly(content(received))


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ((1, "a"), [msgpack.ExtType(1, b""), 1, "a"]),
        (
            datetime.datetime(2017, 9, 15, 12, 30, 1, 7, datetime.timezone.utc),
            msgpack.ExtType(2, b"2017-09-15T12:30:01.000007+00:00"),
        ),
        (datetime.datetime(2017, 10, 29, 2, 30, fold=1), msgpack.ExtType(2, b"2017-10-29T02:30:00~")),
        (datetime.date(2017, 9, 15), msgpack.ExtType(3, b"2017-09-15")),
        (datetime.time(12, 30), msgpack.ExtType(4, b"12:30:00")),
        (datetime.timedelta(days=-1, microseconds=1), msgpack.ExtType(5, b"-86399999999")),
        (decimal.Decimal("1.10"), msgpack.ExtType(6, b"1.10")),
        (
            uuid.UUID("c0ffee00-0000-4000-8000-000000000000"),
            msgpack.ExtType(7, b"\xc0\xff\xee\x00\x00\x00\x40\x00\x80" + bytes(7)),
        ),
    ],
    ids=repr,
)
def test_the_wire_format(value: Any, wire: Any) -> None:
    """Processes of different versions talk to each other while a new one is deployed: these bytes stay readable."""
    assert encode({"value": value}) == msgpack.packb({"value": wire})
    assert exactly(decode(msgpack.packb({"value": wire}))) == exactly({"value": value})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "a message is a dict, not list"),
        ("text", "a message is a dict, not str"),
        (5, "a message is a dict, not int"),
        (None, "a message is a dict, not NoneType"),
        (
            {"value": msgpack.ExtType(99, b"")},
            "extension type 99, which this version of routechan does not know; was it sent by a newer one",
        ),
    ],
)
def test_bytes_that_are_no_message(value: Any, text: str) -> None:
    """section 1.4, R12: whoever reads can rely on a dict, of values that this version knows."""
    with pytest.raises(ValueError, match=text):
        decode(msgpack.packb(value))


def test_bytes_that_look_like_a_tuple() -> None:
    """Data that contains the tuple mark of the wire format arrives unchanged."""
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
    """A packer that has grown large is not kept."""
    tracemalloc.start()
    try:
        encode({"bytes": b"\x00" * 8_000_000})
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_encoding_on_many_threads() -> None:
    """R10: concurrent calls do not mix their bytes."""
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
    """R13: a reader that changes its dict changes no other reader's."""
    data = encode({"list": []})
    decode(data)["list"].append(1)
    assert decode(data) == {"list": []}


@pytest.mark.parametrize(
    "wrap", [lambda inner: {"a": inner}, lambda inner: [inner], lambda inner: (inner,), lambda inner: Items([inner])]
)
@pytest.mark.parametrize("depth", [300, MAX_DEPTH, MAX_DEPTH + 1, 600, 900, 1200, 5000])
def test_content_that_is_too_deep(depth: int, wrap: Any) -> None:
    """R12, 1.4: readable up to ``MAX_DEPTH`` levels, refused beyond; no ``RecursionError`` on either side."""
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    if depth <= MAX_DEPTH:
        assert decode(encode({"value": value})) == {"value": value}
        return
    with pytest.raises(InvalidContent, match=r"more than 400 levels deep, or holds itself: message"):
        encode({"value": value})


@pytest.mark.parametrize("times", [1, 2])
def test_content_that_holds_itself(times: int) -> None:
    """R12: also where it does so more than once, at once."""
    content: dict[str, Any] = {"list": []}
    content["list"] += [content] * times
    with pytest.raises(InvalidContent, match="or holds itself: message"):
        encode(content)


def test_content_sent_from_deep_inside_the_stack() -> None:
    """R12: content sent near the recursion limit is refused with ``InvalidContent`` too."""
    content: dict[str, Any] = {}
    for _ in range(300):
        content = {"a": content}

    def deeper(levels: int) -> bytes:
        return deeper(levels - 1) if levels else encode(content)

    used = len(inspect.stack(0))
    with pytest.raises(InvalidContent, match=r"this message cannot travel: maximum recursion depth exceeded"):
        deeper(sys.getrecursionlimit() - used - 150)


def test_msgpack_python(tmp_path: Path) -> None:
    """The package msgpack-python, which replaces the files of msgpack, is named with what to do."""
    (tmp_path / "msgpack").mkdir()
    (tmp_path / "msgpack" / "__init__.py").write_text("version = (0, 4, 8)")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", "import routechan"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert "ImportError: the module msgpack is of version 0.4.8, and 1.0.5 or later is needed" in done.stderr
    assert "pip uninstall msgpack-python; pip install --force-reinstall msgpack" in done.stderr
