"""Frames that a server sends (RFC 6455, section 5.2), unmasked and in one piece, and the shortest that it gets."""

from __future__ import annotations

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_CONTROL = (CLOSE, PING, PONG)

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


def control_frame(data: bytes) -> tuple[int, bytes]:
    """The control frame that ``data``, the bytes of a client, are, and nothing else.

    Args:
        data: from the beginning of a frame on.

    Returns:
        ``CLOSE``, ``PING`` or ``PONG``, and the payload; 0 where they are something else, or more.
    """
    size = len(data) - 6
    if not 0 <= size <= 125 or data[0] & 0xF8 != 0x88 or data[0] & 0x0F not in _CONTROL or data[1] != 0x80 | size:
        return 0, b""
    return data[0] & 0x0F, bytes(byte ^ data[2 + at % 4] for at, byte in enumerate(data[6:]))
