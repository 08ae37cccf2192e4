"""Sends that wait for their consumer to end.

``dispatch`` opens an outbox around each consumer, ``Channel.send`` and ``Group.send`` fill it, and when the
consumer has ended its entries are delivered in order (PM-04). The current outbox is a context variable:
what a consumer calls sees it, other threads and connections do not. Once flushed it is closed, so a
task that outlives its consumer sends at once.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any, Protocol

from .encoding import Content
from .observe.failures import about


class Sender(Protocol):
    """A ``Channel`` or a ``Group``."""

    def post(self, content: Content) -> Awaitable[None] | None: ...

    def send(self, content: Content, immediately: bool = False) -> None: ...


class Outbox:
    """What one consumer has sent so far. Lifetime: message."""

    __slots__ = ("closed", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[Sender, Content]] = []
        self.closed = False

    def add(self, sender: Sender, content: Content) -> None:
        """Keep ``content`` by reference: changing it later changes what is delivered (CH-07)."""
        self.entries.append((sender, content))

    def take(self) -> list[tuple[Sender, Content]]:
        """What is to be delivered now; the outbox goes on empty."""
        entries = self.entries
        self.entries = []
        return entries

    def about(self) -> dict[str, Any]:
        """What log records of its failures carry."""
        return about()


#: The outbox of the running consumer, None outside of one.
current: ContextVar[Outbox | None] = ContextVar("routechan_outbox", default=None)


def open_outbox() -> Outbox | None:
    """The outbox that takes sends here, or None where sends are immediate."""
    outbox = current.get()
    return None if outbox is None or outbox.closed else outbox
