"""What waits for slow clients, in bytes: of one, and of all clients of a server."""

from __future__ import annotations

import sys
from typing import Protocol

from .translation import Event


class Waiter(Protocol):
    """The outgoing side of a connection, for which events of ``waiting_bytes`` wait."""

    waiting_bytes: int

    def overflow(self, limit: str) -> None:
        """Give the client up, because ``limit``, an option, is reached; drop what waits for it."""


class Waiting:
    """The bytes that wait for all slow clients of a server. Lifetime: server process, on one event loop.

    A message to a group waits for many clients and lies in memory once, so it counts once. Where there are too many
    bytes, those clients are given up that hold most of them.

    Args:
        most: The largest number of bytes; None for any.
    """

    def __init__(self, most: int | None = None) -> None:
        self.bytes = 0
        self._most = most
        self._held: dict[int, int] = {}  # id of what a message carries -> in how many queues it lies
        self._clients: set[Waiter] = set()

    def add(self, client: Waiter, event: Event) -> None:
        """Count ``event``, which was queued for ``client``."""
        payload = payload_of(event)
        held = self._held.get(id(payload), 0)
        self._held[id(payload)] = held + 1
        size = sys.getsizeof(payload)
        client.waiting_bytes += size
        self._clients.add(client)
        if not held:
            self.bytes += size
            if self._most is not None and self.bytes > self._most:
                self._relieve(self._most)

    def remove(self, client: Waiter, event: Event) -> None:
        """Count ``event`` no more, which has left the queue of ``client``."""
        payload = payload_of(event)
        held = self._held.pop(id(payload)) - 1
        size = sys.getsizeof(payload)
        client.waiting_bytes -= size
        if held:
            self._held[id(payload)] = held
        else:
            self.bytes -= size

    def forget(self, client: Waiter) -> None:
        """Nothing waits for ``client`` any more."""
        self._clients.discard(client)

    def _relieve(self, most: int) -> None:
        # An eighth more than needed: else each further message would sort all clients again.
        for client in sorted(self._clients, key=_waiting_bytes, reverse=True):
            if self.bytes <= most - most // 8:
                break
            client.overflow("server_bytes")


def payload_of(event: Event) -> object:
    """What makes ``event`` large: its text or bytes, or the body of a response; None where there is none."""
    return event.get("text") or event.get("bytes") or event.get("body")


def _waiting_bytes(client: Waiter) -> int:
    return client.waiting_bytes
