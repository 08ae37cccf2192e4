"""What the connections of one server process share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..encoding import Content
from ..handover import SOCKET_CHANNELS, Consumers
from ..layers.base import BaseChannelLayer
from ..observe.reports import Presence
from . import translation
from .origin import Origins
from .sockets import ReplyChannels
from .translation import ResponseReply, SocketReply

logger = logging.getLogger("routechan")

#: Seconds that connections the server left open have to end in when it stops.
STOP_TIME = 10.0


@dataclass(frozen=True)
class ServerOptions:
    """How the server face treats connections. Times are seconds, sizes bytes.

    ``allowed_origins``: see ``Origins``; None allows the host the socket was opened on.
    ``subprotocols``: those supported, of which the client's first choice is used.
    ``socket_capacity``: messages that may wait for a slow client before it is closed with 1013.
    ``health_path`` and ``metrics_path``: where the server answers for itself, before anything else; None for nowhere.
    """

    allowed_origins: Sequence[str] | None = None
    subprotocols: Sequence[str] = ()
    handshake_timeout: float = 5.0
    socket_capacity: int = 1000
    http_timeout: float = 120.0
    body_limit: int = 2_621_440
    health_path: str | None = None
    metrics_path: str | None = None

    def __post_init__(self) -> None:
        for name in ("health_path", "metrics_path"):
            path = getattr(self, name)
            if path is not None and not (isinstance(path, str) and path.startswith("/")):
                raise ValueError(f"{name} is a path such as '/healthz', or None, not {path!r:.100}")
        if self.health_path is not None and self.health_path == self.metrics_path:
            raise ValueError(f"health_path and metrics_path are both {self.health_path!r}; give each its own")


@dataclass
class Server:
    """Lifetime: from the first connection to shutdown, on one event loop."""

    consumers: Consumers
    layer: BaseChannelLayer
    options: ServerOptions
    stopping: bool = field(default=False, init=False)
    sockets: ReplyChannels[SocketReply] = field(init=False)
    responses: ReplyChannels[ResponseReply] = field(init=False)

    def __post_init__(self) -> None:
        self.sockets = ReplyChannels("websocket.send", translation.socket_reply, self.layer)
        self.responses = ReplyChannels("http.response", translation.response_reply, self.layer)
        self._origins = Origins(self.options.allowed_origins)

    async def start(self) -> None:
        self.sockets.attach()
        self.responses.attach()
        await self.consumers.start(self.sockets)
        self._presence = Presence(self.layer, "server")
        self._presence.start()

    async def stop(self) -> None:
        """End what the server left open, sockets with 1012, and run its disconnect consumers; then let go of all."""
        self.stopping = True
        for connections in (self.sockets, self.responses):
            left = await connections.end(STOP_TIME)
            if left:
                logger.warning("%d connections did not end within %g s, and are left to themselves", left, STOP_TIME)
        await self._presence.stop()
        await self.consumers.stop()
        await self.responses.detach()
        await self.sockets.detach()

    def refusal(self, connect: Content) -> str | None:
        """Why a socket is refused before any consumer sees it, or None."""
        if self.stopping:
            return "the server is stopping"
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
