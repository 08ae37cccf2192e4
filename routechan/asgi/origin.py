"""The check of the Origin header against cross-site WebSocket hijacking.

Browsers let any page open a WebSocket to any host, with the user's cookies (LD-09), so the Origin that a browser sends
must be an expected one. Clients that send no Origin are not browsers and are let in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_HOST = r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"

#: An origin as browsers write it, in lower case (RFC 6454, section 6.2). ``null`` and ``file://`` have no host, and
#: what else does not match was written by nobody who means well.
_ORIGIN = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_HOST}")

#: The Host header of a request.
_OWN = re.compile(_HOST)

#: The ports that browsers leave out. Hosts in a list stand for pages of these two schemes only.
_DEFAULT_PORTS = {"http": "80", "https": "443"}

#: Pages of this machine may have any port: one server for the pages, another for sockets is how people develop.
_LOOPBACK = re.compile(r"localhost|.*\.localhost|127(\.[0-9]+){3}|::1")


class Origins:
    """The origins whose pages may connect.

    Args:
        allowed: Hosts (``example.com``), hosts with their subdomains (``.example.com``), whole origins
            (``https://example.com:8443``, ``null``) or ``*``. None allows the host that the socket was opened on.
    """

    def __init__(self, allowed: Sequence[str] | None) -> None:
        self._allowed = None if allowed is None else [entry.lower() for entry in allowed]
        whole = [entry for entry in self._allowed or () if "://" in entry or entry in ("null", "*")]
        self._whole = {form for entry in whole for form in (entry, entry.removesuffix("/"))}

    def refusal(self, headers: Sequence[Sequence[bytes]], *, secure: bool, is_get: bool = False) -> str | None:
        """The reason to refuse a socket, or None to let it in.

        Args:
            headers: The headers of its request.
            secure: Whether it was opened as ``wss``.
            is_get: Whether it is a GET, with which browsers do not always send an Origin.
        """
        origins = _values(headers, b"origin")
        if "*" in self._whole:
            return None
        if not origins:
            return _from_elsewhere(headers) if is_get else None
        if len(origins) > 1:
            shown = " and ".join(_shown(each) for each in origins[:2])
            return f"it has {len(origins)} Origin headers, {shown}, and no browser sends more than one"
        origin = origins[0]
        if origin in self._whole:
            return None
        own = _OWN.fullmatch(next(iter(_values(headers, b"host")), ""))
        page = _ORIGIN.fullmatch(origin)
        if page is None or page["scheme"] not in _DEFAULT_PORTS or not self._may(_name(page), own):
            return self._not_allowed(origin, own)
        if secure and page["scheme"] == "http":
            # Whoever is between the user and that page can write into it, and TLS keeps them from this socket.
            return f"the page's origin {_shown(origin)} is plain http, and the socket is wss; {self._allow(origin)}"
        if own is not None and _name(own) == _name(page) and not _LOOPBACK.fullmatch(_name(page)):
            default = _DEFAULT_PORTS[page["scheme"]]
            if (page["port"] or default) != (own["port"] or default):
                return (
                    f"the page's origin {_shown(origin)} has another port than this host, {own[0]!r}, to which a proxy "
                    f"must not have changed it; {self._allow(origin)}"
                )
        return None

    def _may(self, name: str, own: re.Match[str] | None) -> bool:
        """Whether pages of the host ``name`` may connect."""
        if self._allowed is None:
            return own is not None and name == _name(own)
        return any(_matches(name, entry) for entry in self._allowed)

    def _not_allowed(self, origin: str, own: re.Match[str] | None) -> str:
        if self._allowed is None:
            host = "" if own is None else _name(own)
            return f"the page's origin {_shown(origin)} is not this host, {host!r}; allow it with allowed_origins"
        return (
            f"the page's origin {_shown(origin)} is not among the allowed ones, {', '.join(self._allowed) or 'none'}; "
            "add its host to ALLOWED_HOSTS in a Django project, to allowed_origins elsewhere"
        )

    def _allow(self, origin: str) -> str:
        return (
            f"to allow it, add the whole origin {_shown(origin)} to ROUTECHAN['ALLOWED_ORIGINS'] in a Django project, "
            "to allowed_origins elsewhere"
        )


def readable(headers: Sequence[Sequence[bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a response that let the page of an allowed origin read it, where that is another origin.

    Args:
        headers: The headers of the request, which was not refused.

    Returns:
        The headers; none where the request names no origin.
    """
    origin = next((bytes(value) for name, value in headers if name == b"origin"), None)
    if origin is None:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


def _from_elsewhere(headers: Sequence[Sequence[bytes]]) -> str | None:
    """The reason to refuse a request without Origin, which browsers let pages of other sites make with GET.

    They say so in another header, on sites that have TLS.
    """
    site = next(iter(_values(headers, b"sec-fetch-site")), "none")
    if site in ("none", "same-origin"):
        return None
    return f"a browser sent it for a page of another origin, and without Origin (Sec-Fetch-Site: {_shown(site)})"


def _matches(name: str, entry: str) -> bool:
    if entry.startswith("."):
        return len(entry) > 1 and (name == entry[1:] or name.endswith(entry))
    return name == entry.strip("[]")


def _name(match: re.Match[str]) -> str:
    """The host without brackets, and without the dot at the end of a full name."""
    return match["host"].strip("[]").removesuffix(".")


def _values(headers: Sequence[Sequence[bytes]], wanted: bytes) -> list[str]:
    return [bytes(value).decode("latin-1").lower() for name, value in headers if name == wanted]


def _shown(origin: str) -> str:
    """For a log line: whatever bytes came, they stay on it."""
    return ascii(origin if len(origin) <= 100 else f"{origin[:97]}...")
