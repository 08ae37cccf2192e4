"""Which of a routing's channels a worker takes."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection


def filter_channels(
    channels: Collection[str], only: Collection[str] | None, exclude: Collection[str] | None
) -> Collection[str]:
    """The names that the globs ``only`` keep and the globs ``exclude`` leave, in their order (WK-02)."""
    if only:
        channels = [name for name in channels if _matches_any(name, only)]
    if exclude:
        channels = [name for name in channels if not _matches_any(name, exclude)]
    return channels


def _matches_any(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
