"""Message content as bytes (msgpack), and back.

Content that could not be decoded is refused when it is sent, with the path to the offending value, so that a reader
never meets a message it cannot decode (R12, ``layers-and-protocol`` 1.4). Supported types:

- str, bytes, bool, None, float, int of 64 bits, ``msgpack.Timestamp``;
- datetime, date, time, timedelta, Decimal, UUID. A time zone travels as its offset from UTC;
- lists, tuples and dicts of these; the keys of a dict are str.

An instance of a subclass arrives as its base type (a namedtuple as a tuple, an ``IntEnum`` as an int), a bytearray or
memoryview as bytes.

The wire format is msgpack with these extension types, whose numbers never change their meaning:

===  =========  ======================================================================
  1  tuple      empty; marks the list whose first item it is as a tuple
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

from .exceptions import InvalidChannelLayerError, InvalidContent, MessageTooLarge, RoutechanError
from .inspection import with_article

Content = dict[str, Any]

if not hasattr(msgpack, "Timestamp"):  # pip lets that package write over the files of msgpack
    raise ImportError(
        f"the module msgpack is of version {'.'.join(map(str, msgpack.version))}, and 1.0.5 or later is needed. "
        "msgpack-python, as the package was called, replaces its files: take it out of the project's requirements, "
        "then: pip uninstall msgpack-python; pip install --force-reinstall msgpack"
    )

#: Bytes of encoded content; layers have to take 1 MB (``layers-and-protocol`` 1.5).
MAX_SIZE = 10 * 1024 * 1024

#: The deepest nesting of lists and dicts.
MAX_DEPTH = 400

_TUPLE, _DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID = range(1, 8)
_TUPLE_MARK = msgpack.ExtType(_TUPLE, b"")
_TUPLE_MARK_BYTE: int = msgpack.packb(_TUPLE_MARK)[0]
_MICROSECOND = datetime.timedelta(microseconds=1)
#: A packer keeps its buffer, as large as its largest message. One that has grown beyond this many bytes is dropped.
_KEPT_SIZE = 64 * 1024

#: Types that contain no other values, and need no check beyond packing.
_LEAVES = frozenset(
    {str, bytes, bool, int, float, type(None), bytearray, memoryview, msgpack.Timestamp}
    | {datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID}
)
#: What msgpack raises for unknown types, text with surrogates, deep nesting, large ints and strided memory.
_REFUSALS = (TypeError, ValueError, OverflowError, BufferError)
_EXPECTED = (
    "str, bytes, int (64 bits), float, bool, None, datetime, date, time, timedelta, Decimal, UUID, "
    "or lists, tuples and dicts of these"
)


def check_content(content: object) -> None:
    """Raise ``InvalidContent`` unless ``content`` is a dict; its values are not checked."""
    if not isinstance(content, dict):
        raise InvalidContent(
            f"a message is a dict such as {{'text': 'hello'}}, not {type(content).__name__}: {_shown(content)}"
        )


def encode(content: Mapping[str, Any]) -> bytes:
    """The bytes of a message.

    Args:
        content: The message, of the types listed above.

    Raises:
        InvalidContent: It holds something else; the text names the path to the first such value.
    """
    check_content(content)
    try:
        data = _pack(content)
        if _is_readable(content):
            return data
        reason = "it changed while it was sent"
    except (*_REFUSALS, RecursionError) as error:
        reason = str(error)
    with contextlib.suppress(RecursionError):  # then ``reason`` has to do, which says the same without a path
        _refuse(content, "message", 0)
    raise InvalidContent(f"this message cannot travel: {reason}")


def decode(data: bytes) -> Content:
    """The message that ``encode`` was given, as a new dict.

    Args:
        data: What ``encode`` returned, possibly in another version of this library.

    Raises:
        ValueError: The bytes are not a message, or hold an extension type that this version does not know.
    """
    # Searching the bytes for the tuple mark is cheaper than calling a hook for every list.
    list_hook = _list_or_tuple if _TUPLE_MARK_BYTE in data else None
    try:
        content: Content = msgpack.unpackb(data, ext_hook=_from_extension, list_hook=list_hook)
    except ArithmeticError as error:  # of Decimal and timedelta
        raise ValueError(str(error)) from error
    if type(content) is not dict:
        raise ValueError(f"a message is a dict, not {type(content).__name__}")
    return content


# Packing

#: Idle packers. A packer serves one call at a time, and another thread or a finalizer may send while it packs, so each
#: call takes one out of the list. A packer that raised still holds a partial message and is not put back.
_packers: list[msgpack.Packer] = []


def _pack(value: object) -> bytes:
    try:
        packer = _packers.pop()
    except IndexError:
        # Strict types, because otherwise tuples are packed as lists. It sends subclasses to ``_simpler`` too.
        packer = msgpack.Packer(default=_simpler, strict_types=True)
    data: bytes = packer.pack(value)
    if len(data) <= _KEPT_SIZE:
        _packers.append(packer)
    return data


def _simpler(value: Any) -> Any:
    """The value in types that msgpack can pack; called for those that it cannot."""
    for base in type(value).__mro__:
        simplify = _SIMPLIFY.get(base)
        if simplify is not None:
            return simplify(value)
    raise TypeError(f"{with_article(type(value).__name__)} cannot travel")


def _iso_format(value: datetime.datetime | datetime.time, text: str) -> bytes:
    return (text + "~" if value.fold else text).encode()


# Methods are called on the base class, because subclasses (of pandas, pendulum, freezegun) override them.
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
    # For subclasses of the types that msgpack has.
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytes(memoryview(value)),
    list: lambda value: list(value),
    dict: lambda value: dict(value.items()),
}


def _is_readable(value: Any, depth: int = 0) -> bool:
    """Whether a packed value can be decoded: str keys, not too deep, and no extension types but our own."""
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


# Finding out what to refuse: a slower second pass that knows the path


def _refuse(value: Any, path: str, depth: int) -> None:
    """Raise ``InvalidContent`` for the first unsupported value in ``value``, which is at ``path``."""
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
            text = f"{path} is {with_article(kind.__name__)} ({_shown(value)}), which cannot travel: {error}"
        elif any(base.__module__ == "django.utils.functional" and base.__name__ == "Promise" for base in kind.__mro__):
            text = (
                f"{path} is a lazy string ({_shown(value)}), which is translated only where it is read; "
                "send str(...) of it, in the language its reader should get"
            )
        else:
            what = f"{with_article(kind.__name__)} ({_shown(value)})"
            text = f"{path} is {what}, which cannot travel; expected {_EXPECTED}"
        raise InvalidContent(text) from None
    if kind is msgpack.ExtType:
        raise InvalidContent(
            f"{path} is an ExtType ({_shown(value)}), which cannot travel: its codes are ours. Send its data."
        )


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # a repr is user code and may fail (a QuerySet's queries the database)
        return object.__repr__(value)


def encode_headers(headers: Mapping[str, Any] | None) -> bytes:
    """The ``headers`` of a message as they travel; empty where there are none.

    Raises ``InvalidContent``.
    """
    return encode(dict(headers)) if headers else b""


def decode_headers(data: bytes) -> dict[str, Any]:
    """The headers in ``data``, a new dict.

    Raises ``ValueError`` for bytes that are no headers.
    """
    return decode(data) if data else {}


class Undecodable(RoutechanError, ValueError):
    """What arrived cannot be read; the text says whether keys, versions or damage are the likely cause."""


class Serializer:
    """Content to bytes and back. Lifetime: layer.

    Args:
        max_size: bytes of encoded content that the layer carries at most.

    Raises:
        InvalidChannelLayerError: ``max_size`` is no number from 1 on.
    """

    def __init__(self, max_size: int = MAX_SIZE) -> None:
        if not isinstance(max_size, int) or isinstance(max_size, bool) or max_size < 1:
            raise InvalidChannelLayerError(f"max_size is a number of bytes such as {MAX_SIZE}, not {max_size!r}")
        self._max_size = max_size

    def encode(self, content: Content) -> bytes:
        """The bytes of ``content``.

        Raises:
            InvalidContent: it holds what cannot travel.
            MessageTooLarge: it has more than ``max_size`` bytes.
        """
        data = encode(content)
        if len(data) > self._max_size:
            raise MessageTooLarge(
                f"the message is {len(data)} bytes when encoded, and this layer carries {self._max_size}; "
                "send it in pieces, or store it and send where it is. The option max_size of the layer sets the limit"
            )
        return data

    def decode(self, data: bytes) -> Content:
        """The content in ``data``, a new dict each time; raises ``Undecodable`` and nothing else."""
        try:
            return decode(data)
        except ValueError as error:
            raise Undecodable(
                f"a message of {len(data)} bytes cannot be read: {error}. It was damaged on its way, or sent "
                "by something else or by another version of routechan"
            ) from error


class LazyContent:
    """Content that is encoded, or decoded, when it is first needed, and once. Lifetime: one send, or one arrival.

    So a group message to a thousand sockets of one process is encoded and decoded once.

    Args:
        serializer: content to bytes and back.
        content: the content, where it is sent.
        data: its bytes, where it arrived.
    """

    __slots__ = ("_content", "_data", "_serializer")

    def __init__(self, serializer: Serializer, *, content: Content | None = None, data: bytes | None = None) -> None:
        self._serializer = serializer
        self._content = content
        self._data = data

    @property
    def content(self) -> Content:
        """The content, for receivers that only read it; raises ``Undecodable``."""
        if self._content is None:
            self._content = self._serializer.decode(self._data or b"")
        return self._content

    @property
    def data(self) -> bytes:
        """The bytes; raises ``InvalidContent`` and ``MessageTooLarge``."""
        if self._data is None:
            self._data = self._serializer.encode(self._content or {})
        return self._data
