"""The options of a server: how its connections are treated, and what they may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..limits.rules import Rate

#: The options that are limits, in the order of ``docs/limits.rst``.
LIMITS = (
    *("socket_capacity", "socket_bytes", "server_bytes", "frame_bytes", "frame_rate", "body_limit"),
    *("server_sockets", "address_sockets", "handshake_rate", "socket_failures"),
)

#: Those of them that cannot be switched off.
ALWAYS = ("socket_capacity", "body_limit")


@dataclass(frozen=True)
class ServerOptions:
    """How connections are treated; times are in seconds.

    Args:
        allowed_origins: Origins whose pages may open a WebSocket (see ``Origins``); None allows the host that the
            socket was opened on.
        subprotocols: The supported WebSocket subprotocols; the first one that the client offers is used, or
            ``routechan.v1`` if it offers none of them but that.
        handshake_timeout: How long a consumer has to accept a socket before it is refused.
        socket_capacity: Messages that may wait for a slow client; one more closes the socket with 1013.
        socket_bytes: Bytes that may wait for a slow client likewise, unless it is one message. None for any number.
        server_bytes: Bytes that may wait for all clients of this process; above it, those for whom most wait are closed
            with 1013. None for any number.
        frame_bytes: The largest message that a client may send, in bytes, in characters if it is text; a larger one
            closes the socket with 1009. None for any.
        frame_rate: How many messages of a client are read in which time, such as ``"100/s"``; beyond that it is read
            more slowly. None for as many as its consumers take.
        server_sockets: Sockets that may be open in this process; a handshake beyond that is refused with 503. None for
            any number.
        address_sockets: Sockets that may be open from one client address, in this process; a handshake beyond that is
            refused with 429. None for any number.
        handshake_rate: How many sockets one client address may open in which time, such as ``"10/s"``, in this process;
            a handshake beyond that is refused with 429. None for any number.
        socket_failures: Events of a socket whose consumers may fail in a row; the last of them closes the socket with
            1011. None for any number.
        http_timeout: How long a consumer has to answer a request before the client gets a 503; a request's body must
            arrive within the same time.
        body_limit: The largest body of a routed request, in bytes; a larger one gets a 413.
        event_streams: Whether a GET that accepts ``text/event-stream`` on a path with routes for sockets, and that no
            route for requests takes, is served as a socket. None for where no other application answers HTTP.
        drain_time: Over how long event streams are ended when the process is told to stop; their pages are asked to
            wait as long at most before they come back.
        health_path: The path of the health page, which is served before any route; None for no such page.
        metrics_path: The path of the Prometheus metrics, likewise.
        root_path: The path that the site is served below, such as ``/app``, in place of the one the ASGI server tells.
        secrets: What all processes of a site share, and nobody else has, such as the SECRET_KEY of Django: the first
            writes the ids that clients come back with, each reads them. Without any a process reads its own ids only.
        debug: Whether a client whose handshake is refused is told why.

    Raises:
        ValueError: A limit that cannot be switched off is no number above 0; a rate is none; ``health_path`` or
            ``metrics_path`` is no path, or both are the same.
    """

    allowed_origins: Sequence[str] | None = None
    subprotocols: Sequence[str] = ()
    handshake_timeout: float = 5.0
    socket_capacity: int = 1000
    socket_bytes: int | None = 4 * 1024 * 1024
    server_bytes: int | None = 256 * 1024 * 1024
    frame_bytes: int | None = 10 * 1024 * 1024
    frame_rate: str | None = None
    server_sockets: int | None = None
    address_sockets: int | None = None
    handshake_rate: str | None = None
    socket_failures: int | None = 100
    http_timeout: float = 120.0
    body_limit: int = 2_621_440
    event_streams: bool | None = None
    drain_time: float = 0.0
    health_path: str | None = None
    metrics_path: str | None = None
    root_path: str = ""
    debug: bool = False
    secrets: Sequence[str | bytes] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name in ALWAYS:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a number above 0, not {value!r:.100}; this limit cannot be switched off")
        if isinstance(self.secrets, (str, bytes)) or not all(self.secrets):
            raise ValueError("secrets is a list of str or bytes, none of them empty")
        for name in ("frame_rate", "handshake_rate"):
            self.rate(name)
        if not isinstance(self.root_path, str):
            raise ValueError(f"root_path is a path such as '/app', or '', not {self.root_path!r:.100}")
        for name in ("health_path", "metrics_path"):
            path = getattr(self, name)
            if path is not None and not (isinstance(path, str) and path.startswith("/")):
                raise ValueError(f"{name} is a path such as '/healthz', or None, not {path!r:.100}")
        if self.health_path is not None and self.health_path == self.metrics_path:
            raise ValueError(f"health_path and metrics_path are both {self.health_path!r}; give each its own")

    def rate(self, name: str) -> Rate | None:
        """The rate of the option ``name``; ``ValueError`` where its text is none."""
        text = getattr(self, name)
        try:
            return None if text is None else Rate.parse(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
