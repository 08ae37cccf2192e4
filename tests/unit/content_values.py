"""Values that messages may hold, and a way to compare them with their types."""

from __future__ import annotations

import datetime
import decimal
import enum
from typing import Any, NamedTuple

from django.db.models import IntegerChoices, TextChoices


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


class Custom(dict[str, Any]): ...


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another text"


class Number(int): ...


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


class Unprintable:
    def __repr__(self) -> str:
        raise OSError("no database")


class Word(TextChoices):
    YES = "yes"


class Size(IntegerChoices):
    LARGE = 3


class Binary(bytes): ...


class Buffer(bytearray): ...


class Rate(float): ...


class Moment(datetime.datetime):
    def isoformat(self, *args: Any) -> str:
        return "another text"


class Price(decimal.Decimal):
    def __str__(self) -> str:
        return "another text"


class Items(list[Any]): ...
