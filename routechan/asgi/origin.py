"""May a page of this origin open a socket here?

Browsers let any page open a WebSocket to any host, with the user's cookies (LD-09). So the Origin a browser
sends has to be one we expect; clients that send none are not browsers and are let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


class Origins:
    """The origins that may connect.

    Each entry is a host (``example.com``), a host and all below it (``.example.com``), a whole origin
    (``https://example.com:8443``) or ``*``. With None, the host must be the one the socket was opened on.
    """

    def __init__(self, allowed: Sequence[str] | None) -> None:
        self._allowed = None if allowed is None else [entry.lower() for entry in allowed]

    def refusal(self, headers: Sequence[Sequence[bytes]]) -> str | None:
        """Why a socket with these headers is refused, or None."""
        origins = [bytes(value).decode("latin-1").lower() for name, value in headers if name == b"origin"]
        if not origins:
            return None
        if len(origins) > 1:
            return f"it has {len(origins)} Origin headers, {', '.join(origins)}, and no browser sends more than one"
        origin = origins[0]
        if self._allowed is None:
            named = next((bytes(value).decode("latin-1").lower() for name, value in headers if name == b"host"), "")
            host = _host(f"//{named}")
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
    if not host:
        return False
    if entry.startswith("."):
        return host == entry[1:] or host.endswith(entry)
    return host == entry.strip("[]")


def _host(url: str) -> str:
    """The host of an origin, without brackets, port and user; empty for ``null`` and what cannot be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
