"""Which channels are members of which groups, as far as one process keeps that."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from .. import names


class Memberships:
    """Memberships with their ends. Lifetime: that of the store whose lock is held around each call."""

    def __init__(self) -> None:
        #: group -> queue name -> channel -> end, in order of the ends. By queue name, because one ``deliver`` serves
        #: all members of a queue.
        self.groups: dict[str, dict[str, dict[str, float]]] = {}
        self._of: dict[str, set[str]] = {}  # channel -> its groups

    def __contains__(self, channel: str) -> bool:
        return channel in self._of

    def __len__(self) -> int:
        return len(self._of)

    def add(self, group: str, channel: str, end: float) -> bool:
        """Make ``channel`` a member of ``group`` until ``end``, or renew that.

        Returns:
            Whether it is the first of its queue there.
        """
        members = self.groups.setdefault(group, {}).setdefault(names.queue_name(channel), {})
        first = not members
        members.pop(channel, None)  # re-inserted, so that members stay in order of their end
        members[channel] = end
        self._of.setdefault(channel, set()).add(group)
        return first

    def discard(self, group: str, channel: str) -> bool:
        """End the membership of ``channel`` in ``group``, if there is one.

        Returns:
            Whether it was the last of its queue there.
        """
        groups = self._of.get(channel)
        if groups is None or group not in groups:
            return False
        groups.remove(group)
        if not groups:
            del self._of[channel]
        queue_name = names.queue_name(channel)
        members = self.groups[group][queue_name]
        del members[channel]
        if members:
            return False
        del self.groups[group][queue_name]
        if not self.groups[group]:
            del self.groups[group]
        return True

    def of(self, channel: str) -> tuple[str, ...]:
        """The groups that ``channel`` is a member of."""
        return tuple(self._of.get(channel, ()))

    def count(self, channel: str) -> int:
        """How many groups ``channel`` is a member of."""
        return len(self._of.get(channel, ()))

    def end_queue(self, queue_name: str) -> list[tuple[str, str]]:
        """End those of the channels in ``queue_name``.

        Returns:
            Each as ``(group, channel)``.
        """
        ended = [(group, channel) for group, queues in self.groups.items() for channel in queues.get(queue_name, ())]
        for group, channel in ended:
            self.discard(group, channel)
        return ended

    def sizes(self, most: int) -> dict[str, int]:
        """How many members each group has, of the first ``most`` groups."""
        groups = itertools.islice(self.groups.items(), most)
        return {group: sum(map(len, queues.values())) for group, queues in groups}

    def channels(self) -> Iterable[str]:
        """All channels that are members of anything."""
        return self._of.keys()

    def clear(self) -> None:
        """End all memberships."""
        self.groups.clear()
        self._of.clear()


def channels_of(members: Mapping[str, list[str]]) -> Iterable[str]:
    """The channels in ``members``, which are by queue name."""
    for channels in members.values():
        yield from channels


def leave_out(channel: str, queues: dict[str, list[str]]) -> None:
    """Take ``channel`` out of ``queues``, members by queue name, if it is one."""
    queue_name = names.queue_name(channel)
    left = [member for member in queues.pop(queue_name, ()) if member != channel]
    if left:
        queues[queue_name] = left
