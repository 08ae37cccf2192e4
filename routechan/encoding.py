"""Content to bytes and back.

What could not be read back is refused when it is sent, with its path inside the content: a reader
never meets a message it cannot decode (R12, ``layers-and-protocol`` 1.4). What travels:

- str, bytes, bool, None, float, int of 64 bits, ``msgpack.Timestamp``;
- datetime, date, time, timedelta, Decimal, UUID. A time zone travels as its offset from UTC;
- lists, tuples and dicts of these, the keys of a dict being str.

A subclass arrives as what it is made of (a namedtuple as a tuple, an ``IntEnum`` as an int), a
bytearray or memoryview as bytes.

The wire format is msgpack with the extension types below; a number once given keeps its meaning.

===  =========  ======================================================================
  1  tuple      empty; the first item of a list that is a tuple
  2  datetime   ISO 8601, ``~`` at the end for ``fold=1``
  3  date       ISO 8601
  4  time       as datetime
  5  timedelta  microseconds, in decimal digits
  6  Decimal    its ``str``
  7  UUID       its 16 bytes
===  =========  ======================================================================
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from .exceptions import InvalidContent

Content = dict[str, Any]

#: How deep lists and dicts may lie within each other.
MAX_DEPTH = 400

_TUPLE, _DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID = range(1, 8)
_TUPLE_MARK = msgpack.ExtType(_TUPLE, b"")
_TUPLE_MARK_BYTE: int = msgpack.packb(_TUPLE_MARK)[0]
_MICROSECOND = datetime.timedelta(microseconds=1)
#: A packer keeps the memory of its largest message; one that grew beyond this is not used again.
_KEPT_SIZE = 64 * 1024

#: What nothing can lie in, and what needs no look after it was packed.
_LEAVES = frozenset(
    {str, bytes, bool, int, float, type(None), bytearray, memoryview, msgpack.Timestamp}
    | {datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID}
)
#: How msgpack refuses: other types, text with surrogates, what is too deep or too large, strided memory.
_REFUSALS = (TypeError, ValueError, OverflowError, BufferError)
_EXPECTED = (
    "str, bytes, int (64 bits), float, bool, None, datetime, date, time, timedelta, Decimal, UUID, "
    "or lists, tuples and dicts of these"
)


def check_content(content: object) -> None:
    """Raise ``InvalidContent`` unless ``content`` is a dict; what it holds is not looked at."""
    if not isinstance(content, dict):
        raise InvalidContent(
            f"a message is a dict such as {{'text': 'hello'}}, not {type(content).__name__}: {_shown(content)}"
        )


def encode(content: Mapping[str, Any]) -> bytes:
    """``content`` as msgpack; raises ``InvalidContent`` naming the first thing that cannot travel."""
    check_content(content)
    try:
        data = _pack(content)
        if _is_readable(content):
            return data
        reason = "it changed while it was sent"
    except (*_REFUSALS, RecursionError) as error:
        reason = str(error)
    with contextlib.suppress(RecursionError):  # the reason then says as much
        _refuse(content, "message", 0)
    raise InvalidContent(f"this message cannot travel: {reason}")


def decode(data: bytes) -> Content:
    """A new dict for each reader; raises ``ValueError`` for bytes that are no message."""
    # Looking whether there can be a tuple at all costs less than a call for every list.
    list_hook = _list_or_tuple if _TUPLE_MARK_BYTE in data else None
    try:
        content: Content = msgpack.unpackb(data, ext_hook=_from_extension, list_hook=list_hook)
    except ArithmeticError as error:  # of Decimal and timedelta
        raise ValueError(str(error)) from error
    if type(content) is not dict:
        raise ValueError(f"a message is a dict, not {type(content).__name__}")
    return content


# Packing

#: Packers nobody is using. A packer serves one call at a time, and while it packs, another thread or a
#: finalizer may send too: each call takes one out. One that raised is dropped, with what it had packed.
_packers: list[msgpack.Packer] = []


def _pack(value: object) -> bytes:
    try:
        packer = _packers.pop()
    except IndexError:
        # Strict, because a lenient packer makes lists of tuples; subclasses then come to ``_simpler``.
        packer = msgpack.Packer(default=_simpler, strict_types=True)
    data: bytes = packer.pack(value)
    if len(data) <= _KEPT_SIZE:
        _packers.append(packer)
    return data


def _simpler(value: Any) -> Any:
    """Called for what msgpack does not have: the same in its own types."""
    for base in type(value).__mro__:
        simplify = _SIMPLIFY.get(base)
        if simplify is not None:
            return simplify(value)
    raise TypeError(f"a {type(value).__name__} cannot travel")


def _iso_format(value: datetime.datetime | datetime.time, text: str) -> bytes:
    return (text + "~" if value.fold else text).encode()


# Methods are called on the base class: a subclass (pandas, pendulum, freezegun) may answer otherwise.
_SIMPLIFY: dict[type, Callable[[Any], object]] = {
    tuple: lambda value: [_TUPLE_MARK, *value],
    datetime.datetime: lambda value: msgpack.ExtType(_DATETIME, _iso_format(value, datetime.datetime.isoformat(value))),
    datetime.date: lambda value: msgpack.ExtType(_DATE, datetime.date.isoformat(value).encode()),
    datetime.time: lambda value: msgpack.ExtType(_TIME, _iso_format(value, datetime.time.isoformat(value))),
    datetime.timedelta: lambda value: msgpack.ExtType(
        _TIMEDELTA, b"%d" % datetime.timedelta.__floordiv__(value, _MICROSECOND)
    ),
    decimal.Decimal: lambda value: msgpack.ExtType(_DECIMAL, decimal.Decimal.__str__(value).encode()),
    uuid.UUID: lambda value: msgpack.ExtType(_UUID, value.bytes),
    # Subclasses of what msgpack has.
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytes(memoryview(value)),
    list: lambda value: list(value),
    dict: lambda value: dict(value.items()),
}


def _is_readable(value: Any, depth: int = 0) -> bool:
    """Whether what msgpack has packed can be read: keys are text, not too deep, no extension types but ours."""
    kind = type(value)
    if issubclass(kind, dict):
        for key, item in value.items():
            if type(key) is not str and not issubclass(type(key), str):
                return False
            if type(item) not in _LEAVES and not _is_readable(item, depth + 1):
                return False
        return depth <= MAX_DEPTH
    if kind is msgpack.ExtType:
        return False
    if issubclass(kind, (list, tuple)):
        for item in value:
            if type(item) not in _LEAVES and not _is_readable(item, depth + 1):
                return False
        return depth <= MAX_DEPTH
    return True


# Unpacking

_IS_TUPLE = object()


def _list_or_tuple(items: list[Any]) -> list[Any] | tuple[Any, ...]:
    return tuple(items[1:]) if items and items[0] is _IS_TUPLE else items


def _from_iso(kind: Any, data: bytes) -> Any:
    text = data.decode()
    return kind.fromisoformat(text[:-1]).replace(fold=1) if text.endswith("~") else kind.fromisoformat(text)


_RESTORE: dict[int, Callable[[bytes], object]] = {
    _TUPLE: lambda data: _IS_TUPLE,
    _DATETIME: lambda data: _from_iso(datetime.datetime, data),
    _DATE: lambda data: datetime.date.fromisoformat(data.decode()),
    _TIME: lambda data: _from_iso(datetime.time, data),
    _TIMEDELTA: lambda data: datetime.timedelta(microseconds=int(data)),
    _DECIMAL: lambda data: decimal.Decimal(data.decode()),
    _UUID: lambda data: uuid.UUID(bytes=data),
}


def _from_extension(code: int, data: bytes) -> object:
    restore = _RESTORE.get(code)
    if restore is None:
        raise ValueError(
            f"it holds a value of the extension type {code}, which this version of routechan does not know; "
            "was it sent by a newer one?"
        )
    return restore(data)


# Refusing: slower, with the path


def _refuse(value: Any, path: str, depth: int) -> None:
    """Raise ``InvalidContent`` for the first thing in ``value`` that cannot travel."""
    kind = type(value)
    if issubclass(kind, (dict, list, tuple)) and depth > MAX_DEPTH:
        raise InvalidContent(f"the message is more than {MAX_DEPTH} levels deep, or holds itself: {path:.100}...")
    if issubclass(kind, dict):
        for key, item in value.items():
            if not issubclass(type(key), str):
                raise InvalidContent(f"{path} has the key {_shown(key)}; keys are str, not {type(key).__name__}")
            inner = f"{path}[{_shown(key)}]"
            _refuse_leaf(key, f"the key of {inner}")
            _refuse(item, inner, depth + 1)
    elif issubclass(kind, (list, tuple)) and kind is not msgpack.ExtType:
        for index, item in enumerate(value):
            _refuse(item, f"{path}[{index}]", depth + 1)
    else:
        _refuse_leaf(value, path)


def _refuse_leaf(value: Any, path: str) -> None:
    kind = type(value)
    try:
        _pack(value)
    except _REFUSALS as error:
        if issubclass(kind, int):
            text = f"{path} is {_shown(value)}; an int must fit into 64 bits. Send it as text."
        elif not _LEAVES.isdisjoint(kind.__mro__):
            text = f"{path} is a {kind.__name__} ({_shown(value)}), which cannot travel: {error}"
        elif any(base.__module__ == "django.utils.functional" and base.__name__ == "Promise" for base in kind.__mro__):
            text = (
                f"{path} is a lazy string ({_shown(value)}), which is translated only where it is read; "
                "send str(...) of it, in the language its reader should get"
            )
        else:
            text = f"{path} is a {kind.__name__} ({_shown(value)}), which cannot travel; expected {_EXPECTED}"
        raise InvalidContent(text) from None
    if kind is msgpack.ExtType:
        raise InvalidContent(
            f"{path} is an ExtType ({_shown(value)}), which cannot travel: its codes are ours. Send its data."
        )


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # the repr is the user's code (a QuerySet's asks the database); what is wrong is said without it
        return object.__repr__(value)
