"""What a binding tells of a change, once that has been committed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from routechan.channel import Group
from routechan.encoding import Content
from routechan.exceptions import ChannelLayerUnavailable
from routechan.telemetry.counters import counters

from ..commits import after_commit

logger = logging.getLogger("routechan")


class Announcement:
    """One message to groups about a change in a database, sent once. Lifetime: transaction.

    Args:
        what: The binding and the action, for the log.
        message: The message.
        group_names: The groups.
    """

    def __init__(self, what: str, message: Content, group_names: Iterable[str]) -> None:
        self._what = what
        self._message = message
        self._group_names = list(group_names)

    def send(self) -> None:
        """Send the message to each group; where the layer cannot be reached, they miss it, and the log says so."""
        while self._group_names:
            self._send_to(self._group_names.pop(0))

    def __call__(self) -> None:
        """Send behind the commit: what fails is logged, for the row is stored and other callbacks have to run."""
        while self._group_names:
            group = self._group_names.pop(0)
            try:
                self._send_to(group)
            except Exception:
                counters.lost += 1
                logger.exception("%s: the change is committed, and the message to group %r is lost", self._what, group)

    def _send_to(self, group: str) -> None:
        try:
            Group(group).send(self._message, on_commit=False)
        except ChannelLayerUnavailable as error:  # the row is stored; a save must not fail because nobody is told
            missing, self._group_names = [group, *self._group_names], []
            counters.lost += len(missing)
            logger.error(
                "%s: the row is stored, and %s not told: %s",
                self._what,
                f"the group {group} is" if len(missing) == 1 else f"the groups {', '.join(missing)} are",
                error,
            )


def send_after_commit(announcement: Announcement, using: str | None) -> None:
    """Send ``announcement`` when the current transaction commits; at once where there is none.

    It is dropped with the transaction, or with the savepoint, that is rolled back.

    Args:
        announcement: The message.
        using: The alias of the database; None for the default one.
    """
    if not after_commit(announcement, using):
        announcement.send()
