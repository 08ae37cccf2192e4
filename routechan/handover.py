"""What the server face and whoever runs consumers know of each other.

The server holds connections and gives each an ``Outlet``; consumers, in this process or in workers, give an
``Events`` for it. Neither imports the other: that is what lets one server serve both topologies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from .encoding import Content

#: The channels a socket's events go to.
SOCKET_CHANNELS = ("websocket.connect", "websocket.receive", "websocket.disconnect")

#: The channels a request's events go to.
HTTP_CHANNELS = ("http.request", "http.disconnect")


class Outlet(Protocol):
    """Where a connection's replies leave."""

    name: str
    closed: bool
    #: Whether a thread that sends at once to ``name`` waits until the connection has taken it.
    paced: bool

    def deliver(self, content: Content) -> Awaitable[None] | None:
        """Take a message of the reply channel ``name``, on the event loop; awaited where that takes time."""

    async def writable(self) -> None:
        """Return when what was sent has left, or the connection is closed."""


class Events(Protocol):
    """What takes one connection's events, in order and one at a time."""

    def handle(self, channel: str, content: Content) -> Awaitable[None] | None:
        """Take an event. The next one may be read at once, or after what is returned has been awaited."""

    async def idle(self) -> None:
        """Return when no event of the connection is running."""

    def end_streams(self) -> None:
        """The connection is closed: end what streams to it."""


class Replies(Protocol):
    """Where the replies to a server's sockets arrive."""

    def channel(self, take: Callable[[Content], object]) -> str:
        """A new channel beside theirs: ``take(content)`` is called on the event loop for what is sent to it.

        It comes behind the replies that were sent to the sockets before it. No group may have it as a member.
        """


class Consumers(Protocol):
    """Where consumers run: in this process, or in workers. Handed to the server by whoever builds it."""

    async def start(self, replies: Replies) -> None:
        """``replies`` arrive until ``stop`` has returned."""

    async def stop(self) -> None: ...

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether a consumer could take messages on ``channels`` from where ``content`` came."""

    def takes(self, channel: str, content: Content) -> bool:
        """Whether a consumer takes this message, all of which is known."""

    def line(self, outlet: Outlet) -> Events:
        """What takes the events of a new connection."""


async def settled(pending: Awaitable[None] | None) -> None:
    """Wait for what ``handle``, or a send, has returned."""
    if pending is not None:
        await pending
