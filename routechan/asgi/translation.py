"""ASGI events to 1.x messages and back, as pure functions.

Source: ``layers-and-protocol`` 6 and 7, ``consumer-api`` appendix D.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, NamedTuple

from ..encoding import Content, check_content
from ..exceptions import InvalidContent
from ..observe.tracing import CARRIED

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]

# Close codes of RFC 6455 that say what never travels in a frame.
_NEVER_SENT = frozenset({1004, 1005, 1006, 1015})


# From the server


def connect_content(scope: Scope, reply_channel: str) -> Content:
    """``websocket.connect`` (6.8)."""
    headers = _headers(scope.get("headers") or ())
    offered = scope.get("subprotocols") or ()
    if offered and not any(name == b"sec-websocket-protocol" for name, _ in headers):
        headers.append([b"sec-websocket-protocol", ", ".join(offered).encode("latin-1")])
    return {
        "reply_channel": reply_channel,
        **_where(scope, "ws"),
        "headers": headers,
        "order": 0,
    }


def receive_content(event: Event, reply_channel: str, path: str, order: int) -> Content:
    """``websocket.receive`` with the one of ``text`` and ``bytes`` that came (6.10)."""
    text = event.get("text")
    if text is not None:
        return {"reply_channel": reply_channel, "path": path, "order": order, "text": text}
    return {"reply_channel": reply_channel, "path": path, "order": order, "bytes": event.get("bytes") or b""}


def disconnect_content(code: int | None, reply_channel: str, path: str, order: int) -> Content:
    """``websocket.disconnect``; a close frame without a code (1005) is None, as in 1.x (6.11)."""
    return {
        "reply_channel": reply_channel,
        "code": None if code == 1005 else code,
        "path": path,
        "order": order,
    }


def request_content(scope: Scope, reply_channel: str, body: bytes) -> Content:
    """``http.request`` (6.2)."""
    return {"reply_channel": reply_channel, **request_head(scope), "body": body}


def request_head(scope: Scope) -> Content:
    """What of ``http.request`` is known before the body is read."""
    version = scope.get("http_version") or "1.1"
    return {
        "http_version": version if version in ("1.0", "1.1", "2") else "2",
        "method": scope["method"].upper(),
        **_where(scope, "http"),
        "headers": _headers(scope.get("headers") or ()),
    }


def choose_subprotocol(scope: Scope, supported: Iterable[str]) -> str | None:
    """The first the client offers that is supported (6.8)."""
    known = set(supported)
    return next((offer for offer in scope.get("subprotocols") or () if offer in known), None)


def _where(scope: Scope, scheme: str) -> Content:
    client, server = scope.get("client"), scope.get("server")
    path, root_path = scope["path"], scope.get("root_path") or ""
    prefix = root_path.rstrip("/")
    if prefix and path != prefix and not path.startswith(f"{prefix}/"):
        path = prefix + path  # 1.x readers strip the prefix, so it has to be there
    return {
        "path": path,
        "root_path": root_path,
        "scheme": scope.get("scheme") or scheme,
        "query_string": scope.get("query_string") or b"",
        "client": list(client) if client else None,
        "server": list(server) if server and server[1] is not None else None,
    }


def _headers(headers: Iterable[Iterable[bytes]]) -> list[list[bytes]]:
    """Lower-case names in order, duplicates kept; names with ``_`` could pose as others and are dropped."""
    converted: list[list[bytes]] = []
    cookie: list[bytes] | None = None
    for name, value in headers:
        name, value = name.lower(), value.strip()
        if b"_" in name:
            continue
        if name == b"cookie" and cookie is not None:
            cookie[1] += b"; " + value  # HTTP/2 splits it
            continue
        pair = [name, value]
        converted.append(pair)
        if name == b"cookie":
            cookie = pair
    return converted


# To the server


#: What a message on a socket's reply channel asks for (6.9): whether to accept, the data to send as an ASGI
#: event, and the code to close with; None each where it does not say. A plain tuple: one is made per reply.
SocketReply = tuple["bool | None", "Event | None", "int | None"]

_REPLY_KEYS = frozenset({"accept", "text", "bytes", "close", CARRIED})


def socket_reply(content: Content) -> SocketReply:
    """Read a reply to a socket; raises ``InvalidContent`` for what says nothing a socket can do."""
    if type(content) is dict and len(content) == 1 and "text" in content:  # by far the most frequent
        text = content["text"]
        if type(text) is str and text and text.isascii():
            return None, {"type": "websocket.send", "text": text}, None
    check_content(content)
    # An event of Channels 4 is for the class-based members of a group: a socket takes what it knows of it.
    if not _REPLY_KEYS.issuperset(content) and "type" not in content:
        unknown = ", ".join(sorted(repr(key) for key in content if key not in _REPLY_KEYS))
        raise InvalidContent(
            f"a reply to a WebSocket has the keys 'accept', 'text', 'bytes' and 'close', not {unknown}; "
            "put data of your own into 'text', for example as JSON"
        )
    accept = content.get("accept")
    close = content.get("close")
    if close is not None and not isinstance(close, int):
        raise InvalidContent(f"'close' is True or a close code such as 4000, not {close!r}")
    return (
        None if accept is None else bool(accept),
        _data(content.get("text"), content.get("bytes")),
        None if not close else 1000 if close is True else close,
    )


def _data(text: object, data: object) -> Event | None:
    """Empty data does not count (DM-03)."""
    if text is not None and not isinstance(text, str):
        hint = "for bytes use 'bytes'" if isinstance(text, (bytes, bytearray)) else "for objects send json.dumps(...)"
        raise InvalidContent(f"'text' has to be a str, not {type(text).__name__}; {hint}")
    if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidContent(f"'bytes' has to be bytes, not {type(data).__name__}; for a str use 'text'")
    if text and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:  # from JSON, say: one client must not silence those it reaches
            raise InvalidContent(f"'text' holds what UTF-8 cannot carry, a lone surrogate: {error}") from error
    if text and data:
        raise InvalidContent("a reply has 'text' or 'bytes', not both; send two messages")
    if text:
        return {"type": "websocket.send", "text": text}
    return {"type": "websocket.send", "bytes": bytes(data)} if data else None


def may_close_with(code: int) -> bool:
    """Whether ``code`` may stand in a close frame (RFC 6455, section 7.4)."""
    return (1000 <= code <= 1014 and code not in _NEVER_SENT) or 3000 <= code <= 4999


class ResponseReply(NamedTuple):
    """A response message that has been read: what it says, whatever becomes of its dict."""

    status: int | None
    headers: list[tuple[bytes, bytes]]
    body: bytes
    more: bool


def response_reply(content: Content) -> ResponseReply:
    """Read a response message or a further chunk of one (6.4); raises ``InvalidContent``."""
    check_content(content)
    status = content.get("status")
    if "status" in content and not (isinstance(status, int) and 100 <= status <= 599):
        raise InvalidContent(f"'status' is an int such as 200, not {status!r}")
    body = content.get("content") or b""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise InvalidContent(f"'content' has to be bytes, not {type(body).__name__}; encode text before sending it")
    return ResponseReply(status, _response_headers(content), bytes(body), bool(content.get("more_content")))


def response_events(reply: ResponseReply, started: bool) -> list[Event]:
    """The ASGI events of a response message (7.2); raises ``InvalidContent`` where it comes at the wrong time."""
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
        return [(_header(name).lower(), _header(value)) for name, value in headers]
    except (TypeError, ValueError) as error:
        raise InvalidContent(
            f"'headers' is a list of (name, value) pairs of bytes, or of str in latin-1, not {headers!r:.200}"
        ) from error


def _header(value: object) -> bytes:
    if isinstance(value, str):
        value = value.encode("latin-1")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).strip()  # a cookie as Python writes it begins with a space, which servers refuse
    raise TypeError(f"a header is bytes or str, not {type(value).__name__}")
