"""What the connections of one server process share."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..encoding import Content
from ..layers.base import BaseChannelLayer
from . import translation
from .origin import Origins
from .sockets import ReplyChannels
from .translation import ResponseReply, SocketReply


class Outlet(Protocol):
    """Where a connection's replies leave."""

    name: str
    closed: bool

    def deliver(self, content: Content) -> None:
        """Take a message of the reply channel ``name``, on the event loop."""

    async def writable(self) -> None:
        """Return when what was sent has left, or the connection is closed."""


class Line(Protocol):
    """What takes one connection's events, in order and one at a time."""

    def handle(self, channel: str, content: Content) -> Awaitable[None] | None:
        """Take an event. The next one may be read at once, or after what is returned has been awaited."""

    async def idle(self) -> None:
        """Return when no event of the connection is running."""

    def end_streams(self) -> None:
        """The connection is closed: end what streams to it."""


class Consumers(Protocol):
    """Where consumers run: in this process, or in workers. Handed to the server by whoever builds it."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        """Whether a consumer could take messages on ``channels`` from where ``content`` came."""

    def line(self, outlet: Outlet) -> Line: ...


@dataclass(frozen=True)
class ServerOptions:
    """How the server face treats connections. Times are seconds, sizes bytes.

    ``allowed_origins``: see ``Origins``; None allows the host the socket was opened on.
    ``subprotocols``: those supported, of which the client's first choice is used.
    ``socket_capacity``: messages that may wait for a slow client before it is closed with 1013.
    """

    allowed_origins: Sequence[str] | None = None
    subprotocols: Sequence[str] = ()
    handshake_timeout: float = 5.0
    socket_capacity: int = 1000
    http_timeout: float = 120.0
    body_limit: int = 2_621_440


@dataclass
class Server:
    """Lifetime: from the first connection to shutdown, on one event loop."""

    consumers: Consumers
    layer: BaseChannelLayer
    options: ServerOptions
    sockets: ReplyChannels[SocketReply] = field(
        default_factory=lambda: ReplyChannels("websocket.send", translation.socket_reply)
    )
    responses: ReplyChannels[ResponseReply] = field(
        default_factory=lambda: ReplyChannels("http.response", translation.response_reply)
    )

    def __post_init__(self) -> None:
        self._origins = Origins(self.options.allowed_origins)

    async def start(self) -> None:
        self.sockets.attach(self.layer)
        self.responses.attach(self.layer)
        await self.consumers.start()

    async def stop(self) -> None:
        await self.consumers.stop()
        self.responses.detach()
        self.sockets.detach()

    def refusal(self, connect: Content) -> str | None:
        """Why a socket is refused before any consumer sees it, or None."""
        if not self.consumers.serves(translation.SOCKET_CHANNELS, connect):
            return f"no route for {', '.join(translation.SOCKET_CHANNELS)} matches this path{self._nearest(connect)}"
        return self._origins.refusal(connect["headers"])

    def _nearest(self, connect: Content) -> str:
        """The most frequent mistake is the slash at the end: say so where it is that."""
        path = connect["path"]
        other = path[:-1] if path.endswith("/") else f"{path}/"
        if other and self.consumers.serves(translation.SOCKET_CHANNELS, {**connect, "path": other}):
            return f"; one matches {other!r}, so change the slash at the end, in the page or in the pattern"
        return ""
