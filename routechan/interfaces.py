"""What the server face and consumers know of each other.

The server holds connections and gives each an ``Outlet``; consumers, in this process or in workers, give an ``Events``
for it. Neither imports the other, so one server serves consumers of both kinds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from .encoding import Content

#: The channels a socket's events go to.
SOCKET_CHANNELS = ("websocket.connect", "websocket.receive", "websocket.disconnect")

#: The channels a request's events go to.
HTTP_CHANNELS = ("http.request", "http.disconnect")

#: Keys of what those who run consumers say to a reply channel, which consumers do not use. ``FAILED``, with the reason:
#: the consumer of the connection's first event failed, so refuse the client, unless it has been answered. ``UNROUTED``:
#: no consumer takes this request, so leave it to the HTTP application.
FAILED, UNROUTED = "__failed__", "__unrouted__"

#: The key of what is said to the reply channel of a socket when something that its process may keep between the
#: socket's events has changed elsewhere. It sends nothing to the client.
CHANGED = "__changed__"

#: The key of a ``websocket.receive`` whose client asks: the number of its question.
QUESTION = "question_number"

#: The key of what is said to the reply channel of a socket to answer its client: the number of the question. Beside it
#: stands ``text`` or ``bytes``, or ``NO`` with the reason.
ANSWER = "__answer__"

#: The key of what is said to the reply channel of a socket to ask its client, beside ``text`` or ``bytes``: the channel
#: that the answer goes to, the number of the question there, and the seconds that it is waited for.
ASK = "__ask__"

#: The keys of an answer on its way to who has asked: the number of the question, and why there is none.
NUMBER, NO = "number", "no"

#: Why there is no answer: the socket is gone, its client cannot be asked, or it has too many questions open; or it says
#: that it does not answer.
LOST, UNABLE, MANY, REFUSED = "lost", "unable", "many", "refused"

#: What a connection waits for whose event has been consumed.
NOT_ANSWERED = (
    'its consumer has ended without an answer; that of websocket.connect has to send {"accept": True}, that of '
    "http.request a 'status'"
)

#: The first event of a connection -> how the reply channels of servers begin that wait for its answer.
_FIRST_EVENTS = {SOCKET_CHANNELS[0]: "websocket.send.", HTTP_CHANNELS[0]: "http.response."}


def first_of(channel: str, content: Content) -> bool:
    """Whether the event ``content`` of ``channel`` is the first of a connection, whose server waits for an answer."""
    begins = _FIRST_EVENTS.get(channel)
    return begins is not None and str(content.get("reply_channel")).startswith(begins)


def unanswered(content: Content, reason: str) -> Content | None:
    """What to say to the reply channel of the event ``content``, whose client gets no answer for this ``reason``.

    Returns:
        None where the client does not ask.
    """
    number = content.get(QUESTION)
    return {ANSWER: number, NO: reason} if type(number) is int else None


class Recovering(Protocol):
    """Where a connection is in the histories of its groups. Lifetime: connection."""

    claims: Any
    """What its client says it has: ``layers.claims.Claims``, or None."""

    def headers(self) -> dict[str, Any]:
        """The headers with which its next event goes to a worker."""

    def began(self) -> None:
        """A consumer of the connection begins."""

    def flushed(self) -> None:
        """It has ended, or taken a step, and what it has sent is on its way."""


class Outlet(Protocol):
    """Where a connection's replies leave. Lifetime: connection.

    ``name`` is its reply channel. ``client`` is whose connection it is, as far as the server knows: the address, else
    the name; where threads are scarce, clients take turns. ``closed``: nothing more may be sent. ``paced``: an
    immediate send from a consumer's thread waits until the client has taken it. ``changes``: how often it was said,
    with ``CHANGED``, that what is kept between its events has changed. ``recovery``: None where no client is told.
    """

    name: str
    client: str
    closed: bool
    paced: bool
    changes: int

    @property
    def recovery(self) -> Recovering | None:
        """Where it is in histories; None where its client is not told that."""

    def deliver(self, content: Content) -> Awaitable[None] | None:
        """Take ``content``, a message of the reply channel, on the event loop.

        Returns:
            What is awaited where that takes time, else None.
        """

    def interrupt(self) -> None:
        """End the connection because what streamed to it is gone; its client learns that it has to connect again."""

    def failed(self, order: object) -> None:
        """The consumer of the connection's event ``order`` has failed."""

    def look(self) -> None:
        """Look whether the client has left, because its events have not been read for long: one is being waited for."""

    async def writable(self) -> None:
        """Return when what was sent has left, or the connection is closed."""


class Events(Protocol):
    """The taker of one connection's events, in order and one at a time. Lifetime: connection."""

    @property
    def elsewhere(self) -> bool:
        """Whether consumers run in other processes: an event that was handed in needs nobody here to wait for it."""

    @property
    def handed_over(self) -> bool:
        """Whether the event that was handed in last is known to have reached them."""

    @property
    def taken(self) -> bool:
        """Whether a consumer is known to have begun with the event that was handed in last, or runs here."""

    def handle(self, channel: str, content: Content) -> Awaitable[None] | None:
        """Take the event ``content`` of ``channel``.

        It may raise whatever keeps the event from its consumer, and so may what it returns: the connection cannot go
        on then, and whoever handed the event in ends it.

        Returns:
            What is awaited before the next event is handed in; None where that may be at once.
        """

    def release(self) -> None:
        """Have ``handle`` return before its event is consumed, because the connection is gone.

        Before another event is handed in, ``idle`` has to have returned.
        """

    async def idle(self) -> None:
        """Return when no event of the connection is running."""

    def end_streams(self) -> None:
        """End what streams to the connection, which is closed."""

    def waits_for(self) -> str:
        """What the event that was handed in last is waiting for, as the end of a sentence for the log."""


class Replies(Protocol):
    """Where the replies to a server's sockets arrive. Lifetime: that of the server."""

    def channel(self, take: Callable[[Content], object]) -> str:
        """A new channel beside the sockets' reply channels.

        What is sent to it arrives behind the replies that were sent to the sockets before it. No group may have it as
        a member.

        Args:
            take: called on the event loop with the content of each message.
        """


class Consumers(Protocol):
    """Where consumers run, in this process or in workers; handed to the server by whoever builds it.

    Lifetime: from ``start`` to ``stop``, on one event loop.
    """

    async def start(self, replies: Replies) -> None:
        """Begin; ``replies`` arrive until ``stop`` has returned."""

    async def stop(self) -> None:
        """End, after the connections of the server have ended."""

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether a consumer could take messages on ``channels`` from a connection with this ``content``."""

    def watches_end(self, content: Content) -> bool:
        """Whether the ``websocket.disconnect`` of a socket matters whose connect has this ``content``.

        Then another process has to send it if this one dies.
        """

    def takes(self, channel: str, content: Content) -> bool:
        """Whether a consumer takes the whole message ``content`` on ``channel``."""

    def connection(self, outlet: Outlet) -> Events:
        """The taker of a new connection's events, whose replies leave through ``outlet``."""
