"""Whatever a message holds, it travels as it is or is refused; whatever bytes arrive, a dict or ``ValueError``."""

from __future__ import annotations

import collections
import contextlib
import datetime
import zoneinfo
from typing import Any

import msgpack
import pytest
from django.utils.functional import SimpleLazyObject, lazystr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routechan.encoding import decode, encode
from routechan.exceptions import InvalidContent

from .content_values import Colour, Custom, Day, Level, Number, Point, Text, exactly

# ``too_slow`` measures wall-clock time, so it fails on a busy machine. It is off, and the strategies are cheap instead:
# short texts, a few named time zones instead of ``st.timezones()``, and a bound on the leaves of a message.
FUZZ = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
text = st.text(st.characters(codec="utf-8"), max_size=10)
# Whole seconds: ``fromisoformat`` drops an offset of less than one, which no time zone has.
offsets = st.integers(-86_399, 86_399).map(lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds)))
ZONES = [
    zoneinfo.ZoneInfo(name) for name in ("Europe/Amsterdam", "America/St_Johns", "Asia/Kathmandu", "Africa/Monrovia")
]
zones = st.none() | offsets | st.sampled_from(ZONES)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | text
    | st.binary(max_size=20)
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
    max_leaves=12,
)


@FUZZ
@given(st.dictionaries(text, values, max_size=3))
def test_what_is_allowed_comes_back(content: dict[str, Any]) -> None:
    """items 13, 14, 15, 136: equal, and of the same types at any depth."""
    assert exactly(decode(encode(content))) == exactly(content)


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
    | text.map(Text)
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
    max_leaves=12,
)


@FUZZ
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


foreign = st.builds(msgpack.ExtType, st.integers(0, 9), st.binary(max_size=20))


@pytest.mark.parametrize(
    "given_bytes",
    [st.binary(), foreign.map(lambda value: msgpack.packb({"value": value}))],
    ids=["any", "our extension types"],
)
@FUZZ
@given(data=st.data())
def test_foreign_bytes(given_bytes: Any, data: st.DataObject) -> None:
    """``ValueError``, or a dict; nothing else happens."""
    with contextlib.suppress(ValueError):
        assert type(decode(data.draw(given_bytes))) is dict
