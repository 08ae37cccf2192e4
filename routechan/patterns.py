"""Regular expressions of routes, and how they are matched with values of the content."""

from __future__ import annotations

import re
from typing import Any

from .exceptions import RoutingError
from .names import as_text

Pattern = re.Pattern[Any]

#: What a message holds as bytes that need not be text. A pattern of bytes for these is matched with the bytes.
BINARY = ("body", "bytes")


def compile_pattern(key: str, value: Any, owner: object) -> Pattern:
    """The pattern ``value`` for a key of the content: of bytes if given so for one of ``BINARY``, else of text.

    Args:
        key: The key.
        value: A regular expression as str or bytes, or a compiled one.
        owner: The route, for errors.

    Raises:
        RoutingError: for what is no regular expression, and for bytes outside ASCII.
    """
    flags = 0
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            return value
        value, flags = value.pattern, value.flags & ~re.LOCALE
    try:
        value = value if key in BINARY else as_text(value)
    except UnicodeDecodeError as error:
        raise RoutingError(f"the filter {key}={value!r} of {owner} is not ASCII; write it as str: {error}") from error
    if not isinstance(value, (str, bytes)):
        raise RoutingError(f"the filter {key}={value!r:.100} of {owner} is no regular expression; write {key}=r'^...$'")
    try:
        return re.compile(value, flags)
    except re.error as error:
        raise RoutingError(f"the filter {key}={value!r} of {owner} is no valid regular expression: {error}") from error


def compile_filter(key: str, value: Any, owner: object) -> Pattern:
    """``compile_pattern``, with the same ``key``, ``value`` and ``owner``, for a filter: its groups all need names.

    Raises:
        RoutingError: for a group without a name too.
    """
    pattern = compile_pattern(key, value, owner)
    if pattern.groups != len(pattern.groupindex):
        raise RoutingError(
            f"the filter {key}={pattern.pattern!r} of {owner} has a group without a name; a group becomes a keyword "
            "argument of the consumer, so write (?P<name>...), or (?:...) where it is only for grouping"
        )
    return pattern


def match_pattern(pattern: Pattern, value: Any, key: str) -> re.Match[Any] | None:
    """The match at the start of ``value``.

    A value that is no text matches nothing: in 1.x it ended workers (OB-04).

    Args:
        pattern: The pattern.
        value: Anything: clients choose it.
        key: Its key. For a pattern of text a ``body`` is read as UTF-8, anything else as ASCII.
    """
    if isinstance(pattern.pattern, bytes):
        if isinstance(value, str):  # what an ``include`` with a pattern of text has left of it
            value = value.encode(errors="replace")
        return pattern.match(value) if isinstance(value, bytes) else None
    if isinstance(value, bytes):
        if key != "body" and not value.isascii():
            return None
        value = value.decode(errors="replace")
    return pattern.match(value) if isinstance(value, str) else None


def groups_of(found: re.Match[Any]) -> dict[str, Any]:
    """The named groups of a match, as text (RT-10).

    Args:
        found: The match.
    """
    groups = found.groupdict()
    if isinstance(found.string, bytes):
        return {name: value if value is None else value.decode(errors="replace") for name, value in groups.items()}
    return groups
