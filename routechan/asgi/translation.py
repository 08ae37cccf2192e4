"""ASGI events to 1.x messages and back, as pure functions.

Source: ``layers-and-protocol`` 6 and 7, ``consumer-api`` appendix D.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

from ..encoding import Content, check_content
from ..exceptions import InvalidContent, UselessContent
from ..interfaces import ANSWER, ASK, CHANGED, FAILED, UNROUTED
from .questions import Talk, talk_of

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]

#: The extension of a scope whose server aborts the connection of a client that does not read.
ABORTS = "routechan.aborts"

#: The extension of a scope whose server can take a message without a coroutine. Its ``write`` takes an event
#: ``websocket.send``, and says whether it has: not where the socket is not open, or its client does not read. It keeps
#: the bytes of the frame in the event, so that a message to a group is framed once.
WRITES = "routechan.writes"

#: The key of an event ``websocket.send`` with its subject: of several that wait for a slow client it is sent the last.
LATEST = "routechan.latest"

#: The extension of the scope of an event stream, which is served as a WebSocket.
EVENT_STREAM = "routechan.event_stream"

# Close codes of RFC 6455 that are reserved for reporting and never appear in a close frame.
_NEVER_SENT = frozenset({1004, 1005, 1006, 1015})

# The name of a header (RFC 9110, 5.6.2), and what its value may not have (5.5).
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_UNSAFE = frozenset(b"\0\r\n")


# From the server


def size_of(event: Event) -> int:
    """The size of ``event``, a message of a client: its bytes; of text, its characters."""
    return len(event.get("text") or event.get("bytes") or ())


def connect_content(scope: Scope, reply_channel: str, root_path: str = "") -> Content:
    """The content of ``websocket.connect`` (6.8).

    Args:
        scope: The connection's ASGI scope.
        reply_channel: The name of its reply channel.
        root_path: The path that the site is served below, in place of the scope's.
    """
    headers = _headers(scope.get("headers") or ())
    offered = scope.get("subprotocols") or ()
    if offered and not any(name == b"sec-websocket-protocol" for name, _ in headers):
        headers.append([b"sec-websocket-protocol", ", ".join(offered).encode("latin-1")])
    content = {
        "reply_channel": reply_channel,
        **_where(scope, "ws", root_path),
        "headers": headers,
        "order": 0,
    }
    if EVENT_STREAM in (scope.get("extensions") or {}):
        content["transport"] = "sse"
    return content


def receive_content(event: Event, reply_channel: str, path: str, order: int) -> Content:
    """The content of ``websocket.receive``: with ``text`` or ``bytes``, whichever the client sent (6.10).

    Args:
        event: The ASGI event.
        reply_channel: The name of the connection's reply channel.
        path: The path it was opened on.
        order: The number of the event within the connection.
    """
    text = event.get("text")
    if text is not None:
        return {"reply_channel": reply_channel, "path": path, "order": order, "text": text}
    return {"reply_channel": reply_channel, "path": path, "order": order, "bytes": event.get("bytes") or b""}


def disconnect_content(code: int | None, reply_channel: str, path: str, order: int) -> Content:
    """The content of ``websocket.disconnect`` (6.11).

    Args:
        code: The close code; 1005, a close frame without a code, becomes None as in 1.x.
        reply_channel: The name of the connection's reply channel.
        path: The path it was opened on.
        order: The number of the event within the connection.
    """
    return {
        "reply_channel": reply_channel,
        "code": None if code == 1005 else code,
        "path": path,
        "order": order,
    }


def request_head(scope: Scope, root_path: str = "") -> Content:
    """The part of ``http.request`` that is known before the body is read: all but its reply channel and body (6.2).

    Args:
        scope: The request's ASGI scope.
        root_path: The path that the site is served below, in place of the scope's.
    """
    version = scope.get("http_version") or "1.1"
    return {
        "http_version": version if version in ("1.0", "1.1", "2") else "2",
        "method": scope["method"].upper(),
        **_where(scope, "http", root_path),
        "headers": _headers(scope.get("headers") or ()),
    }


def choose_subprotocol(scope: Scope, supported: Iterable[str]) -> str | None:
    """The first subprotocol that the client offers and that is supported, or None (6.8).

    Args:
        scope: The connection's ASGI scope.
        supported: The subprotocols the application knows.
    """
    known = set(supported)
    return next((offer for offer in scope.get("subprotocols") or () if offer in known), None)


def paths(scope: Scope, root_path: str = "") -> tuple[str, str]:
    """The path of a connection below the path that the site is served below, and that path, which may be empty.

    Servers differ in whether the scope's path includes its ``root_path``, and proxies in whether they pass it on.

    Args:
        scope: The connection's ASGI scope.
        root_path: The path that the site is served below, in place of the scope's.
    """
    path, written = scope["path"], scope.get("root_path") or ""
    given = _as_prefix(written)
    root_path = _as_prefix(root_path) or given
    for prefix in (written, given, root_path):  # as written first: uvicorn writes "/app/" before the slash of the path
        if prefix and is_below(path, prefix):
            return path[len(prefix) :] or "/", root_path
    return path, root_path


def is_below(path: str, prefix: str) -> bool:
    """Whether ``path`` begins with ``prefix``, where a part of the path ends."""
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")


def _as_prefix(root_path: str | None) -> str:
    """``root_path`` as paths begin with it: with a slash at its beginning and none at its end, or empty."""
    stripped = (root_path or "").strip("/")
    return stripped and f"/{stripped}"


def _where(scope: Scope, scheme: str, root_path: str) -> Content:
    client, server = scope.get("client"), scope.get("server")
    path, root_path = paths(scope, root_path)
    return {
        "path": path,
        "root_path": root_path,
        "scheme": scope.get("scheme") or scheme,
        "query_string": scope.get("query_string") or b"",
        "client": list(client) if client else None,
        "server": list(server) if server and server[1] is not None else None,
    }


def _headers(headers: Iterable[Iterable[bytes]]) -> list[list[bytes]]:
    """The headers in order, names in lower case, duplicates kept.

    Names with ``_`` are dropped: applications that take ``-`` and ``_`` for the same would read them as other headers.
    """
    converted: list[list[bytes]] = []
    cookie: list[bytes] | None = None
    for name, value in headers:
        name, value = name.lower(), value.strip()
        if b"_" in name:
            continue
        if name == b"cookie" and cookie is not None:
            cookie[1] += b"; " + value  # HTTP/2 may split the cookie header
            continue
        pair = [name, value]
        converted.append(pair)
        if name == b"cookie":
            cookie = pair
    return converted


# To the server


#: A parsed message for a WebSocket (6.9): whether to accept, the data to send as an ASGI event, the code to close with,
#: and the reason for a refusal, or the question that the data belongs to; each is None if the message does not say. A
#: plain tuple, because one is made per reply.
SocketReply = tuple["bool | None", "Event | None", "int | None", "str | Talk | None"]

#: The keys of a message for a WebSocket.
REPLY_KEYS = frozenset({"accept", "text", "bytes", "close"})

#: The reply that says ``CHANGED``; compared by identity.
CHANGED_ELSEWHERE: SocketReply = (None, None, None, CHANGED)


def socket_reply(content: Content, latest: str | None = None) -> SocketReply:
    """A message for a WebSocket, parsed.

    Args:
        content: A dict with one or more of ``accept``, ``text``, ``bytes`` and ``close``.
        latest: The subject of its data, of which a slow client is sent the last; None for none.

    Raises:
        InvalidContent: The message has other keys, or values of other types.
        UselessContent: It has none of these keys.
    """
    if type(content) is dict and len(content) == 1 and "text" in content:  # the fast path, for most messages
        text = content["text"]
        if type(text) is str and text and text.isascii():
            if latest is None:
                return None, {"type": "websocket.send", "text": text}, None, None
            return None, {"type": "websocket.send", "text": text, LATEST: latest}, None, None
    check_content(content)
    if FAILED in content:
        return False, None, None, str(content[FAILED])
    if CHANGED in content:
        return CHANGED_ELSEWHERE
    if ANSWER in content or ASK in content:
        body = _data(content.get("text"), content.get("bytes"))
        return None, body or {"type": "websocket.send", "text": ""}, None, talk_of(content)
    # A dict with ``type`` is an event for class-based Channels 4 consumers in the same group: ignore its unknown keys.
    if not REPLY_KEYS.issuperset(content) and "type" not in content:
        unknown = ", ".join(sorted(repr(key) for key in content if key not in REPLY_KEYS))
        raise InvalidContent(
            f"a reply to a WebSocket has the keys 'accept', 'text', 'bytes' and 'close', not {unknown}; "
            "put data of your own into 'text', for example as JSON"
        )
    if REPLY_KEYS.isdisjoint(content):
        if "channels.layers" in sys.modules:  # it may be meant for consumers of Channels 4 in the same group
            return None, None, None, None
        raise UselessContent(_useless(content))
    accept = content.get("accept")
    close = content.get("close")
    if close is not None and not isinstance(close, int):
        raise InvalidContent(f"'close' is True or a close code such as 4000, not {close!r}")
    data = _data(content.get("text"), content.get("bytes"))
    if latest is not None and data is not None:
        data[LATEST] = latest
    return (
        None if accept is None else bool(accept),
        data,
        None if not close else 1000 if close is True else close,
        None,
    )


def _useless(content: Content) -> str:
    if not content:
        return "it is empty and asks the socket for nothing; send 'text', 'bytes', 'accept' or 'close'"
    keys = ", ".join(map(repr, content))
    return (
        f"it has {keys}, as an event for a class-based consumer of Channels 4, and asks this socket for nothing; send "
        "{'text': json.dumps({...})}"
    )


def _data(text: object, data: object) -> Event | None:
    """The ASGI event for the data of a reply; None for empty data, which is not sent (DM-03)."""
    if text is not None and not isinstance(text, str):
        hint = "for bytes use 'bytes'" if isinstance(text, (bytes, bytearray)) else "for objects send json.dumps(...)"
        raise InvalidContent(f"'text' has to be a str, not {type(text).__name__}; {hint}")
    if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidContent(f"'bytes' has to be bytes, not {type(data).__name__}; for a str use 'text'")
    if text and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:  # JSON can carry one: refuse it here, not in the server of each receiver
            raise InvalidContent(f"'text' holds what UTF-8 cannot carry, a lone surrogate: {error}") from error
    if text and data:
        raise InvalidContent("a reply has 'text' or 'bytes', not both; send two messages")
    if text:
        return {"type": "websocket.send", "text": text}
    return {"type": "websocket.send", "bytes": bytes(data)} if data else None


Denial = Callable[[str], list[Event]]


def denial(scope: Scope, explains: bool) -> Denial:
    """What makes the ASGI events that refuse a handshake: HTTP 403 for the client, and to nobody a socket that opens.

    Args:
        scope: The connection's ASGI scope.
        explains: Whether the client is told the reason, in the response's body if the server can send one.
    """
    if not explains:
        return _deny
    return _deny_with_body if _answers_handshakes(scope) else _deny_with_reason


def limited(scope: Scope, status: int) -> list[Event]:
    """The ASGI events that refuse a handshake because of a limit: with 403 where the server knows no other status.

    Args:
        scope: The connection's ASGI scope.
        status: 429 or 503.

    Returns:
        The events.
    """
    if not _answers_handshakes(scope):
        return _deny("")
    return _denial_response(status, b"Too many connections; try again later.\n", [(b"retry-after", b"10")])


def _answers_handshakes(scope: Scope) -> bool:
    return "websocket.http.response" in (scope.get("extensions") or {})


def _deny(reason: str) -> list[Event]:
    return [{"type": "websocket.close", "code": 1000}]


def _deny_with_reason(reason: str) -> list[Event]:
    # No longer than a close frame may be, in case a server makes one of it.
    return [
        {
            "type": "websocket.close",
            "code": 1000,
            "reason": reason.encode(errors="replace")[:120].decode(errors="ignore"),
        }
    ]


def _deny_with_body(reason: str) -> list[Event]:
    return _denial_response(403, reason.encode(errors="replace"))


def _denial_response(status: int, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> list[Event]:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *more]
    return [
        {"type": "websocket.http.response.start", "status": status, "headers": headers},
        {"type": "websocket.http.response.body", "body": body},
    ]


def may_close_with(code: int) -> bool:
    """Whether ``code`` may stand in a close frame (RFC 6455, section 7.4)."""
    return (1000 <= code <= 1014 and code not in _NEVER_SENT) or 3000 <= code <= 4999


class ResponseReply(NamedTuple):
    """A parsed message for an HTTP response; it does not change if the sender changes the dict later.

    Args:
        status: The HTTP status; None for a further chunk.
        headers: Pairs of name and value.
        body: This chunk of the body.
        more: Whether further chunks follow.
        failed: Why nobody will answer; None for a message of a consumer.
        unrouted: Whether no consumer takes the request.
    """

    status: int | None
    headers: list[tuple[bytes, bytes]]
    body: bytes
    more: bool
    failed: str | None = None
    unrouted: bool = False


def response_reply(content: Content, latest: str | None = None) -> ResponseReply:
    """A message for an HTTP response, parsed (6.4).

    Args:
        content: A dict with ``status``, ``headers``, ``content`` and ``more_content``, or for a further chunk with the
            last two.
        latest: Nothing to a response, which is one body.

    Raises:
        InvalidContent: A value has the wrong type, or the status is no HTTP status.
    """
    check_content(content)
    if FAILED in content or UNROUTED in content:
        failed = content.get(FAILED)
        return ResponseReply(None, [], b"", False, None if failed is None else str(failed), UNROUTED in content)
    status = content.get("status")
    if "status" in content and not (isinstance(status, int) and 100 <= status <= 599):
        raise InvalidContent(f"'status' is an int such as 200, not {status!r}")
    body = content.get("content") or b""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise InvalidContent(f"'content' has to be bytes, not {type(body).__name__}; encode text before sending it")
    return ResponseReply(status, _response_headers(content), bytes(body), bool(content.get("more_content")))


def response_events(reply: ResponseReply, started: bool) -> list[Event]:
    """The ASGI events of a response message (7.2).

    Args:
        reply: The parsed message.
        started: Whether an earlier message has started the response.

    Raises:
        InvalidContent: The response begins without a status, or a further chunk has one.
    """
    events: list[Event] = []
    if reply.status is not None:
        if started:
            raise InvalidContent(
                "this response has started already; further messages have only 'content' and 'more_content'"
            )
        events.append({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    elif not started:
        raise InvalidContent(
            "the first message of a response has a 'status', such as {'status': 200, 'content': b'...'}"
        )
    events.append({"type": "http.response.body", "body": reply.body, "more_body": reply.more})
    return events


def _response_headers(content: Content) -> list[tuple[bytes, bytes]]:
    headers = content.get("headers") or ()
    try:
        found = [(_header(name).lower(), _header(value)) for name, value in headers]
    except (TypeError, ValueError) as error:
        raise InvalidContent(
            f"'headers' is a list of (name, value) pairs of bytes, or of str in latin-1, not {headers!r:.200}"
        ) from error
    for name, value in found:  # not every server refuses what would end a header, or the head of the response
        if not _HEADER_NAME(name) or not _UNSAFE.isdisjoint(value):
            raise InvalidContent(
                "the name of a header is letters, digits and hyphens, and its value has no line breaks and no NUL; "
                f"it was {name!r:.100}: {value!r:.100}"
            )
    return found


def _header(value: object) -> bytes:
    if isinstance(value, str):
        value = value.encode("latin-1")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).strip()  # ``http.cookies`` writes a leading space, which servers refuse
    raise TypeError(f"a header is bytes or str, not {type(value).__name__}")
