"""What a process that holds sockets hears of their groups with a history, beside the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..encoding import Content
from .history import Position


class Follower(Protocol):
    """Hears where channels of an attached queue are in the histories of their groups. Lifetime: the queue's.

    It is called in any thread, must not wait, and hears of one group in the order of its history.
    """

    def placed(
        self, channels: Sequence[str], content: Content, group: str, position: Position, latest: str | None
    ) -> None:
        """Take the ``content`` of a message of ``group``, at ``position`` in its history, for ``channels``.

        Of several with the subject ``latest`` a client that is slow is sent the last.
        """

    def caught_up(self, group: str, channel: str, messages: Sequence[tuple[Content, Position, str | None]]) -> None:
        """Take ``messages`` that ``channel`` is given of what was sent to ``group`` before.

        Each has its position and its subject, as in ``placed``.
        """

    def joining(self, group: str, channel: str) -> None:
        """Another process has made ``channel`` a member of ``group``; ``joined`` or ``left`` follows."""

    def joined(self, group: str, channel: str, position: Position, recovered: bool | None) -> None:
        """The member ``channel`` of ``group`` has got what it is given of what was before, up to ``position``.

        ``recovered`` is whether that was all that came after the position it gave; None if it gave none. False comes
        before what it is given.
        """

    def left(self, group: str, channel: str) -> None:
        """The ``channel`` is no member of ``group``, or not any more."""

    def missing(self, group: str, channels: Sequence[str]) -> None:
        """The ``channels``, members of ``group``, miss messages that nobody can give them any more."""
