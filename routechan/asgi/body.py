"""The body of a request, read up to a limit."""

from __future__ import annotations

from typing import Any, NamedTuple

from .translation import Event
from .writer import Receive


class Body(NamedTuple):
    """The part of a request's body that was read.

    Args:
        content: The part.
        more: Whether there is more.
    """

    content: bytes
    more: bool

    def before(self, receive: Receive) -> Receive:
        """A ``receive`` for another application, which reads this part again, then the rest.

        Args:
            receive: The ASGI ``receive`` that this part came from.
        """
        events: list[Event] = [{"type": "http.request", "body": self.content, "more_body": self.more}]

        async def receive_again() -> Event:
            return events.pop() if events else await receive()

        return receive_again


async def read_body(receive: Receive, limit: int) -> Body | None:
    """The body of a request.

    Args:
        receive: The ASGI ``receive``.
        limit: Bytes beyond which no more is read.

    Returns:
        The whole body; the first part of it once that exceeds ``limit``; or None if the client left.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        event: Event | dict[str, Any] = await receive()
        if event["type"] != "http.request":
            return None
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        more = bool(event.get("more_body"))
        if size > limit or not more:
            return Body(b"".join(parts), more)
