"""What a server that relays events and the workers that run them tell each other.

An event travels as the message it always was, marked with where its outcome is to be told, and as which number. All
else are notes to channels of a process, which no user code reads. Those to a server go to a channel among its sockets'
reply channels: a note stays behind the replies to sockets that were sent before it, and leaves and arrives with them.

==================  ============  ==========================================================================
note                from, to      meaning
==================  ============  ==========================================================================
``settled``         to the server the event of this number is over: its replies are on their way
``running``         to the server these numbers are being run; said again and again while they are
``closed``          to a worker   this connection is over: end what streams to it
==================  ============  ==========================================================================
"""

from __future__ import annotations

from typing import NamedTuple

from . import names
from .encoding import Content

#: The key that marks an event. It is taken out before a consumer sees the message.
MARK = "__relayed__"

#: Seconds between two notes about what is being run.
SAID_EVERY = 0.25


class Mark(NamedTuple):
    """``notes`` is the channel of the server that takes notes, ``number`` counts its events.

    ``until`` is when the server gives the event up, on the layer's clock: run later, it would overtake the next one.
    """

    notes: str
    number: int
    until: float


def marked(content: Content, mark: tuple[str, int, float]) -> Content:
    """``content`` as it travels; ``mark`` is a ``Mark``, or a plain tuple of the same, of which a server makes many."""
    return {**content, MARK: list(mark)}


def mark_of(content: Content) -> Mark | None:
    """None for a message that no server waits for."""
    found = content.get(MARK) if isinstance(content, dict) else None
    if (
        isinstance(found, list)
        and len(found) == 3
        and isinstance(found[0], str)
        and isinstance(found[1], int)
        and isinstance(found[2], float)
    ):
        return Mark(*found)
    return None


def take_mark(content: Content) -> Mark | None:
    """Unmark ``content``, so that no consumer sees it."""
    mark = mark_of(content)
    if mark is not None:
        del content[MARK]
    return mark


def notes_channel(process: str) -> str:
    """A channel of ``process`` for notes to it."""
    return f"specific.{names.random_part(6)}.{process}!"


def settled_note(number: int, streams_at: str | None) -> Content:
    """``streams_at``: who runs a stream for the connection, to be told when it is over."""
    note: Content = {"settled": number}
    if streams_at is not None:
        note["streams"] = streams_at
    return note


def running_note(numbers: list[int]) -> Content:
    return {"running": numbers}


def closed_note(connection: str) -> Content:
    return {"closed": connection}
