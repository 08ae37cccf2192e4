"""The address that a client counts under, wherever it is bounded by address."""

from __future__ import annotations

import ipaddress

from ..encoding import Content


def address_of(connect: Content) -> str | None:
    """The address that a client counts under; of IPv6 the network, because one client has all addresses of it.

    Args:
        connect: The content of its ``websocket.connect`` or ``http.request``.

    Returns:
        The address; None where the server does not know it, as behind a Unix socket.
    """
    client = connect.get("client")
    if not client:
        return None
    try:
        address = ipaddress.ip_address(str(client[0]).partition("%")[0])
    except ValueError:
        return str(client[0]) or None
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
