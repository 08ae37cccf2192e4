"""What the connections of one server process share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..encoding import Content
from ..handover import SOCKET_CHANNELS, Consumers
from ..layers.base import BaseChannelLayer
from . import translation
from .origin import Origins
from .sockets import ReplyChannels
from .translation import ResponseReply, SocketReply


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
    sockets: ReplyChannels[SocketReply] = field(init=False)
    responses: ReplyChannels[ResponseReply] = field(init=False)

    def __post_init__(self) -> None:
        self.sockets = ReplyChannels("websocket.send", translation.socket_reply, self.layer)
        self.responses = ReplyChannels("http.response", translation.response_reply, self.layer)
        self._origins = Origins(self.options.allowed_origins)

    async def start(self) -> None:
        self.sockets.attach()
        self.responses.attach()
        await self.consumers.start()

    async def stop(self) -> None:
        await self.consumers.stop()
        await self.responses.detach()
        await self.sockets.detach()

    def refusal(self, connect: Content) -> str | None:
        """Why a socket is refused before any consumer sees it, or None."""
        if not self.consumers.serves(SOCKET_CHANNELS, connect):
            return f"no route for {', '.join(SOCKET_CHANNELS)} matches this path{self._nearest(connect)}"
        return self._origins.refusal(connect["headers"])

    def _nearest(self, connect: Content) -> str:
        """The most frequent mistake is the slash at the end: say so where it is that."""
        path = connect["path"]
        other = path[:-1] if path.endswith("/") else f"{path}/"
        if other and self.consumers.serves(SOCKET_CHANNELS, {**connect, "path": other}):
            return f"; one matches {other!r}, so change the slash at the end, in the page or in the pattern"
        return ""
