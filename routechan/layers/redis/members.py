"""Who of this process joins and leaves groups, and who else it adds to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import names
from ...encoding import Content
from ..history import History, check_number
from ..memberships import channels_of
from ..store import Store
from .arrivals import Mailbox
from .commands.groups import Groups
from .commands.history import Histories
from .commands.script import Operation, Script, operation, together
from .driver import Driver
from .giving import Giving
from .people import People
from .tails import Tails


class Members:
    """Makes operations on memberships, and keeps the store as they say. Lifetime: layer, in one process. Thread-safe.

    Args:
        store: the members of this process.
        driver: performs what nobody waits for.
        mailbox: is told of those who leave.
        groups: makes operations on groups.
        histories: makes operations on histories.
        tails: reads histories for members here.
        giving: opens what is read.
        people: knows who reads the channels of this process.
        serve: has a queue of this process read.
    """

    def __init__(
        self,
        store: Store,
        driver: Driver,
        mailbox: Mailbox,
        groups: Groups,
        histories: Histories,
        tails: Tails,
        giving: Giving,
        people: People,
        serve: Callable[[str], object],
    ) -> None:
        self._store = store
        self._driver = driver
        self._mailbox = mailbox
        self._groups = groups
        self._histories = histories
        self._tails = tails
        self._giving = giving
        self._people = people
        self._serve = serve

    def _keeps(self, group: str) -> bool:
        return bool(self._histories.rules) and self._histories.rules.of(group) is not None

    def add(self, group: str, channel: str) -> Operation[Any]:
        """The operation that makes ``channel`` a member of ``group`` in Redis; here it is one at once if it is ours."""
        queue = names.queue_name(channel)
        if not self._store.is_own(queue):
            if self._keeps(group):
                return self._histories.add_elsewhere(group, channel)
            return self._groups.add(group, channel)
        self._serve(queue)
        if self._keeps(group):
            return self._tails.catch_up(group, channel, 0, None)
        if self._store.add(group, channel):
            return self._groups.add_own(group, channel)
        return self._groups.add_another(group, channel)

    def catch_up(self, group: str, channel: str, last: int, since: str | None) -> Operation[bool | None]:
        """The operation that has ``channel`` join ``group`` with ``last`` and ``since``: see ``BaseChannelLayer``."""
        self._histories.rules.need(group)
        queue = names.queue_name(channel)
        if not self._store.is_own(queue):
            return self._histories.add_elsewhere(group, channel, last, since)
        self._serve(queue)
        return self._tails.catch_up(group, channel, last, since)

    def discard(self, group: str, channel: str) -> Operation[None]:
        """The operation that ends the membership of ``channel`` in ``group`` in Redis; here it ends at once."""
        if not self._store.is_own(names.queue_name(channel)):
            return self._discard_elsewhere(group, channel)
        self._mailbox.left(channel)
        self._tails.leave(group, channel)
        self._people.left(group, channel)
        return self._discarded(group, channel, self._store.discard(group, channel))

    @operation(reads_first=True, changes_membership=True)
    def _discard_elsewhere(self, group: str, channel: str) -> Script[None]:
        discard = self._groups.discard(group, channel, self._keeps(group)).script()
        yield from together([discard, self._people.presence.discard(group, channel)])

    def _discarded(self, group: str, channel: str, last: bool) -> Operation[None]:
        if last:
            return self._groups.discard_queue([group], names.queue_name(channel))
        return self._groups.discard_own(group, channel)

    def forget(self, channel: str) -> None:
        """End the memberships of ``channel``, which is gone."""
        self._mailbox.left(channel)
        self._tails.forget(channel)
        self._people.forget(channel)
        for group, last in self._store.forget(channel):
            self._driver.start(self._discarded(group, channel, last))

    def history(self, group: str, limit: int | None, since: str | None) -> Operation[History]:
        """The operation that reads the history of ``group``, with ``limit`` and ``since`` as for ``Group.history``."""
        check_number("limit", limit)
        self._histories.rules.need(group)
        return self._giving.history(group, limit, since)

    def introduce(self, group: str, channel: str, who: Content) -> Operation[None]:
        """The operation that says that ``who`` reads ``channel``, a member of ``group``."""
        return self._people.introduce(group, channel, who)

    def present(self, group: str) -> Operation[list[Content]]:
        """The operation that reads who is present in ``group``."""
        return self._people.presence.present(group)

    @operation(reads_first=True)
    def channels(self, group: str) -> Script[list[str]]:
        """All members of ``group``, those of this process first."""
        others = yield from self._groups.channels(group).script()
        return [*channels_of(self._store.members(group)), *others]

    @operation(reads_first=True)
    def count(self, group: str) -> Script[int]:
        """How many members ``group`` has."""
        others = yield from self._groups.count(group).script()
        return sum(map(len, self._store.members(group).values())) + others
