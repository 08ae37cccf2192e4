"""The regular expressions of routes: filters and prefixes of content values."""

from __future__ import annotations

import re
from typing import Any

from .exceptions import RoutingError
from .names import as_text

Patterns = dict[str, "re.Pattern[str]"]


def compile_pattern(key: str, value: Any, owner: object) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            return value
        value = value.pattern
    try:
        value = as_text(value)
    except UnicodeDecodeError as error:
        raise RoutingError(f"the filter {key}={value!r} of {owner} is not ASCII; write it as str: {error}") from error
    if not isinstance(value, str):
        raise RoutingError(f"the filter {key}={value!r:.100} of {owner} is no regular expression; write {key}=r'^...$'")
    try:
        return re.compile(value)
    except re.error as error:
        raise RoutingError(f"the filter {key}={value!r} of {owner} is no valid regular expression: {error}") from error


def named_groups_only(pattern: re.Pattern[str], key: str, owner: object) -> re.Pattern[str]:
    if pattern.groups != len(pattern.groupindex):
        raise RoutingError(
            f"the filter {key}={pattern.pattern!r} of {owner} has a group without a name; a group becomes a keyword "
            "argument of the consumer, so write (?P<name>...), or (?:...) where it is only for grouping"
        )
    return pattern


def match_pattern(pattern: re.Pattern[str], value: Any) -> re.Match[str] | None:
    """As ``re.match``. What is no text cannot match: clients choose such values, and 1.x died of them (OB-04)."""
    if isinstance(value, bytes):
        try:
            value = value.decode("ascii")
        except UnicodeDecodeError:
            return None
    return pattern.match(value) if isinstance(value, str) else None
