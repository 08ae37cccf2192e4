"""Content to bytes and back.

What could not be read back is refused when it is sent, with its path inside the content: a reader
never meets a message it cannot decode (R12). Allowed are str, bytes, bool, None, float, int of
signed 64 bits, lists and dicts with str keys; tuples arrive as lists (``layers-and-protocol`` 1.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from .exceptions import InvalidContent

Content = dict[str, Any]

#: How deep lists and dicts may lie within each other; msgpack reads 511 levels back.
MAX_DEPTH = 400

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_LEAVES = frozenset({str, bytes, bool, float, type(None), bytearray, memoryview})
_EXPECTED = "str, bytes, int (64 bits), float, bool, None, or lists and dicts of these"


def check_content(content: object) -> None:
    """Raise ``InvalidContent`` unless ``content`` is a dict; what it holds is not looked at."""
    if not isinstance(content, dict):
        raise InvalidContent(
            f"a message is a dict such as {{'text': 'hello'}}, not {type(content).__name__}: {content!r:.100}"
        )


def encode(content: Mapping[str, Any]) -> bytes:
    """``content`` as msgpack; raises ``InvalidContent`` naming the first thing that cannot travel."""
    check_content(content)
    _check_value(content, "message")
    try:
        data: bytes = msgpack.packb(content)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidContent(f"this message cannot travel: {error}") from error
    return data


def decode(data: bytes) -> Content:
    """A new dict for each reader."""
    content: Content = msgpack.unpackb(data)
    return content


def _check_value(value: Any, path: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise InvalidContent(f"the message is more than {MAX_DEPTH} levels deep, or holds itself: {path:.100}...")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidContent(f"{path} has the key {key!r}; keys are str, not {type(key).__name__}")
            if type(item) not in _LEAVES:
                _check_value(item, f"{path}[{key!r}]", depth + 1)
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise InvalidContent(f"{path} is {value}; an int must fit into 64 bits. Send it as text.")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if type(item) not in _LEAVES:
                _check_value(item, f"{path}[{index}]", depth + 1)
    elif not isinstance(value, (str, bytes, float)):
        raise InvalidContent(
            f"{path} is a {type(value).__name__} ({value!r:.80}), which cannot travel; expected {_EXPECTED}"
        )
