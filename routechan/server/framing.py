"""Frames that a server sends (RFC 6455, section 5.2): unmasked, in one piece, not compressed."""

from __future__ import annotations

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

_SHORT = {code: tuple(bytes((0x80 | code, size)) for size in range(126)) for code in (TEXT, BINARY, CLOSE, PING, PONG)}


def frame(code: int, payload: bytes) -> bytes:
    """The bytes of one whole message.

    Args:
        code: what it is: ``TEXT``, ``BINARY``, ``CLOSE``, ``PING`` or ``PONG``.
        payload: its content; of the last three at most 125 bytes.
    """
    size = len(payload)
    if size < 126:
        return _SHORT[code][size] + payload
    if size < 65536:
        return b"%c~%b%b" % (0x80 | code, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (0x80 | code, size.to_bytes(8, "big"), payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """The bytes of a close frame with ``code`` and as much of ``reason`` as it has room for."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123].decode(errors="ignore").encode())
