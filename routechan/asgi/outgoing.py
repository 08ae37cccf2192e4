"""What waits for one slow client, in order; of several messages about one subject, the last."""

from __future__ import annotations

from collections import deque

from .translation import Event

#: Places of messages that were replaced, and are kept at least until they are cleared away.
SPARE = 16


class _Place:
    """The place of a message with a subject. Lifetime: until it has come to the front of the queue."""

    __slots__ = ("event", "is_first", "subject")

    def __init__(self, subject: str, event: Event, is_first: bool) -> None:
        self.subject = subject
        self.event: Event | None = event  # None once another has replaced it
        self.is_first = is_first  # the message replaced none itself


class Outgoing:
    """The queue of one connection. Lifetime: while its client does not take what is sent. Not thread-safe.

    A message with a subject replaces the one that waits with the same subject, and goes to the end: so a client gets
    what it gets in the order it was sent. A subject that changes all the time would never come to the front like that.
    So the place of the first one is kept: when the front has come to it, the message that has replaced it is replaced
    no more, and the next one goes behind it.
    """

    __slots__ = ("_empty", "_items", "_last")

    def __init__(self) -> None:
        self._items: deque[Event | _Place] = deque()
        self._last: dict[str, _Place] = {}  # by subject, of those that may be replaced
        self._empty = 0  # places of messages that were replaced

    def __len__(self) -> int:
        return len(self._items) - self._empty

    def append(self, event: Event) -> None:
        """Add ``event`` at the end."""
        self._items.append(event)

    def append_last(self, subject: str, event: Event, *, replaces: bool) -> None:
        """Add ``event`` at the end, to be replaced by the next one with its ``subject``.

        Args:
            subject: What it is about.
            event: The message.
            replaces: Whether ``withdraw`` has taken one out for it.
        """
        place = self._last[subject] = _Place(subject, event, not replaces)
        self._items.append(place)

    def withdraw(self, subject: str) -> Event | None:
        """The message that waits with ``subject``, which this takes out; None where none may be replaced."""
        place = self._last.get(subject)
        if place is None:
            return None
        event, place.event = place.event, None
        self._empty += 1
        if self._empty > 2 * len(self) + SPARE:
            self._clear_away()
        return event

    def popleft(self) -> Event:
        """The event at the front, which this takes out; there has to be one."""
        while True:
            item = self._items.popleft()
            if type(item) is not _Place:
                return item  # type: ignore[return-value]
            if item.event is not None:
                if self._last.get(item.subject) is item:
                    del self._last[item.subject]
                return item.event
            self._empty -= 1
            if item.is_first:
                self._last.pop(item.subject, None)

    def _clear_away(self) -> None:
        """Forget the places of messages that were replaced, but for the first of each subject."""
        self._items = deque(
            item for item in self._items if type(item) is not _Place or item.event is not None or item.is_first
        )
        self._empty = sum(type(item) is _Place and item.event is None for item in self._items)
