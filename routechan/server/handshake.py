"""Opening handshakes: the request that a client sends, and the responses to it (RFC 6455, section 4.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

Headers = Iterable[tuple[bytes, bytes]]

#: The version of the protocol; there has never been another.
VERSION = b"13"

#: What a server puts behind the key to prove that it knows the protocol (RFC 6455, section 1.3).
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


#: Bytes of a line of a handshake, and lines behind its first; the same as those of websockets.
LINE_BYTES = 8 * 1024
LINES = 128


class Refusal(Exception):
    """A request that opens no WebSocket.

    Args:
        status: the HTTP status of the answer.
        reason: what was wrong, for the client.
        headers: of the answer.
    """

    def __init__(self, status: int, reason: str, headers: Headers = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


class Request(NamedTuple):
    """The request of a handshake.

    Args:
        path: the path, percent-decoded.
        raw_path: the path as it came.
        query_string: what follows the ``?``.
        headers: names in lower case, and values.
        subprotocols: those that the client offers.
        key: that the server proves with that it has read the handshake.
    """

    path: str
    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    subprotocols: list[str]
    key: bytes


def read(head: bytes) -> Request:
    """The request of a handshake.

    Args:
        head: its request line and headers, with the empty line behind them.

    Raises:
        Refusal: it opens no WebSocket.
    """
    line, _, rest = head.partition(b"\r\n")
    method, _, target = line.partition(b" ")
    target, _, _ = target.rpartition(b" ")
    lines = rest.split(b"\r\n")
    if len(line) > LINE_BYTES:
        raise Refusal(414, f"The first line of a handshake has no more than {LINE_BYTES} bytes.")
    if len(lines) - 2 > LINES or max(map(len, lines)) > LINE_BYTES:
        raise Refusal(431, f"A handshake has no more than {LINES} headers, of {LINE_BYTES} bytes each.")
    headers = []
    values: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for each in lines:
        name, colon, value = each.partition(b":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers.append((name, value))
            values[name].append(value)
    if method != b"GET":
        raise Refusal(405, "A WebSocket is opened with GET.", [(b"allow", b"GET")])
    if b"upgrade" not in _tokens(values[b"connection"]) or b"websocket" not in _tokens(values[b"upgrade"]):
        raise Refusal(426, "Only WebSockets are served here.", [(b"upgrade", b"websocket")])
    if values[b"sec-websocket-version"] != [VERSION]:
        raise Refusal(426, "WebSockets are served in version 13 only.", [(b"sec-websocket-version", VERSION)])
    keys = values[b"sec-websocket-key"]
    if len(keys) != 1 or not _is_key(keys[0]):
        raise Refusal(400, "The header Sec-WebSocket-Key has to stand there once, with 16 bytes in base64.")
    raw_path, _, query_string = target.partition(b"?")
    offered = b",".join(values[b"sec-websocket-protocol"]).decode("latin-1").split(",")
    subprotocols = [token.strip() for token in offered if token.strip()]
    return Request(unquote(raw_path.decode("latin-1")), raw_path, query_string, headers, subprotocols, keys[0])


def _tokens(values: list[bytes]) -> list[bytes]:
    return [token.strip().lower() for token in b",".join(values).split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def acceptance(key: bytes, subprotocol: str | None, headers: Headers) -> bytes:
    """The bytes of the response that opens a WebSocket.

    Args:
        key: of the request.
        subprotocol: that the application has chosen, or None.
        headers: names and values to send along.
    """
    proof = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    lines = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-accept", proof), *headers]
    if subprotocol:
        lines.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
    return _head(101, lines)


def response(status: int, headers: Headers, body: bytes) -> bytes:
    """The bytes of a response that refuses a handshake, after which the connection ends.

    Args:
        status: its status.
        headers: names and values; what every response has is added where it is missing.
        body: its body.
    """
    lines = list(headers)
    names = {name.lower() for name, _ in lines}
    for name, value in (
        (b"date", formatdate(usegmt=True).encode()),
        (b"content-length", b"%d" % len(body)),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"connection", b"close"),
    ):
        if name not in names:
            lines.append((name, value))
    return _head(status, lines) + body


def phrase(status: int) -> str:
    """What ``status`` says; nothing for one that has no name."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _head(status: int, headers: Headers) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (status, phrase(status).encode())]
    for name, value in headers:
        line = b"%b: %b" % (name, value)
        if b"\r" in line or b"\n" in line:
            raise ValueError(f"a header has no line end in its name or value: {line!r:.200}")
        lines.append(line)
    return b"\r\n".join([*lines, b"", b""])
