"""May a page of this origin open a socket here?

Browsers let any page open a WebSocket to any host, with the user's cookies (LD-09). So the Origin a browser
sends has to be one we expect; clients that send none are not browsers and are let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit


class Origins:
    """The origins that may connect.

    Each entry is a host (``example.com``), a host and all below it (``.example.com``), a whole origin
    (``https://example.com:8443``) or ``*``. With None, the host must be the one the socket was opened on.
    """

    def __init__(self, allowed: Sequence[str] | None) -> None:
        self._allowed = None if allowed is None else [entry.lower() for entry in allowed]

    def refusal(self, headers: Iterable[Sequence[bytes]]) -> str | None:
        """Why a socket with these headers is refused, or None."""
        values = {bytes(name): bytes(value) for name, value in headers}
        if b"origin" not in values:
            return None
        origin = values[b"origin"].decode("latin-1").lower()
        if self._allowed is None:
            host = _host(f"//{values.get(b'host', b'').decode('latin-1').lower()}")
            if host and _host(origin) == host:
                return None
            return f"the page's origin {origin!r} is not this host, {host!r}; allow it with allowed_origins"
        if any(_matches(origin, entry) for entry in self._allowed):
            return None
        return (
            f"the page's origin {origin!r} is not among the allowed ones, {', '.join(self._allowed) or 'none'}; "
            "add its host to ALLOWED_HOSTS in a Django project, to allowed_origins elsewhere"
        )


def _matches(origin: str, entry: str) -> bool:
    if entry == "*":
        return True
    if "://" in entry:
        return origin == entry.rstrip("/")
    host = _host(origin)
    if entry.startswith("."):
        return host == entry[1:] or host.endswith(entry)
    return bool(host) and host == entry.strip("[]")


def _host(url: str) -> str:
    """The host of an origin, without brackets, port and user; empty for ``null`` and what cannot be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
