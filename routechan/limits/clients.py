"""The address that a client counts under, wherever it is bounded by address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from ..encoding import Content


def address_of(connect: Content) -> str | None:
    """The address that a client counts under; of IPv6 the network, because one client has all addresses of it.

    Args:
        connect: The content of its ``websocket.connect`` or ``http.request``.

    Returns:
        The address; None where the server does not know it, as behind a Unix socket.
    """
    client = connect.get("client")
    return _counted(str(client[0])) if client else None


@lru_cache(maxsize=1024)
def _counted(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host or None
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
