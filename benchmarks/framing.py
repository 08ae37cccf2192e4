"""How a message looks on a socket, and what is said before the first."""

from __future__ import annotations

from dataclasses import dataclass

TEXT = b"hello, this is a message of 48 bytes: 0123456789"


@dataclass(frozen=True)
class Framing:
    """What clients and server say.

    Attributes:
        message: What a client sends, and what comes back.
        opening: Pairs of how a message of the server begins and what the client answers, before the socket is ready.
        ping: The same, at any time afterwards.
    """

    message: bytes
    opening: tuple[tuple[bytes, bytes], ...] = ()
    ping: tuple[bytes, bytes] | None = None


#: The message and nothing else.
PLAIN = Framing(TEXT)


def socketio(event: str) -> Framing:
    """Socket.IO over a WebSocket, version 4 of its transport: open, connect to the root namespace, events."""
    message = f'42["{event}","{TEXT.decode()}"]'.encode()
    return Framing(message, opening=((b"0{", b"40"), (b"40{", b"")), ping=(b"2", b"3"))
