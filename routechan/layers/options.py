"""Options that all layers have, and arguments of their methods, checked."""

from __future__ import annotations

import fnmatch
import functools
import re
import sys
from collections.abc import Mapping

from .. import exceptions, names

#: Globs or compiled patterns -> messages a queue holds.
Capacities = Mapping["str | re.Pattern[str]", int]


#: Groups that a channel of a process may be a member of, by default: some hundred KiB for each socket.
MAX_GROUPS = 1000


#: Bytes of the unread messages of a queue, by default, as far as large ones are concerned.
CHANNEL_BYTES = 64 * 1024 * 1024

#: Bytes of a message from which on it is large. Smaller ones are bounded by their number alone, which costs nothing.
LARGE = 64 * 1024


def with_defaults(given: Capacities | None, defaults: Mapping[str, int]) -> Capacities | None:
    """The capacities ``given``, and behind them ``defaults`` for other patterns."""
    if given is not None and not isinstance(given, Mapping):
        return given  # which is refused
    given = given or {}
    return {**given, **{pattern: most for pattern, most in defaults.items() if pattern not in given}}


class CapacityRules:
    """How much a queue may hold unread, and how many groups one channel may be in. Lifetime: layer.

    The first pattern that matches counts: a shell glob must match the whole name, a compiled expression its start. The
    full channel name is tried before the part up to ``!`` (R4), because older layers matched one or the other.

    Args:
        capacity: messages per queue.
        channel_capacity: other capacities, by pattern.
        max_groups: groups that a channel of a process may be a member of; None for any number.
        channel_bytes: bytes per queue, above which it takes no large message; None for any number.

    Raises:
        InvalidChannelLayerError: a number is none from 1 on, or a pattern is none.
    """

    def __init__(
        self,
        capacity: int,
        channel_capacity: Capacities | None,
        max_groups: int | None = MAX_GROUPS,
        channel_bytes: int | None = CHANNEL_BYTES,
    ) -> None:
        _check_number("capacity", capacity, "messages")
        if channel_capacity is not None and not isinstance(channel_capacity, Mapping):
            raise exceptions.InvalidChannelLayerError(
                f"channel_capacity is a dict of patterns and capacities, such as {{'http.*': 200}}, not "
                f"{channel_capacity!r}"
            )
        for pattern, limit in (channel_capacity or {}).items():
            if not isinstance(pattern, (str, re.Pattern)):
                raise exceptions.InvalidChannelLayerError(
                    f"channel_capacity has the key {pattern!r}; a pattern is a glob or a compiled expression"
                )
            _check_number(f"channel_capacity[{pattern!r}]", limit, "messages")
        if max_groups is not None:
            _check_number("max_groups", max_groups, "groups", ", or None")
        if channel_bytes is not None:
            _check_number("channel_bytes", channel_bytes, "bytes", ", or None")
        self.capacity = capacity
        self.max_groups = max_groups
        self.channel_bytes = sys.maxsize if channel_bytes is None else channel_bytes
        #: Bytes of a message above which it has to be asked how many wait.
        self.large = sys.maxsize if channel_bytes is None else LARGE
        self._patterns: list[tuple[re.Pattern[str], int]] = [
            (re.compile(fnmatch.translate(pattern)) if isinstance(pattern, str) else pattern, limit)
            for pattern, limit in (channel_capacity or {}).items()
        ]
        #: The capacity of the queue that a channel lies in.
        self.of = functools.lru_cache(maxsize=4096)(self._of)

    def _of(self, channel: str) -> int:
        if self._patterns:
            for name in (channel, names.queue_name(channel)):
                for pattern, limit in self._patterns:
                    if pattern.match(name):
                        return limit
        return self.capacity


def check_seconds(or_zero: bool = False, **options: object) -> None:
    """Raise ``InvalidChannelLayerError`` for the first of ``options`` that is no number of seconds above 0.

    Args:
        or_zero: whether 0 is one.
        **options: the values by name.
    """
    for name, value in options.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not (0 < value < float("inf") or (or_zero and value == 0)):  # type: ignore[operator]
            expected = "0 or above, such as 0.5" if or_zero else "above 0, such as 60"
            raise exceptions.InvalidChannelLayerError(f"{name} is a number of seconds {expected}, not {value!r}")


def _check_number(where: str, number: object, of: str, otherwise: str = "") -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise exceptions.InvalidChannelLayerError(f"{where} is a number of {of} from 1 on{otherwise}, not {number!r}")


def share_of(prefetch: int, channels: int) -> int:
    """How many of ``prefetch`` slots the messages of one of so many ``channels`` may hold.

    One is left for the others, unless there are so few that a channel would lose too much by that.
    """
    return prefetch - 1 if prefetch > 2 and channels > 1 else prefetch


#: The default delay, which needs no check.
NOW = 0.0

#: Seconds that a message may be delayed at most.
LONGEST_DELAY = 366 * 86400

#: Seconds until a delayed message is tried again where the channel was full.
FULL_DELAY = 1.0


def check_delay(delay: object) -> float:
    """Return ``delay`` if it is a number of seconds, else raise ``ValueError``."""
    if delay is NOW:
        return NOW
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay < float("inf"):
        raise ValueError(f"delay is a number of seconds of at least 0, such as 2.5, not {delay!r}")
    if delay > LONGEST_DELAY:
        raise ValueError(f"delay is at most {LONGEST_DELAY} seconds, not {delay!r}")
    return delay
