"""The history of a group: its last messages, each at a position.

A position is text, such as ``"1764547200123-0"``: milliseconds since 1970, and a number among those of the same
millisecond. Later messages have higher ones.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..encoding import Content, Serializer
from ..exceptions import InvalidChannelLayerError, NoHistory

#: A position as numbers, which compare as positions do.
Position = tuple[int, int]

_position = re.compile(r"(\d{1,19})-(\d{1,19})").fullmatch

_EXAMPLE = '{"chat-*": {"size": 100, "seconds": 300}}'


class Kept(NamedTuple):
    """How much of its history a group keeps.

    Args:
        size: how many messages, the newest.
        seconds: for how long.
    """

    size: int
    seconds: float


class HistoryRules:
    """Which groups keep a history, and how much of it. Lifetime: layer.

    The first pattern that matches the whole name of a group counts.

    Args:
        history: ``Kept`` as a dict, by glob or compiled pattern; None where no group keeps one.

    Raises:
        InvalidChannelLayerError: it is something else.
    """

    def __init__(self, history: Mapping[str | re.Pattern[str], Mapping[str, Any]] | None) -> None:
        if history is not None and not isinstance(history, Mapping):
            raise InvalidChannelLayerError(f"history is a dict such as {_EXAMPLE}, not {history!r:.100}")
        self._patterns = [(_compiled(pattern), _kept(pattern, kept)) for pattern, kept in (history or {}).items()]
        #: What the group of this name keeps; None for one without a history.
        self.of = functools.lru_cache(maxsize=16_384)(self._of)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def need(self, group: str) -> Kept:
        """What ``group`` keeps; ``NoHistory`` if nothing."""
        kept = self.of(group)
        if kept is None:
            raise NoHistory(group)
        return kept

    @property
    def shortest(self) -> float:
        """The seconds of the group that keeps its history for the shortest time."""
        return min(kept.seconds for _, kept in self._patterns)

    @property
    def longest(self) -> float:
        """The seconds of the group that keeps its history for the longest time; 0 where no group keeps one."""
        return max((kept.seconds for _, kept in self._patterns), default=0.0)

    def _of(self, group: str) -> Kept | None:
        return next((kept for pattern, kept in self._patterns if pattern.fullmatch(group)), None)


def _compiled(pattern: object) -> re.Pattern[str]:
    if isinstance(pattern, str):
        return re.compile(fnmatch.translate(pattern))
    if isinstance(pattern, re.Pattern):
        return pattern
    raise InvalidChannelLayerError(f"history has the key {pattern!r}; a pattern is a glob or a compiled expression")


def _kept(pattern: object, given: object) -> Kept:
    if not isinstance(given, Mapping) or set(given) != {"size", "seconds"}:
        raise InvalidChannelLayerError(f"history[{pattern!r}] is a dict with size and seconds, not {given!r:.100}")
    size, seconds = given["size"], given["seconds"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidChannelLayerError(
            f"history[{pattern!r}]['size'] is a number of messages from 1 on, not {size!r:.100}"
        )
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds < float("inf"):
        raise InvalidChannelLayerError(f"history[{pattern!r}]['seconds'] is a number from 1 on, not {seconds!r:.100}")
    return Kept(size, float(seconds))


class Entry(NamedTuple):
    """A message in the history of a group.

    Args:
        position: where it stands.
        content: the content, a dict of the reader's own.
    """

    position: str
    content: Content


class History(list[Entry]):
    """What ``Group.history`` returns: the newest messages of a group, the oldest of them first.

    Args:
        entries: the messages.
        position: where the history ends, to ask for what comes after it; None where that is not known.
        complete: whether everything is there that was asked for. False where messages after the position that was
            given are no longer kept, are more than were asked for, or if the position is unknown.
    """

    def __init__(self, entries: Iterable[Entry], position: str | None, complete: bool) -> None:
        super().__init__(entries)
        self.position = position
        self.complete = complete


def made_history(
    messages: Sequence[tuple[str, bytes]],
    serializer: Serializer,
    limit: int | None,
    position: str | None,
    complete: bool,
) -> History:
    """The ``History`` of ``messages``, each a position and encoded content.

    Args:
        messages: the oldest first.
        serializer: bytes to content.
        limit: how many it has at most, the newest.
        position: where the history ends.
        complete: whether that is all that was asked for.
    """
    shown = messages if limit is None else messages[len(messages) - min(limit, len(messages)) :]
    return History([Entry(each, serializer.decode(body)) for each, body in shown], position, complete)


def parse_position(text: object) -> Position | None:
    """The position ``text`` as numbers; None for what is none, which a client may have made up."""
    match = _position(text) if isinstance(text, str) else None
    return None if match is None else (int(match[1]), int(match[2]))


def position_text(position: Position) -> str:
    """The ``position`` as text."""
    return f"{position[0]}-{position[1]}"


def check_number(name: str, value: object) -> None:
    """Raise ``ValueError`` if ``value``, an argument of this ``name``, is no number of messages, and not None."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(f"{name} is a number of messages from 0 on, such as 20, not {value!r}")
