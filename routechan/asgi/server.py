"""The state that the connections of a server share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from ..encoding import Content
from ..exceptions import ChannelLayerUnavailable
from ..inspection import counted
from ..interfaces import LOST, NO, NUMBER, SOCKET_CHANNELS, Consumers
from ..layers.base import BaseChannelLayer
from ..limits.clients import address_of
from ..monitor.reports import Responder
from ..monitor.unread import UnreadChannels
from ..telemetry.repeats import Repeats
from . import translation
from .addresses import Addresses
from .disconnects import Disconnects
from .fence import Fence
from .ids import Ids
from .neighbours import Neighbours
from .options import ServerOptions
from .origin import Origins
from .posts import Posts
from .questions import Talk
from .reply_channels import ReplyChannels
from .signals import StopSignals
from .socket_channels import SocketChannels
from .telling import Telling
from .translation import ResponseReply, SocketReply
from .waiting import Waiting

logger = logging.getLogger("routechan")

#: Seconds that open connections have to end within when the server stops.
STOP_TIMEOUT = 10.0

#: Seconds that workers have, when the process is told to stop, to take the requests that wait for them.
UNTAKEN_TIME = 1.0

#: Seconds that the layer may take to be told that the server stops.
DETACH_TIMEOUT = 2.0


class HandshakeRefusal(NamedTuple):
    """Why a handshake is refused, and the HTTP ``status`` of that.

    ``kind`` is the option that is a limit, or another kind of reason; ``reason`` is for the log.
    """

    kind: str
    reason: str
    status: int = 403


@dataclass
class Server:
    """What the connections of one process share. Lifetime: from startup to shutdown, on one event loop.

    Args:
        consumers: What runs the consumers.
        layer: The channel layer that replies and group messages come from.
        options: How connections are treated.
    """

    consumers: Consumers
    layer: BaseChannelLayer
    options: ServerOptions
    stopping: bool = field(default=False, init=False)
    sockets: SocketChannels = field(init=False)
    responses: ReplyChannels[ResponseReply] = field(init=False)

    def __post_init__(self) -> None:
        #: What is logged about clients, who must not be able to fill the log.
        self.repeats = Repeats()
        self.waiting = Waiting(self.options.server_bytes)
        options = self.options
        self.addresses = Addresses(options.address_sockets, options.rate("handshake_rate"), monotonic)
        self.telling = Telling(self.layer, self.repeats, "Who has asked a client is not told of its answer")
        self.sockets = SocketChannels(self.layer, self._missed)
        self.responses = ReplyChannels("http.response", translation.response_reply, self.layer)
        longest = self.layer.longest_history
        #: Writes and reads what clients keep to come back with; None where no group keeps a history.
        self.ids = Ids(options.secrets, longest) if longest else None
        self.disconnects = Disconnects(self.consumers, self.layer, self.repeats)
        self.fence = Fence(self.layer, self.sockets)
        self._signals = StopSignals(self._stop_soon)
        self._origins = Origins(self.options.allowed_origins)
        self.posts = Posts(self.layer, options, self._origins, self.repeats)

    async def start(self) -> None:
        """Listen for replies, and start the consumers."""
        self.sockets.attach()
        self.responses.attach()
        await self.consumers.start(self.sockets)
        self.fence.start()
        self._responder = Responder(self.layer, "server")
        self._responder.start()
        self._unread = UnreadChannels(self.layer)
        self._unread.start()
        self._neighbours = Neighbours(self.layer)
        self._neighbours.start()
        self._signals.start()

    async def stop(self) -> None:
        """Shut down in order.

        Connections that are still open are closed (sockets with 1012) and their disconnect consumers run; after that
        the consumers stop, and the layer is detached last, so that what they sent is delivered.
        """
        self.stopping = True
        self._signals.stop()
        self.layer.hurry()
        self.fence.stop()
        for connections in (self.sockets, self.responses):
            left = await connections.end(STOP_TIMEOUT)
            if left:
                logger.warning(
                    "%s did not end within %g s, and had to be abandoned", counted(left, "connection"), STOP_TIMEOUT
                )
        await self.disconnects.stop()
        self._neighbours.stop()
        await self._unread.stop()
        await asyncio.gather(self._responder.stop(), self.consumers.stop())
        self.telling.stop()
        await self._detach()

    def _stop_soon(self) -> None:
        """Let nothing keep the ASGI server: a layer that is away, event streams, or requests that no worker takes."""
        self.layer.hurry()
        self.posts.end_streams()
        asyncio.get_running_loop().call_later(UNTAKEN_TIME, self.responses.end_untaken)

    async def _detach(self) -> None:
        """Give the reply channels back, if the layer is there to be told."""
        why: object = None
        detaching = asyncio.gather(
            self.responses.detach(), self.sockets.detach(), self.posts.detach(), return_exceptions=True
        )
        try:
            results = await asyncio.wait_for(detaching, DETACH_TIMEOUT)
        except asyncio.TimeoutError:
            why = f"it has not answered for {DETACH_TIMEOUT:g} s"
        else:
            for error in results:
                if isinstance(error, ChannelLayerUnavailable):
                    why = error
                elif isinstance(error, BaseException):
                    raise error
        if why is not None:
            logger.warning(
                "The server stops while its layer is away (%s). Others will end what its sockets had there as soon as "
                "the layer is back and the lease of this process has run out",
                why,
            )

    def _missed(self, reply: SocketReply) -> None:
        """A socket is gone to which ``reply`` was sent: say so to who has asked its client."""
        talk = reply[3]
        if isinstance(talk, Talk) and talk.asks is not None:
            self.telling.tell(talk.asks, {NUMBER: talk.number, NO: LOST})

    def mount(self, channels: Sequence[str], content: Content) -> None:
        """Find the path of a connection in which the root path stands twice, if no route takes what it is so far.

        uvicorn writes its ``--root-path`` before every path, also where the proxy has left it there.

        Args:
            channels: The channels of the connection's events.
            content: The content of its first event, whose ``path`` changes.
        """
        path, prefix = content["path"], content["root_path"]
        if prefix and translation.is_below(path, prefix) and not self.consumers.serves(channels, content):
            below = {**content, "path": path[len(prefix) :] or "/"}
            if self.consumers.serves(channels, below):
                content.update(below)

    def refusal(self, connect: Content) -> HandshakeRefusal | None:
        """Decide whether to refuse a socket before a consumer sees it.

        Args:
            connect: The content of its ``websocket.connect``.

        Returns:
            Why to refuse it, or None.
        """
        if self.stopping:
            return HandshakeRefusal("stopping", "the server is stopping")
        most = self.options.server_sockets
        if most is not None and len(self.sockets) >= most:
            return HandshakeRefusal("server_sockets", f"{most} sockets are open in this process", 503)
        refused = self.addresses.refusal(address_of(connect))
        if refused is not None:
            return HandshakeRefusal(*refused, status=429)
        if not self.consumers.serves(SOCKET_CHANNELS, connect):
            reason = f"no route for {', '.join(SOCKET_CHANNELS)} matches this path{self._nearest(connect)}"
            return HandshakeRefusal("route", reason)
        secure = connect["scheme"] in ("wss", "https")
        origin = self._origins.refusal(connect["headers"], secure=secure, is_get="transport" in connect)
        return None if origin is None else HandshakeRefusal("origin", origin)

    def _nearest(self, connect: Content) -> str:
        """A hint for the log if a route matches but for a slash at one end, the most frequent mistakes."""
        path = connect["path"]
        if self.consumers.serves(SOCKET_CHANNELS, {**connect, "path": path[1:]}):
            return f"; one matches {path[1:]!r}, but paths begin with a slash: write {path!r} in its pattern"
        other = path[:-1] if path.endswith("/") else f"{path}/"
        if other and self.consumers.serves(SOCKET_CHANNELS, {**connect, "path": other}):
            return f"; one matches {other!r}, so change the slash at the end, in the page or in the pattern"
        return ""
