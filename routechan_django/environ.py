"""The ``META`` of a request, from an ``http.request`` message (``consumer-api`` 6.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings

from routechan.message import Message


def script_name(message: Message) -> str:
    """The script prefix: ``FORCE_SCRIPT_NAME``, which servers of 1.x put into ``message``, or its ``root_path``."""
    return settings.FORCE_SCRIPT_NAME or message.get("root_path") or ""


def path_info(message: Message) -> str:
    """The path in ``message`` without its script prefix, which is removed at the end of a path segment only (OB-23)."""
    path: str = message["path"]
    prefix = script_name(message).rstrip("/")
    if prefix and isinstance(path, str) and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :]
    return path


def full_path(message: Message) -> str:
    """The path in ``message`` with its script prefix, which ``path`` includes in some messages, and not in others."""
    path: str = message["path"]
    prefix = script_name(message).rstrip("/")
    return prefix + path if prefix and isinstance(path, str) and path_info(message) == path else path


def meta(message: Message) -> dict[str, Any]:
    """The dict for ``request.META``, as a WSGI server would fill it.

    A dict of headers, which older test clients send, becomes a list of pairs in the message itself (HT-07).

    Args:
        message: An ``http.request`` message.

    Raises:
        KeyError: The message has no ``path`` or no ``method``.
        UnicodeDecodeError: Its ``query_string`` is not UTF-8.
    """
    return {
        "REQUEST_METHOD": message["method"].upper(),
        "QUERY_STRING": _query_string(message),
        "SCRIPT_NAME": script_name(message),
        "PATH_INFO": path_info(message),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        **_addresses(message),
        **_headers(message),
    }


def _query_string(message: Message) -> str:
    value: str | bytes = message.get("query_string", b"")
    return value.decode() if isinstance(value, bytes) else value


def _addresses(message: Message) -> dict[str, Any]:
    client, server = message.get("client"), message.get("server")
    addresses: dict[str, Any] = {}
    if client:
        addresses.update(REMOTE_ADDR=client[0], REMOTE_HOST=client[0], REMOTE_PORT=client[1])
    addresses["SERVER_NAME"] = server[0] if server else "unknown"
    addresses["SERVER_PORT"] = str(server[1]) if server else "0"
    return addresses


def _headers(message: Message) -> dict[str, str]:
    pairs: Iterable[tuple[bytes, bytes]] | dict[str, bytes] = message.get("headers") or []
    if isinstance(pairs, dict):
        pairs = [(name.encode("latin-1"), value) for name, value in pairs.items()]
        message["headers"] = pairs
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = name.upper().replace("-", "_")
        if name not in ("content-length", "content-type"):
            key = f"HTTP_{key}"
        if key in headers:
            # HTTP/2 may split the cookie header; such parts are joined by a semicolon (RFC 9113, 8.2.3; OB-22).
            value = headers[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
        headers[key] = value
    return headers
