"""What is sent, noted for a tool that shows it to a developer; nothing is noted while nobody asks."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from ..encoding import Content

#: When a message leaves.
AT_ONCE, AFTER_CONSUMER, AFTER_COMMIT = "at once", "when the consumer ends", "on commit"

#: How many sends are noted; of the others only the number is known.
MOST_NOTES = 1000

#: The modules that deliver what a consumer has sent, which was noted then.
DELIVERIES = ("routechan.outbox", "routechan.testing.recording")

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200
_short.maxdict = _short.maxlist = 20


class Note(NamedTuple):
    """One send.

    Args:
        name: The channel or group.
        alias: The alias of its layer; empty if that has none.
        is_group: Whether it is a group.
        content: The content as text, shortened.
        when: ``AT_ONCE``, ``AFTER_CONSUMER`` or ``AFTER_COMMIT``.
        delay: Seconds after that.
        place: The line of code that sent it, if that is known.
    """

    name: str
    alias: str
    is_group: bool
    content: str
    when: str
    delay: float
    place: str


class Notes:
    """The sends of one context. Lifetime: that of the ``with`` block of ``noting``."""

    def __init__(self) -> None:
        self.kept: list[Note] = []
        #: How many there were.
        self.count = 0

    def add(self, note: Note) -> None:
        """Keep ``note``, unless there are too many."""
        self.count += 1
        if len(self.kept) < MOST_NOTES:
            self.kept.append(note)


#: Where what this context sends is noted.
_current: ContextVar[Notes | None] = ContextVar("notes", default=None)

#: How many blocks of ``noting`` there are, which is all that a send looks at. Lifetime: process.
blocks = 0


def here() -> Notes | None:
    """Where what this context sends is noted; None for nowhere."""
    return _current.get()


@contextmanager
def noting() -> Iterator[Notes]:
    """A ``with`` block in which sends are noted, also those of threads and tasks that have its context variables."""
    global blocks
    notes = Notes()
    token = _current.set(notes)
    blocks += 1
    try:
        yield notes
    finally:
        blocks -= 1
        _current.reset(token)


def shortened(content: Content) -> str:
    """The ``content`` as text that fits a table."""
    return _short.repr(content)
